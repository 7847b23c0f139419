//! Partnerize: the grammar of its path.

use crate::*;

fn order() -> Postback {
    Postback {
        reference: some("10abc1234"),
        order_id: some("A-1"),
        amount: amount("30.99"),
        currency: some("EUR"),
        country: some("DE"),
        customer_type: Some(CustomerType::New),
        coupon: some("SPRING"),
        event_time: time(1_777_638_600),
        items: vec![item("S1", "shoes", 1, "19.99"), item("S2", "hats", 2, "11.00")],
        ..click("1101l")
    }
}

const HEAD: &str = "https://prf.hn/conversion/tracking_mode:api/campaign:10abc1234/clickref:1101l/conversionref:A-1/currency:EUR/country:DE/customertype:new/voucher:SPRING/conversion_time:2026-05-01%2012%3A30%3A00";
const BASKET: &str =
    "[category:shoes/sku:S1/value:19.99/quantity:1][category:hats/sku:S2/value:11.00/quantity:2]";

#[test]
fn the_documented_call_with_and_without_the_slash_before_the_items() {
    assert_eq!(get("partnerize", &format!("{HEAD}/{BASKET}")), order());
    assert_eq!(get("partnerize", &format!("{HEAD}{BASKET}")), order());
}

#[test]
fn percent_encoded_brackets_delimit_items() {
    let basket = BASKET.replace('[', "%5B").replace(']', "%5D");
    assert_eq!(get("partnerize", &format!("{HEAD}/{basket}")), order());
    let basket = basket.replace("%5D%5B", "%5D/%5B");
    assert_eq!(get("partnerize", &format!("{HEAD}/{basket}")), order());
}

#[test]
fn the_order_of_keys_does_not_matter_and_a_custom_string_may_stand_between() {
    let url = "https://prf.hn/conversion/tracking_mode:api/custom/clickref:1101l/voucher:/currency:EUR/campaign:10abc1234";
    let expected = Postback {
        reference: some("10abc1234"),
        currency: some("EUR"),
        ..click("1101l")
    };
    assert_eq!(get("partnerize", url), expected);
    let pixel = "https://prf.hn/conversion/campaign:10abc1234/currency:EUR/clickref:1101l";
    assert_eq!(get("partnerize", pixel), expected);
}

#[test]
fn the_android_library_puts_no_slash_before_an_item() {
    let url = "https://prf.hn/conversion/tracking_mode:api/device:mobile/context:m_app/clickref:c/payment_type:value[value:9.99/category:Accessories]";
    let read = get("partnerize", url);
    assert_eq!(read.goal, some("Accessories"));
    assert_eq!((read.amount, read.items.len()), (amount("9.99"), 1));
    let kept = extra(&[
        ("device", "mobile"),
        ("context", "m_app"),
        ("payment_type", "value"),
    ]);
    assert_eq!(read.extra, kept);
}

#[test]
fn encoded_delimiters_in_values_are_values() {
    let url = "https://prf.hn/conversion/campaign:k/clickref:a%2Fb%3Ac%5Bd%5D/conversionref:1+1/[sku:x%2Fy%5D/value:1]";
    let read = get("partnerize", url);
    assert_eq!(read.click_ids, ["a/b:c[d]"]);
    assert_eq!(read.order_id, some("1+1"));
    assert_eq!(read.items[0].sku, some("x/y]"));
}

#[test]
fn parameters_after_the_items_are_parsed() {
    let read = get(
        "partnerize",
        "https://prf.hn/conversion/clickref:c/[value:1]/conversionref:A",
    );
    assert_eq!((read.order_id, read.amount), (some("A"), amount("1")));
}

#[test]
fn problems_are_named() {
    let problem = |path: &str| parsed("partnerize", &RawCall::get(path)).1;
    assert!(matches!(
        problem("/conversion/clickref:a/clickref:b"),
        Some(Problem::Repeated { parameter }) if parameter == "clickref"
    ));
    assert!(matches!(
        problem("/conversion/clickref:a/[value:1"),
        Some(Problem::Malformed { parameter, .. }) if parameter == "item 0"
    ));
    assert!(matches!(
        problem("/conversion/clickref:a/[value:1,50]"),
        Some(Problem::Amount { parameter, .. }) if parameter == "value"
    ));
    assert!(matches!(
        problem("/conversion/clickref:%7Bclickref%7D"),
        Some(Problem::MacroUnreplaced { parameter, .. }) if parameter == "clickref"
    ));
    // The same key in two items is not repeated.
    assert_eq!(problem("/conversion/clickref:a/[value:1][value:1]"), None);
}

#[test]
fn a_post_is_the_same_call_and_its_body_may_have_the_rest() {
    let form = "application/x-www-form-urlencoded";
    let whole = format!("{HEAD}/{BASKET}");
    assert_eq!(read("partnerize", &post(&whole, form, "")), order());
    let start = "https://prf.hn/conversion/tracking_mode:api/campaign:10abc1234/clickref:1101lAbC";
    let expected = Postback {
        reference: some("10abc1234"),
        order_id: some("A-1"),
        currency: some("EUR"),
        ..click("1101lAbC")
    };
    let call = post(start, form, "conversionref=A-1&currency=EUR");
    assert_eq!(read("partnerize", &call), expected);
}

#[test]
fn a_value_that_does_not_decode_is_named() {
    for (segment, parameter) in [
        ("clickref:caf%E9", "clickref"),
        ("conversionref:50%", "conversionref"),
        ("note:%FF", "note"),
    ] {
        let path = format!("/conversion/tracking_mode:api/{segment}/currency:EUR");
        let (_, problem) = parsed("partnerize", &RawCall::get(&path));
        assert!(
            matches!(&problem, Some(Problem::Undecodable { parameter: named, .. }) if named == parameter),
            "{segment}: {problem:?}"
        );
    }
}
