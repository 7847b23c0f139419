//! Networks with their advertisers and affiliates, through the pages: sign-up, access, suspension, import, erasure.

use reqwest::StatusCode;
use testkit::TestApp;
use testkit::people::{PASSWORD, accept, operator, path, see_other, shown};

#[tokio::test(flavor = "multi_thread")]
async fn a_network_signs_up_and_tracks_without_a_dns_entry() {
    let app = TestApp::spawn().await;
    let stranger = app.stranger();
    let fields = [
        ("network", "Nova Partners"),
        ("your_name", "Nina Novak"),
        ("email", "Nina@Nova.example"),
        ("password", PASSWORD),
        ("time_zone", "Asia/Kolkata"),
        ("currency", "INR"),
    ];
    let signed_up = stranger.submit("/sign-up", "/sign-up", &fields).await;
    assert_eq!(see_other(&signed_up), "/start");
    let campaign = [
        ("advertiser", "Nova Shop"),
        ("name", "Boots"),
        ("destination", "https://nova.example/?id={click_id}"),
        ("kind", "sale"),
        ("commission", "10 %"),
        ("revenue", "12 %"),
        ("currency", "INR"),
        ("attribution_days", "30"),
    ];
    let made = stranger.submit("/start", "/start", &campaign).await;
    let page = stranger.get(see_other(&made)).await;
    let token = shown(&page, "fresh-token").to_owned();
    let link = shown(&page, "link-1");
    assert!(
        link.starts_with(&format!("{}/nova-partners/", app.tracking_url)),
        "{link}"
    );
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let click = http.get(link).send().await.unwrap();
    assert_eq!(click.status(), StatusCode::FOUND);
    let location = click.headers()["location"].to_str().unwrap().to_owned();
    let click_id = location.split_once("id=").unwrap().1;
    let postback = format!(
        "{}/nova-partners/postback?click_id={click_id}&order_id=1&amount=100&token={token}",
        app.tracking_url
    );
    let taken = http.get(&postback).send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::OK);
    let taken: serde_json::Value = taken.json().await.unwrap();
    assert_eq!(taken["mode"], "test", "the campaign is not live yet");
    let inspected = format!("/postbacks/{}", taken["request_id"].as_str().unwrap());
    // Another network's tracking path accepts neither the click nor the token.
    let elsewhere = postback.replace("/nova-partners/", "/orbit/");
    assert_eq!(
        http.get(elsewhere).send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    assert!(stranger.get(&inspected).await.html.contains("100.00 INR"));
    // A slug that is taken is rejected with an error at its field.
    let again = [
        ("network", "Nova Partners"),
        ("your_name", "X Y"),
        ("email", "x@nova.example"),
        ("password", PASSWORD),
        ("time_zone", "UTC"),
        ("currency", "EUR"),
    ];
    let refused = app.stranger().submit("/sign-up", "/sign-up", &again).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused
            .html
            .contains("This slug is already in use by another network")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affiliate_applies_is_approved_and_sees_only_its_data() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let joining = [
        ("join_open", "yes"),
        ("join_greeting", "Tell us."),
        ("join_questions", "Where from? *\nWhat else?"),
        ("auto_approve", "listed"),
        ("auto_approve_domains", "good.example"),
    ];
    assert_eq!(
        see_other(
            &owner
                .submit("/settings/joining", "/settings/joining", &joining)
                .await
        ),
        "/settings/joining"
    );
    let stranger = app.stranger();
    let fields = [
        ("name", "Fresh Blog"),
        ("email", "me@fresh.example"),
        ("website", "https://fresh.example"),
    ];
    let refused = stranger.submit("/join/orbit", "/join/orbit", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.html.contains("Answer this question."));
    let fields = [&fields[..], &[("answer1", "Search")]].concat();
    let applied = stranger.submit("/join/orbit", "/join/orbit", &fields).await;
    let status = see_other(&applied).to_owned();
    assert!(
        stranger
            .get(&status)
            .await
            .html
            .contains("pending review by Orbit")
    );
    let list = owner.get("/applications?status=pending").await;
    let (before, _) = list.html.split_once(">Fresh Blog</a>").unwrap();
    let url = before
        .rsplit_once("href=\"")
        .unwrap()
        .1
        .trim_end_matches('"')
        .to_owned();
    assert_eq!(
        see_other(&owner.submit(&url, &format!("{url}/approve"), &[]).await),
        url
    );
    let page = owner.get(&url).await;
    let link = path(&app, shown(&page, "fresh-link")).to_owned();
    assert!(stranger.get(&status).await.html.contains("approved"));
    // An application can be decided only once.
    let again = owner.submit("/members", &format!("{url}/decline"), &[]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let affiliate = accept(&app, &link, "Fred", PASSWORD).await;
    app.visitor().click("").await;
    let campaign = format!("/campaigns/{}", app.scene.campaign.id);
    let offered = affiliate.get(&campaign).await.html;
    assert!(
        offered.contains("No tracking links yet.") && !offered.contains("Orbit Blog"),
        "the affiliate has no link yet, and sees no other affiliate's links: {offered}"
    );
    assert!(
        affiliate.get("/reports").await.html.contains("No data from")
            || !affiliate.get("/reports").await.html.contains("Orbit Blog")
    );
    // A listed e-mail domain is approved automatically.
    let fields = [
        ("name", "Good Blog"),
        ("email", "me@good.example"),
        ("website", "x"),
        ("answer1", "y"),
    ];
    let applied = app.stranger().submit("/join/orbit", "/join/orbit", &fields).await;
    assert!(
        app.stranger()
            .get(see_other(&applied))
            .await
            .html
            .contains("approved")
    );
    assert!(owner.get("/affiliates").await.html.contains("Good Blog"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_affiliates_links_stop_and_a_blocked_affiliate_earns_nothing() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let click = app.visitor().click("").await;
    let affiliate = format!("/affiliates/{}", app.scene.affiliate_id);
    let set = async |status: &str, version: &str| {
        let fields = [("name", "Orbit Blog"), ("status", status), ("version", version)];
        assert_eq!(
            see_other(&owner.submit(&affiliate, &affiliate, &fields).await),
            affiliate
        );
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    };
    set("paused", "1").await;
    let refused = app.visitor().request(reqwest::Method::GET, "").await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    assert!(refused.text().await.unwrap().contains("This link is not active"));
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "1")])
        .await;
    assert_eq!(answer.reason(), "accepted", "an earlier click converts");
    set("blocked", "2").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "2"), ("amount", "1")])
        .await;
    assert_eq!(answer.reason(), "affiliate_blocked");
    // Concurrent edits do not overwrite each other.
    let fields = [("name", "Late"), ("status", "active"), ("version", "1")];
    let late = owner.submit(&affiliate, &affiliate, &fields).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.html.contains("Another user changed this"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_network_stops_and_is_restored_completely() {
    let app = TestApp::spawn().await;
    let operator = operator(&app).await;
    let click = app.visitor().click("").await;
    let url = format!("/ops/networks/{}", app.scene.network.id);
    let fields = [("status", "suspended"), ("reason", "Unpaid.")];
    assert_eq!(
        see_other(&operator.submit(&url, &format!("{url}/status"), &fields).await),
        url
    );
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let refused = app.visitor().request(reqwest::Method::GET, "").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let parameters = [
        ("click_id", click.id.as_str()),
        ("order_id", "1"),
        ("amount", "1"),
    ];
    let answer = app.advertiser().postback(&parameters).await;
    assert_eq!(
        (answer.reason(), answer.status.as_u16()),
        ("network_suspended", 403)
    );
    let owner = app.sign_in(&app.scene.owner).await;
    assert!(owner.get("/").await.html.contains("This network is suspended"));
    assert!(
        owner.get("/postbacks").await.html.contains("network_suspended"),
        "the postback was stored"
    );
    assert_eq!(
        see_other(
            &operator
                .submit(&url, &format!("{url}/status"), &[("status", "active")])
                .await
        ),
        url
    );
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(app.advertiser().postback(&parameters).await.reason(), "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_is_recorded_in_both_logs_and_limited() {
    let app = TestApp::spawn().await;
    let operator = operator(&app).await;
    let url = format!("/ops/networks/{}", app.scene.network.id);
    let page = operator.get(&url).await;
    let (before, _) = page.html.split_once(">Orbit manager").unwrap();
    let member = before
        .rsplit_once("value=\"")
        .unwrap()
        .1
        .trim_end_matches('"')
        .to_owned();
    let without = operator
        .submit(&url, &format!("{url}/act"), &[("membership", &member)])
        .await;
    assert_eq!(
        without.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a reason is required"
    );
    let fields = [("membership", member.as_str()), ("why", "Ticket 77")];
    assert_eq!(
        see_other(&operator.submit(&url, &format!("{url}/act"), &fields).await),
        "/"
    );
    let home = operator.get("/").await;
    assert!(
        home.html
            .contains("Olga is impersonating Orbit manager of Orbit. Reason: Ticket 77"),
        "{}",
        home.html
    );
    assert_eq!(
        operator.get("/settings/audit").await.status,
        StatusCode::FORBIDDEN,
        "with the manager's permissions"
    );
    assert_eq!(
        operator.get("/ops").await.status,
        StatusCode::NOT_FOUND,
        "not as an operator at the same time"
    );
    // The person's account cannot be changed.
    let token = home.form_token().to_owned();
    let name = operator
        .post(
            "/account/name",
            &[("name", "Hacked"), ("form_token", &token)],
            &[],
        )
        .await;
    assert_eq!(name.status, StatusCode::FORBIDDEN);
    let key = operator
        .post(
            "/settings/keys",
            &[("name", "k"), ("scopes", "reports:read"), ("form_token", &token)],
            &[],
        )
        .await;
    assert_eq!(key.status, StatusCode::FORBIDDEN);
    let invitation = [
        ("email", "spy@example.com"),
        ("role", "affiliate"),
        ("form_token", &token),
    ];
    let invited = operator.post("/members/invite", &invitation, &[]).await;
    assert_eq!(
        invited.status,
        StatusCode::FORBIDDEN,
        "effects that outlast the impersonation are forbidden"
    );
    let group = [("name", "Made by Olga"), ("form_token", token.as_str())];
    assert_eq!(
        see_other(&operator.post("/affiliates/groups", &group, &[]).await),
        "/affiliates/groups"
    );
    assert_eq!(
        see_other(
            &operator
                .post("/account/leave", &[("form_token", &token)], &[])
                .await
        ),
        "/ops"
    );
    assert!(
        operator
            .get("/ops/log")
            .await
            .html
            .contains("as Orbit manager (Manager): Ticket 77")
    );
    let audit = app.sign_in(&app.scene.owner).await.get("/settings/audit").await;
    assert!(audit.html.contains("operator.act_as") && audit.html.contains("Ticket 77"));
    assert!(audit.html.contains("Olga (operator) as Orbit manager"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_apply_to_one_network_and_not_to_others() {
    let app = TestApp::spawn().await;
    let rival = testkit::Scene::set(&app.db, "Rival", "rival.example").await;
    let operator = operator(&app).await;
    let url = format!("/ops/networks/{}", app.scene.network.id);
    let set = async |postbacks: &str, seats: &str, links: &str| {
        let fields = [
            ("max_postbacks_per_second", postbacks),
            ("max_seats", seats),
            ("max_links", links),
        ];
        operator.submit(&url, &format!("{url}/limits"), &fields).await
    };
    assert_eq!(set("0", "x", "1").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(see_other(&set("3", "4", "1").await), url);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let server = app.advertiser();
    // The node knows the token after its first call.
    server.postback(&[("click_id", "x")]).await;
    let calls = futures_util::future::join_all((0..40).map(|_| server.raw("click_id=x&token=y"))).await;
    let limited: Vec<_> = calls.iter().filter(|call| call.status.as_u16() == 429).collect();
    assert!(limited.len() >= 30, "{} of 40 were limited", limited.len());
    assert!(
        limited
            .iter()
            .all(|call| call.reason() == "rate_limited" && call.headers.contains_key("retry-after"))
    );
    let genuine = server.postback(&[("click_id", "x")]).await;
    assert_eq!(genuine.reason(), "click_not_found", "junk starves no advertiser");
    let neighbour = format!("{}/rival/postback?token={}", app.tracking_url, rival.token);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(
        http.get(neighbour).send().await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    // All four seats are taken: owner, admin, manager, analyst.
    let owner = app.sign_in(&app.scene.owner).await;
    let full = owner
        .submit(
            "/members",
            "/members/invite",
            &[("email", "e@orbit.example"), ("role", "analyst")],
        )
        .await;
    assert_eq!(full.status, StatusCode::CONFLICT);
    assert!(full.html.contains("All 4 seats of the network are in use"));
    let campaign = format!("/campaigns/{}", app.scene.campaign.id);
    let affiliate = app.scene.affiliate_id.to_string();
    let link = owner
        .submit(
            &campaign,
            &format!("{campaign}/links"),
            &[("affiliate", &affiliate)],
        )
        .await;
    assert_eq!(link.status, StatusCode::CONFLICT);
    assert!(
        link.html
            .contains("The network has the maximum number of tracking links (1).")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_imported_after_a_preview() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let csv = "Publisher;Publisher ID;Status;Group;Country\nNew Blog;77;active;Orbit group;PL\n\
               Orbit Blog;;paused;;DE\n;5;;;\nBad;6;sleeping;;\nTwice;77;;;\nShort;9\nOdd;7;;Nowhere;\n=1+1;8;;;";
    let preview = owner
        .submit("/affiliates/import", "/affiliates/import", &[("csv", csv)])
        .await;
    assert_eq!(preview.status, StatusCode::OK);
    for expected in [
        "To create: <strong>2</strong>. To update: <strong>1</strong>",
        "Invalid rows: <strong>5</strong>",
        "Ignored unknown columns: Country",
        "Enter a name.",
        "No group is called “Nowhere”",
        "Line 2 refers to the same object",
        "This row has 2 cells, but the header has 5.",
    ] {
        assert!(preview.html.contains(expected), "{expected}: {}", preview.html);
    }
    assert!(
        !owner.get("/affiliates").await.html.contains("New Blog"),
        "a preview must not change anything"
    );
    let refused = owner
        .submit(
            "/affiliates/import",
            "/affiliates/import",
            &[("csv", csv), ("refused", "yes")],
        )
        .await;
    assert_eq!(refused.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(refused.html.lines().count(), 6, "{}", refused.html);
    let done = owner
        .submit(
            "/affiliates/import",
            "/affiliates/import",
            &[("csv", csv), ("confirm", "yes")],
        )
        .await;
    assert_eq!(see_other(&done), "/affiliates");
    let list = owner.get("/affiliates?search=77").await;
    assert!(
        list.html.contains("New Blog") && list.html.contains("Orbit group"),
        "{}",
        list.html
    );
    assert!(
        owner
            .get("/affiliates?status=paused")
            .await
            .html
            .contains("Orbit Blog")
    );
    let exported = owner.get("/affiliates/export.csv").await.html;
    assert!(
        exported.contains("'=1+1"),
        "a spreadsheet must not evaluate the cell: {exported}"
    );
    let same = owner
        .submit("/affiliates/import", "/affiliates/import", &[("csv", &exported)])
        .await;
    assert!(
        same.html
            .contains("To create: <strong>0</strong>. To update: <strong>0</strong>"),
        "{}",
        same.html
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_exported_and_erased_and_others_are_untouched() {
    let app = TestApp::spawn().await;
    let rival = testkit::Scene::set(&app.db, "Rival", "rival.example").await;
    let click = app.visitor().click("").await;
    app.advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "1")])
        .await;
    let owner = app.sign_in(&app.scene.owner).await;
    let export = owner.get("/settings/export.ndjson").await.html;
    assert!(
        export
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    for table in [
        "networks",
        "clicks",
        "conversions",
        "ledger_entries",
        "postbacks",
        "memberships",
        "audit_log",
    ] {
        assert!(export.contains(&format!("{{\"table\":\"{table}\"")), "{table}");
    }
    assert!(
        !export.contains("Rival") && !export.contains("_hash"),
        "only rows of the network, and no hashes"
    );
    let unproved = owner
        .submit(
            "/settings/delete",
            "/settings/delete",
            &[("name", "Orbit"), ("present", "a guess")],
        )
        .await;
    assert_eq!(unproved.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mistyped = owner
        .submit(
            "/settings/delete",
            "/settings/delete",
            &[("name", "orbit"), ("present", &app.scene.owner.password)],
        )
        .await;
    assert_eq!(mistyped.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        see_other(
            &owner
                .submit(
                    "/settings/delete",
                    "/settings/delete",
                    &[("name", "Orbit"), ("present", &app.scene.owner.password)]
                )
                .await
        ),
        "/account"
    );
    let file = app
        .exports
        .path()
        .join(format!("{}.ndjson", app.scene.network.id));
    let mine = format!(
        "SELECT count(*) FROM networks WHERE id = {}",
        app.scene.network.id.0
    );
    for _ in 0..100 {
        if app.count(&mine).await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(app.count(&mine).await, 0);
    assert!(
        std::fs::read_to_string(file)
            .unwrap()
            .contains("\"table\":\"conversions\"")
    );
    let left = "SELECT coalesce(sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I WHERE network_id = ID',
                    table_name), false, true, '')))[1]::text::bigint), 0)
                FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'network_id'";
    let left_of = |id: i32| left.replace("ID", &id.to_string());
    assert_eq!(
        app.count(&left_of(app.scene.network.id.0)).await,
        0,
        "rows of the network are left"
    );
    assert!(
        app.count(&left_of(rival.network.id.0)).await > 10,
        "the other network is complete"
    );
    let left = app.stranger();
    let (email, password) = (&app.scene.owner.email, &app.scene.owner.password);
    assert_eq!(see_other(&left.try_sign_in(email, password).await), "/");
    assert_eq!(
        see_other(&left.get("/reports").await),
        "/account",
        "the person has no membership"
    );
    app.finish().await;
}
