//! Documented call of each system, word for word but for the values: its dialect and its parsed postback.

mod clickmeter;
mod flexoffers;
mod joturl;
mod networks;
mod partnerize;
mod partnerstack;
mod platforms;
mod programs;
mod trackers;

use dialects::{
    Amount, CustomerType, Intent, Item, ParsedCall, Postback, Problem, RawCall, State, Wish,
    is_postback_target, of_call, of_key, parse_call,
};

/// The request target of a URL.
fn target(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.find('/').map_or("/", |at| &host[at..])
}

fn parsed(key: &str, call: &RawCall<'_>) -> (Postback, Option<Problem>) {
    let ParsedCall {
        dialect,
        postback,
        problem,
    } = parse_call(call);
    assert_eq!(dialect.key, key, "{}", call.target);
    assert_eq!(
        of_call(call).map(|dialect| dialect.key),
        Some(key),
        "{}",
        call.target
    );
    assert_eq!(dialect.parse(call), (postback.clone(), problem.clone()));
    assert!(is_postback_target(call.target), "{}", call.target);
    // The dialect named in the path gives the same result.
    let named = format!("/postback/{key}{}", call.target);
    let named = RawCall {
        target: &named,
        ..*call
    };
    assert_eq!(of_call(&named).map(|dialect| dialect.key), Some(key));
    assert_eq!(dialect.parse(&named), (postback.clone(), problem.clone()));
    (postback, problem)
}

fn read(key: &str, call: &RawCall<'_>) -> Postback {
    let (postback, problem) = parsed(key, call);
    assert_eq!(problem, None, "{}", call.target);
    postback
}

fn get(key: &str, url: &str) -> Postback {
    read(key, &RawCall::get(target(url)))
}

fn post<'a>(url: &'a str, content_type: &'a str, body: &'a str) -> RawCall<'a> {
    RawCall {
        method: "POST",
        target: target(url),
        content_type: Some(content_type),
        body: body.as_bytes(),
        ..RawCall::default()
    }
}

fn json<'a>(url: &'a str, body: &'a str) -> RawCall<'a> {
    post(url, "application/json", body)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn amount(text: &str) -> Option<Amount> {
    Amount::parse(text).ok()
}

fn time(seconds: i64) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(seconds, 0)
}

fn extra(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn item(sku: &str, category: &str, quantity: u32, line: &str) -> Item {
    Item {
        sku: some(sku).filter(|sku| !sku.is_empty()),
        category: some(category).filter(|category| !category.is_empty()),
        quantity: Some(quantity),
        amount: amount(line),
        name: None,
    }
}

fn click(id: &str) -> Postback {
    Postback {
        click_ids: vec![id.to_owned()],
        ..Postback::default()
    }
}

#[test]
fn every_key_in_the_path_selects_its_dialect() {
    for dialect in dialects::all() {
        let target = format!("/postback/{}", dialect.key);
        assert_eq!(
            of_call(&RawCall::get(&target)).map(|named| named.key),
            Some(dialect.key)
        );
        assert_eq!(of_key(dialect.key).map(|named| named.key), Some(dialect.key));
    }
}

#[test]
fn a_path_of_no_dialect_is_a_tracking_link() {
    for target in [
        "/summer",
        "/",
        "/?utm_source=x",
        "/summer?click_id=1",
        "/postbacks",
        "/aff_lsr2",
    ] {
        assert!(of_call(&RawCall::get(target)).is_none(), "{target}");
        assert!(!is_postback_target(target), "{target}");
        assert_eq!(parse_call(&RawCall::get(target)).dialect.key, "clickledger");
    }
    let reserved: Vec<&str> = dialects::reserved_segments().collect();
    for segment in [
        "postback",
        "postback.gif",
        "u",
        "ep",
        "click",
        "report",
        "s2s",
        "c",
        "p.ashx",
        "conversion",
    ] {
        assert!(reserved.contains(&segment), "{segment}");
    }
    assert_eq!(
        reserved.iter().filter(|segment| **segment == "postback").count(),
        1
    );
}
