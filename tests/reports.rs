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
            let export = program.get(&format!("/reports/export?{query}")).await.text;
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
