//! Software companies' partner programs.

use crate::*;

#[test]
fn post_affiliate_pro() {
    let url = "https://pap.example/scripts/sale.php?AccountId=default1&TotalCost=30.00&OrderID=A-1&ProductID=P&CampaignID=7&ActionCode=sale&Currency=EUR&Commission=3&visitorId=c1";
    let expected = Postback {
        reference: some("7"),
        goal: some("sale"),
        order_id: some("A-1"),
        amount: amount("30"),
        commission: amount("3"),
        currency: some("EUR"),
        extra: extra(&[("AccountId", "default1"), ("ProductID", "P")]),
        ..click("c1")
    };
    assert_eq!(get("pap", url), expected);
    let sale = "%5B%7B%22ac%22%3A%22sale%22%2C%22t%22%3A%2230.00%22%2C%22o%22%3A%22A-1%22%2C%22c%22%3A%227%22%2C%22cr%22%3A%22EUR%22%2C%22cc%22%3A%223%22%2C%22s%22%3A%22P%22%2C%22d1%22%3A%22x%22%7D%5D";
    let url = format!(
        "https://pap.example/scripts/track.php?visitorId=c1&accountId=default1&url=u&referrer=r&tracking=1&getParams=&ip=192.0.2.1&sale={sale}"
    );
    let read = get("pap", &url);
    let expected = Postback {
        status: some("P"),
        state: Some(State::Pending),
        subs: [some("x"), None, None, None, None],
        personal: extra(&[("ip", "192.0.2.1")]),
        extra: extra(&[
            ("accountId", "default1"),
            ("url", "u"),
            ("referrer", "r"),
            ("tracking", "1"),
            ("getParams", ""),
        ]),
        ..expected
    };
    assert_eq!(read, expected);
}

#[test]
fn tapfiliate() {
    let body = r#"{"click_id":"c1","external_id":"A-1","amount":30.5,"currency":"EUR","customer_id":"u1","program_id":"prog","commission_type":"sale","meta_data":{"plan":"pro"}}"#;
    let call = RawCall {
        api_key: Some("tok"),
        ..json(
            "https://api.tapfiliate.com/1.6/conversions/?override_max_cookie_time=true",
            body,
        )
    };
    let expected = Postback {
        reference: some("prog"),
        goal: some("sale"),
        order_id: some("A-1"),
        amount: amount("30.5"),
        currency: some("EUR"),
        customer_id: some("u1"),
        token: some("tok"),
        extra: extra(&[("override_max_cookie_time", "true"), ("meta_data.plan", "pro")]),
        ..click("c1")
    };
    assert_eq!(read("tapfiliate", &call), expected);
}

#[test]
fn firstpromoter_amounts_are_in_cents() {
    let form = "application/x-www-form-urlencoded";
    let body = "email=a%40b.example&uid=u1&event_id=A-1&amount=1250&plan=pro&tid=c1&ref_id=ann";
    let call = |path| RawCall {
        api_key: Some("tok"),
        ..post(path, form, body)
    };
    let sale = Postback {
        affiliate_key: some("ann"),
        goal: some("sale"),
        order_id: some("A-1"),
        amount: amount("12.50"),
        customer_id: some("u1"),
        token: some("tok"),
        personal: extra(&[("email", "a@b.example")]),
        extra: extra(&[("plan", "pro")]),
        is_in_hundredths: true,
        ..click("c1")
    };
    assert_eq!(
        read(
            "firstpromoter",
            &call("https://firstpromoter.com/api/v1/track/sale")
        ),
        sale
    );
    let refund = read(
        "firstpromoter",
        &call("https://firstpromoter.com/api/v1/track/refund"),
    );
    assert_eq!((refund.intent, refund.amount), (Intent::Refund, amount("12.50")));
    let signup = read(
        "firstpromoter",
        &call("https://firstpromoter.com/api/v1/track/signup"),
    );
    assert_eq!(signup.goal, some("signup"));
}

#[test]
fn dub() {
    let body = r#"{"customerExternalId":"u1","amount":3050,"currency":"usd","eventName":"Invoice paid","invoiceId":"A-1","leadEventName":"Sign up","clickId":"c1","metadata":{"plan":"pro"}}"#;
    let call = RawCall {
        authorization: Some("Bearer tok"),
        ..json("https://api.dub.co/track/sale", body)
    };
    let expected = Postback {
        goal: some("Invoice paid"),
        parent_goal: some("Sign up"),
        order_id: some("A-1"),
        amount: amount("30.50"),
        currency: some("USD"),
        customer_id: some("u1"),
        token: some("tok"),
        extra: extra(&[("metadata.plan", "pro")]),
        ..click("c1")
    };
    assert_eq!(read("dub", &call), expected);
    let lead = json(
        "https://api.dub.co/track/lead",
        r#"{"clickId":"c1","eventName":"Sign up","customerExternalId":"u1","mode":"wait"}"#,
    );
    assert_eq!(read("dub", &lead).goal, some("Sign up"));
}
