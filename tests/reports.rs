//! Reports: page, API and CSV show the same figures, from sums and from single events, and each role sees its own.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{ApiClient, TestApp};

/// Metrics that are not all among the usual ones.
const METRICS: &str = "metrics=clicks,conversions,amount,average_order,approval_rate";

/// Clicks with sub IDs and a robot's, and conversions in two currencies with each status.
async fn world() -> TestApp {
    let app = TestApp::spawn().await;
    let server = app.advertiser();
    for (order, query, amount) in [
        ("1", "sub1=news&sub2=a%26b", "100 EUR approved"),
        ("2", "sub1=news", "50 EUR pending"),
        ("3", "sub1=blog", "30 USD pending"),
        ("4", "sub1=100%25_x", "80 EUR rejected"),
        ("5", "", ""),
    ] {
        let click = app.visitor().click(&format!("?{query}")).await;
        let parts: Vec<_> = amount.split(' ').collect();
        let [amount, currency, status] = parts[..] else {
            continue;
        };
        let sent = [
            ("click_id", click.id.as_str()),
            ("goal", "sale"),
            ("order_id", order),
            ("amount", amount),
            ("currency", currency),
            ("status", status),
        ];
        let made = server.postback(&sent).await;
        assert_eq!(made.reason(), "accepted", "{}", made.text);
    }
    // All visitors of the scene share one address, so that only the first click is valid.
    app.settled().await;
    app.execute("UPDATE clicks SET flag = NULL, is_unique = true")
        .await;
    app.execute("UPDATE click_rollups SET invalid_clicks = 0, unique_clicks = clicks")
        .await;
    app
}

async fn report(program: &ApiClient, query: &str) -> Value {
    let answer = program.get(&format!("/reports?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    answer.json
}

/// Rows as their first key and a figure.
fn column(report: &Value, figure: &str) -> Vec<(String, Value)> {
    let rows = report["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let key = row["keys"][0]["label"].as_str().unwrap().to_owned();
            (key, row["figures"][figure].clone())
        })
        .collect()
}

fn pairs<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_by_sub_id_is_filtered_sorted_and_summed_exactly() {
    let app = world().await;
    let program = app.program(&app.scene.owner).await;
    let by_sub = report(&program, &format!("group=sub1&sort=-clicks&{METRICS}")).await;
    assert_eq!(
        column(&by_sub, "clicks"),
        pairs([
            ("news", json!(2)),
            ("", json!(1)),
            ("100%_x", json!(1)),
            ("blog", json!(1))
        ])
    );
    assert_eq!(by_sub["rows"][0]["figures"]["conversions"], 2);
    assert_eq!(by_sub["rows"][0]["figures"]["amount"], json!(["150.00 EUR"]));
    assert_eq!(
        by_sub["rows"][0]["figures"]["average_order"],
        json!(["75.00 EUR"])
    );
    assert_eq!(by_sub["total"]["clicks"], 5);
    assert_eq!(by_sub["total"]["approval_rate"], 0.5);
    assert_eq!(by_sub["total"]["amount"], json!(["150.00 EUR", "30.00 USD"]));
    // The first row and the others are the total.
    let top = report(&program, "group=sub1&sort=-clicks&limit=1").await;
    assert_eq!(
        (&top["row_count"], top["rows"].as_array().unwrap().len()),
        (&json!(4), 1)
    );
    assert_eq!(
        (&top["rows"][0]["figures"]["clicks"], &top["others"]["clicks"]),
        (&json!(2), &json!(3))
    );
    let rest = report(&program, "group=sub1&sort=-clicks&limit=9&offset=1").await;
    assert_eq!(rest["others"]["clicks"], 2);
    for (filter, clicks) in [
        ("sub1=news,blog", 3),
        ("sub1.not=news", 3),
        ("sub1.contains=%25_", 1),
        ("sub1.begins=NE", 2),
        ("sub1.empty=yes", 1),
        ("sub1.empty=no", 4),
        ("sub2=a%26b", 1),
        ("status=approved", 0),
    ] {
        let filtered = report(&program, &format!("group=campaign&{filter}")).await;
        assert_eq!(filtered["total"]["clicks"], clicks, "{filter}: {filtered}");
    }
    let approved = report(&program, "group=goal&status=approved").await;
    assert_eq!(column(&approved, "approved"), pairs([("Sale", json!(1))]));
    // The rate of a goal is over all valid clicks, as a row and as a filter.
    let by_goal = report(
        &program,
        "group=goal&metrics=clicks,conversions,conversion_rate,earnings_per_click",
    )
    .await;
    assert_eq!(
        column(&by_goal, "conversion_rate"),
        pairs([("", json!(0.0)), ("Sale", json!(0.6))])
    );
    assert_eq!(by_goal["total"]["conversion_rate"], 0.6);
    let sale = app.scene.sale_id;
    let of_sale = report(&program, &format!("group=campaign&goal={sale}")).await;
    assert_eq!(of_sale["rows"][0]["figures"]["clicks"], 5);
    assert_eq!(of_sale["rows"][0]["figures"]["conversion_rate"], 0.6);
    let compared = report(&program, "group=campaign&compare=previous").await;
    assert_eq!(compared["rows"][0]["before"]["clicks"], 0);
    assert_eq!(compared["total_before"]["conversions"], 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_and_single_events_give_the_same_report_and_so_do_page_and_csv() {
    let app = world().await;
    let program = app.program(&app.scene.owner).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let (campaign, affiliate) = (app.scene.campaign.id, app.scene.affiliate_id);
    for group in [
        "day",
        "hour",
        "week",
        "month",
        "quarter",
        "hour_of_day",
        "weekday",
        "advertiser",
        "campaign",
        "goal",
        "affiliate",
        "affiliate_group",
        "link",
        "status",
        "currency",
        "affiliate,goal,status",
        "day,link,currency",
    ] {
        for filter in [
            String::new(),
            format!("&campaign={campaign}"),
            format!("&affiliate.not={affiliate}"),
            "&status=approved,pending".to_owned(),
            "&currency.empty=no".to_owned(),
        ] {
            let query = format!("group={group}{filter}");
            // The same time zone under another name is not that of the sums.
            let of_sums = report(&program, &query).await;
            let mut of_events = report(&program, &format!("{query}&tz=Poland")).await;
            assert_eq!(of_events["time_zone"], "Poland");
            of_events["time_zone"] = of_sums["time_zone"].clone();
            assert_eq!(of_sums, of_events, "{query}");
            // Conversions within seconds of their clicks: the basis of time changes nothing.
            let mut by_click = report(&program, &format!("{query}&by=click&tz=Poland")).await;
            by_click["time_zone"] = of_sums["time_zone"].clone();
            assert_eq!(of_sums, by_click, "{query} by click");
            let page = owner.get(&format!("/reports.csv?{query}")).await.html;
            let export = program
                .get(&format!("/reports/export?{query}&bom=true"))
                .await
                .text;
            assert_eq!(page, export, "{query}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_refused_what_it_does_not_see_and_unknown_parameters_are_named() {
    let app = world().await;
    let owner = app.program(&app.scene.owner).await;
    let affiliate = app.program(&app.scene.affiliate).await;
    let advertiser = app.program(&app.scene.advertiser).await;
    let own = report(&affiliate, "group=sub1,country").await;
    assert_eq!(own["total"]["clicks"], 5);
    let names = |report: &Value| {
        report["total"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(
        !names(&own)
            .iter()
            .any(|name| ["revenue", "margin"].contains(&name.as_str()))
    );
    let brand = report(&advertiser, "group=campaign").await;
    assert!(
        !names(&brand)
            .iter()
            .any(|name| ["commission", "margin"].contains(&name.as_str()))
    );
    for (program, query, field) in [
        (&affiliate, "group=advertiser", "group"),
        (&affiliate, "sort=-margin", "sort"),
        (&affiliate, "metrics=revenue", "metrics"),
        (&affiliate, "affiliate_group.empty=yes", "affiliate_group"),
        (&advertiser, "group=sub1", "group"),
        (&advertiser, "country=DE", "country"),
        (&owner, "colour=red", "colour"),
        (&owner, "group=colour", "group"),
        (&owner, "campaign=cmp_x", "campaign"),
        (&owner, "from=yesterday", "from"),
        (&owner, "limit=0", "limit"),
    ] {
        let refused = program.get(&format!("/reports?{query}")).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{query}: {}",
            refused.text
        );
        assert!(
            refused.json["fields"][field].is_string(),
            "{query}: {}",
            refused.text
        );
    }
    let definitions = advertiser.get("/reports/definitions").await;
    assert!(!definitions.text.contains("\"sub1\"") && definitions.text.contains("\"revenue\""));
    let page = app.sign_in(&app.scene.affiliate).await;
    let shown = page
        .get("/reports?group=sub1&sort=-clicks&compare=previous")
        .await
        .html;
    assert!(shown.contains(">news<") && !shown.contains("Margin"), "{shown}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_bounded_by_their_metrics_and_so_are_the_totals() {
    let app = world().await;
    let program = app.program(&app.scene.owner).await;
    for (bounds, clicks, rows) in [
        ("clicks.min=2", 2, 1),
        ("clicks.max=1", 3, 3),
        ("clicks.min=1&clicks.max=1", 3, 3),
        ("conversion_rate.min=100%25", 3, 2),
        ("conversion_rate.max=0.99", 2, 2),
        ("amount.min=100", 2, 1),
        ("amount.min=30&amount.max=100", 1, 1),
        ("clicks.min=3", 0, 0),
    ] {
        let found = report(&program, &format!("group=sub1&{bounds}")).await;
        assert_eq!(
            (&found["total"]["clicks"], &found["row_count"]),
            (&json!(clicks), &json!(rows)),
            "{bounds}: {found}"
        );
        let export = program
            .get(&format!("/reports/export?group=sub1&{bounds}"))
            .await
            .text;
        assert!(export.lines().count() > rows, "{bounds}: {export}");
    }
    // A workbook has the same lines.
    for url in [
        "/reports/export?group=sub1&format=xlsx",
        "/reports/export?group=sub1&format=pdf",
    ] {
        let answer = program.get(url).await;
        match answer.status {
            StatusCode::OK => assert!(answer.text.starts_with("PK"), "{url}: {}", answer.text),
            _ => assert_eq!(
                answer.json["fields"]["format"], "Enter csv or xlsx.",
                "{}",
                answer.text
            ),
        }
        assert_eq!(answer.status == StatusCode::OK, url.ends_with("xlsx"), "{url}");
    }
    // Rows of the period before are bounded by the figures of this one.
    let compared = report(&program, "group=sub1&compare=previous&clicks.max=0").await;
    assert_eq!(
        (&compared["total"]["clicks"], &compared["row_count"]),
        (&json!(0), &json!(0))
    );
    for (query, field) in [("clicks.min=ten", "clicks.min"), ("colour.max=1", "colour.max")] {
        let refused = program.get(&format!("/reports?{query}")).await;
        assert!(
            refused.json["fields"][field].is_string(),
            "{query}: {}",
            refused.text
        );
    }
    let affiliate = app.program(&app.scene.affiliate).await;
    let hidden = affiliate.get("/reports?margin.min=1").await;
    assert!(hidden.json["fields"]["margin"].is_string(), "{}", hidden.text);
    // The form adds a filter and a bound to the URL.
    let page = app.sign_in(&app.scene.owner).await;
    let form =
        "group=sub1&filter=sub1&filter_test=.not&filter_value=blog&bound=clicks&bound_end=.min&bound_value=2";
    let added = page.get(&format!("/reports?{form}")).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER);
    assert_eq!(added.location(), "/reports?group=sub1&sub1.not=blog&clicks.min=2");
    let shown = page.get(added.location()).await.html;
    assert!(
        shown.contains("Sub ID 1 is not blog ") && shown.contains("Clicks at least 2 "),
        "{shown}"
    );
    let nothing = "/reports?group=sub1&filter=&filter_test=&filter_value=&bound=&bound_end=.min&bound_value=";
    assert_eq!(page.get(nothing).await.location(), "/reports?group=sub1");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_keeps_its_landing_page_and_the_host_it_came_from() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let campaign = app.scene.campaign.id;
    let page = json!({ "campaign": campaign.to_string(), "name": "Boots", "url": "https://shop.example/boots?id={click_id}" });
    let page = program.post("/landing-pages", &page).await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.text);
    let affiliate = app.scene.affiliate_id.to_string();
    let link = json!({
        "campaign": campaign.to_string(), "affiliate": affiliate, "alias": "boots", "landing_page": page.get("id"),
    });
    let link = program.post("/links", &link).await;
    assert_eq!(link.status, StatusCode::CREATED, "{}", link.text);
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    for referrer in [
        "https://User@News.Example:8443/a?b=c",
        "android-app://com.reader/",
        "nonsense",
    ] {
        let click = http
            .get(format!("{}/boots", app.tracking_url))
            .header("Referer", referrer);
        let sent = click.send().await.unwrap();
        assert!(
            sent.headers()["location"].to_str().unwrap().contains("/boots?"),
            "{referrer}"
        );
    }
    app.settled().await;
    let by_page = report(&program, "group=landing_page&metrics=clicks").await;
    assert_eq!(column(&by_page, "clicks"), pairs([("Boots", json!(3))]));
    let only = report(&program, &format!("group=link&landing_page={}", page.get("id"))).await;
    assert_eq!(column(&only, "clicks"), pairs([("boots", json!(3))]));
    // So does one that is chosen by weight: the campaign's own destination gets no clicks any more.
    let weight = json!({ "destination_weight": 0 });
    let set = program.patch(&format!("/campaigns/{campaign}"), &weight).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    app.visitor().click("?sub1=by-weight").await;
    app.settled().await;
    let by_weight = report(&program, "group=landing_page&sub1=by-weight&metrics=clicks").await;
    assert_eq!(column(&by_weight, "clicks"), pairs([("Boots", json!(1))]));
    let by_host = report(&program, "group=referrer_host&sub1.empty=yes&metrics=clicks").await;
    assert_eq!(
        column(&by_host, "clicks"),
        pairs([
            ("", json!(1)),
            ("com.reader", json!(1)),
            ("news.example", json!(1))
        ])
    );
    let clicks = program.get("/clicks").await;
    assert_eq!(
        clicks.json["items"][0]["landing_page"], page.json["id"],
        "{}",
        clicks.text
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversions_are_reported_by_customer_and_proof_and_by_attributes_of_today() {
    let app = TestApp::spawn().await;
    let server = app.advertiser();
    let click = app.visitor().click("").await.id;
    for (order, customer) in [("1", "c1"), ("2", "c1"), ("3", "c2"), ("4", "")] {
        let sent = [
            ("click_id", click.as_str()),
            ("order_id", order),
            ("amount", "10"),
            ("customer_id", customer),
        ];
        assert_eq!(server.postback(&sent).await.reason(), "accepted");
    }
    app.settled().await;
    let program = app.program(&app.scene.owner).await;
    let by_type = report(&program, "group=customer_type&customer_type.empty=no").await;
    assert_eq!(
        column(&by_type, "conversions"),
        pairs([("new", json!(2)), ("returning", json!(1))])
    );
    let by_proof = report(&program, "group=attributed_by&attributed_by=click").await;
    assert_eq!(column(&by_proof, "conversions"), pairs([("click", json!(4))]));
    app.execute("UPDATE campaigns SET categories = '{fashion,shoes}'")
        .await;
    app.execute("UPDATE affiliates SET tags = '{blog}'").await;
    let by_both = report(
        &program,
        "group=campaign_categories,affiliate_tags&affiliate_tags.contains=blo",
    )
    .await;
    assert_eq!(
        column(&by_both, "conversions"),
        pairs([("fashion, shoes", json!(4))])
    );
    let today = schema::clock::now().date_naive();
    let sunday = today
        - chrono::Days::new(u64::from(
            chrono::Datelike::weekday(&today).num_days_from_sunday(),
        ));
    let by_week = report(&program, "group=sunday_week&tz=UTC").await;
    assert_eq!(
        column(&by_week, "conversions"),
        pairs([(&*sunday.to_string(), json!(4))])
    );
    app.finish().await;
}
