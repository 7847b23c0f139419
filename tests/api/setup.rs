//! Configuration and use of a network through the API alone.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Answer, ApiClient, TestApp};

/// Created object; an error fails the test.
async fn make(program: &ApiClient, list: &str, body: Value) -> Value {
    let made = program.post(list, &body).await;
    assert!(made.status.is_success(), "{list} {body}: {}", made.text);
    made.json
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

fn refused(answer: &Answer, field: &str) {
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    assert!(
        answer.json["fields"][field].is_string(),
        "{field}: {}",
        answer.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_configured_and_pays_without_the_dashboard() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let advertiser = make(
        &program,
        "/advertisers",
        json!({ "name": "Nova", "external_id": "77" }),
    )
    .await;
    let affiliate = make(&program, "/affiliates", json!({ "name": "Blog" })).await;
    let campaign = json!({
        "advertiser": "77", "currency": "EUR", "name": "Nova shop", "status": "live", "access": "approval",
        "destination": "https://nova.example/", "click_parameter": "refid", "deep_link_hosts": ["nova.example"],
        "countries": ["de", "AT"], "starts_on": "2026-01-01", "fallback_url": null,
    });
    let campaign = make(&program, "/campaigns", campaign).await;
    assert_eq!(campaign["countries"], json!(["DE", "AT"]));
    assert_eq!(
        (&campaign["starts_on"], &campaign["ends_on"]),
        (&json!("2026-01-01"), &json!(null))
    );
    let path = format!("/campaigns/{}", id(&campaign));
    let changed = program
        .patch(&path, &json!({ "countries": [], "attribution_days": 60 }))
        .await;
    assert_eq!(changed.json["attribution_days"], 60, "{}", changed.text);
    assert_eq!(
        changed.json["click_parameter"], "refid",
        "absent fields keep their values"
    );
    assert_eq!(program.get(&path).await.json, changed.json);

    let page = json!({ "campaign": "Nova shop", "name": "Boots", "url": "https://nova.example/boots" });
    let page = make(&program, "/landing-pages", page).await;
    let signup = json!({
        "campaign": id(&campaign), "code": "signup", "name": "Sign-up", "kind": "lead", "commission": "1.50",
        "revenue": "2", "unique_by": "click", "auto_approve": true,
    });
    let signup = make(&program, "/goals", signup).await;
    let sale = json!({
        "campaign": id(&campaign), "code": "sale", "name": "Sale", "kind": "sale", "commission": "10 %",
        "revenue": "15 %", "parent_goal": id(&signup),
    });
    let sale = make(&program, "/goals", sale).await;
    let rule = json!({
        "goal": id(&sale), "name": "Blog", "commission": "12 %", "revenue": "17 %", "affiliate": "Blog"
    });
    let rule = make(&program, "/rules", rule).await;
    assert_eq!(rule["affiliate"], affiliate["id"]);
    let cap = json!({ "campaign": "Nova shop", "metric": "revenue", "period": "month", "most": "5000.50" });
    assert_eq!(make(&program, "/caps", cap).await["most"], "5000.5");
    let coupon = json!({ "campaign": "Nova shop", "code": "summer", "affiliate": "Blog" });
    let coupon = make(&program, "/coupons", coupon).await;
    assert_eq!(coupon["code"], "SUMMER");

    let link =
        json!({ "campaign": "Nova shop", "affiliate": "Blog", "landing_page": "Boots", "sub1": "news" });
    refused(&program.post("/links", &link).await, "affiliate");
    let standing = json!({ "campaign": "Nova shop", "affiliate": "Blog", "status": "approved" });
    make(&program, "/promoters", standing).await;
    let link = make(&program, "/links", link).await;
    assert_eq!(
        (&link["landing_page"], &link["sub1"]),
        (&page["id"], &json!("news"))
    );

    let integration = format!("/integrations/{}", id(&advertiser));
    let before = program.get(&integration).await;
    assert_eq!(before.json["token_hint"], json!(null), "{}", before.text);
    let too_soon = program
        .patch(&integration, &json!({ "is_monitoring": true }))
        .await;
    assert_eq!(too_soon.status, StatusCode::CONFLICT, "{}", too_soon.text);
    let token = make(&program, &format!("{integration}/token"), json!({})).await;
    let token = token["secret"].as_str().unwrap();
    let map = json!({ "status_map": { "ok": "approved" }, "allowed_addresses": ["127.0.0.0/8"] });
    let set = program.patch(&integration, &map).await;
    assert_eq!(
        set.json["status_map"],
        json!({ "ok": "approved" }),
        "{}",
        set.text
    );

    let alias = link["alias"].as_str().unwrap();
    let click = app.visitor_of(alias).click("").await;
    assert!(click.location.contains("/boots?refid="), "{}", click.location);
    let server = app.advertiser().with_token(token);
    let orders = [("signup", "S-1"), ("sale", "O-1")];
    for (goal, order) in orders {
        let sent = [
            ("click_id", click.id.as_str()),
            ("goal", goal),
            ("order_id", order),
            ("amount", "100"),
        ];
        let response = server.postback(&sent).await;
        assert_eq!(response.reason(), "accepted", "{}", response.text);
    }
    app.settled().await;
    let page = program
        .get(&format!("/conversions?campaign={}", id(&campaign)))
        .await;
    let items = page.json["items"].as_array().unwrap();
    let money: Vec<_> = items
        .iter()
        .map(|item| item["commission"].as_str().unwrap())
        .collect();
    assert_eq!(money, ["12.00 EUR", "1.50 EUR"], "{}", page.text);
    assert_eq!(items[0]["parent"], items[1]["id"]);
    let conversion = format!("/conversions/{}", id(&items[0]));
    for _ in 0..2 {
        let approved = program.post(&format!("{conversion}/approve"), &json!({})).await;
        assert_eq!(approved.json["status"], "approved", "{}", approved.text);
    }
    let stale = json!({ "version": 1 });
    let late = program.post(&format!("{conversion}/reject"), &stale).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{}", late.text);

    for (list, object) in [
        ("/campaigns", &campaign),
        ("/goals", &sale),
        ("/rules", &rule),
        ("/landing-pages", &json!({ "id": link["landing_page"] })),
        ("/coupons", &coupon),
        ("/links", &link),
    ] {
        let listed = program.get(&format!("{list}?limit=200")).await;
        let items = listed.json["items"].as_array().unwrap();
        assert!(
            items.iter().any(|item| item["id"] == object["id"]),
            "{list}: {}",
            listed.text
        );
    }
    for path in [
        format!("/rules/{}", id(&rule)),
        format!("/coupons/{}", id(&coupon)),
        format!("/landing-pages/{}", link["landing_page"].as_str().unwrap()),
    ] {
        assert_eq!(
            program.delete(&path).await.status,
            StatusCode::NO_CONTENT,
            "{path}"
        );
        assert_eq!(
            program.delete(&path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_value_is_reported_by_its_field() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let (campaign, goal) = (app.scene.campaign.id.to_string(), app.scene.sale_id.to_string());
    for (path, body, field) in [
        (
            "campaigns",
            json!({ "destination": "http://x.example/" }),
            "destination",
        ),
        ("campaigns", json!({ "name": " " }), "name"),
        ("campaigns", json!({ "status": "running" }), "status"),
        ("campaigns", json!({ "external_id": "" }), "external_id"),
        ("campaigns", json!({ "attribution_days": 0 }), "attribution_days"),
        ("campaigns", json!({ "devices": ["phone"] }), "devices"),
        ("campaigns", json!({ "devices": ["mobile,tablet"] }), "devices"),
        ("campaigns", json!({ "ends_on": "24.12.2026" }), "ends_on"),
        (
            "campaigns",
            json!({ "starts_on": "2026-12-24", "ends_on": "2026-12-23" }),
            "ends_on",
        ),
        (
            "campaigns",
            json!({ "deep_link_hosts": ["localhost"] }),
            "deep_link_hosts",
        ),
        ("goals", json!({ "code": "Sale" }), "code"),
        ("goals", json!({ "code": "lead" }), "code"),
        ("goals", json!({ "commission": "99 %" }), "revenue"),
        ("goals", json!({ "commission": "1.001" }), "commission"),
        ("goals", json!({ "parent_goal": goal }), "parent_goal"),
        ("goals", json!({ "hold_days": 366 }), "hold_days"),
    ] {
        let id = if path == "goals" { &goal } else { &campaign };
        let before = program.get(&format!("/{path}/{id}")).await.json;
        refused(&program.patch(&format!("/{path}/{id}"), &body).await, field);
        assert_eq!(program.get(&format!("/{path}/{id}")).await.json, before, "{body}");
    }
    let wrong = program
        .patch(&format!("/campaigns/{campaign}"), &json!({ "budget": 1 }))
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_advertisers_and_affiliates_reach_their_objects_only() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let affiliate = app.program(&app.scene.affiliate).await;
    let (campaign, own) = (
        app.scene.campaign.id.to_string(),
        app.scene.affiliate_id.to_string(),
    );
    let other = make(&owner, "/affiliates", json!({ "name": "Other" })).await;
    let theirs = json!({ "campaign": campaign, "affiliate": id(&other) });
    make(&owner, "/links", theirs.clone()).await;
    let listed = affiliate.get("/links").await;
    let links = listed.json["items"].as_array().unwrap();
    assert!(
        links.iter().all(|link| link["affiliate"] == own.as_str()),
        "{}",
        listed.text
    );
    make(
        &affiliate,
        "/links",
        json!({ "campaign": campaign, "affiliate": own, "alias": "mine" }),
    )
    .await;
    refused(&affiliate.post("/links", &theirs).await, "affiliate");
    let test = json!({ "campaign": campaign, "affiliate": own, "is_test": true });
    refused(&affiliate.post("/links", &test).await, "is_test");

    let click = app.visitor_of("mine").click("").await;
    let sent = [
        ("click_id", click.id.as_str()),
        ("goal", "sale"),
        ("order_id", "1"),
        ("amount", "10"),
    ];
    app.advertiser().postback(&sent).await;
    app.settled().await;
    let seen = affiliate.get("/conversions").await.json["items"][0].clone();
    assert_eq!(
        (&seen["commission"], &seen["revenue"]),
        (&json!("1.00 EUR"), &json!(null))
    );
    let seen = app
        .program(&app.scene.advertiser)
        .await
        .get("/conversions")
        .await
        .json["items"][0]
        .clone();
    assert_eq!(
        (&seen["commission"], &seen["revenue"]),
        (&json!(null), &json!("1.50 EUR"))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_postbacks_are_explained_and_replayed_by_programs() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let click = app.visitor().click("").await;
    let sent = [
        ("click_id", click.id.as_str()),
        ("goal", "trial"),
        ("order_id", "T-1"),
    ];
    assert_eq!(app.advertiser().postback(&sent).await.reason(), "goal_unknown");
    app.settled().await;
    let listed = program.get("/postbacks?reason=goal_unknown").await;
    let receipt = id(&listed.json["items"][0]).to_owned();
    let postback = program.get(&format!("/postbacks/{receipt}")).await;
    assert!(
        postback.json["trace"].as_array().unwrap().len() > 2,
        "{}",
        postback.text
    );
    assert!(!postback.text.contains(&app.scene.token), "the token is revealed");

    let goal = json!({
        "campaign": app.scene.campaign.id.to_string(), "code": "trial", "name": "Trial", "kind": "lead",
        "commission": "3", "revenue": "4",
    });
    make(&program, "/goals", goal).await;
    let run = async |filter: Value| {
        let replay = make(&program, "/replays", filter).await;
        let path = format!("/replays/{}", id(&replay));
        loop {
            let report = program.get(&path).await;
            if report.json["waiting"] == 0 {
                return report.json;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let filter =
        |dry_run: bool| json!({ "dry_run": dry_run, "reason": "goal_unknown", "postbacks": [receipt] });
    let dry = run(filter(true)).await;
    assert_eq!(
        (&dry["changed"], &dry["results"][0]["commission"]),
        (&json!(1), &json!("3.00 EUR"))
    );
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    let real = run(filter(false)).await;
    assert_eq!(real["results"][0]["reason"], "accepted");
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 1);
    let again = program.post("/replays", &filter(false)).await;
    assert_eq!(
        again.status,
        StatusCode::CONFLICT,
        "an accepted postback is not replayed: {}",
        again.text
    );
    let odd = program
        .post("/replays", &json!({ "dry_run": true, "postbacks": ["x"] }))
        .await;
    refused(&odd, "postbacks");
    let headers = [("Content-Type", "application/json")];
    let vague = program.call(Method::POST, "/replays", &headers, "{}").await;
    assert_eq!(
        vague.status,
        StatusCode::BAD_REQUEST,
        "dry_run is required: {}",
        vague.text
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_advertisers_and_affiliates_do_not_see_confidential_fields() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let (affiliate, advertiser) = (
        app.program(&app.scene.affiliate).await,
        app.program(&app.scene.advertiser).await,
    );
    let (campaign, own) = (
        app.scene.campaign.id.to_string(),
        app.scene.affiliate_id.to_string(),
    );
    let link = json!({ "campaign": campaign, "affiliate": own, "alias": "mine", "sub1": "fb-adset-77" });
    make(&affiliate, "/links", link).await;
    let listed = advertiser.get("/links").await;
    assert!(
        listed.text.contains("mine") && !listed.text.contains("adset"),
        "{}",
        listed.text
    );
    assert!(affiliate.get("/links").await.text.contains("fb-adset-77"));

    let click = app.visitor_of("mine").click("").await;
    let sent = [
        ("click_id", click.id.as_str()),
        ("goal", "sale"),
        ("order_id", "1"),
        ("amount", "10"),
        ("customer_id", "crm-4711"),
    ];
    app.advertiser().postback(&sent).await;
    app.settled().await;
    let receipt = id(&advertiser.get("/postbacks").await.json["items"][0]).to_owned();
    let path = format!("/postbacks/{receipt}");
    assert!(owner.get(&path).await.text.contains("commission 1.00 EUR"));
    let postback = advertiser.get(&path).await;
    assert!(
        postback.text.contains("trace") && !postback.text.contains("commission"),
        "{}",
        postback.text
    );
    let customer =
        async |program: &ApiClient| program.get("/conversions").await.json["items"][0]["customer_id"].clone();
    assert_eq!(customer(&owner).await, "crm-4711");
    assert_eq!(customer(&affiliate).await, json!(null));

    // An invisible campaign gets the same error as an unknown one, whatever else is invalid.
    let secret = json!({
        "advertiser": app.scene.advertiser_id.to_string(), "currency": "EUR", "name": "Secret launch",
        "destination": "https://x.example/?c={click_id}", "status": "draft",
    });
    make(&owner, "/campaigns", secret).await;
    let other = make(&owner, "/affiliates", json!({ "name": "Other" })).await;
    let attempt = async |campaign: &str, affiliate_id: &str| {
        let link = json!({ "campaign": campaign, "affiliate": affiliate_id });
        let response = affiliate.post("/links", &link).await;
        (response.status, response.json["fields"].clone())
    };
    assert_eq!(
        attempt("Secret launch", &own).await,
        attempt("No such launch", &own).await
    );
    assert_eq!(
        attempt(&campaign, id(&other)).await,
        attempt(&campaign, "aff_0000010").await
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_values_are_stored_or_refused_and_never_dropped() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let (campaign, goal) = (app.scene.campaign.id.to_string(), app.scene.sale_id.to_string());
    for code in ["20%OFF", "A/B", "C+D"] {
        let coupon = json!({ "campaign": campaign, "code": code, "affiliate": "Orbit Blog" });
        let coupon = make(&program, "/coupons", coupon).await;
        let path = id(&coupon)
            .replace('%', "%25")
            .replace('/', "%2F")
            .replace('+', "%2B")
            .to_lowercase();
        assert_eq!(
            program.delete(&format!("/coupons/{path}")).await.status,
            StatusCode::NO_CONTENT,
            "{code}"
        );
    }
    let nul = program.get(&format!("/coupons?after={campaign}.%00")).await;
    assert_eq!(nul.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nul.text);
    let nul = program.delete(&format!("/coupons/{campaign}.%00")).await;
    assert_eq!(nul.status, StatusCode::NOT_FOUND, "{}", nul.text);
    let broad = json!({ "goal": goal, "name": "x", "commission": "1", "revenue": "2", "sub_number": 1 });
    refused(&program.post("/rules", &broad).await, "sub_number");
    let ancient = json!({ "dry_run": true, "since": "-9999-01-01T00:00:00Z" });
    refused(&program.post("/replays", &ancient).await, "since");
    let group = make(&program, "/affiliate-groups", json!({ "name": "VIP" })).await;
    let rule = json!({ "goal": goal, "name": "VIP", "commission": "1", "revenue": "2", "group": "VIP" });
    make(&program, "/rules", rule).await;
    let kept = program.delete(&format!("/affiliate-groups/{}", id(&group))).await;
    assert_eq!(kept.status, StatusCode::CONFLICT, "{}", kept.text);

    // Days keep their instants when the network changes its time zone.
    let path = format!("/campaigns/{campaign}");
    program.patch(&path, &json!({ "starts_on": "2026-12-24" })).await;
    let starts = "SELECT starts_at FROM campaigns WHERE starts_at IS NOT NULL";
    let before = app.text(starts).await;
    program
        .patch("/network", &json!({ "time_zone": "America/New_York" }))
        .await;
    program.patch(&path, &json!({ "name": "Renamed" })).await;
    assert_eq!(app.text(starts).await, before);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_enters_an_order_whose_postback_never_arrived() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let click = app.visitor().click("").await;
    app.settled().await;
    let order = |order_id: &str| {
        json!({
            "click": click.id, "goal": "sale", "order_id": order_id, "amount": "100", "currency": "EUR",
            "status": "approved", "reason": "Order by phone",
        })
    };
    let made = program.post("/conversions", &order("P-1")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let stored = program
        .get(&format!("/conversions/{}", made.get("conversion")))
        .await;
    assert_eq!(
        (stored.get("status"), stored.get("amount")),
        ("approved", "100.00 EUR")
    );
    let again = program.post("/conversions", &order("P-1")).await;
    assert_eq!((again.status, again.get("reason")), (StatusCode::OK, "unchanged"));
    let by_affiliate = json!({
        "campaign": app.scene.campaign.id.to_string(), "affiliate": app.scene.affiliate_id.to_string(),
        "goal": "sale", "order_id": "P-2", "amount": "50", "reason": "Order in the shop",
    });
    let made = program.post("/conversions", &by_affiliate).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let explained = program.get(&format!("/postbacks/{}", made.get("postback"))).await;
    assert!(
        explained.text.contains("a user of the network entered it"),
        "{}",
        explained.text
    );
    for (field, value) in [
        ("reason", json!(" ")),
        ("click", json!("nonsense")),
        ("goal", json!("unknown")),
        ("amount", json!("1,5")),
    ] {
        let mut wrong = order("P-3");
        wrong[field] = value;
        let refused = program.post("/conversions", &wrong).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field}: {}",
            refused.text
        );
    }
    let audit = program.get("/audit").await;
    assert!(audit.text.contains("conversion.create") && audit.text.contains("Order by phone"));
    app.finish().await;
}
