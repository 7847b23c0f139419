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

#[test]
fn leaddyno_as_form_and_as_json() {
    let body = "key=tok&email=a%40b.example&purchase_code=A-1&purchase_amount=40.50&code=ann";
    let expected = Postback {
        affiliate_key: some("ann"),
        goal: some("sale"),
        order_id: some("A-1"),
        amount: amount("40.50"),
        token: some("tok"),
        personal: extra(&[("email", "a@b.example")]),
        ..Postback::default()
    };
    let form = post(
        "https://api.leaddyno.com/v1/purchases",
        "application/x-www-form-urlencoded",
        body,
    );
    assert_eq!(read("leaddyno", &form), expected);
    let body = r#"{"email":"a@b.example","purchase_code":"A-1","purchase_amount":40.5,"code":"ann","plan_code":"p1","commission_amount_override":5}"#;
    let planned = json("https://api.leaddyno.com/v1/purchases?key=tok", body);
    let expected = Postback {
        goal: some("p1"),
        commission: amount("5"),
        ..expected
    };
    assert_eq!(read("leaddyno", &planned), expected);
    let lead = json(
        "https://api.leaddyno.com/v1/leads?key=tok",
        r#"{"email":"a@b.example","affiliate":"ann"}"#,
    );
    let lead = read("leaddyno", &lead);
    assert_eq!((lead.goal, lead.affiliate_key), (some("lead"), some("ann")));
}

#[test]
fn tolt() {
    let body = r#"{"amount":9999,"customer_id":"cust_dK9bzRGn46BhVgNFHD6fDgXW","billing_type":"subscription","charge_id":"ch_9bzRGn46BhVgNFHD6fDgXW","click_id":"clk_7mbzRGn46BhVgNFHD6fDgXW","product_id":"prod_123","product_name":"Premium Plan","source":"stripe","interval":"month","created_at":"2025-01-15T14:30:00.000Z"}"#;
    let call = RawCall {
        authorization: Some("Bearer tok"),
        ..json("https://api.tolt.com/v1/transactions", body)
    };
    let expected = Postback {
        goal: some("sale"),
        order_id: some("ch_9bzRGn46BhVgNFHD6fDgXW"),
        amount: amount("99.99"),
        customer_id: some("cust_dK9bzRGn46BhVgNFHD6fDgXW"),
        event_time: time(1_736_951_400),
        token: some("tok"),
        extra: extra(&[
            ("billing_type", "subscription"),
            ("product_id", "prod_123"),
            ("product_name", "Premium Plan"),
            ("source", "stripe"),
            ("interval", "month"),
        ]),
        is_in_hundredths: true,
        ..click("clk_7mbzRGn46BhVgNFHD6fDgXW")
    };
    assert_eq!(read("tolt", &call), expected);
    let customer = json(
        "https://api.tolt.com/v1/customers",
        r#"{"email":"a@b.example","partner_id":"part_1","customer_id":"u1","click_id":"click_abc","status":"active"}"#,
    );
    let customer = read("tolt", &customer);
    assert_eq!(
        (customer.goal, customer.affiliate_key, customer.state),
        (some("lead"), some("part_1"), None)
    );
}

#[test]
fn refersion_sums_its_items() {
    let body = r#"{"cart_id":"c1","order_id":"20150401102883","shipping":9.99,"tax":0.57,"discount":2.25,"discount_code":"HOLIDAY1","currency_code":"USD","customer":{"first_name":"John","last_name":"Doe","email":"jdoe@example.com","ip_address":"203.0.113.75"},"items":[{"price":5.50,"quantity":2,"sku":"PROD_A","name":"Product A"}]}"#;
    let expected = Postback {
        order_id: some("20150401102883"),
        amount: amount("8.75"),
        discount: amount("2.25"),
        currency: some("USD"),
        coupon: some("HOLIDAY1"),
        items: vec![Item {
            name: some("Product A"),
            ..item("PROD_A", "", 2, "11")
        }],
        personal: extra(&[
            ("customer.first_name", "John"),
            ("customer.last_name", "Doe"),
            ("customer.email", "jdoe@example.com"),
            ("customer.ip_address", "203.0.113.75"),
        ]),
        extra: extra(&[("shipping", "9.99"), ("tax", "0.57")]),
        ..click("c1")
    };
    let call = json("https://inbound-webhooks.refersion.com/tracker/orders/paid", body);
    assert_eq!(read("refersion", &call), expected);
}
