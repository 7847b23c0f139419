//! Reports through the API: pages of one report, queries in a body, times and cohorts, postbacks, hidden names.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::people::operator;
use testkit::{ApiClient, TestApp};

async fn report(program: &ApiClient, query: &str) -> Value {
    let answer = program.get(&format!("/reports?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    answer.json
}

fn labels(report: &Value) -> Vec<String> {
    let rows = report["rows"].as_array().unwrap().iter();
    rows.map(|row| row["keys"][0]["label"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_report_sum_to_its_total_whatever_arrives_meanwhile() {
    let app = TestApp::spawn().await;
    for sub in ["a", "b", "b", "c", "d", "d", "d"] {
        app.visitor().click(&format!("?sub1={sub}")).await;
    }
    app.settled().await;
    let program = app.program(&app.scene.owner).await;
    let first = report(&program, "group=sub1&metrics=clicks&sort=-clicks&limit=2").await;
    assert_eq!(labels(&first), ["d", "b"]);
    assert_eq!(
        (&first["row_count"], &first["others"]["clicks"]),
        (&json!(4), &json!(2))
    );
    app.visitor().click("?sub1=a").await;
    app.visitor().click("?sub1=e").await;
    app.settled().await;
    let cursor = first["next"].as_str().unwrap();
    let rest = report(&program, &format!("cursor={cursor}&limit=9")).await;
    assert_eq!(labels(&rest), ["a", "c"]);
    assert_eq!(
        (&rest["total"]["clicks"], &rest["others"]["clicks"]),
        (&json!(7), &json!(5))
    );
    assert_eq!(rest["next"], Value::Null);
    // A report that fits has no more pages.
    let whole = report(&program, "group=sub1&metrics=clicks").await;
    assert_eq!(
        (&whole["total"]["clicks"], &whole["next"]),
        (&json!(9), &Value::Null)
    );

    let refused = async |program: &ApiClient, query: &str, field: &str| {
        let answer = program.get(&format!("/reports?{query}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        assert!(
            answer.json["fields"][field].is_string(),
            "{query}: {}",
            answer.text
        );
    };
    refused(&program, &format!("cursor={cursor}&group=day"), "group").await;
    refused(&program, "cursor=nonsense", "cursor").await;
    refused(&program, "cursor=0123456789abcdef0123456789abcdef.2", "cursor").await;
    // A cursor is for those who see the same rows.
    let affiliate = app.program(&app.scene.affiliate).await;
    refused(&affiliate, &format!("cursor={cursor}"), "cursor").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_in_a_body_is_the_query_of_a_url() {
    let app = TestApp::spawn().await;
    for sub in ["a%2Cb", "a", "b", "c%5Cd"] {
        app.visitor().click(&format!("?sub1={sub}")).await;
    }
    app.settled().await;
    let program = app.program(&app.scene.owner).await;
    let ask = async |body: Value| program.post("/reports", &body).await;
    let found =
        ask(json!({ "group": ["sub1"], "sub1": ["a,b", "c\\d"], "metrics": ["clicks"], "clicks.min": 1 }))
            .await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.text);
    assert_eq!(labels(&found.json), ["a,b", "c\\d"]);
    let found = ask(json!({ "group": "sub1", "sub1": "a,b", "limit": 1 })).await;
    assert_eq!(
        (labels(&found.json), &found.json["row_count"]),
        (vec!["a".to_owned()], &json!(2))
    );
    for (body, field) in [
        (json!({ "group": { "by": "sub1" } }), "group"),
        (json!({ "colour": "red" }), "colour"),
        (json!({ "sub1": [null] }), "sub1"),
    ] {
        let refused = ask(body).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
        assert!(refused.json["fields"][field].is_string(), "{}", refused.text);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_cohorts_and_postbacks_are_reported() {
    let app = TestApp::spawn().await;
    let server = app.advertiser();
    let click = app.visitor().click("").await.id;
    for (order, status) in [("1", "approved"), ("2", "rejected"), ("3", "rejected")] {
        let sent = [
            ("click_id", click.as_str()),
            ("order_id", order),
            ("amount", "10"),
            ("status", status),
        ];
        assert_eq!(server.postback(&sent).await.reason(), "accepted");
    }
    let refused = server
        .postback(&[("click_id", &click), ("amount", "ten"), ("order_id", "4")])
        .await;
    assert_eq!(refused.json["status"], "rejected", "{}", refused.text);
    app.settled().await;
    let program = app.program(&app.scene.owner).await;
    let metrics = "metrics=rejection_rate,time_to_conversion,time_to_conversion_p90,postbacks_received,postbacks_rejected";
    let total = report(&program, &format!("group=day,campaign&{metrics}")).await["total"].clone();
    assert_eq!(total["postbacks_received"], 4, "{total}");
    assert_eq!(total["postbacks_rejected"], 1, "{total}");
    assert!(
        (total["rejection_rate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9,
        "{total}"
    );
    assert!(total["time_to_conversion"].as_i64().unwrap() < 60, "{total}");
    let cohorts = report(
        &program,
        "group=week,weeks_since_click&by=click&metrics=conversions&conversions.min=1",
    )
    .await;
    assert_eq!(cohorts["rows"][0]["keys"][1]["value"], "0", "{cohorts}");
    // Postbacks have few dimensions.
    let refused = program
        .get("/reports?group=sub1&metrics=postbacks_received")
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused.json["fields"]["metrics"],
        "Postbacks have no sub1: use postbacks_received with time, advertiser, campaign and goal only."
    );
    let affiliate = app.program(&app.scene.affiliate).await;
    let refused = affiliate
        .get("/reports?group=day&metrics=postbacks_received")
        .await;
    assert!(refused.json["fields"]["metrics"].is_string(), "{}", refused.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn advertisers_see_affiliates_by_id_unless_the_network_names_them() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let sent = [("click_id", click.as_str()), ("order_id", "1"), ("amount", "10")];
    assert_eq!(app.advertiser().postback(&sent).await.reason(), "accepted");
    app.settled().await;
    let owner = app.program(&app.scene.owner).await;
    let affiliate = app.scene.affiliate_id.to_string();
    let name = report(&owner, "group=affiliate").await["rows"][0]["keys"][0]["label"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(name, affiliate);
    let advertiser = app.program(&app.scene.advertiser).await;
    let person = app.sign_in(&app.scene.advertiser).await;
    for names_affiliates in [false, true] {
        let set = owner
            .patch("/network", &json!({ "names_affiliates": names_affiliates }))
            .await;
        assert_eq!(
            (set.status, &set.json["names_affiliates"]),
            (StatusCode::OK, &json!(names_affiliates))
        );
        let shown = if names_affiliates { &name } else { &affiliate };
        let seen = report(&advertiser, "group=affiliate").await;
        assert_eq!(&labels(&seen)[0], shown);
        for page in [
            "/reports?group=affiliate",
            "/reports.csv?group=affiliate",
            "/conversions",
            "/",
        ] {
            let text = person.get(page).await.html;
            assert_eq!(text.contains(&name), names_affiliates, "{page}: {text}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_the_events_of_each_network_and_no_money() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let sent = [("click_id", click.as_str()), ("order_id", "1"), ("amount", "777")];
    for reason in ["accepted", "duplicate_order"] {
        assert_eq!(app.advertiser().postback(&sent).await.reason(), reason);
    }
    app.settled().await;
    let operator = operator(&app).await;
    let file = operator.get("/ops/report.csv").await.html;
    let (header, rows) = file.split_once('\n').unwrap();
    assert!(
        header.trim_end().ends_with(
            "Network ID,Network,Clicks,Valid clicks,Unique clicks,Conversions,Approved,Rejected,Postbacks,\
             Rejected postbacks,Held postbacks"
        ),
        "{file}"
    );
    let orbit = format!("{},Orbit,1,0,0,1,0,0,2,0,0", app.scene.network.id);
    assert!(rows.lines().any(|row| row == orbit), "{file}");
    let page = operator.get("/ops/report").await.html;
    assert!(
        page.contains("Orbit") && !page.contains("777") && !page.contains("77.70"),
        "{page}"
    );
    let past = operator
        .get("/ops/report.csv?from=2020-01-01&to=2020-12-31")
        .await
        .html;
    assert!(past.contains(",Orbit,0,0,0,0,0,0,0,0,0"), "{past}");
    for period in [
        "from=yesterday",
        "from=2026-02-01&to=2026-01-31",
        "from=2020-01-01&to=2026-01-31",
    ] {
        let refused = operator.get(&format!("/ops/report?{period}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{period}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_funnel_has_the_rate_and_the_time_of_each_step() {
    let app = TestApp::spawn().await;
    app.execute(
        "UPDATE goals SET parent_goal_id = (SELECT id FROM goals WHERE code = 'lead') WHERE code = 'sale'",
    )
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let server = app.advertiser();
    let mut clicks = Vec::new();
    for number in 0..4 {
        let sub = if number < 2 { "news" } else { "blog" };
        clicks.push(app.visitor().click(&format!("?sub1={sub}")).await.id);
    }
    // All visitors of the scene share one address, so that only the first click is valid.
    app.settled().await;
    app.execute("UPDATE clicks SET flag = NULL").await;
    app.execute("UPDATE click_rollups SET invalid_clicks = 0").await;
    for (click, goal) in [(0, "lead"), (1, "lead"), (2, "lead"), (0, "sale")] {
        let order = format!("{goal}-{click}");
        let sent = [
            ("click_id", clicks[click].as_str()),
            ("goal", goal),
            ("order_id", &order),
            ("amount", "10"),
        ];
        let made = server.postback(&sent).await;
        assert_eq!(made.reason(), "accepted", "{}", made.text);
    }
    app.settled().await;
    let program = app.program(&app.scene.owner).await;
    let metrics = "metrics=conversions,step_rate,step_time&conversions.min=1";
    let funnel = report(&program, &format!("group=goal&sort=-conversions&{metrics}")).await;
    let rates = |report: &Value| -> Vec<Value> {
        let rows = report["rows"].as_array().unwrap().iter();
        rows.map(|row| row["figures"]["step_rate"].clone()).collect()
    };
    assert_eq!(labels(&funnel), ["Lead", "Sale"]);
    assert_eq!(rates(&funnel), [json!(0.75), json!(1.0 / 3.0)]);
    assert!(
        funnel["rows"][1]["figures"]["step_time"].as_i64().unwrap() < 60,
        "{funnel}"
    );
    let by_sub = report(&program, &format!("group=sub1,goal&sort=name&{metrics}")).await;
    assert_eq!(labels(&by_sub), ["blog", "news", "news"]);
    assert_eq!(rates(&by_sub), [json!(0.5), json!(1.0), json!(0.5)]);
    // A total of several goals is no step.
    assert_eq!(funnel["total"]["step_rate"], Value::Null);
    app.finish().await;
}
