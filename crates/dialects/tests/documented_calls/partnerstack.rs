//! PartnerStack.

use crate::*;

const BODY: &str = r#"{"xid":"x1","customer_key":"cus_1","email":"a@b.example","name":"Ann","provider_key":"stripe","origin":"web","ip_address":"192.0.2.1","user_agent":"Mozilla","external_type":"trial","sub_ids":["s1","s2"],"meta":{"plan":"pro"}}"#;

#[test]
fn a_sign_up() {
    let call = RawCall {
        authorization: Some("Bearer tok"),
        ..json("https://partnerlinks.io/conversion/xid", BODY)
    };
    let expected = Postback {
        goal: some("trial"),
        customer_id: some("cus_1"),
        token: some("tok"),
        subs: [some("s1"), some("s2"), None, None, None],
        personal: extra(&[
            ("email", "a@b.example"),
            ("name", "Ann"),
            ("ip_address", "192.0.2.1"),
            ("user_agent", "Mozilla"),
        ]),
        extra: extra(&[
            ("provider_key", "stripe"),
            ("origin", "web"),
            ("meta.plan", "pro"),
        ]),
        ..click("x1")
    };
    assert_eq!(read("partnerstack_s2s", &call), expected);
}

#[test]
fn a_sign_up_without_a_type_is_a_sign_up() {
    let call = json(
        "https://partnerlinks.io/conversion/xid",
        r#"{"xid":"x1","customer_key":"cus_1"}"#,
    );
    assert_eq!(read("partnerstack_s2s", &call).goal, some("signup"));
}

#[test]
fn a_sixth_sub_id_is_stored_as_extra() {
    let call = json(
        "https://partnerlinks.io/conversion/xid",
        r#"{"sub_ids":["1","2","3","4","5","6"]}"#,
    );
    let read = read("partnerstack_s2s", &call);
    assert_eq!(read.extra, extra(&[("sub_ids", r#"["1","2","3","4","5","6"]"#)]));
}

#[test]
fn the_value_of_an_action_is_how_often_it_was_performed() {
    let body =
        r#"{"key":"act-1","type":"post_created","value":2,"target_type":"customer","target_key":"cus_1"}"#;
    let call = RawCall {
        authorization: Some("Basic cHVibGljOnNlY3JldA=="),
        ..json("https://api.partnerstack.com/api/v2/actions", body)
    };
    let expected = Postback {
        goal: some("post_created"),
        order_id: some("act-1"),
        customer_id: some("cus_1"),
        token: some("secret"),
        extra: extra(&[("value", "2")]),
        ..Postback::default()
    };
    assert_eq!(read("partnerstack_action", &call), expected);
}

#[test]
fn a_customer_of_a_partner() {
    let body = r#"{"customer_key":"cus_1","email":"a@b.example","name":"Ann","partner_key":"ann","provider_key":"cus_12345"}"#;
    let expected = Postback {
        affiliate_key: some("ann"),
        goal: some("signup"),
        customer_id: some("cus_1"),
        personal: extra(&[("email", "a@b.example"), ("name", "Ann")]),
        extra: extra(&[("provider_key", "cus_12345")]),
        ..Postback::default()
    };
    let call = json("https://api.partnerstack.com/api/v2/customers", body);
    assert_eq!(read("partnerstack_customer", &call), expected);
}

#[test]
fn a_transaction_is_in_cents() {
    let body = r#"{"customer_external_key":"cus_1","amount":9900,"currency":"USD","key":"A-1001","category_key":"annual","product_key":"pro","created_at":1777638600000}"#;
    let expected = Postback {
        goal: some("annual"),
        order_id: some("A-1001"),
        amount: amount("99"),
        currency: some("USD"),
        customer_id: some("cus_1"),
        event_time: time(1_777_638_600),
        extra: extra(&[("product_key", "pro")]),
        ..Postback::default()
    };
    let call = json("https://api.partnerstack.com/api/v2/transactions", body);
    assert_eq!(read("partnerstack_transaction", &call), expected);
}

#[test]
fn a_partner_key_is_no_click_and_a_template_no_customer() {
    let url = "https://partnerlinks.io/conversion/xid";
    let call = json(url, r#"{"partner_key":"p1","customer_key":"cus_1"}"#);
    let keyed = read("partnerstack_s2s", &call);
    assert_eq!(keyed.click_ids, [""; 0]);
    assert_eq!(keyed.extra, extra(&[("partner_key", "p1")]));
    let blank = json(url, r#"{"xid":"","customer_key":"c"}"#);
    assert!(parsed("partnerstack_s2s", &blank).0.is_click_empty);
    let call = json(url, r#"{"xid":"x1","customer_key":"{{user.id}}"}"#);
    assert!(matches!(
        parsed("partnerstack_s2s", &call).1,
        Some(Problem::MacroUnreplaced { parameter, .. }) if parameter == "customer_key"
    ));
}
