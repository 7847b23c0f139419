//! FlexOffers.

use crate::*;

#[test]
fn the_documented_call() {
    let url = "https://track.flexlinks.com/da.ashx?advertiserid=8a0f-guid&clickid=r1&orderamount=99.95&ordernumber=A-1&coupon=SAVE&currency=USD&geo=US&commissionid=7";
    let expected = Postback {
        reference: some("8a0f-guid"),
        amount: amount("99.95"),
        order_id: some("A-1"),
        coupon: some("SAVE"),
        currency: some("USD"),
        country: some("US"),
        goal: some("7"),
        ..click("r1")
    };
    assert_eq!(get("flexoffers", url), expected);
    assert_eq!(
        get("flexoffers", &url.replace("flexlinks.com", "flexlinkspro.com")),
        expected
    );
}

#[test]
fn a_lead_has_an_amount_of_zero() {
    let url = "https://track.flexlinks.com/da.ashx?advertiserid=g&clickid=r1&orderamount=0&ordernumber=A-1";
    assert_eq!(get("flexoffers", url).amount, amount("0"));
}

#[test]
fn items_are_parsed_from_the_body() {
    let body =
        r#"{"order_items":[{"sku":"S1","quantity":1,"amount":5},{"sku":"S2","quantity":2,"amount":"7.50"}]}"#;
    let call = json(
        "https://track.flexlinkspro.com/da.ashx?clickid=r1&ordernumber=A-1",
        body,
    );
    let read = read("flexoffers", &call);
    assert_eq!(read.items, [item("S1", "", 1, "5"), item("S2", "", 2, "7.5")]);
    assert_eq!(read.amount, amount("12.50"));
}

#[test]
fn order_number_and_amount_are_demanded() {
    for (query, parameter) in [
        ("clickid=r1&orderamount=0", "ordernumber"),
        ("clickid=r1&ordernumber=A-1", "orderamount"),
        ("clickid=r1&ordernumber=A-1&orderamount=", "orderamount"),
    ] {
        let (_, problem) = parsed("flexoffers", &RawCall::get(&format!("/da.ashx?{query}")));
        let system = "FlexOffers";
        assert_eq!(problem, Some(Problem::Missing { parameter, system }), "{query}");
    }
}

#[test]
fn brackets_around_a_click_are_left_to_its_reader_and_a_name_in_them_is_a_placeholder() {
    let url = "https://track.flexlinks.com/da.ashx?orderamount=0&ordernumber=A-1&clickid=";
    let id = "0123456789abcdefghjkmnpqrstvwxyz0123456789ab";
    let wrapped = get("flexoffers", &format!("{url}%5B%22{id}%22%5D"));
    assert_eq!(wrapped.click_ids, [format!("[\"{id}\"]")]);
    let literal = format!("{url}%5B%22refid%22%5D");
    let (_, problem) = parsed("flexoffers", &RawCall::get(target(&literal)));
    assert!(matches!(
        problem,
        Some(Problem::MacroUnreplaced { parameter, .. }) if parameter == "clickid"
    ));
}
