//! Hostile input: no panics and bounded results in every dialect.

use dialects::{
    CLICK_LIMIT, Dialect, Field, ITEM_LIMIT, Postback, Problem, RawCall, Template, all, decode_pairs, detect,
    is_postback_target, native, of_call, of_key, parse_call,
};
use proptest::collection::vec;
use proptest::prelude::*;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Valid calls to be corrupted: target, content type, body.
const CALLS: [(&str, &str, &str); 22] = [
    (
        "/postback?click_id=abc&goal=sale&order_id=A-1&amount=12.50&currency=EUR&token=t&refund=1",
        "",
        "",
    ),
    (
        "/postback",
        JSON,
        r#"{"click_id":["a","b"],"items":[{"sku":"S","quantity":2,"amount":"9.90"}],"sub1":null}"#,
    ),
    (
        "/conversion/tracking_mode:api/campaign:k/clickref:c/currency:EUR/conversion_time:2026-05-01%2012%3A30%3A00/[category:s/sku:S/value:19.99/quantity:1][value:1]",
        "",
        "",
    ),
    (
        "/conversion/clickref:c/%5Bcategory:s/value:1%5D%5Bvalue:2%5D",
        "",
        "",
    ),
    (
        "/conversion/xid",
        JSON,
        r#"{"xid":"x","customer_key":"u","email":"a@b.c","sub_ids":["1","2"],"meta":{"a":{"b":1}}}"#,
    ),
    (
        "/da.ashx?advertiserid=g&clickid=r&orderamount=99.95&ordernumber=A",
        JSON,
        r#"{"order_items":[{"sku":"S","amount":5}]}"#,
    ),
    (
        "/s2s?clickId=c&id=0&val=20.00&com=0&comperc=12.5&param=k%3Dv;k2%3Dv2",
        "",
        "",
    ),
    ("/postback/?click=c&val=5&comm=1&ep00=a", "", ""),
    (
        "/?nid=5&transaction_id=c&amount=12,50&order_id=A&email=a%40b.c&adv1=a&verification_token=t",
        "",
        "",
    ),
    (
        "/aff_lsr?offer_id=7&transaction_id=c&amount=10.00&adv_sub=a&datetime=2026-05-01%2012:30:00",
        "",
        "",
    ),
    ("/p.ashx?o=7&e=2&f=pb&R=c&t=A&p=10.00&ap=2.50&c=USD", "", ""),
    (
        "/postback?clickid=c&action_id=A&goal=2&sum=9.90&status=5&secure=t&ip=192.0.2.1",
        "",
        "",
    ),
    (
        "/track/conv-change?click_id=c&token=t&conv_status=hold&amount=50&payout=5",
        "",
        "",
    ),
    (
        "/tracking/conversion/v1",
        JSON,
        r#"{"cid":"c","conversionTypeCode":"s","amount":{"value":"100.50"},"customParams":{"advS1":"a"}}"#,
    ),
    (
        "/Advertisers/S/Conversions",
        FORM,
        "CampaignId=7&EventDate=NOW&ClickId=c&OrderId=A&ItemSku1=S&ItemQuantity1=2&ItemPrice1=5.00&DispositionCode=X",
    ),
    (
        "/sread.php?tt=ss&tv=2&merchant=1&amount=30&cr=GBP&ref=A&parts=A:20|B:10&cks=c&bd[0]=AW:P|1|A|7|Boot|10.00|2|S|G|C",
        "",
        "",
    ),
    (
        "/u?CID=15&TYPE=3&METHOD=S2S&CJEVENT=c&OID=A&ITEM1=S&AMT1=5.00&QTY1=2&DISCOUNT=1",
        "",
        "",
    ),
    (
        "/ep?mid=1&ord=A&tr=c&date=20260501_1230&cur=JPY&skulist=a|b&qlist=1|2&amtlist=1999|1100&namelist=x|y",
        "",
        "",
    ),
    (
        "/queue-conversion",
        JSON,
        r#"{"ids":[{"name":"s2s","value":"c"}],"value":30.5,"items":[{"code":"S","price":10,"quantity":2}]}"#,
    ),
    (
        "/scripts/track.php?visitorId=c&sale=%5B%7B%22t%22%3A%2230.00%22%2C%22o%22%3A%22A%22%7D%5D",
        "",
        "",
    ),
    (
        "/api/v1/track/refund",
        FORM,
        "email=a%40b.c&uid=u&event_id=A&amount=1250&tid=c",
    ),
    (
        "/key/postback?subid=c&status=x&payout=2.50&tid=A&lead_status=a,x&ignore_status=x&return=OK",
        "",
        "",
    ),
];

fn call<'a>(target: &'a str, content_type: &'a str, body: &'a [u8]) -> RawCall<'a> {
    RawCall {
        method: "POST",
        target,
        content_type: Some(content_type),
        body,
        ..RawCall::default()
    }
}

fn short(text: Option<&String>) -> bool {
    text.is_none_or(|text| text.len() <= 256 && !text.contains('\0'))
}

/// True if the parsed postback is within all limits.
fn is_bounded(read: &Postback) -> bool {
    let fields = [
        &read.affiliate_key,
        &read.reference,
        &read.goal,
        &read.parent_goal,
        &read.order_id,
        &read.currency,
        &read.status,
        &read.coupon,
        &read.country,
        &read.customer_id,
        &read.token,
        &read.signature,
        &read.timestamp,
    ];
    let texts = fields.into_iter().chain(&read.subs);
    let money = [read.amount, read.discount, read.commission, read.revenue];
    let of_items = read.items.iter().map(|item| item.amount);
    let small = |pairs: &[(String, String)]| {
        pairs.len() <= 200
            && pairs
                .iter()
                .all(|(name, value)| name.len() <= 256 && value.len() <= 2048)
    };
    texts.into_iter().all(|text| short(text.as_ref()))
        && read.click_ids.len() <= CLICK_LIMIT
        && read.click_ids.iter().all(|id| short(Some(id)) && !id.is_empty())
        && read.items.len() <= ITEM_LIMIT
        && read.items.iter().all(|item| {
            [&item.sku, &item.category, &item.name]
                .into_iter()
                .all(|text| short(text.as_ref()))
        })
        && money
            .into_iter()
            .chain(of_items)
            .flatten()
            .all(|amount| (0..=1_000_000_000_000_000).contains(&amount.micros))
        && small(&read.extra)
        && small(&read.personal)
}

fn survives(dialect: &Dialect, call: &RawCall<'_>) -> Result<Option<Problem>, TestCaseError> {
    let (read, problem) = dialect.parse(call);
    prop_assert!(is_bounded(&read), "{}: {:?}", dialect.key, read);
    if let Some(problem) = &problem {
        prop_assert!(problem.message().len() < 4_096 && !problem.hint().is_empty());
    }
    // Whatever was parsed can be built for any system.
    let _ = dialect.build("https://t.example", &read);
    Ok(problem)
}

/// A valid call with some bytes replaced, doubled or cut.
fn broken(text: &str, edits: &[(prop::sample::Index, Edit)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (index, edit) in edits {
        let at = index.index(characters.len() + 1);
        match edit {
            Edit::Insert(text) => drop(characters.splice(at..at, text.chars())),
            Edit::Cut => characters.truncate(at),
            Edit::Remove => drop(characters.splice(at.min(characters.len().saturating_sub(1))..at, [])),
            Edit::Double => {
                let tail: Vec<char> = characters.iter().skip(at).copied().collect();
                characters.push('&');
                characters.extend(tail);
            }
        }
    }
    characters.into_iter().collect()
}

#[derive(Debug, Clone)]
enum Edit {
    Insert(String),
    Cut,
    Remove,
    Double,
}

fn edit() -> impl Strategy<Value = Edit> {
    let nasty = prop_oneof![
        Just("%00"),
        Just("\r\n"),
        Just("%0d%0a"),
        Just("%"),
        Just("%FF"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("&&=&"),
        Just("|"),
        Just(";"),
        Just(":"),
        Just("//"),
        Just("-"),
        Just(","),
        Just("9999999999999999999"),
        Just("%7B%7D"),
        Just("{click_id}"),
        Just("\u{202E}"),
        Just("%5B"),
        Just("%5D"),
        Just("null"),
        Just("1e9"),
    ];
    prop_oneof![
        4 => nasty.prop_map(|text| Edit::Insert(text.to_owned())),
        1 => any::<String>().prop_map(Edit::Insert),
        1 => Just(Edit::Cut),
        2 => Just(Edit::Remove),
        1 => Just(Edit::Double),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_dialect_survives_any_bytes(
        target in ".{0,200}",
        body in vec(any::<u8>(), 0..300),
        content_type in prop_oneof![Just(FORM), Just(JSON), Just("text/plain")],
        authorization in ".{0,40}",
    ) {
        let raw = RawCall {
            authorization: Some(&authorization),
            api_key: Some(&authorization),
            ..call(&target, content_type, &body)
        };
        let parsed = parse_call(&raw);
        let dialect = of_call(&raw).unwrap_or(native());
        prop_assert_eq!(parsed.dialect.key, dialect.key);
        prop_assert_eq!((parsed.postback, parsed.problem), dialect.parse(&raw));
        for dialect in all() {
            survives(dialect, &raw)?;
        }
    }

    #[test]
    fn a_broken_call_is_survived(
        index in any::<prop::sample::Index>(),
        in_target in vec((any::<prop::sample::Index>(), edit()), 0..4),
        in_body in vec((any::<prop::sample::Index>(), edit()), 0..4),
    ) {
        let (target, content_type, body) = index.get(&CALLS);
        let (target, body) = (broken(target, &in_target), broken(body, &in_body));
        let raw = call(&target, content_type, body.as_bytes());
        let parsed = parse_call(&raw);
        survives(parsed.dialect, &raw)?;
        prop_assert_eq!((parsed.postback, parsed.problem), parsed.dialect.parse(&raw));
        prop_assert_eq!(is_postback_target(&target), of_call(&RawCall::get(&target)).is_some());
        let pasted = format!("https://t.example{target}");
        prop_assert!(detect(&pasted).warnings.len() <= 50);
        prop_assert!(detect(&body).warnings.len() <= 50);
    }

    #[test]
    fn a_partnerize_path_is_survived(path in "[/:%\\[\\]a-f0-9A-F.,]{0,120}") {
        let Some(partnerize) = of_key("partnerize") else { return Ok(()) };
        survives(partnerize, &RawCall::get(&path))?;
        survives(partnerize, &RawCall::get(&format!("/conversion{path}")))?;
    }

    #[test]
    fn json_in_any_shape_is_survived(body in r#"[\[\]{}",:a-c0-9.\\ u]{0,200}"#) {
        for dialect in all() {
            survives(dialect, &call("/x", JSON, body.as_bytes()))?;
        }
    }

    #[test]
    fn pasted_text_is_survived(text in ".{0,300}", quoted in r#"[ '"\\\$=@&;|\-dHXGu a-z:/?.{}\n]{0,200}"#) {
        for text in [text.clone(), format!("curl {text}"), format!("curl {quoted}"), format!("GET {text} HTTP/1.1\n\n{quoted}"), quoted] {
            let found = dialects::detect::detect_with(&text, &|value| value.len() > 3);
            prop_assert!(found.candidates.len() <= 5 && found.warnings.len() <= 50);
            prop_assert!(found.parameters.iter().all(|one| one.value.chars().count() <= 256));
        }
    }

    #[test]
    fn a_template_of_any_text_is_survived(text in ".{0,120}", braces in r"[{}a-z_/:.?=]{0,60}") {
        let _ = Template::parse(&text);
        let text = format!("https://t.example/{braces}");
        if let Ok(template) = Template::parse(&text) {
            prop_assert_eq!(template.to_string(), text);
        }
    }
}

fn problem_of(target: &str, content_type: &str, body: &str) -> Option<Problem> {
    let raw = call(target, content_type, body.as_bytes());
    let parsed = parse_call(&raw);
    assert!(is_bounded(&parsed.postback), "{target:.100}");
    parsed.problem
}

#[test]
fn valid_calls_have_no_problem() {
    for (target, content_type, body) in CALLS {
        assert_eq!(problem_of(target, content_type, body), None, "{target}");
    }
}

#[test]
fn a_parameter_sent_twice_is_refused_in_every_dialect() {
    // These document several click IDs.
    const SEVERAL_CLICKS: [&str; 3] = ["awin", "awin_api", "pepperjam"];
    for dialect in all() {
        let is_several = SEVERAL_CLICKS.contains(&dialect.key);
        let mut parameters = dialect.parameters();
        let found =
            parameters.find(|(_, field)| !is_several || matches!(field, Field::Reference | Field::OrderId));
        let Some((names, _)) = found else {
            panic!("{}", dialect.key)
        };
        let target = format!(
            "/postback/{}?{}=a&{}=b",
            dialect.key,
            names[0],
            names[0].to_ascii_uppercase()
        );
        let problem = dialect.parse(&RawCall::get(&target)).1;
        assert!(
            matches!(problem, Some(Problem::Repeated { .. })),
            "{target}: {problem:?}"
        );
    }
}

#[test]
fn a_nul_is_refused_and_a_line_break_stays_in_its_value() {
    assert!(matches!(
        problem_of("/postback?click_id=a%00", "", ""),
        Some(Problem::Nul { .. })
    ));
    assert!(matches!(
        problem_of("/conversion/clickref:a%00", "", ""),
        Some(Problem::Nul { .. })
    ));
    assert!(matches!(
        problem_of("/postback", JSON, r#"{"click_id":"a\u0000"}"#),
        Some(Problem::Nul { .. })
    ));
    let (read, _) = native().parse(&RawCall::get("/postback?order_id=a%0D%0AX-Evil:1"));
    assert_eq!(read.order_id.as_deref(), Some("a\r\nX-Evil:1"));
    let built = of_key("voluum")
        .and_then(|voluum| voluum.build("https://t.example", &read))
        .map(|call| call.url);
    assert_eq!(
        built.as_deref(),
        Some("https://t.example/postback?txid=a%0D%0AX-Evil%3A1")
    );
}

#[test]
fn values_of_eight_kibibytes_are_refused_in_every_place() {
    let long = "x".repeat(8192);
    for target in [
        format!("/postback?click_id={long}"),
        format!("/conversion/clickref:{long}"),
        format!("/conversion/clickref:c/[sku:{long}]"),
        format!("/sread.php?parts={long}:1"),
        format!("/ep?skulist={long}"),
    ] {
        let problem = problem_of(&target, "", "");
        assert!(
            matches!(problem, Some(Problem::TooLong { .. })),
            "{target:.40}: {problem:?}"
        );
    }
    // Further parameters decide nothing, and are kept as far as they fit.
    let (read, problem) = native().parse(&RawCall::get(&format!("/postback?note={long}")));
    assert_eq!(problem, None);
    assert_eq!(
        (read.extra[0].1.len(), read.extra[0].1.ends_with('…')),
        (2048, true)
    );
    // A name is quoted only in part.
    let problem = problem_of(&format!("/postback?{long}=a&{long}=b"), "", "");
    assert!(problem.is_some_and(|problem| problem.message().len() < 200));
}

#[test]
fn json_as_deep_as_a_body_may_be_is_refused_by_its_depth() {
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        assert!(matches!(
            problem_of("/postback", JSON, &deep),
            Some(Problem::Body { .. })
        ));
        let member = format!("{{\"items\":{deep}}}");
        assert!(problem_of("/postback", JSON, &member).is_some());
    }
}

#[test]
fn ten_thousand_items_are_refused_in_every_format() {
    let many =
        |one: &dyn Fn(usize) -> String, joint: &str| (0..10_000).map(one).collect::<Vec<_>>().join(joint);
    let objects = format!("{{\"items\":[{}]}}", vec!["{}"; 10_000].join(","));
    assert!(problem_of("/postback", JSON, &objects).is_some());
    let path = format!("/conversion/clickref:c/{}", many(&|_| "[value:1]".to_owned(), ""));
    assert!(problem_of(&path, "", "").is_some());
    let numbered = format!("/u?CJEVENT=c&{}", many(&|n| format!("ITEM{n}=a"), "&"));
    assert!(problem_of(&numbered, "", "").is_some());
    let lists = format!("/ep?tr=c&skulist={}", many(&|_| "a".to_owned(), "|"));
    assert!(problem_of(&lists, "", "").is_some());
    let baskets = format!(
        "/sread.php?cks=c&{}",
        many(&|n| format!("bd[{n}]=AW:P|1|2|3|4|5|6|7|8|9"), "&")
    );
    assert!(problem_of(&baskets, "", "").is_some());
    let groups = format!("/sread.php?cks=c&parts={}", many(&|n| format!("G{n}:1"), "|"));
    assert!(problem_of(&groups, "", "").is_some());
    // Within the limit on bytes, too.
    let groups = format!("/sread.php?cks=c&parts={}", vec!["A:1"; 101].join("|"));
    assert!(matches!(
        problem_of(&groups, "", ""),
        Some(Problem::Malformed { .. })
    ));
    let path = format!("/conversion/clickref:c/{}", "[sku:a]".repeat(101));
    assert!(matches!(
        problem_of(&path, "", ""),
        Some(Problem::Malformed { .. })
    ));
    let pairs = many(&|n| format!("p{n}=1"), "&");
    assert_eq!(decode_pairs(&pairs).count(), 10_000);
    assert_eq!(
        problem_of(&format!("/postback?{pairs}"), "", ""),
        Some(Problem::TooMany { limit: 100 })
    );
}

#[test]
fn an_overflowing_line_amount_is_refused() {
    let target = "/u?CJEVENT=c&ITEM1=a&AMT1=999999999&QTY1=4000000000";
    assert!(matches!(problem_of(target, "", ""), Some(Problem::Amount { .. })));
    let target = "/conversion/clickref:c/[value:1000000000000][value:1000000000000]";
    let raw = RawCall::get(target);
    let read = parse_call(&raw).postback;
    assert_eq!((read.items.len(), read.amount), (2, None));
}
