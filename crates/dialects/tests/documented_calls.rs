//! Each system's documented call, word for word but for the values: who sent it, and what it says.

use dialects::{
    Amount, CustomerType, Intent, Item, Postback, Problem, RawCall, State, Wish, of_call, of_key,
};

/// The request target of a URL.
fn target(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.find('/').map_or("/", |at| &host[at..])
}

fn parsed(key: &str, call: &RawCall<'_>) -> (Postback, Option<Problem>) {
    let dialect = of_call(call).unwrap_or_else(|| panic!("nobody's: {}", call.target));
    assert_eq!(dialect.key, key, "{}", call.target);
    let (postback, problem) = dialect.parse(call);
    // Naming the dialect in the path says the same.
    let named = format!("/postback/{key}{}", call.target);
    let named = RawCall {
        target: &named,
        ..*call
    };
    assert_eq!(of_call(&named).map(|dialect| dialect.key), Some(key));
    assert_eq!(dialect.parse(&named), (postback.clone(), problem.clone()));
    (postback, problem)
}

fn read(key: &str, call: &RawCall<'_>) -> Postback {
    let (postback, problem) = parsed(key, call);
    assert_eq!(problem, None, "{}", call.target);
    postback
}

fn get(key: &str, url: &str) -> Postback {
    read(key, &RawCall::get(target(url)))
}

fn post<'a>(url: &'a str, content_type: &'a str, body: &'a str) -> RawCall<'a> {
    RawCall {
        method: "POST",
        target: target(url),
        content_type: Some(content_type),
        body: body.as_bytes(),
        ..RawCall::default()
    }
}

fn json<'a>(url: &'a str, body: &'a str) -> RawCall<'a> {
    post(url, "application/json", body)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn amount(text: &str) -> Option<Amount> {
    Amount::parse(text).ok()
}

fn time(seconds: i64) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(seconds, 0)
}

fn extra(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn item(sku: &str, category: &str, quantity: u32, line: &str) -> Item {
    Item {
        sku: some(sku).filter(|sku| !sku.is_empty()),
        category: some(category).filter(|category| !category.is_empty()),
        quantity: Some(quantity),
        amount: amount(line),
        name: None,
    }
}

fn click(id: &str) -> Postback {
    Postback {
        click_ids: vec![id.to_owned()],
        ..Postback::default()
    }
}

mod partnerize {
    use super::*;

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
    fn brackets_that_a_library_encoded_are_brackets() {
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
    fn what_is_sent_behind_the_items_is_seen() {
        let read = get(
            "partnerize",
            "https://prf.hn/conversion/clickref:c/[value:1]/conversionref:A",
        );
        assert_eq!((read.order_id, read.amount), (some("A"), amount("1")));
    }

    #[test]
    fn what_is_wrong_is_named() {
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
        // The same key in two items is no repetition.
        assert_eq!(problem("/conversion/clickref:a/[value:1][value:1]"), None);
    }
}

mod partnerstack {
    use super::*;

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
    fn more_sub_ids_than_there_are_places_are_kept() {
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
}

mod flexoffers {
    use super::*;

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
    fn a_lead_costs_nothing() {
        let url =
            "https://track.flexlinks.com/da.ashx?advertiserid=g&clickid=r1&orderamount=0&ordernumber=A-1";
        assert_eq!(get("flexoffers", url).amount, amount("0"));
    }

    #[test]
    fn items_come_in_the_body() {
        let body = r#"{"order_items":[{"sku":"S1","quantity":1,"amount":5},{"sku":"S2","quantity":2,"amount":"7.50"}]}"#;
        let call = json(
            "https://track.flexlinkspro.com/da.ashx?clickid=r1&ordernumber=A-1",
            body,
        );
        let read = read("flexoffers", &call);
        assert_eq!(read.items, [item("S1", "", 1, "5"), item("S2", "", 2, "7.5")]);
        assert_eq!(read.amount, amount("12.50"));
    }
}

mod clickmeter {
    use super::*;

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
    fn a_percentage_counts_only_where_the_fixed_commission_is_zero() {
        let said = |tail: &str| {
            let read = get("clickmeter", &format!("{URL}{tail}"));
            (read.commission, read.commission_rate_ppm)
        };
        assert_eq!(said("&com=0&comperc=10"), (None, Some(100_000)));
        assert_eq!(said("&comperc=7.25"), (None, Some(72_500)));
        assert_eq!(said("&com=3&comperc=10"), (amount("3"), None));
        assert_eq!(said("&com=0"), (amount("0"), None));
    }

    #[test]
    fn its_names_have_one_letter_case() {
        let read = get("clickmeter", "/postback/clickmeter?clickid=c1&id=1");
        assert_eq!(read.click_ids, [""; 0]);
        assert_eq!(read.extra, extra(&[("clickid", "c1")]));
    }
}

mod joturl {
    use super::*;

    #[test]
    fn the_generic_call() {
        let read = get(
            "joturl",
            "https://jo.example/postback/?click=c1&ep00=a&val=5&comm=1.5",
        );
        let expected = Postback {
            amount: amount("5"),
            commission: amount("1.5"),
            extra: extra(&[("ep00", "a")]),
            ..click("c1")
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn the_pixel_wants_an_image() {
        let read = get(
            "joturl",
            "https://jo.example/c/?id=conv&val=5.00&comm=1&param=x&ep00=a&ep14=o",
        );
        let expected = Postback {
            reference: some("conv"),
            amount: amount("5"),
            commission: amount("1"),
            wish: Wish::Pixel,
            extra: extra(&[("param", "x"), ("ep00", "a"), ("ep14", "o")]),
            ..Postback::default()
        };
        assert_eq!(read, expected);
    }
}

mod platforms {
    use super::*;

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
            let url =
                format!("https://offers-net.affise.com/postback?click_id=c1&action_id=A&status={status}");
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
}

mod networks {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn impact() {
        let body = "CampaignId=7&ActionTrackerId=3&EventDate=NOW&ClickId=c1&OrderId=A-1&CustomerId=u1&CustomerEmail=hash&CurrencyCode=USD&OrderPromoCode=SAVE&OrderDiscount=1.00&CustomerStatus=Existing&ItemSku1=S1&ItemQuantity1=2&ItemPrice1=5.00&ItemSku2=S2&ItemQuantity2=1&ItemPrice2=3.50";
        let call = RawCall {
            authorization: Some("Basic U0lEOlRva2Vu"),
            ..post("https://api.impact.com/Advertisers/SID/Conversions", FORM, body)
        };
        let expected = Postback {
            reference: some("7"),
            goal: some("3"),
            order_id: some("A-1"),
            amount: amount("12.50"),
            discount: amount("1"),
            currency: some("USD"),
            coupon: some("SAVE"),
            customer_id: some("u1"),
            customer_type: Some(CustomerType::Existing),
            token: some("SID:Token"),
            items: vec![item("S1", "", 2, "10"), item("S2", "", 1, "3.5")],
            personal: extra(&[("CustomerEmail", "hash")]),
            ..click("c1")
        };
        assert_eq!(read("impact", &call), expected);
    }

    #[test]
    fn impact_takes_an_action_back() {
        let body = "CampaignId=7&EventTypeId=3&EventDate=2026-05-01T14:30:00%2B02:00&Oid=A-1&DispositionCode=REJECTED";
        let read = read(
            "impact",
            &post("https://api.impact.com/Advertisers/SID/Conversions", FORM, body),
        );
        assert_eq!((read.state, read.intent), (Some(State::Rejected), Intent::Update));
        assert_eq!(
            (read.order_id, read.event_time),
            (some("A-1"), time(1_777_638_600))
        );
    }

    #[test]
    fn awin() {
        let url = "https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=1234&amount=30.00&ch=aw&cr=GBP&ref=A-1&parts=SHOES:20.00|HATS:10.00&vc=SAVE&cks=c1&testmode=1&customeracquisition=RETURNING&p1=x&bd[0]=AW:P|1234|A-1|77|Boot|10.00|2|S1|SHOES|feet&bd[1]=AW:P|1234|A-1|78|Cap|10.00|1|S2|HATS|head";
        let line = |sku: &str, category: &str, name: &str, quantity, line: &str| Item {
            name: some(name),
            ..item(sku, category, quantity, line)
        };
        let expected = Postback {
            reference: some("1234"),
            order_id: some("A-1"),
            amount: amount("30"),
            currency: some("GBP"),
            coupon: some("SAVE"),
            customer_type: Some(CustomerType::Existing),
            is_test: true,
            items: vec![
                line("S1", "SHOES", "Boot", 2, "20"),
                line("S2", "HATS", "Cap", 1, "10"),
            ],
            extra: extra(&[("p1", "x")]),
            ..click("c1")
        };
        assert_eq!(get("awin", url), expected);
        assert_eq!(
            get("awin", &url.replace("bd[0]", "bd%5B0%5D").replace('|', "%7C")),
            expected
        );
    }

    #[test]
    fn awin_groups_without_a_basket() {
        let base = "https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=1234&ch=aw&ref=A-1&cks=c1&testmode=0";
        let one = get("awin", &format!("{base}&amount=30&parts=SALE:30"));
        assert_eq!(
            (one.goal, one.amount, one.is_test),
            (some("SALE"), amount("30"), false)
        );
        let default = get("awin", &format!("{base}&amount=30&parts=DEFAULT:30"));
        assert_eq!(default.goal, None);
        let two = get("awin", &format!("{base}&amount=30&parts=A:20|B:10"));
        assert_eq!(two.items.len(), 2);
        assert_eq!(two.items[1].category, some("B"));
    }

    #[test]
    fn cj_in_any_letter_case() {
        let url = "https://www.emjcd.com/u?CID=15&TYPE=375&METHOD=S2S&SIGNATURE=sig&CJEVENT=c1&eventTime=2026-05-01T12:30:00Z&OID=A-1&currency=USD&COUPON=SAVE&DISCOUNT=1.50&ITEM1=S1&AMT1=5.00&QTY1=2&DCNT1=0.50&CUST_STATUS=return";
        let expected = Postback {
            reference: some("15"),
            goal: some("375"),
            order_id: some("A-1"),
            amount: amount("8.50"),
            discount: amount("1.5"),
            currency: some("USD"),
            coupon: some("SAVE"),
            customer_type: Some(CustomerType::Existing),
            event_time: time(1_777_638_600),
            signature: some("sig"),
            items: vec![item("S1", "", 2, "10")],
            extra: extra(&[("DCNT1", "0.50")]),
            ..click("c1")
        };
        assert_eq!(get("cj", url), expected);
        let simple = get(
            "cj",
            "https://www.emjcd.com/u?cid=15&type=375&method=S2S&cjevent=c1&oid=A-1&amount=9.99",
        );
        assert_eq!(simple.amount, amount("9.99"));
    }

    #[test]
    fn rakuten_counts_in_the_smallest_coins() {
        let url = "https://track.linksynergy.com/ep?mid=12345&ord=A-1&tr=c1&land=20260501_1200&date=20260501_1230&cur=USD&skulist=a|b&qlist=1|2&amtlist=1999|1100&namelist=x|y";
        let line = |sku: &str, name: &str, quantity, line: &str| Item {
            name: some(name),
            ..item(sku, "", quantity, line)
        };
        let expected = Postback {
            reference: some("12345"),
            order_id: some("A-1"),
            amount: amount("30.99"),
            currency: some("USD"),
            event_time: time(1_777_638_600),
            items: vec![line("a", "x", 1, "19.99"), line("b", "y", 2, "11")],
            extra: extra(&[("land", "20260501_1200")]),
            ..click("c1")
        };
        assert_eq!(get("rakuten", url), expected);
        let yen = get("rakuten", &url.replace("cur=USD", "currency=JPY"));
        assert_eq!(yen.amount, amount("3099"));
        assert_eq!(get("rakuten", &format!("{url}&img=1")).wish, Wish::Pixel);
    }

    #[test]
    fn tradedoubler() {
        let url = "https://tbs.tradedoubler.com/report?organization=1&event=2&orderNumber=A-1&orderValue=30.00&currency=SEK&tduid=c1&voucher=SAVE&checksum=v04d41d8cd98f00b204e9800998ecf8427e&reportInfo=r";
        let expected = Postback {
            reference: some("1"),
            goal: some("2"),
            order_id: some("A-1"),
            amount: amount("30"),
            currency: some("SEK"),
            coupon: some("SAVE"),
            signature: some("v04d41d8cd98f00b204e9800998ecf8427e"),
            extra: extra(&[("reportInfo", "r")]),
            ..click("c1")
        };
        assert_eq!(get("tradedoubler", url), expected);
        let lead = get(
            "tradedoubler",
            "https://tbl.tradedoubler.com/report?organization=1&event=2&leadNumber=L-1&tduid=c1",
        );
        assert_eq!(lead.order_id, some("L-1"));
    }

    #[test]
    fn webgains() {
        let body = r#"{"ids":[{"name":"s2s","value":"c1"}],"programId":"9","value":30.5,"currency":"GBP","orderReference":"A-1","voucherId":"SAVE","customerType":"new","items":[{"code":"S1","price":10,"quantity":2}]}"#;
        let expected = Postback {
            reference: some("9"),
            order_id: some("A-1"),
            amount: amount("30.5"),
            currency: some("GBP"),
            coupon: some("SAVE"),
            customer_type: Some(CustomerType::New),
            items: vec![item("S1", "", 2, "20")],
            ..click("c1")
        };
        assert_eq!(
            read(
                "webgains",
                &json("https://api.webgains.io/queue-conversion", body)
            ),
            expected
        );
    }

    #[test]
    fn the_reconstructed_ones() {
        let expected = |goal: Option<&str>, reference: Option<&str>| Postback {
            goal: goal.map(str::to_owned),
            reference: reference.map(str::to_owned),
            order_id: some("A-1"),
            amount: amount("5"),
            ..click("c1")
        };
        let url = "https://ts.tradetracker.net/?cid=3&pid=4&tid=A-1&data=5&ttid=c1";
        assert_eq!(get("tradetracker", url), expected(Some("4"), Some("3")));
        let url = "https://t.adcell.com/t/track?pid=3&eid=4&referenz=A-1&betrag=5&bid=c1";
        assert_eq!(get("adcell", url), expected(Some("4"), Some("3")));
        let url = "https://tracking.belboon.com/s2s?clickid=c1&order_id=A-1&amount=5";
        assert_eq!(get("belboon", url), expected(None, None));
        let url = "https://digistore24.com/tracking/conversion?cid=c1&order_id=A-1&amount=5";
        assert_eq!(get("digistore24", url), expected(None, None));
    }

    #[test]
    fn taboola() {
        let url = "https://trc.taboola.com/actions-handler/log/3/s2s-action?click-id=c1&name=purchase&revenue=9.5&currency=USD&orderid=A-1&quantity=2";
        let expected = Postback {
            goal: some("purchase"),
            order_id: some("A-1"),
            amount: amount("9.5"),
            currency: some("USD"),
            extra: extra(&[("quantity", "2")]),
            ..click("c1")
        };
        assert_eq!(get("taboola", url), expected);
        let bulk = "https://trc.taboola.com/acct/log/3/bulk-s2s-action";
        let one = json(
            bulk,
            r#"{"actions":[{"click-id":"c1","timestamp":1777638600000,"name":"purchase"}]}"#,
        );
        assert_eq!(read("taboola", &one).event_time, time(1_777_638_600));
        let two = json(bulk, r#"{"actions":[{"click-id":"c1"},{"click-id":"c2"}]}"#);
        assert!(matches!(
            parsed("taboola", &two).1,
            Some(Problem::Malformed { .. })
        ));
    }
}

mod programs {
    use super::*;

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
    fn firstpromoter_counts_in_cents() {
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
            currency: some("usd"),
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
}

mod trackers {
    use super::*;

    fn paid(order: Option<&str>) -> Postback {
        Postback {
            commission: amount("2.5"),
            order_id: order.map(str::to_owned),
            ..click("c1")
        }
    }

    fn with_state(status: &str, state: State, postback: Postback) -> Postback {
        Postback {
            status: some(status),
            state: Some(state),
            ..postback
        }
    }

    #[test]
    fn voluum() {
        let url =
            "https://v.example/postback?cid=c1&payout=2.50&txid=A-1&currency=USD&et=sale&param1=a&param5=e";
        let expected = Postback {
            goal: some("sale"),
            currency: some("USD"),
            subs: [some("a"), None, None, None, some("e")],
            ..paid(Some("A-1"))
        };
        assert_eq!(get("voluum", url), expected);
    }

    #[test]
    fn keitaro_says_itself_what_its_statuses_mean() {
        let url = "https://k.example/0a1b2c/postback?subid=c1&status=sale&payout=2.50&tid=A-1&currency=USD&cost=1&sub_id_1=a&return=OK";
        let expected = Postback {
            currency: some("USD"),
            subs: [some("a"), None, None, None, None],
            wish: Wish::Text("OK".into()),
            extra: extra(&[("cost", "1")]),
            ..with_state("sale", State::Approved, paid(Some("A-1")))
        };
        assert_eq!(get("keitaro", url), expected);
        let mapped = |status: &str| {
            get(
                "keitaro",
                &format!(
                    "https://k.example/0a1b2c/postback?subid=c1&status={status}&lead_status=a,b&sale_status=c&rejected_status=d&ignore_status=ping,test"
                ),
            )
        };
        assert_eq!(mapped("b").state, Some(State::Pending));
        assert_eq!(mapped("c").state, Some(State::Approved));
        assert_eq!(mapped("d").state, Some(State::Rejected));
        assert_eq!(mapped("rebill").state, Some(State::Approved));
        assert!(mapped("ping").is_test && !mapped("c").is_test);
    }

    #[test]
    fn binom_in_both_versions() {
        let expected = Postback {
            currency: some("USD"),
            ..with_state("approved", State::Approved, paid(None))
        };
        let tail = "cnv_id=c1&payout=2.50&cnv_status=approved&cnv_currency=USD";
        assert_eq!(
            get("binom_v1", &format!("https://b.example/click.php?{tail}")),
            expected
        );
        assert_eq!(
            get("binom_v2", &format!("https://b.example/click?{tail}")),
            expected
        );
    }

    #[test]
    fn those_that_share_a_path_are_told_apart() {
        let url = "http://id.bemobtrcks.com/postback?cid=c1&payout=2.50&txid=A-1&status=approved";
        assert_eq!(
            get("bemob", url),
            with_state("approved", State::Approved, paid(Some("A-1")))
        );
        let url = "https://r.example/postback?clickid=c1&sum=2.50&type=sale&status=approved&currency=USD&rdtk_event_id=A-1";
        let expected = Postback {
            goal: some("sale"),
            currency: some("USD"),
            ..with_state("approved", State::Approved, paid(Some("A-1")))
        };
        assert_eq!(get("redtrack", url), expected);
        let url = "https://pstb.peerclick.com/postback?cid=c1&payout=2.50&status=approved&txid=A-1&currency=USD&conversion_id=7";
        let expected = Postback {
            currency: some("USD"),
            extra: extra(&[("conversion_id", "7")]),
            ..with_state("approved", State::Approved, paid(Some("A-1")))
        };
        assert_eq!(get("peerclick", url), expected);
        assert_eq!(
            get(
                "funnelflux",
                "https://i.funnelflux.pro/postback?tid=c1&payout=2.50"
            ),
            paid(None)
        );
        assert_eq!(
            get("skro", "https://s2s.skro.eu/postback?clickid=c1&payout=2.50"),
            paid(None)
        );
        assert_eq!(
            get("clickledger", "/postback?click_id=c1&status=approved").state,
            Some(State::Approved)
        );
        assert_eq!(
            get("clickledger", "/postback?order_id=A-1&amount=5").order_id,
            some("A-1")
        );
    }

    #[test]
    fn prosper202_takes_the_order_from_six_names() {
        let base = "http://p.example/tracking202/static/gpb.php?amount=2.50";
        assert_eq!(
            get("prosper202", &format!("{base}&subid=c1&oid=B&transaction_id=A-1")).order_id,
            some("A-1")
        );
        assert_eq!(
            get("prosper202", &format!("{base}&sid=c1&orderid=A-1")),
            paid(Some("A-1"))
        );
        let pixel = get(
            "prosper202",
            "http://p.example/tracking202/static/upx.php?amount=2.50&cid=4&subid=c1",
        );
        assert_eq!((pixel.reference, pixel.wish), (some("4"), Wish::Pixel));
    }

    #[test]
    fn evoclick() {
        assert_eq!(
            get("evoclick", "https://e.example/api/postback?pid=c1&payout=2.50"),
            paid(None)
        );
    }
}

#[test]
fn every_key_names_its_dialect_whatever_follows() {
    for dialect in dialects::all() {
        let target = format!("/postback/{}", dialect.key);
        assert_eq!(
            of_call(&RawCall::get(&target)).map(|named| named.key),
            Some(dialect.key)
        );
        assert_eq!(of_key(dialect.key).map(|named| named.key), Some(dialect.key));
    }
}

#[test]
fn a_path_that_is_nobodys_is_a_tracking_link() {
    for target in [
        "/summer",
        "/",
        "/?utm_source=x",
        "/summer?click_id=1",
        "/postbacks",
        "/aff_lsr2",
    ] {
        assert!(of_call(&RawCall::get(target)).is_none(), "{target}");
    }
    let reserved: Vec<&str> = dialects::reserved_segments().collect();
    for segment in [
        "postback",
        "u",
        "ep",
        "click",
        "report",
        "s2s",
        "c",
        "p.ashx",
        "conversion",
    ] {
        assert!(reserved.contains(&segment), "{segment}");
    }
    assert_eq!(
        reserved.iter().filter(|segment| **segment == "postback").count(),
        1
    );
}
