//! The same content by GET, as a form, as a multipart form and as JSON is the same postback, in every dialect that has parameters.

use std::collections::BTreeSet;

use dialects::{Amount, Dialect, Postback, Problem, RawCall, all};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::option::of;
use proptest::prelude::*;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=B";
const JSON: &str = "application/json";

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9]{1,12}", "[ -~]{0,12}", "\\PC{0,8}"]
}

prop_compose! {
    fn content()(
        click in value(), order in of(value()), micros in of(0_i64..1_000_000_000_000), currency in of("[A-Za-z]{3}"),
        status in of(value()), coupon in of(value()), goal in of(value()), extra in value(),
    ) -> Postback {
        Postback {
            click_ids: vec![click],
            order_id: order,
            amount: micros.and_then(Amount::from_micros),
            currency, status, coupon, goal,
            extra: vec![("zz_more".to_owned(), extra)],
            ..Postback::default()
        }
    }
}

/// Path and parameters of a call that the dialect builds; `None` if it is not made of plain parameters.
fn parameters(dialect: &Dialect, content: &Postback) -> Option<(String, Vec<(String, String)>)> {
    let call = dialect.build("", content)?;
    let (path, query) = call.url.split_once('?').unwrap_or((&call.url, ""));
    let pairs = match (call.content_type, query) {
        (Some(FORM), "") => dialects::decode_pairs(&call.body)
            .collect::<Result<Vec<_>, _>>()
            .ok()?,
        (None, query) if !query.is_empty() => dialects::decode_pairs(query)
            .collect::<Result<Vec<_>, _>>()
            .ok()?,
        _ => return None,
    };
    let mut names = BTreeSet::new();
    // A JSON object has each name once.
    let are_once = pairs.iter().all(|(name, _)| names.insert(name.to_lowercase()));
    are_once.then(|| (path.to_owned(), pairs))
}

fn read(
    dialect: &Dialect,
    target: &str,
    content_type: Option<&str>,
    body: &str,
) -> (Postback, Option<Problem>) {
    dialect.parse(&RawCall {
        method: if content_type.is_some() { "POST" } else { "GET" },
        target,
        content_type,
        authorization: None,
        api_key: None,
        body: body.as_bytes(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_transport_changes_nothing(content in content()) {
        for dialect in all() {
            let Some((path, pairs)) = parameters(dialect, &content) else { continue };
            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let query: Vec<_> =
                pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
            let query = query.join("&");
            let object: serde_json::Map<String, serde_json::Value> =
                pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
            let object = serde_json::Value::from(object).to_string();
            let by_get = read(dialect, &format!("{path}?{query}"), None, "");
            let by_form = read(dialect, &path, Some(FORM), &query);
            let by_json = read(dialect, &path, Some(JSON), &object);
            let fields: String = pairs.iter().map(|(name, value)| {
                format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            }).collect();
            let by_multipart = read(dialect, &path, Some(MULTIPART), &format!("{fields}--B--\r\n"));
            prop_assert_eq!(&by_get, &by_form, "{}: {}", dialect.key, query);
            prop_assert_eq!(&by_get, &by_multipart, "{}: {}", dialect.key, fields);
            prop_assert_eq!(&by_get, &by_json, "{}: {}", dialect.key, object);
        }
    }
}

#[test]
fn most_dialects_have_plain_parameters() {
    let content = Postback {
        click_ids: vec!["c1".to_owned()],
        ..Postback::default()
    };
    let compared = all()
        .iter()
        .filter(|dialect| parameters(dialect, &content).is_some());
    assert!(compared.count() >= 30);
}
