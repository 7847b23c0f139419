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
fn an_action_with_a_pair_of_keys() {
    let body = r#"{"type":"purchase","value":49.90,"target_type":"customer","target_key":"cus_1"}"#;
    let call = RawCall {
        authorization: Some("Basic cHVibGljOnNlY3JldA=="),
        ..json("https://api.partnerstack.com/api/v2/actions", body)
    };
    let expected = Postback {
        goal: some("purchase"),
        amount: amount("49.90"),
        customer_id: some("cus_1"),
        token: some("public:secret"),
        ..Postback::default()
    };
    assert_eq!(read("partnerstack_action", &call), expected);
}
