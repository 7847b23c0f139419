//! Configuration as CSV files: an export imports without changes, and files configure a network.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{ApiClient, TestApp};

const SHEETS: [&str; 6] = ["campaigns", "goals", "rules", "landing-pages", "coupons", "links"];

async fn import(program: &ApiClient, sheet: &str, csv: &str) -> Value {
    let headers = [("Content-Type", "text/csv")];
    let response = program
        .call(
            Method::POST,
            &format!("/{sheet}/import"),
            &headers,
            csv.to_owned(),
        )
        .await;
    assert_eq!(response.status, StatusCode::OK, "{sheet}: {}", response.text);
    response.json
}

fn counts(report: &Value) -> [u64; 4] {
    ["created", "updated", "unchanged", "refused"].map(|name| report[name].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_imports_without_changes() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let campaign = format!("/campaigns/{}", app.scene.campaign.id);
    // Values that a CSV file could distort.
    let updated = program
        .patch(
            &campaign,
            &json!({
                "name": "=Orbit, \"the\" campaign", "notes": "Two\nlines, and a ; semicolon", "countries": ["DE", "AT"],
                "devices": ["mobile"], "categories": ["home & garden", "-10 %"], "starts_on": "2026-01-31",
                "ends_on": "2026-12-31", "click_parameter": "s1", "deep_link_hosts": ["shop.example"],
            }),
        )
        .await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.text);
    let sale = format!("/goals/{}", app.scene.sale_id);
    let goals = program.get("/goals").await;
    let lead = goals.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|goal| goal["code"] == "lead")
        .unwrap();
    let child =
        json!({ "parent_goal": lead["id"], "required_parameters": ["a", "b"], "default_amount": "1.5" });
    assert_eq!(program.patch(&sale, &child).await.status, StatusCode::OK);
    let before = app.count("SELECT count(*) FROM audit_log").await;
    for sheet in SHEETS {
        let file = program.get(&format!("/{sheet}/export")).await.text;
        let rows = file.lines().next().unwrap().split(',').count();
        assert!(rows > 2 && file.lines().count() > 1, "{file}");
        let [created, updated, unchanged, refused] = counts(&import(&program, sheet, &file).await);
        assert_eq!((created, updated, refused), (0, 0, 0), "{sheet}: {file}");
        assert!(unchanged > 0, "{sheet}");
    }
    assert_eq!(
        app.count("SELECT count(*) FROM audit_log").await,
        before,
        "nothing was changed"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_configure_a_network_row_by_row() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let files = [
        (
            "campaigns",
            "name;advertiser;currency;destination;status;click_parameter\n\
             Import;Orbit Shop;EUR;https://i.example/;live;cid\n\
             Broken;Unknown Shop;EUR;https://i.example/?c={click_id};live;\n\
             Import;Orbit Shop;EUR;https://twice.example/;live;cid\n",
            [1, 0, 0, 2],
        ),
        (
            "goals",
            "campaign,code,name,kind,commission,revenue,parent_goal,auto_approve\n\
             Import,signup,Sign-up,lead,1.00,2.00,,yes\n\
             Import,sale,Sale,sale,10 %,15 %,signup,no\n\
             Import,Sale!,Sale,sale,10 %,15 %,,\n",
            [2, 0, 0, 1],
        ),
        (
            "rules",
            "campaign,goal,name,affiliate,commission,revenue\nImport,sale,VIP,Orbit Blog,12 %,18 %\n",
            [1, 0, 0, 0],
        ),
        (
            "landing-pages",
            "campaign,name,url,weight\nImport,Boots,https://i.example/boots,0\n",
            [1, 0, 0, 0],
        ),
        (
            "coupons",
            "campaign,code,affiliate\nImport,winter,Orbit Blog\nOrbit campaign,scene,Orbit Blog\n",
            [1, 0, 1, 0],
        ),
        (
            "links",
            "campaign,affiliate,alias,landing_page,sub1\nImport,Orbit Blog,from-file,Boots,csv\nImport,Orbit Blog,docs,,\n\
             Import,Orbit Blog,,,\n",
            [2, 0, 0, 1],
        ),
    ];
    for (sheet, csv, wanted) in files {
        let headers = [("Content-Type", "text/csv")];
        let dry_run = format!("/{sheet}/import?dry_run=true");
        let dry = program.call(Method::POST, &dry_run, &headers, csv).await;
        assert_eq!(counts(&dry.json), wanted, "{sheet} as a dry run: {}", dry.text);
        let report = import(&program, sheet, csv).await;
        assert_eq!(counts(&report), wanted, "{sheet}: {report}");
    }
    let click = app.visitor_of("from-file").request(Method::GET, "").await;
    let location = click.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("https://i.example/boots?cid="), "{location}");
    let changed = import(&program, "goals", "campaign,code,commission\nImport,sale,11 %\n").await;
    assert_eq!(counts(&changed), [0, 1, 0, 0], "{changed}");
    let goals = program.get("/goals?limit=200").await;
    let goals = goals.json["items"].as_array().unwrap();
    let sale = goals.iter().find(|goal| goal["commission"] == "11 %").unwrap();
    assert_eq!((&sale["revenue"], &sale["version"]), (&json!("15 %"), &json!(2)));
    assert!(
        sale["parent_goal"].is_string(),
        "empty and missing cells keep the value: {sale}"
    );
    let nameless = program
        .call(
            Method::POST,
            "/goals/import",
            &[("Content-Type", "text/csv")],
            "code\nx\n",
        )
        .await;
    assert_eq!(
        nameless.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        nameless.text
    );
    app.finish().await;
}
