//! Managers whom the network restricts to the affiliates they manage.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use tenancy::memberships::RoleKind;
use testkit::{ApiClient, TestApp};

/// Network with orders of an affiliate without a manager and of one that the manager manages.
struct World {
    app: TestApp,
    owner: ApiClient,
    manager: ApiClient,
    /// ID, name, click and conversion of the affiliate of another manager, and of the manager's.
    others: Party,
    own: Party,
}

struct Party {
    id: String,
    name: String,
    click: String,
    conversion: String,
    link: String,
}

async fn items(program: &ApiClient, path: &str) -> Vec<Value> {
    let answer = program.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json["items"].as_array().unwrap().clone()
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

impl World {
    async fn new() -> Self {
        let app = TestApp::spawn().await;
        let owner = app.program(&app.scene.owner).await;
        let manager = app.program(app.scene.person(RoleKind::Manager)).await;
        let members = items(&owner, "/members").await;
        let member = members.iter().find(|member| member["role"] == "manager");
        let membership = member.unwrap()["id"].as_str().unwrap().to_owned();
        let managed = json!({ "name": "Managed Media", "status": "active", "manager": membership });
        let created = owner.post("/affiliates", &managed).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        let own = created.json["id"].as_str().unwrap().to_owned();
        let link =
            json!({ "campaign": app.scene.campaign.id.to_string(), "affiliate": own, "alias": "managed" });
        let link = owner.post("/links", &link).await;
        assert_eq!(link.status, StatusCode::CREATED, "{}", link.text);
        let others = app.scene.affiliate_id.to_string();
        let name = owner.get(&format!("/affiliates/{others}")).await.json["name"].clone();
        let (scene, server) = (&app.scene, app.advertiser());
        let mut parties = Vec::new();
        for (alias, id, name, link, order) in [
            (
                scene.alias.as_str(),
                others,
                name,
                scene.link_id.to_string(),
                "THEIRS",
            ),
            (
                "managed",
                own,
                json!("Managed Media"),
                link.json["id"].as_str().unwrap().to_owned(),
                "OURS",
            ),
        ] {
            let click = app.visitor_of(alias).click("?sub1=a").await.id;
            let sent = [
                ("click_id", click.as_str()),
                ("order_id", order),
                ("amount", "100"),
            ];
            let answer = server.postback(&sent).await;
            assert_eq!(answer.reason(), "accepted", "{}", answer.text);
            let conversion = answer.json["conversion_id"].as_str().unwrap().to_owned();
            let name = name.as_str().unwrap().to_owned();
            parties.push(Party {
                id,
                name,
                click,
                conversion,
                link,
            });
        }
        app.settled().await;
        let own = parties.pop().unwrap();
        let others = parties.pop().unwrap();
        let set = owner
            .patch("/network", &json!({ "managers_see_all": false }))
            .await;
        assert_eq!(
            (set.status, &set.json["managers_see_all"]),
            (StatusCode::OK, &json!(false))
        );
        Self {
            app,
            owner,
            manager,
            others,
            own,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_manager_reports_on_their_affiliates_only() {
    let World {
        app,
        owner,
        manager,
        others,
        own,
    } = World::new().await;
    let rows = async |program: &ApiClient, query: &str| {
        let answer = program.get(&format!("/reports?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
        let rows = answer.json["rows"].as_array().unwrap().clone();
        let labels: Vec<_> = rows.iter().map(|row| row["keys"][0]["label"].clone()).collect();
        (labels, answer.json["total"]["clicks"].clone())
    };
    for dimension in [
        "affiliate",
        "sub1",
        "sub1,affiliate",
        "affiliate_manager",
        "day",
        "country",
    ] {
        let (_, clicks) = rows(&manager, &format!("group={dimension}")).await;
        assert_eq!(clicks, json!(1), "{dimension}");
        let (_, clicks) = rows(&owner, &format!("group={dimension}")).await;
        assert_eq!(clicks, json!(2), "{dimension}");
    }
    assert_eq!(rows(&manager, "group=affiliate").await.0, [json!(own.name)]);
    let (none, clicks) = rows(&manager, &format!("group=affiliate&affiliate={}", others.id)).await;
    assert_eq!((none.len(), clicks), (0, json!(0)));
    let refused = manager.get("/reports?group=day&metrics=postbacks_received").await;
    assert!(refused.json["fields"]["metrics"].is_string(), "{}", refused.text);
    let person = app.sign_in(app.scene.person(RoleKind::Manager)).await;
    for page in [
        "/",
        "/reports?group=affiliate",
        "/reports.csv?group=affiliate",
        "/conversions",
        "/clicks",
    ] {
        let html = person.get(page).await.html;
        assert!(!html.contains(&others.name), "{page}: {html}");
    }
    assert!(person.get("/conversions").await.html.contains(&own.name));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_money_of_other_affiliates_do_not_exist_for_a_restricted_manager() {
    let World {
        app,
        owner,
        manager,
        others,
        own,
    } = World::new().await;
    for (list, theirs, ours) in [
        ("/conversions", &others.conversion, &own.conversion),
        ("/clicks", &others.click, &own.click),
        ("/links", &others.link, &own.link),
    ] {
        assert_eq!(ids(&items(&manager, list).await), [ours], "{list}");
        assert_eq!(items(&owner, list).await.len(), 2, "{list}");
        assert_eq!(
            manager.get(&format!("{list}/{theirs}")).await.status,
            StatusCode::NOT_FOUND,
            "{list}"
        );
        assert_eq!(
            manager.get(&format!("{list}/{ours}")).await.status,
            StatusCode::OK,
            "{list}"
        );
    }
    for (party, status) in [
        (format!("affiliate={}", others.id), StatusCode::NOT_FOUND),
        (format!("affiliate={}", own.id), StatusCode::OK),
        (
            format!("advertiser={}", app.scene.advertiser_id),
            StatusCode::NOT_FOUND,
        ),
    ] {
        assert_eq!(
            manager.get(&format!("/balances?{party}")).await.status,
            status,
            "{party}"
        );
    }
    assert_eq!(manager.get("/postbacks").await.status, StatusCode::FORBIDDEN);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_manager_corrects_conversions_of_their_affiliates_only() {
    let World {
        app,
        owner,
        manager,
        others,
        own,
    } = World::new().await;
    let approve = async |id: &str| {
        manager
            .post(&format!("/conversions/{id}/approve"), &json!({}))
            .await
            .status
    };
    assert_eq!(approve(&others.conversion).await, StatusCode::NOT_FOUND);
    assert_eq!(approve(&own.conversion).await, StatusCode::OK);
    let moved = json!({ "action": "move", "link": others.link });
    let moved = manager
        .post(&format!("/conversions/{}/corrections", own.conversion), &moved)
        .await;
    assert!(moved.json["fields"]["link"].is_string(), "{}", moved.text);
    for selection in [
        json!({ "dry_run": true, "action": "reject", "conversions": [others.conversion, own.conversion] }),
        json!({ "dry_run": true, "action": "reject", "orders": ["THEIRS", "OURS"] }),
    ] {
        let report = manager.post("/conversions/corrections", &selection).await;
        assert_eq!(report.json["changed"], 1, "{}", report.text);
        assert_eq!(
            report.json["refused"].as_array().unwrap().len(),
            1,
            "{}",
            report.text
        );
    }
    let all = json!({ "dry_run": false, "action": "reject", "filter": {} });
    let report = manager.post("/conversions/corrections", &all).await;
    assert_eq!(report.json["changed"], 1, "{}", report.text);
    let theirs = owner.get(&format!("/conversions/{}", others.conversion)).await;
    assert_eq!(theirs.json["status"], "pending", "{}", theirs.text);
    let link = json!({ "campaign": app.scene.campaign.id.to_string(), "affiliate": others.id });
    let link = manager.post("/links", &link).await;
    assert!(link.json["fields"]["affiliate"].is_string(), "{}", link.text);
    let order = json!({ "campaign": app.scene.campaign.id.to_string(), "affiliate": others.id, "order_id": "NEW", "amount": "5", "reason": "By phone" });
    let order = manager.post("/conversions", &order).await;
    assert!(order.json["fields"]["affiliate"].is_string(), "{}", order.text);
    app.finish().await;
}
