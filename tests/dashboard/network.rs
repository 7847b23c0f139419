//! Settings of a network for its clicks: the signing key of click IDs, and blocked addresses.

use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::people::see_other;
use testkit::{Member, Page, TestApp};

use super::proof::tamper;

async fn save(owner: &Member, blocked: &str) -> Page {
    let fields = [
        ("name", "Orbit"),
        ("slug", "orbit"),
        ("time_zone", "Europe/Warsaw"),
        ("currency", "EUR"),
        ("blocked_addresses", blocked),
    ];
    owner.submit("/settings", "/settings", &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_key_signs_later_clicks_and_earlier_clicks_stay_valid() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let before = app.visitor().click("").await;
    let page = owner.get("/settings").await.html;
    assert!(
        page.contains("Current key: number 1, the network's first"),
        "{page}"
    );
    let done = owner.submit("/settings", "/settings/click-key", &[]).await;
    assert_eq!(see_other(&done), "/settings");
    let page = owner.get("/settings").await.html;
    assert!(page.contains("Current key: number 2, since <time"), "{page}");
    let replaced = "SELECT count(*) FROM audit_log WHERE action = 'network.replace_click_key'
                    AND before->>'number' = '1' AND after->>'number' = '2'";
    assert_eq!(app.count(replaced).await, 1);
    let analyst = app.sign_in(app.scene.person(tenancy::RoleKind::Analyst)).await;
    assert!(
        !analyst
            .get("/settings")
            .await
            .html
            .contains("Replace signing key")
    );

    // All nodes sign with the old key until each of them has the new one.
    let meanwhile = app.visitor().click("").await;
    tokio::time::sleep(std::time::Duration::from_millis(5_100)).await;
    let after = app.visitor().click("").await;
    for (click, order) in [(&before, "A-1"), (&meanwhile, "A-2"), (&after, "A-3")] {
        let fields = [
            ("click_id", click.id.as_str()),
            ("order_id", order),
            ("amount", "1"),
        ];
        assert_eq!(
            app.advertiser().postback(&fields).await.reason(),
            "accepted",
            "{order}"
        );
    }
    // The first byte of a click ID is the number of its key; the first symbol holds five bits of that byte.
    let keys = [&before, &meanwhile, &after].map(|click| &click.id[..2]);
    assert_eq!(keys, ["04", "04", "08"]);

    tamper(&app, "UPDATE networks SET click_key_number = 127").await;
    let last = owner.submit("/settings", "/settings/click-key", &[]).await;
    assert_eq!(last.status, StatusCode::CONFLICT);
    assert!(
        last.html.contains("has used all of its 127 keys"),
        "{}",
        last.html
    );
    tamper(&app, "UPDATE networks SET click_key_number = 2").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_addresses_are_checked_normalized_and_flag_clicks() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let wrong = save(&owner, "203.0.113.7\n10.0.0.0/33\nexample.com").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.html.contains("“10.0.0.0/33” is not an address"),
        "{}",
        wrong.html
    );
    assert!(
        wrong
            .html
            .contains("203.0.113.7\n10.0.0.0/33\nexample.com</textarea>"),
        "the input is kept"
    );
    let many: Vec<String> = (0..201).map(|i| format!("10.0.0.{i}")).collect();
    let refused = save(&owner, &many.join("\n")).await;
    assert!(
        refused.html.contains("Block at most 200 addresses."),
        "{}",
        refused.html
    );
    assert_eq!(app.text("SELECT blocked_addresses FROM networks").await, "{}");

    assert_eq!(
        see_other(&save(&owner, "127.0.0.9/8\n127.0.0.0/8\n2001:DB8::1/128").await),
        "/settings"
    );
    let kept = app.text("SELECT blocked_addresses FROM networks").await;
    assert_eq!(kept, "{127.0.0.0/8,2001:db8::1}");
    assert!(
        owner
            .get("/settings")
            .await
            .html
            .contains("127.0.0.0/8\n2001:db8::1</textarea>")
    );
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    // A User-Agent of a browser, so that only the address is blocked.
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(browser)
        .build()
        .unwrap();
    // The submitted form has removed the network's host name, so the link is on the shared host.
    let link = format!("{}/orbit/{}", app.tracking_url, app.scene.alias);
    assert_eq!(http.get(link).send().await.unwrap().status(), StatusCode::FOUND);
    assert_eq!(app.text("SELECT flag FROM clicks").await, "blocked");
    let csv = owner
        .get("/reports.csv?group=campaign&metrics=clicks,unique_clicks,invalid_clicks,conversions")
        .await
        .html;
    assert!(csv.contains("Orbit campaign,1,0,1,0,"), "{csv}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_client_blocks_addresses_and_replaces_the_key_once_per_idempotency_key() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let changed = program
        .patch("/network", &json!({ "blocked_addresses": [" 10.1.2.3/16 "] }))
        .await;
    assert_eq!(
        changed.json["blocked_addresses"],
        json!(["10.1.0.0/16"]),
        "{}",
        changed.text
    );
    let renamed = program.patch("/network", &json!({ "name": "Orbit II" })).await;
    assert_eq!(
        renamed.json["blocked_addresses"],
        json!(["10.1.0.0/16"]),
        "an absent field is unchanged"
    );
    let wrong = program
        .patch("/network", &json!({ "blocked_addresses": ["10.1.2"] }))
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.json["fields"]["blocked_addresses"]
            .to_string()
            .contains("“10.1.2”"),
        "{}",
        wrong.text
    );

    let once = [("Idempotency-Key", "leak-1")];
    for _ in 0..2 {
        let replaced = program.call(Method::POST, "/network/click-key", &once, "").await;
        assert_eq!(
            (replaced.status, &replaced.json["number"]),
            (StatusCode::OK, &json!(2)),
            "{}",
            replaced.text
        );
    }
    assert_eq!(program.get("/network").await.json["click_key"]["number"], 2);
    app.finish().await;
}
