//! Lists: pagination returns every item once, and unknown parameters are errors.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::{ApiClient, TestApp};

/// Page size of the walks.
const PAGE: usize = 7;

/// IDs of a whole list, page by page, with an action after each page.
async fn walk(program: &ApiClient, list: &str, mut between: impl AsyncFnMut(usize)) -> Vec<String> {
    let separator = if list.contains('?') { '&' } else { '?' };
    let (mut ids, mut after) = (Vec::new(), String::new());
    for round in 0.. {
        let page = program
            .get(&format!("{list}{separator}limit={PAGE}{after}"))
            .await;
        assert_eq!(page.status, StatusCode::OK, "{list}{after}: {}", page.text);
        let items = page.json["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        if page.json["next"].is_null() {
            assert!(items.len() <= PAGE);
            break;
        }
        assert_eq!(items.len(), PAGE, "a page before the last one is full");
        assert_eq!(page.get("next"), ids.last().unwrap());
        after = format!("&after={}", page.get("next"));
        between(round).await;
    }
    ids
}

/// IDs of a list that fits on one page.
async fn all(program: &ApiClient, list: &str) -> Vec<String> {
    let separator = if list.contains('?') { '&' } else { '?' };
    let page = program.get(&format!("{list}{separator}limit=200")).await;
    assert!(page.json["next"].is_null(), "{list}: {}", page.text);
    let items = page.json["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Names with special sort positions, some of them twice.
fn name(number: usize) -> String {
    let stems = [
        "nova", "Nova", "ärger", "zebra", "10", "9", "'quote", "=sum", "日本", "a b", "A-B",
    ];
    format!(
        "{}{}",
        stems[number % stems.len()],
        if number.is_multiple_of(3) { "" } else { "x" }
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_appears_once_in_every_order_while_others_are_added() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    for list in ["/advertisers", "/affiliates"] {
        // Some with equal times of creation, some with different ones; names repeat.
        let file: String = (0..12).map(|number| format!("file {number}\n")).collect();
        let headers = [("Content-Type", "text/csv")];
        let import = format!("{list}/import");
        program
            .call(Method::POST, &import, &headers, format!("name\n{file}"))
            .await;
        for number in 0..24 {
            let made = program.post(list, &json!({ "name": name(number) })).await;
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        }
        for sort in ["name", "-name", "created", "-created"] {
            let sorted = format!("{list}?sort={sort}");
            let before = all(&program, &sorted).await;
            let seen = walk(&program, &sorted, async |round| {
                for name in [name(round), format!("{round} new"), "zzz".to_owned()] {
                    program.post(list, &json!({ "name": name })).await;
                }
            })
            .await;
            let once: BTreeSet<&String> = seen.iter().collect();
            assert_eq!(once.len(), seen.len(), "{sorted}: seen twice");
            let old: Vec<String> = seen.iter().filter(|id| before.contains(id)).cloned().collect();
            assert_eq!(old, before, "{sorted}: existing items appear once, in order");
        }
        let mut reversed = all(&program, &format!("{list}?sort=-created")).await;
        reversed.reverse();
        assert_eq!(reversed, all(&program, &format!("{list}?sort=created")).await);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_list_returns_every_item_once() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    for number in 0..16 {
        program
            .post(
                "/affiliate-groups",
                &json!({ "name": name(number) + &number.to_string() }),
            )
            .await;
        program
            .post("/keys", &json!({ "name": "k", "scopes": ["parties:read"] }))
            .await;
        let who = json!({ "email": format!("p{number}@x.example"), "role": "analyst" });
        let invited = program.post("/invitations", &who).await;
        assert_eq!(invited.status, StatusCode::CREATED, "{}", invited.text);
    }
    for list in [
        "/affiliate-groups",
        "/applications",
        "/members",
        "/keys",
        "/invitations",
        "/audit",
    ] {
        let (mut before, growing) = (all(&program, list).await, list == "/audit");
        let seen = walk(&program, list, async |_| {
            if growing {
                program
                    .post("/affiliate-groups", &json!({ "name": "later" }))
                    .await;
            }
        })
        .await;
        before.retain(|id| seen.contains(id));
        assert_eq!(seen, before, "{list}");
        assert!(
            !seen.is_empty() && (seen.len() > 2 * PAGE || ["/applications", "/members"].contains(&list)),
            "{list}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_parameter_is_reported_by_name() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let long = format!("search={}", "x".repeat(201));
    let lists = [
        "/advertisers",
        "/affiliates",
        "/affiliate-groups",
        "/applications",
        "/members",
        "/invitations",
        "/keys",
        "/audit",
    ];
    let everywhere = [
        ("limit", "limit=0"),
        ("limit", "limit=-1"),
        ("limit", "limit=201"),
        ("limit", "limit=1e2"),
        ("limit", "limit="),
        ("limit", "limit=99999999999999999999"),
        ("limit", "limit=5&limit=5"),
        ("after", "after=nonsense"),
        ("after", "after="),
        ("after", "after=prs_0000010"),
        ("offset", "offset=1"),
        ("Limit", "Limit=5"),
    ];
    let of_parties = [
        ("search", long.as_str()),
        ("search", "search=a%00b"),
        ("search", "search=a%0Ab"),
        ("status", "status=Active"),
        ("status", "status="),
        ("sort", "sort=id"),
        ("sort", "sort=--name"),
        ("sort", "sort=name%3B+drop"),
        ("archived", "archived=yes"),
        ("after", "after=adv_0000010&limit=1"),
    ];
    let of_audit = [
        ("from", "from=yesterday"),
        ("from", "from=%2B99999-01-01T00:00:00Z"),
        ("until", "until="),
    ];
    for list in lists {
        let more: &[(&str, &str)] = match list {
            "/advertisers" => &of_parties,
            "/affiliates" => &of_parties[..9],
            "/audit" => &of_audit,
            _ => &[],
        };
        for (field, query) in everywhere.iter().chain(more) {
            let refused = program.get(&format!("{list}?{query}")).await;
            assert_eq!(
                refused.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{list}?{query}: {}",
                refused.text
            );
            assert!(
                refused.json["fields"][field].is_string(),
                "{list}?{query}: {}",
                refused.text
            );
        }
        for (limit, most) in [(1, 1), (200, 200)] {
            let page = program.get(&format!("{list}?limit={limit}")).await;
            assert!(page.json["items"].as_array().unwrap().len() <= most, "{list}");
        }
    }
    // An ID of another network gets the same error as an unknown one.
    let rival = testkit::Scene::set(&app.db, "Rival", "rival.example").await;
    let foreign = program
        .get(&format!("/affiliates?after={}", rival.affiliate_id))
        .await;
    assert_eq!(foreign.status, StatusCode::UNPROCESSABLE_ENTITY);
    let group = program
        .get(&format!("/affiliates?group={}", rival.group_id))
        .await;
    assert_eq!((group.status, &group.json["items"]), (StatusCode::OK, &json!([])));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_match_literally() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let group = program.post("/affiliate-groups", &json!({ "name": "Top" })).await;
    for (name, external, status) in [
        ("100%", "e_1", "active"),
        ("under_score", "e-1", "paused"),
        ("Gone", "e\\1", "archived"),
    ] {
        let body = json!({
            "name": name, "external_id": external, "status": status, "tags": [format!("t{name}").to_lowercase()],
            "group": group.get("id"),
        });
        let made = program.post("/affiliates", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    let names = async |query: &str| {
        let page = program.get(&format!("/affiliates?{query}")).await;
        let items = page.json["items"]
            .as_array()
            .unwrap_or_else(|| panic!("{query}: {}", page.text))
            .clone();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // The wildcards of patterns are literal in a search.
    assert_eq!(names("search=%25").await, ["100%"]);
    assert_eq!(names("search=r_s").await, ["under_score"]);
    assert_eq!(names("search=e_1").await, ["100%"]);
    assert_eq!(names("search=%5C&archived=true").await, ["Gone"]);
    assert_eq!(names("search=gone").await, [""; 0]);
    assert_eq!(names("search=tgone&status=archived").await, ["Gone"]);
    assert_eq!(names("status=paused").await, ["under_score"]);
    assert_eq!(
        names(&format!("group={}&archived=true", group.get("id")))
            .await
            .len(),
        3
    );
    assert_eq!(
        names(&format!("group={}&sort=-name", group.get("id"))).await,
        ["under_score", "100%"]
    );
    app.finish().await;
}
