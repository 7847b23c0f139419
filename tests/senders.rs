//! Senders: how a call is recognised, who sent it, and the answer where something is missing or misnamed.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

use campaigns::goals::UniqueBy;
use data_encoding::BASE64;
use reqwest::{Client, Method, StatusCode};
use schema::Words;
use serde_json::json;
use testkit::{Answer, TestApp};

/// Network whose advertiser needs no token, and whose campaign has this external ID and one goal.
async fn without_token(external_id: &str) -> TestApp {
    let app = TestApp::spawn().await;
    app.change_campaign(|campaign| campaign.external_id = Some(external_id.to_owned()))
        .await;
    app.change_integration(|integration| integration.requires_token = false)
        .await;
    app.execute("DELETE FROM goals WHERE code = 'lead'").await;
    app
}

/// Reason code of an answer in any format.
fn reason(answer: &Answer) -> &str {
    answer.headers["x-postback-reason"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_address_finds_the_advertiser_of_a_call_without_its_click() {
    let app = without_token("1234").await;
    app.change_integration(|integration| integration.allowed_addresses = Words(vec!["127.0.0.0/8".into()]))
        .await;
    let (server, advertiser) = (app.advertiser(), app.sign_in(&app.scene.advertiser).await);
    for target in [
        "/postback/?click=&val=10",
        "/s2s?clickId=&id=unknown&val=1&com=0",
        "/postback?click_id=&order_id=1",
    ] {
        let answer = server.call(target).await;
        assert_eq!(reason(&answer), "click_id_missing", "{target}: {}", answer.text);
        app.settled().await;
        let listed = advertiser.get("/postbacks").await.html;
        let receipt = answer.headers["x-request-id"].to_str().unwrap();
        assert!(listed.contains(receipt), "{target} {receipt}: {listed}");
    }
    // Two advertisers behind one address: it identifies none of them.
    let program = app.program(&app.scene.owner).await;
    let other = program.post("/advertisers", &json!({ "name": "Second" })).await;
    let path = format!("/integrations/{}", other.get("id"));
    let token = program.post(&format!("{path}/token"), &json!({})).await;
    assert_eq!(token.status, StatusCode::CREATED, "{}", token.text);
    let both = json!({ "requires_token": false, "allowed_addresses": ["127.0.0.1"] });
    let set = program.patch(&path, &both).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    server.call("/postback/?click=&val=10").await;
    let without_advertiser = "SELECT (advertiser_id IS NULL)::text FROM postbacks ORDER BY id DESC LIMIT 1";
    assert_eq!(app.text(without_advertiser).await, "true");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_under_another_name_of_our_format_is_named() {
    let app = TestApp::spawn().await;
    let (click, server, token) = (app.visitor().click("").await, app.advertiser(), &app.scene.token);
    for name in ["cid", "tid", "subid", "clickid"] {
        let query = format!("{name}={}&order_id=1&amount=2&token={token}", click.id);
        let answer = server.raw(&query).await;
        assert_eq!(answer.reason(), "click_id_missing", "{name}: {}", answer.text);
        let message = format!("click_id is missing, but {name} holds one of our click IDs.");
        assert_eq!(answer.get("message"), message);
        assert!(
            answer
                .get("hint")
                .contains(&format!("send the value of {name} as click_id")),
            "{}",
            answer.text
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_understood_in_every_place_of_every_format() {
    let app = without_token("1234").await;
    app.change_integration(|integration| integration.requires_token = true)
        .await;
    app.change_sale(|sale| sale.unique_by = UniqueBy::Fire).await;
    let (click, server, token) = (app.visitor().click("").await, app.advertiser(), &app.scene.token);
    let id = &click.id;
    let basic = |pair: String| format!("Basic {}", BASE64.encode(pair.as_bytes()));
    let headers = [
        ("Authorization", format!("Bearer {token}")),
        ("X-Api-Key", token.clone()),
        ("Authorization", basic(format!("shop:{token}"))),
        ("Authorization", basic(format!("{token}:"))),
    ];
    for (number, target) in [
        format!("/conversion/tracking_mode:api/campaign:1234/clickref:{id}/conversionref:N/currency:EUR/[value:1/category:x]"),
        format!("/da.ashx?advertiserid=1234&clickid={id}&orderamount=1&ordernumber=N"),
        format!("/s2s?clickId={id}&id=1234&val=1&com=0"),
        format!("/postback/?click={id}&val=10"),
    ]
    .into_iter()
    .enumerate()
    {
        let numbered = |place: usize| target.replace('N', &format!("{number}{place}"));
        let answer = server.call(&numbered(9)).await;
        assert_eq!(reason(&answer), "token_missing", "{target}: {}", answer.text);
        for (place, (name, value)) in headers.iter().enumerate() {
            let sent = [(*name, value.as_str())];
            let answer = server.call_with(Method::GET, &numbered(place), &sent, "").await;
            assert_eq!(reason(&answer), "accepted", "{target} {name} {value}: {}", answer.text);
        }
        let mark = if target.contains('?') { '&' } else { '?' };
        let answer = server.call(&format!("{}{mark}token={token}", numbered(5))).await;
        assert_eq!(reason(&answer), "accepted", "{target}: {}", answer.text);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_and_api_warn_of_settings_that_contradict_each_other() {
    let app = TestApp::spawn().await;
    app.change_integration(|integration| integration.dialect = Some("joturl".to_owned()))
        .await;
    let warning = "JotURL has no place for a token";
    let id = app.scene.advertiser_id;
    let program = app.program(&app.scene.owner).await;
    let shown = program.get(&format!("/integrations/{id}")).await;
    assert!(shown.text.contains(warning), "{}", shown.text);
    let owner = app.sign_in(&app.scene.owner).await;
    let page = owner.get(&format!("/integration/{id}")).await.html;
    assert!(page.contains(warning), "{page}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letter_case_is_ignored_by_whatever_means_the_sender_is_identified() {
    let app = without_token("1234").await;
    app.change_integration(|integration| integration.allowed_addresses = Words(vec!["127.0.0.1".into()]))
        .await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let query = |order: &str| format!("click_id={}&order_id={order}&amount=1", click.id.to_uppercase());
    let refused = server.raw(&query("1")).await;
    assert_eq!(refused.reason(), "click_not_found", "{}", refused.text);
    app.change_integration(|integration| integration.ignores_letter_case = true)
        .await;
    let by_address = server.raw(&query("2")).await;
    assert_eq!(by_address.reason(), "accepted", "{}", by_address.text);
    // A replay of the first one, whose sender is known.
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("/postbacks/{}", refused.get("request_id"));
    owner
        .submit(&page, &format!("{page}/replay"), &[("how", "real")])
        .await;
    app.eventually("SELECT count(*)::text FROM conversions WHERE order_id = '1'", "1")
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_partnerstack_is_attributed_by_partner_key_at_both_paths() {
    let app = without_token("1234").await;
    app.execute("UPDATE goals SET code = 'signup', unique_by = 'customer', default_amount_micros = 0")
        .await;
    let bearer = format!("Bearer {}", app.scene.token);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    for (path, customer) in [("/v1/customers", "cus_1"), ("/api/v2/customers", "cus_2")] {
        let body = json!({ "partner_key": app.scene.affiliate_id.to_string(), "customer_key": customer, "email": "a@b.example" });
        let answer = app
            .advertiser()
            .call_with(Method::POST, path, &headers, &body.to_string())
            .await;
        assert_eq!(reason(&answer), "accepted", "{path}: {}", answer.text);
        let by = format!("SELECT attributed_by FROM conversions WHERE customer_id = '{customer}'");
        assert_eq!(app.text(&by).await, "affiliate", "{path}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_a_format_without_its_click_is_kept_and_attributed_by_what_it_has() {
    let app = without_token("1234").await;
    let program = app.program(&app.scene.owner).await;
    let (campaign, affiliate) = (
        app.scene.campaign.id.to_string(),
        app.scene.affiliate_id.to_string(),
    );
    let coupon = json!({ "campaign": campaign, "code": "SPRING", "affiliate": affiliate });
    let made = program.post("/coupons", &coupon).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let (server, affiliate) = (app.advertiser(), app.scene.affiliate_id);
    let token = &app.scene.token;
    let kept = "SELECT count(*) FROM postbacks";
    for (number, (target, expected)) in [
        (
            "/?nid=1&oid=1234&coupon_code=SPRING&order_id=1&amount=1".to_owned(),
            "accepted",
        ),
        (
            format!("/?nid=1&oid=1234&affid={affiliate}&order_id=2&amount=1"),
            "accepted",
        ),
        ("/SP39?adv_sub=3&amount=1".to_owned(), "token_missing"),
        ("/GP39?adv_sub=4&amount=1".to_owned(), "token_missing"),
        (
            "/aff_lsr?offer_id=1234&amount=1&adv_sub=5".to_owned(),
            "click_id_missing",
        ),
        (
            "/0a1b2c3/postback?status=lead&payout=1".to_owned(),
            "token_missing",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mark = if target.starts_with("/?") {
            format!("&token={token}")
        } else {
            String::new()
        };
        let answer = server.call(&format!("{target}{mark}")).await;
        assert_eq!(reason(&answer), expected, "{target}: {}", answer.text);
        assert_eq!(
            app.count(kept).await,
            i64::try_from(number).unwrap() + 1,
            "{target}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_programs_spoil_are_read_or_their_cause_is_named() {
    let app = TestApp::spawn().await;
    let (click, server, token) = (app.visitor().click("").await, app.advertiser(), &app.scene.token);
    let id = &click.id;
    for (target, expected) in [
        (
            format!("/postback?goal=sale&amount=1?click_id={id}&order_id=1&token={token}"),
            "accepted",
        ),
        (
            format!("/postback?click_id={id}&amp;goal=sale&amp;amount=1&amp;order_id=2&amp;token={token}"),
            "accepted",
        ),
        (
            format!("/%70ost%62ack?goal=sale&click_id={id}&amount=1&order_id=3&token={token}"),
            "accepted",
        ),
        (
            format!("/postback?goal=sale&click_id=$click_id&amount=1&order_id=4&token={token}"),
            "macro_unreplaced",
        ),
        (
            format!("/postback?goal=sale&click_id=%25s&amount=1&order_id=5&token={token}"),
            "macro_unreplaced",
        ),
        (
            format!("/postback?goal=sale&click_id=nil&amount=1&order_id=6&token={token}"),
            "macro_unreplaced",
        ),
        (
            format!("/postback?goal=sale&click_id=(null)&amount=1&order_id=7&token={token}"),
            "macro_unreplaced",
        ),
        (
            format!("/postback?goal=sale&click_id={id}&amount=1&order_id=8&token={token}&pr%E9nom=Z"),
            "accepted",
        ),
    ] {
        let answer = server.call(&target).await;
        assert_eq!(answer.reason(), expected, "{target}: {}", answer.text);
    }
    let zipped = Client::new()
        .post(format!("{}/postback?token={token}", app.tracking_url))
        .header("Content-Encoding", "gzip")
        .body(b"\x1F\x8B\x08\x00\x00\x00\x00\x00".to_vec())
        .send()
        .await
        .unwrap();
    let text = zipped.text().await.unwrap();
    assert!(
        text.contains("compressed with gzip: send it uncompressed"),
        "{text}"
    );
    let amount = "19.990000000000002";
    let answer = server
        .postback(&[("click_id", id), ("order_id", "float"), ("amount", amount)])
        .await;
    assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    let booked = "SELECT amount_micros::text FROM conversions WHERE order_id = 'float'";
    assert_eq!(app.text(booked).await, "19990000");
    let trace = app.trace("order_id = 'float'").await;
    assert!(trace.contains("more than six decimals"), "{trace}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_several_orders_gets_a_verdict_for_each() {
    let app = without_token("1234").await;
    let (first, second) = (app.visitor().click("").await, app.visitor().click("").await);
    let order = |click: &str, number: &str| {
        json!({
            "awc": click, "orderReference": number, "amount": 12.5, "currency": "EUR",
            "commissionGroups": [{ "code": "DEFAULT", "amount": 12.5 }],
        })
    };
    let headers = [("Content-Type", "application/json")];
    let send = async |orders: serde_json::Value| {
        let body = json!({ "orders": orders }).to_string();
        let server = app.advertiser();
        server
            .call_with(Method::POST, "/s2s/advertiser/1234/orders", &headers, &body)
            .await
    };
    let both = json!([order(&first.id, "1"), order(&second.id, "2")]);
    let answer = send(both.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let reasons = |answer: &Answer| -> Vec<String> {
        let results = answer.json["results"].as_array().unwrap();
        results
            .iter()
            .map(|one| one["reason"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(reasons(&answer), ["accepted", "accepted"], "{}", answer.text);
    let mixed = send(json!([order(&first.id, "3"), order("banana", "4")])).await;
    assert_eq!(mixed.status, StatusCode::MULTI_STATUS, "{}", mixed.text);
    assert_eq!(reasons(&mixed), ["accepted", "click_not_found"]);
    let stored = "SELECT concat_ws(' ', (SELECT count(*) FROM postbacks), (SELECT count(*) FROM conversions),
                                   (SELECT sum(amount_micros) FROM conversions))";
    assert_eq!(app.text(stored).await, "4 3 37500000");
    let again = send(both).await;
    assert_eq!(
        reasons(&again),
        ["duplicate_order", "duplicate_order"],
        "{}",
        again.text
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_integration_page_has_the_whole_call_in_the_format_of_the_advertiser() {
    let app = without_token("1234").await;
    let owner = app.sign_in(&app.scene.owner).await;
    let test = format!("/campaigns/{}/test", app.scene.campaign.id);
    owner.submit(&test, &test, &[]).await;
    for (dialect, parameters) in [
        (
            "clickmeter",
            &["/s2s?", "clickId=", "id=1234", "val=50.00", "com=0.00"][..],
        ),
        (
            "flexoffers",
            &[
                "/da.ashx?",
                "advertiserid=1234",
                "clickid=",
                "orderamount=50.00",
                "ordernumber=",
            ],
        ),
        (
            "partnerize",
            &[
                "/conversion/",
                "campaign:1234/",
                "clickref:",
                "conversionref:",
                "value:50.00",
            ],
        ),
        ("joturl", &["/postback?", "click=", "val=50.00"]),
    ] {
        app.change_integration(|integration| integration.dialect = Some(dialect.to_owned()))
            .await;
        let page = owner
            .get(&format!("/integration/{}", app.scene.advertiser_id))
            .await
            .html;
        let (_, command) = page.split_once("id=\"way-1\">").unwrap();
        let (command, _) = command.split_once("</pre>").unwrap();
        for parameter in parameters {
            assert!(command.contains(parameter), "{dialect} {parameter}: {command}");
        }
        assert!(
            !command.contains("CLICK_ID"),
            "{dialect}: a click of the test link: {command}"
        );
    }
    app.finish().await;
}
