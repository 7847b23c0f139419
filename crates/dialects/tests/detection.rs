//! Detection of pasted text: dialect, meaning of the parameters, and warnings.

use dialects::detect::{Detection, WarningCode, detect_with};
use dialects::{Field, detect};

fn key(found: &Detection) -> Option<&'static str> {
    found.dialect().map(|dialect| dialect.key)
}

fn codes(found: &Detection) -> Vec<&'static str> {
    found.warnings.iter().map(|warning| warning.code.code()).collect()
}

#[test]
fn every_form_of_the_same_pasted_call_is_parsed() {
    let pasted = [
        "https://t.example/postback?click_id=abc&order_id=A-1&amount=12.50",
        "  \"https://t.example/postback?click_id=abc&order_id=A-1&amount=12.50\"\n",
        "t.example/postback?click_id=abc&order_id=A-1&amount=12.50",
        "/postback?click_id=abc&order_id=A-1&amount=12.50",
        "click_id=abc&order_id=A-1&amount=12.50",
        "?click_id=abc&order_id=A-1&amount=12.50",
        r#"{"click_id":"abc","order_id":"A-1","amount":12.50}"#,
        "curl 'https://t.example/postback?click_id=abc&order_id=A-1&amount=12.50'",
        "curl -sS -X POST https://t.example/postback -d click_id=abc -d order_id=A-1 --data 'amount=12.50'",
        "$ curl https://t.example/postback \\\n  -G -d click_id=abc \\\n  --data-urlencode \"order_id=A-1\" -d amount=12.50",
        r#"curl --json "{\"click_id\":\"abc\",\"order_id\":\"A-1\",\"amount\":12.50}" https://t.example/postback"#,
        "curl -XPOST --url https://t.example/postback -H 'Content-Type: application/json' --data-raw='{\"click_id\":\"abc\",\"order_id\":\"A-1\",\"amount\":12.50}' | jq",
        "GET /postback?click_id=abc&order_id=A-1&amount=12.50 HTTP/1.1\r\nHost: t.example\r\n\r\n",
        "POST /postback HTTP/1.1\nHost: t.example\nContent-Type: application/x-www-form-urlencoded\n\nclick_id=abc&order_id=A-1&amount=12.50",
        "<img src=\"https://t.example/postback?click_id=abc&amp;order_id=A-1&amp;amount=12.50\" width=1>",
    ];
    for pasted in pasted {
        let found = detect(pasted);
        assert_eq!(key(&found), Some("clickledger"), "{pasted}");
        let parameters: Vec<(&str, &str, Option<Field>)> = found
            .parameters
            .iter()
            .map(|one| (one.parameter.as_str(), one.value.as_str(), one.field))
            .collect();
        let expected = [
            ("click_id", "abc", Some(Field::ClickId)),
            ("order_id", "A-1", Some(Field::OrderId)),
            ("amount", "12.50", Some(Field::Amount)),
        ];
        assert_eq!(parameters, expected, "{pasted}");
        assert_eq!(codes(&found), [""; 0], "{pasted}");
    }
}

#[test]
fn documented_calls_are_recognised_by_host_path_and_parameters() {
    for (pasted, expected) in [
        (
            "https://prf.hn/conversion/tracking_mode:api/campaign:k/clickref:c/currency:EUR/[value:5]",
            "partnerize",
        ),
        (
            "https://track.flexlinkspro.com/da.ashx?advertiserid=g&clickid=c&orderamount=5&ordernumber=A",
            "flexoffers",
        ),
        (
            "http://conversions.clickmeter.com/s2s?clickId=c&id=0&val=5&com=0",
            "clickmeter",
        ),
        (
            "http://net.go2cloud.org/aff_lsr?offer_id=7&transaction_id=c",
            "tune",
        ),
        (
            "https://offers-net.affise.com/postback?clickid=c&action_id=A&sum=5&status=1",
            "affise",
        ),
        (
            "https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=1&amount=5&ch=aw&cr=EUR&ref=A&parts=D:5&cks=c",
            "awin",
        ),
        (
            "https://tracker.example/postback?cid={cid}&payout={payout}&txid={txid}&currency=USD&et=sale",
            "voluum",
        ),
        (
            "https://tracker.example/0a1b/postback?subid=c&status=sale&payout=5&tid=A",
            "keitaro",
        ),
        (
            "curl -X POST https://api.dub.co/track/lead -H 'Authorization: Bearer x' --json '{\"clickId\":\"c\",\"eventName\":\"e\",\"customerExternalId\":\"u\"}'",
            "dub",
        ),
        ("https://t.example/postback/scaleo?click_id=c", "scaleo"),
    ] {
        let found = detect(pasted);
        assert_eq!(key(&found), Some(expected), "{pasted}: {:?}", found.candidates);
        let best = &found.candidates[0];
        assert!(best.score >= 50 && best.why.ends_with('.'), "{best:?}");
        assert!(found.candidates.len() <= 5);
    }
}

#[test]
fn fixed_parameters_have_no_field_and_unknown_ones_are_extra() {
    let found = detect("https://www.awin1.com/sread.php?tt=ss&merchant=1&p1=x");
    let fields: Vec<Option<Field>> = found.parameters.iter().map(|one| one.field).collect();
    assert_eq!(fields, [None, Some(Field::Reference), Some(Field::Extra)]);
    assert_eq!(Field::Extra.label(), "stored as extra");
}

#[test]
fn every_problem_has_a_warning_with_advice() {
    let pasted = "http://t.example/postback?click_id=%7Bclick_id%7D&amount=1,50&order_id=a%252Fb&token=s3cret&coupon=A&coupon=B&goal=thisisaclick";
    let found = detect_with(pasted, &|text| text == "thisisaclick");
    let mut codes = codes(&found);
    codes.sort_unstable();
    let expected = [
        "amount_unreadable",
        "click_id_misplaced",
        "double_encoded",
        "macro_unreplaced",
        "not_https",
        "repeated",
        "secret_in_url",
    ];
    assert_eq!(codes, expected);
    for warning in &found.warnings {
        assert!(
            warning.message.ends_with('.') && warning.advice.ends_with('.'),
            "{warning:?}"
        );
        assert!(!warning.message.contains("s3cret"));
    }
    let token = found
        .parameters
        .iter()
        .find(|one| one.parameter == "token")
        .unwrap();
    assert_eq!(token.value, "");
    let misplaced = found
        .warnings
        .iter()
        .find(|one| one.code == WarningCode::ClickIdMisplaced)
        .unwrap();
    assert_eq!(
        (misplaced.parameter.as_deref(), misplaced.advice.as_str()),
        (Some("goal"), "Send it as click_id.")
    );
}

#[test]
fn missing_required_parameters_are_named() {
    let found = detect("https://track.flexlinks.com/da.ashx?advertiserid=g&clickid=c&ordernumber=");
    let missing: Vec<_> = found
        .warnings
        .iter()
        .filter_map(|warning| warning.parameter.as_deref())
        .collect();
    assert_eq!(missing, ["orderamount", "ordernumber"]);
    let alias = detect("https://offers.affise.com/postback?click_id=c&action_id=A&sum=1");
    assert_eq!(codes(&alias), [""; 0]);
}

#[test]
fn an_invalid_body_is_named() {
    assert_eq!(
        codes(&detect("{\"click_id\":\"abc\",")),
        ["required_missing", "unreadable"]
    );
}

#[test]
fn text_without_a_call_yields_none_and_too_long_text_is_refused() {
    for text in ["", "   ", "hello world", "curl", "curl -X POST", "<p>no</p>"] {
        let found = detect(text);
        assert!(
            found.call.is_none() && found.candidates.is_empty() && found.warnings.is_empty(),
            "{text}"
        );
    }
    assert_eq!(codes(&detect(&"a=b&".repeat(20_000))), ["too_large"]);
}

#[test]
fn data_of_a_curl_command_makes_it_a_post() {
    let call = detect("curl https://t.example/postback -d click_id=abc").call;
    let parts = call.map(|call| (call.method, call.content_type, call.body));
    let form = "application/x-www-form-urlencoded".to_owned();
    assert_eq!(
        parts,
        Some(("POST".to_owned(), Some(form), "click_id=abc".to_owned()))
    );
}
