//! Our own dialect: parsed parameters, and named problems.

use dialects::amount::AmountProblem;
use dialects::{
    Amount, CustomerType, Intent, Item, Postback, Problem, RawCall, State, Wish, native, of_call, parse_call,
};

fn strictly(call: &RawCall<'_>) -> Result<Postback, Problem> {
    let (postback, problem) = native().parse(call);
    problem.map_or(Ok(postback), Err)
}

fn query(query: &str) -> Result<Postback, Problem> {
    strictly(&RawCall::get(&format!("/postback?{query}")))
}

fn body<'a>(content_type: &'a str, body: &'a [u8]) -> RawCall<'a> {
    RawCall {
        method: "POST",
        target: "/postback",
        content_type: Some(content_type),
        body,
        ..RawCall::default()
    }
}

fn json(text: &str) -> Result<Postback, Problem> {
    strictly(&body("application/json; charset=utf-8", text.as_bytes()))
}

fn amount(text: &str) -> Option<Amount> {
    Amount::parse(text).ok()
}

fn sample() -> Postback {
    Postback {
        click_ids: vec!["c1".into()],
        goal: Some("sale".into()),
        order_id: Some("A-1".into()),
        amount: amount("12.10"),
        currency: Some("EUR".into()),
        token: Some("t".into()),
        coupon: Some("SPRING 20".into()),
        extra: vec![("colour".into(), "red".into())],
        ..Postback::default()
    }
}

#[test]
fn query_form_and_json_are_equivalent() {
    let pairs =
        "click_id=c1&goal=sale&order_id=A-1&amount=12.10&currency=EUR&token=t&coupon=SPRING+20&colour=red";
    assert_eq!(query(pairs), Ok(sample()));
    let form = body("application/x-www-form-urlencoded", pairs.as_bytes());
    assert_eq!(strictly(&form), Ok(sample()));
    for amount in ["12.10", "\"12.10\""] {
        let text = format!(
            r#"{{"click_id":"c1","goal":"sale","order_id":"A-1","amount":{amount},"currency":"EUR","token":"t","coupon":"SPRING 20","colour":"red","note":null}}"#
        );
        assert_eq!(json(&text), Ok(sample()));
    }
}

#[test]
fn every_documented_parameter_is_understood() {
    let read = query(
        "click_id=c1&event=sale&parent_goal=lead&partner_key=a7&campaign=k2&discount=1&commission=2.5\
         &commission_percent=12.5&revenue=3&status=held&country=DE&customer_id=u1&customer_type=existing\
         &sub1=a&sub5=e&event_time=2026-05-01T12:30:00Z&test=1&signature=s&timestamp=9&return=OK&action=update",
    )
    .unwrap();
    assert_eq!(read.goal.as_deref(), Some("sale"));
    assert_eq!(read.parent_goal.as_deref(), Some("lead"));
    assert_eq!(read.affiliate_key.as_deref(), Some("a7"));
    assert_eq!(read.reference.as_deref(), Some("k2"));
    assert_eq!(
        (read.discount, read.commission, read.revenue),
        (amount("1"), amount("2.5"), amount("3"))
    );
    assert_eq!(read.commission_rate_ppm, Some(125_000));
    assert_eq!(
        (read.status.as_deref(), read.state),
        (Some("held"), Some(State::Held))
    );
    assert_eq!(read.customer_type, Some(CustomerType::Existing));
    assert_eq!(read.subs[0].as_deref(), Some("a"));
    assert_eq!(read.subs[4].as_deref(), Some("e"));
    assert_eq!(read.event_time.unwrap().timestamp(), 1_777_638_600);
    assert!(read.is_test);
    assert_eq!(
        (read.signature.as_deref(), read.timestamp.as_deref()),
        (Some("s"), Some("9"))
    );
    assert_eq!(read.wish, Wish::Text("OK".into()));
    assert_eq!(read.intent, Intent::Update);
    assert_eq!(read.extra, []);
}

#[test]
fn the_pixel_endpoint_is_equivalent_and_marks_browsers() {
    let target = "/postback.gif?click_id=c1&goal=sale&order_id=A-1&return=OK";
    let call = RawCall::get(target);
    assert_eq!(
        dialects::of_call(&call).map(|dialect| dialect.key),
        Some("clickledger")
    );
    let postback = strictly(&call).unwrap();
    assert!(postback.is_from_browser);
    assert_eq!(postback.wish, Wish::Pixel, "an image cannot carry a text");
    let by_server = query("click_id=c1&goal=sale&order_id=A-1").unwrap();
    let without = Postback {
        is_from_browser: false,
        wish: Wish::Usual,
        ..postback
    };
    assert_eq!(without, by_server);
    assert!(!query("click_id=c1&pixel=1").unwrap().is_from_browser);
}

#[test]
fn a_refund_is_partial_or_complete() {
    let part = query("order_id=A-1&amount=50&refund=12.50").unwrap();
    assert_eq!((part.intent, part.amount), (Intent::Refund, amount("12.50")));
    let kept = [("amount".to_owned(), "50".to_owned())];
    let other_way_round = query("refund=12.50&order_id=A-1&amount=50").unwrap();
    assert_eq!(other_way_round, part);
    assert_eq!(part.extra, kept);
    for named in ["action=refund&amount=5", "amount=5&action=refund"] {
        let named = query(named).unwrap();
        assert_eq!((named.intent, named.amount), (Intent::Refund, amount("5")));
    }
    let all = query("refund=all&amount=50").unwrap();
    assert_eq!((all.intent, all.amount), (Intent::Refund, None));
    assert_eq!(all.extra, kept);
}

#[test]
fn several_clicks_are_a_list_or_repeated() {
    let clicks = |read: Result<Postback, Problem>| read.unwrap().click_ids;
    assert_eq!(clicks(query("click_id=a,b")), ["a", "b"]);
    assert_eq!(clicks(query("click_id[]=a&click_id[]=b")), ["a", "b"]);
    assert_eq!(clicks(json(r#"{"click_id":["a","b"]}"#)), ["a", "b"]);
    assert!(matches!(
        query("click_id=a,b,c,d,e,f,g,h,i,j,k"),
        Err(Problem::Malformed { .. })
    ));
}

#[test]
fn a_basket_is_a_list_of_objects() {
    let read = json(
        r#"{"items":[{"sku":"S1","quantity":2,"amount":"9.90","size":"XL"},{"name":"N","category":"C"}]}"#,
    );
    let read = read.unwrap();
    assert_eq!(
        read.items,
        [
            Item {
                sku: Some("S1".into()),
                quantity: Some(2),
                amount: amount("9.90"),
                ..Item::default()
            },
            Item {
                name: Some("N".into()),
                category: Some("C".into()),
                ..Item::default()
            },
        ]
    );
    assert_eq!(read.extra, [("item0.size".to_owned(), "XL".to_owned())]);
    assert!(matches!(
        json(r#"{"items":[{"amount":"1,5"}]}"#),
        Err(Problem::Amount { parameter, .. }) if parameter == "items[0].amount"
    ));
    let many = format!(r#"{{"items":[{}]}}"#, vec!["{}"; 101].join(","));
    assert!(matches!(json(&many), Err(Problem::Malformed { .. })));
}

#[test]
fn the_token_may_stand_in_a_header() {
    let call = |authorization, api_key| RawCall {
        authorization,
        api_key,
        ..RawCall::get("/postback?click_id=c")
    };
    let token = |call: RawCall<'_>| native().parse(&call).0.token;
    assert_eq!(
        token(call(Some("Bearer secret"), None)).as_deref(),
        Some("secret")
    );
    assert_eq!(token(call(None, Some("secret"))).as_deref(), Some("secret"));
    assert_eq!(
        token(call(Some("Basic c2VjcmV0"), None)).as_deref(),
        Some("secret")
    );
    // The password, or the user without one; in every format.
    let basic = |credentials| RawCall {
        authorization: Some(credentials),
        ..RawCall::get("/s2s?clickId=c&id=1")
    };
    let token = |credentials| dialects::parse_call(&basic(credentials)).postback.token;
    assert_eq!(token("Basic dXNlcjpzZWNyZXQ=").as_deref(), Some("secret"));
    assert_eq!(token("Basic c2VjcmV0Og==").as_deref(), Some("secret"));
    let parameter = dialects::parse_call(&RawCall::get("/s2s?clickId=c&id=1&token=secret%0A"));
    assert_eq!(parameter.postback.token.as_deref(), Some("secret"));
}

#[test]
fn values_are_read_as_they_were_meant() {
    let read =
        query("Click_ID=c1&Currency=eur&Status=Refunded&Amount=19.990000000000002&order_id=A-1%0A").unwrap();
    assert_eq!(
        (read.currency.as_deref(), read.state),
        (Some("EUR"), Some(State::Rejected))
    );
    assert_eq!(
        (read.amount, read.order_id.as_deref()),
        (amount("19.99"), Some("A-1"))
    );
    for status in ["Reversed", "CHARGEBACK", "trash", "void", "failed"] {
        let read = query(&format!("click_id=c1&status={status}")).unwrap();
        assert_eq!(read.state, Some(State::Rejected), "{status}");
    }
    assert_eq!(query("click_id=c1&status=shipped").unwrap().state, None);
    // One that decides nothing does not refuse the order.
    let read = query("click_id=c1&order_id=A-1&title=50%&city=caf%E9").unwrap();
    assert_eq!(read.extra[0], ("title".to_owned(), "50%".to_owned()));
    assert_eq!(read.extra[1].1, "caf\u{FFFD}");
    assert!(matches!(
        query("click_id=c1&amount=5%"),
        Err(Problem::Undecodable { .. })
    ));
    for name in ["customer_id", "coupon", "partner_key", "order_id", "campaign"] {
        for value in ["%7Bx%7D", "undefined", "null", "%7B%7Buser.id%7D%7D"] {
            let read = query(&format!("click_id=c1&{name}={value}"));
            assert!(
                matches!(read, Err(Problem::MacroUnreplaced { .. })),
                "{name}={value}"
            );
        }
    }
}

#[test]
fn a_body_is_read_whatever_it_is_called() {
    let text = r#"{"click_id":"c1","order_id":"A-1"}"#;
    let form = "click_id=c1&amp;order_id=A-1";
    let marked = format!("\u{FEFF}{text}");
    for (content_type, content) in [
        ("application/x-www-form-urlencoded", text),
        ("text/plain", text),
        ("", text),
        ("application/json", marked.as_str()),
        ("text/plain", form),
        ("", form),
    ] {
        let read = strictly(&body(content_type, content.as_bytes())).unwrap();
        assert_eq!(read.order_id.as_deref(), Some("A-1"), "{content_type}: {content}");
    }
    assert!(matches!(
        strictly(&body("text/html", b"<p>")),
        Err(Problem::Body { .. })
    ));
}

#[test]
fn personal_data_is_recognised_by_its_name() {
    let read = query("click_id=c&email=a%40b.example&User_Agent=Mozilla&ip=192.0.2.1").unwrap();
    let names: Vec<&str> = read.personal.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, read.extra.len()), (vec!["email", "User_Agent", "ip"], 0));
    let nested = json(r#"{"click_id":"c","customer":{"email":"a@b.example","plan":"pro"}}"#).unwrap();
    assert_eq!(
        nested.personal,
        [("customer.email".to_owned(), "a@b.example".to_owned())]
    );
    assert_eq!(nested.extra, [("customer.plan".to_owned(), "pro".to_owned())]);
}

#[test]
fn a_status_is_accepted_in_any_letter_case() {
    assert_eq!(query("status=Approved").unwrap().state, Some(State::Approved));
    assert_eq!(query("status=whatever").unwrap().state, None);
}

#[test]
fn parameters_may_be_split_between_query_and_body_but_not_sent_twice() {
    let call = |text| RawCall {
        target: "/postback?token=t&order_id=1",
        ..body("application/json", text)
    };
    assert_eq!(strictly(&call(br#"{"click_id":"c"}"#)).unwrap().click_ids, ["c"]);
    let repeated = Err(Problem::Repeated {
        parameter: "order_id".into(),
    });
    assert_eq!(strictly(&call(br#"{"order_id":"2"}"#)), repeated);
    assert_eq!(query("order_id=1&order_id=1"), repeated);
    assert_eq!(json(r#"{"order_id":"1","order_id":"2"}"#), repeated);
}

#[test]
fn an_amount_of_zero_is_not_a_missing_amount() {
    assert_eq!(query("amount=0").unwrap().amount, amount("0"));
    assert_eq!(query("amount=").unwrap().amount, None);
    assert_eq!(json(r#"{"amount":0}"#).unwrap().amount, amount("0"));
}

#[test]
fn a_json_number_is_parsed_as_written() {
    let refused = |text: &str, problem| {
        Err(Problem::Amount {
            parameter: "amount".into(),
            text: text.into(),
            problem,
        })
    };
    assert_eq!(json(r#"{"amount":1e5}"#), refused("1e5", AmountProblem::Exponent));
    assert_eq!(json(r#"{"amount":-3}"#), refused("-3", AmountProblem::Negative));
    assert_eq!(
        json(r#"{"amount":true}"#),
        refused("true", AmountProblem::NotANumber)
    );
    assert_eq!(query("amount=NaN"), refused("NaN", AmountProblem::NotANumber));
}

#[test]
fn a_placeholder_is_refused_and_a_secret_is_not_quoted() {
    assert_eq!(
        query("click_id=%7Bclick_id%7D"),
        Err(Problem::MacroUnreplaced {
            parameter: "click_id".into(),
            value: "{click_id}".into()
        })
    );
    let problem = query("token=%7Bsecret%7D").unwrap_err();
    assert_eq!(
        problem.message(),
        "token is a placeholder that was never replaced."
    );
}

#[test]
fn an_invalid_body_is_refused_with_its_position() {
    let detail = |result: Result<Postback, Problem>| match result {
        Err(Problem::Body { detail }) => detail,
        other => panic!("{other:?}"),
    };
    assert!(detail(json("{\"a\":1,")).contains("line 1 column 7"));
    assert!(detail(json("[1]")).contains("not one object"));
    assert_eq!(
        detail(json(r#""{\"token\":\"secret\"}""#)),
        "it is JSON, but not one object"
    );
    assert!(detail(json(r#"{"a":"\ud800"}"#)).contains("member a"));
    assert_eq!(
        detail(strictly(&body("text/xml", b"<a/>"))),
        "its Content-Type is text/xml"
    );
    assert_eq!(
        detail(strictly(&body("application/json", b"{\xff"))),
        "it is not UTF-8 at byte 1"
    );
    let deep = format!("{}1{}", r#"{"a":"#.repeat(9), "}".repeat(9));
    assert!(detail(json(&deep)).contains("nests more than"));
}

#[test]
fn valid_fields_are_parsed_beside_a_problem() {
    let (read, problem) = native().parse(&RawCall::get(
        "/postback?click_id=c1&order_id=%FF&amount=1,5&token=t",
    ));
    assert_eq!(
        problem,
        Some(Problem::Undecodable {
            parameter: "order_id".into(),
            offset: 0
        })
    );
    assert_eq!(
        (read.click_ids, read.token.as_deref()),
        (vec!["c1".to_owned()], Some("t"))
    );
    assert_eq!((read.order_id, read.amount), (None, None));
}

#[test]
fn long_values_and_many_parameters_are_refused() {
    let too_long = query(&format!("order_id={}", "x".repeat(257)));
    assert!(matches!(too_long, Err(Problem::TooLong { length: 257, .. })));
    let many: Vec<String> = (0..101).map(|n| format!("p{n}=1")).collect();
    assert_eq!(query(&many.join("&")), Err(Problem::TooMany { limit: 100 }));
    let members: Vec<_> = (0..300).map(|n| format!("\"p{n}\":1")).collect();
    assert_eq!(
        json(&format!("{{{}}}", members.join(","))),
        Err(Problem::TooMany { limit: 100 })
    );
    assert_eq!(
        json(r#"{"\u0000":"\ud800"}"#),
        Err(Problem::Nul {
            parameter: String::new()
        })
    );
}

#[test]
fn a_stored_postback_is_complete_without_personal_data() {
    let stored = serde_json::to_string(&sample()).unwrap();
    assert_eq!(
        stored,
        r#"{"click_ids":["c1"],"goal":"sale","order_id":"A-1","amount":12100000,"currency":"EUR","coupon":"SPRING 20","token":"t","extra":[["colour","red"]]}"#
    );
    assert_eq!(serde_json::from_str::<Postback>(&stored).unwrap(), sample());
    let person = Postback {
        personal: vec![("email".into(), "a@b.example".into())],
        ..Postback::default()
    };
    assert_eq!(serde_json::to_string(&person).unwrap(), "{}");
}

#[test]
fn a_call_that_is_remembered_is_recognised_as_at_first() {
    let targets = [
        "/postback?click_id=1",
        "/postback?click_id=",
        "/postback?cid=1&order_id=2&amount=3",
        "/postback?cid=&order_id=2&amount=3",
        "/postback8:click_id?x=1",
        "/?nid=1&transaction_id=2",
        "/aff_lsr?transaction_id=c1",
        "/no-postback?x=1",
    ];
    for target in targets.iter().chain(&targets) {
        let call = RawCall::get(target);
        let anew = of_call(&call).unwrap_or(native());
        assert_eq!(parse_call(&call).dialect.key, anew.key, "{target}");
    }
}
