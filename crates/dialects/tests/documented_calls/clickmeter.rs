//! ClickMeter.

use crate::*;

const URL: &str =
    "http://conversions.clickmeter.com/s2s?clickId=c1&id=0123456789abcdef0123456789abcdef&val=20.00";

#[test]
fn the_documented_call() {
    let expected = Postback {
        reference: some("0123456789abcdef0123456789abcdef"),
        amount: amount("20"),
        commission: amount("2.5"),
        commission_rate_ppm: Some(100_000),
        extra: extra(&[("k", "v"), ("k2", "v2")]),
        ..click("c1")
    };
    assert_eq!(
        get(
            "clickmeter",
            &format!("{URL}&com=2.50&comperc=10&param=k%3Dv;k2%3Dv2")
        ),
        expected
    );
}

#[test]
fn a_percentage_replaces_a_fixed_commission_of_zero() {
    let commission = |tail: &str| {
        let read = get("clickmeter", &format!("{URL}{tail}"));
        (read.commission, read.commission_rate_ppm)
    };
    assert_eq!(commission("&com=0&comperc=10"), (None, Some(100_000)));
    // Both are kept, so that the answer can name the one that does not count.
    assert_eq!(commission("&com=3&comperc=10"), (amount("3"), Some(100_000)));
    assert_eq!(commission("&com=0"), (amount("0"), None));
}

#[test]
fn names_in_other_letter_case_are_the_same() {
    let read = get("clickmeter", "/postback/clickmeter?clickid=c1&ID=1&Val=3&COM=0");
    assert_eq!(
        (read.click_ids, read.reference),
        (vec!["c1".to_owned()], some("1"))
    );
    assert_eq!((read.amount, read.extra), (amount("3"), extra(&[])));
}

#[test]
fn id_and_value_are_demanded_and_a_placeholder_is_no_click() {
    for (query, parameter) in [
        ("clickId=c1&val=1&com=0", "id"),
        ("clickId=c1&id=&val=1&com=0", "id"),
        ("clickId=c1&id=A5&com=0", "val"),
        ("clickId=c1&id=A5&val=1", "com"),
    ] {
        let (_, problem) = parsed("clickmeter", &RawCall::get(&format!("/s2s?{query}")));
        let system = "ClickMeter";
        assert_eq!(problem, Some(Problem::Missing { parameter, system }), "{query}");
    }
    let literal = "/s2s?clickId=%23S1%23&id=A5&val=1&com=0.5";
    assert!(matches!(
        parsed("clickmeter", &RawCall::get(literal)).1,
        Some(Problem::MacroUnreplaced { parameter, .. }) if parameter == "clickId"
    ));
}

#[test]
fn the_final_result_and_custom_parameters() {
    let start = "http://conversions.clickmeter.com/s2s?clickId=c1&id=A531BF41";
    let expected = Postback {
        reference: some("A531BF41"),
        amount: amount("1"),
        commission: amount("0.5"),
        extra: extra(&[("myCustomParam", "xyz")]),
        ..click("c1")
    };
    let url = format!("{start}&val=1&com=0.5&param=myCustomParam%3Dxyz");
    assert_eq!(get("clickmeter", &url), expected);
    let custom = |param: &str| get("clickmeter", &format!("{start}&val=0&com=0&param={param}")).extra;
    assert_eq!(
        custom("a%3D1%3Bb%3D2;c%3D3"),
        extra(&[("a", "1"), ("b", "2"), ("c", "3")])
    );
    // Another separator splits nothing, and nothing is lost.
    assert_eq!(custom("a%3D1%7Cb%3D2"), extra(&[("a", "1|b=2")]));
    assert_eq!(custom("alone"), extra(&[("alone", "")]));
}
