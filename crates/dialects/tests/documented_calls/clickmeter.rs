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
fn a_percentage_counts_only_if_the_fixed_commission_is_zero() {
    let commission = |tail: &str| {
        let read = get("clickmeter", &format!("{URL}{tail}"));
        (read.commission, read.commission_rate_ppm)
    };
    assert_eq!(commission("&com=0&comperc=10"), (None, Some(100_000)));
    assert_eq!(commission("&comperc=7.25"), (None, Some(72_500)));
    assert_eq!(commission("&com=3&comperc=10"), (amount("3"), None));
    assert_eq!(commission("&com=0"), (amount("0"), None));
}

#[test]
fn names_in_other_letter_case_are_the_same() {
    let read = get("clickmeter", "/postback/clickmeter?clickid=c1&ID=1&Val=3");
    assert_eq!(
        (read.click_ids, read.reference),
        (vec!["c1".to_owned()], some("1"))
    );
    assert_eq!((read.amount, read.extra), (amount("3"), extra(&[])));
}
