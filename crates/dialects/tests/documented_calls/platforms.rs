//! Platforms that networks use.

use crate::*;

#[test]
fn everflow() {
    let url = "https://trk.example/?nid=5&transaction_id=c1&amount=12,50&event_id=3&order_id=A-1&coupon_code=SAVE&email=a@b.example&user_id=u1&adv1=a&adv5=e&verification_token=tok";
    let expected = Postback {
        goal: some("3"),
        order_id: some("A-1"),
        amount: amount("12.50"),
        coupon: some("SAVE"),
        customer_id: some("u1"),
        token: some("tok"),
        subs: [some("a"), None, None, None, some("e")],
        personal: extra(&[("email", "a@b.example")]),
        extra: extra(&[("nid", "5")]),
        ..click("c1")
    };
    assert_eq!(get("everflow", url), expected);
    let read = get(
        "everflow",
        "https://trk.example/?nid=5&transaction_id=c1&adv_event_id=9",
    );
    assert_eq!(read.goal, some("9"));
}

#[test]
fn tune() {
    let url = "http://net.go2cloud.org/aff_lsr?offer_id=7&transaction_id=c1&amount=10.00&adv_sub=a&adv_sub5=e&adv_unique1=A-1&goal_id=2&security_token=tok&datetime=2026-05-01%2012:30:00";
    let expected = Postback {
        reference: some("7"),
        goal: some("2"),
        order_id: some("A-1"),
        amount: amount("10"),
        event_time: time(1_777_638_600),
        token: some("tok"),
        subs: [some("a"), None, None, None, some("e")],
        ..click("c1")
    };
    assert_eq!(get("tune", url), expected);
    let pixel = get(
        "tune",
        "http://net.go2cloud.org/aff_l?offer_id=7&transaction_id=c1",
    );
    assert_eq!(pixel.wish, Wish::Pixel);
    let goal = get(
        "tune",
        "http://net.go2cloud.org/aff_goal?a=l&goal_name=sale&adv_id=3&transaction_id=c1",
    );
    assert_eq!((goal.goal, goal.extra), (some("sale"), extra(&[("adv_id", "3")])));
}

#[test]
fn tune_sends_statuses_payouts_and_order_ids() {
    let url = "http://net.go2cloud.org/aff_lsr?transaction_id=c1&amount=10&status=rejected&payout=2.00&revenue=3.00&promo_code=SAVE&conversion_unique_id=A-1&aff_id=12&goal_ref=deposit&user_id=u1";
    let read = get("tune", url);
    assert_eq!(
        (read.state, read.commission, read.revenue),
        (Some(State::Rejected), amount("2"), amount("3"))
    );
    assert_eq!(
        (read.coupon, read.order_id, read.affiliate_key),
        (some("SAVE"), some("A-1"), some("12"))
    );
    assert_eq!((read.goal, read.customer_id), (some("deposit"), some("u1")));
    let sub = get(
        "tune",
        "http://net.go2cloud.org/aff_lsr?transaction_id=c1&adv_sub=A-7",
    );
    assert_eq!(sub.order_id, some("A-7"));
}

#[test]
fn everflow_needs_no_click_and_trackdesk_has_other_words() {
    let coupon = get(
        "everflow",
        "https://trk.example/?nid=5&coupon_code=SAVE&amount=10&order_id=A-1",
    );
    assert_eq!((coupon.coupon, coupon.amount), (some("SAVE"), amount("10")));
    let partner = get("everflow", "https://trk.example/?nid=5&oid=3&affid=7");
    assert_eq!((partner.reference, partner.affiliate_key), (some("3"), some("7")));
    let url = "https://x.trackdesk.com/tracking/conversion/v1?status=CONVERSION_STATUS_REJECTED&cid=c1&conversionTypeCode=sale&amount.value=10";
    assert_eq!(get("trackdesk", url).state, Some(State::Rejected));
    let cake = get(
        "cake",
        "https://c.example/api/2/conversion.json?click_id=c1&offer_id=7&amount=10.00&transaction_id=A-1",
    );
    assert_eq!((cake.amount, cake.order_id), (amount("10"), some("A-1")));
}

#[test]
fn cake_in_any_letter_case() {
    let url = "https://c.example/p.ashx?o=7&e=2&f=pb&r=c1&t=A-1&p=10.00&ap=2.50&a=3&u=u1&c=USD";
    let expected = Postback {
        reference: some("7"),
        goal: some("2"),
        order_id: some("A-1"),
        amount: amount("10"),
        commission: amount("2.5"),
        currency: some("USD"),
        customer_id: some("u1"),
        extra: extra(&[("a", "3")]),
        ..click("c1")
    };
    assert_eq!(get("cake", url), expected);
    assert_eq!(get("cake", "https://c.example/p.ashx?R=c1&F=pb"), click("c1"));
    assert_eq!(
        get("cake", "https://c.example/p.ashx?r=c1&f=img").wish,
        Wish::Pixel
    );
    let newer = "https://d.cakemarketing.com/api/2/conversion.json?click_id=c1";
    assert_eq!(get("cake", newer), click("c1"));
    let twice = parsed("cake", &RawCall::get("/p.ashx?r=c1&R=c2")).1;
    assert!(matches!(twice, Some(Problem::Repeated { .. })));
}

#[test]
fn affise() {
    let url = "https://offers-net.affise.com/postback?clickid=c1&action_id=A-1&goal=2&sum=9.90&status=5&secure=tok&ip=192.0.2.1&referrer=r&comment=hi&promo_code=SAVE&user_id=u1&custom_field1=x";
    let expected = Postback {
        goal: some("2"),
        order_id: some("A-1"),
        amount: amount("9.9"),
        status: some("5"),
        state: Some(State::Held),
        coupon: some("SAVE"),
        customer_id: some("u1"),
        token: some("tok"),
        personal: extra(&[("ip", "192.0.2.1")]),
        extra: extra(&[("referrer", "r"), ("comment", "hi"), ("custom_field1", "x")]),
        ..click("c1")
    };
    assert_eq!(get("affise", url), expected);
    for (status, state) in [
        ("1", State::Approved),
        ("2", State::Pending),
        ("3", State::Rejected),
    ] {
        let url = format!("https://offers-net.affise.com/postback?click_id=c1&action_id=A&status={status}");
        assert_eq!(get("affise", &url).state, Some(state));
    }
    let forwarded = "http://offers.x.affise.com/postback?clickid=c1&action_id=A-1";
    assert_eq!(get("affise", forwarded).order_id, some("A-1"));
}

#[test]
fn affise_reach() {
    let url = "https://reach.example/postback?click_id=c1&advertiser_id=4&event_id=A-1&goal=g&status=4&sale_amount=50&sale_discount=5&country=DE&note=n&custom_field1=x&secure=tok";
    let expected = Postback {
        reference: some("4"),
        goal: some("g"),
        order_id: some("A-1"),
        amount: amount("50"),
        discount: amount("5"),
        status: some("4"),
        state: Some(State::Held),
        country: some("DE"),
        token: some("tok"),
        extra: extra(&[("note", "n"), ("custom_field1", "x")]),
        ..click("c1")
    };
    assert_eq!(get("affise_reach", url), expected);
}

#[test]
fn scaleo() {
    let goal = get(
        "scaleo",
        "https://ws.scaletrk.com/track/goal-by-click-id?click_id=c1&goal_alias=sale",
    );
    assert_eq!((goal.goal, goal.intent), (some("sale"), Intent::Report));
    let url = "https://ws.scaletrk.com/track/conv?click_id=c1&token=tok&goal_id=2&conv_status=hold&amount=50&payout=5&revenue=8&adv_order_id=A-1";
    let expected = Postback {
        goal: some("2"),
        order_id: some("A-1"),
        amount: amount("50"),
        commission: amount("5"),
        revenue: amount("8"),
        status: some("hold"),
        state: Some(State::Held),
        token: some("tok"),
        ..click("c1")
    };
    assert_eq!(get("scaleo", url), expected);
    let change = get("scaleo", &url.replace("/conv?", "/conv-change?"));
    assert_eq!(change.intent, Intent::Update);
    let either = get("scaleo", &url.replace("/conv?", "/conv-addchange?"));
    assert_eq!(either.intent, Intent::Upsert);
    let api = "https://ws.scaletrk.com/api/v2/network/tracking/conv-click-id?api-key=tok";
    let call = json(
        api,
        r#"{"click_id":"c1","goal_id":2,"conv_status":"hold","amount":"50","payout":5,"revenue":8,"adv_order_id":"A-1"}"#,
    );
    assert_eq!(read("scaleo", &call), expected);
}

#[test]
fn trackier() {
    let url = "https://net.trackier.co/acquisition?click_id=c1&security_token=tok&goal_value=sale&sale_amount=5&currency=INR&idfa=i&gaid=g";
    let expected = Postback {
        goal: some("sale"),
        amount: amount("5"),
        currency: some("INR"),
        token: some("tok"),
        extra: extra(&[("idfa", "i"), ("gaid", "g")]),
        ..click("c1")
    };
    assert_eq!(get("trackier", url), expected);
    let pixel = get(
        "trackier",
        "https://net.trackier.co/pixel?adid=3&txn_id=A-1&sale_amount=5",
    );
    assert_eq!((pixel.order_id, pixel.wish), (some("A-1"), Wish::Pixel));
}

#[test]
fn trackdesk_as_query_and_as_json() {
    let url = "https://tenant.trackdesk.com/tracking/conversion/v1?conversionTypeCode=sale&cid=c1&amount.value=100.50&customerId=u1&externalId=A-1&customParams.advS1=a&customParams.advS5=e";
    let expected = Postback {
        goal: some("sale"),
        order_id: some("A-1"),
        amount: amount("100.5"),
        customer_id: some("u1"),
        subs: [some("a"), None, None, None, some("e")],
        ..click("c1")
    };
    assert_eq!(get("trackdesk", url), expected);
    let call = json(
        "https://tenant.trackdesk.com/tracking/conversion/v1",
        r#"{"cid":"c1","conversionTypeCode":"sale","amount":{"value":"100.50"}}"#,
    );
    assert_eq!(read("trackdesk", &call).amount, amount("100.5"));
}

#[test]
fn offer18() {
    let url = "http://imdm.o18.click/p?mid=1796&adv_sub1=A-1&tid=c1&event=deposit&sale=50&auth_token=43643";
    let expected = Postback {
        reference: some("1796"),
        goal: some("deposit"),
        order_id: some("A-1"),
        amount: amount("50"),
        token: some("43643"),
        subs: [some("A-1"), None, None, None, None],
        ..click("c1")
    };
    assert_eq!(get("offer18", url), expected);
}
