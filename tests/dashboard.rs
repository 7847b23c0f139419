//! The pages: sign-in, visibility by role, figures, search, and forms.

#[path = "dashboard/network.rs"]
mod network;
#[path = "dashboard/node.rs"]
mod node;
#[path = "dashboard/orders.rs"]
mod orders;
#[path = "dashboard/proof.rs"]
mod proof;
#[path = "dashboard/search.rs"]
mod search;

use reqwest::StatusCode;
use testkit::{Scene, TestApp};

/// Pages that every signed-in person can open.
const PAGES: [&str; 5] = ["/", "/conversions", "/reports", "/campaigns", "/docs/postback"];

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_password_signs_in_and_failures_look_the_same() {
    let app = TestApp::spawn().await;
    let stranger = app.stranger();
    for path in ["/", "/reports?from=2026-11-01", "/postbacks", "/nowhere"] {
        let page = stranger.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert!(page.location().starts_with("/sign-in"), "{path}");
    }
    let owner = &app.scene.owner;
    let wrong = stranger.try_sign_in(&owner.email, "wrong").await;
    let unknown = stranger.try_sign_in("unknown@orbit.example", "wrong").await;
    assert_eq!(
        (wrong.status, unknown.status),
        (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::UNPROCESSABLE_ENTITY)
    );
    let body =
        |page: &testkit::Page, email: &str| page.html.replace(page.form_token(), "").replace(email, "");
    assert_eq!(
        body(&wrong, &owner.email),
        body(&unknown, "unknown@orbit.example")
    );
    let right = stranger
        .try_sign_in(&owner.email.to_uppercase(), &owner.password)
        .await;
    assert_eq!((right.status, right.location()), (StatusCode::SEE_OTHER, "/"));
    let cookie = right.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Domain"));
    assert_eq!(stranger.get("/").await.status, StatusCode::OK);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_cannot_be_guessed_by_trying() {
    let app = TestApp::spawn().await;
    let (owner, stranger) = (&app.scene.owner, app.stranger());
    for email in [owner.email.as_str(), "unknown@orbit.example"] {
        for _ in 0..10 {
            assert_eq!(
                stranger.try_sign_in(email, "guess").await.status,
                StatusCode::UNPROCESSABLE_ENTITY
            );
        }
        let refused = stranger.try_sign_in(email, &owner.password).await;
        assert_eq!(
            (refused.status, refused.headers["retry-after"].to_str().unwrap()),
            (StatusCode::TOO_MANY_REQUESTS, "900")
        );
    }
    app.sign_in(&app.scene.affiliate).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_lock_no_one_out_of_a_known_browser() {
    let app = TestApp::spawn().await;
    let owner = &app.scene.owner;
    let (member, stranger) = (app.sign_in(owner).await, app.stranger());
    member.submit("/", "/sign-out", &[]).await;
    for _ in 0..12 {
        stranger.try_sign_in(&owner.email, "guess").await;
    }
    let refused = stranger.try_sign_in(&owner.email, &owner.password).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let entered = member.try_sign_in(&owner.email, &owner.password).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    // The browser itself has ten attempts, and is known for its person only.
    member.submit("/", "/sign-out", &[]).await;
    for _ in 0..10 {
        member.try_sign_in(&owner.email, "guess").await;
    }
    let refused = member.try_sign_in(&owner.email, &owner.password).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_for_every_copy_of_the_cookie() {
    let app = TestApp::spawn().await;
    let member = app.sign_in(&app.scene.owner).await;
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 1);
    assert_eq!(member.submit("/", "/sign-out", &[]).await.location(), "/sign-in");
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
    assert_eq!(member.get("/").await.status, StatusCode::SEE_OTHER);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_from_elsewhere_changes_nothing() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let action = format!("/campaigns/{}/links", app.scene.campaign.id);
    let affiliate = app.scene.affiliate_id.to_string();
    let page = owner.get("/campaigns").await;
    let token = page.form_token();
    let fields = [
        ("affiliate", affiliate.as_str()),
        ("alias", "stolen"),
        ("form_token", token),
    ];
    let foreign_token = app.stranger().get("/sign-in").await.form_token().to_owned();
    let mut foreign = fields;
    foreign[2].1 = &foreign_token;
    for (fields, headers) in [
        (fields, vec![("Origin", "https://evil.example")]),
        (fields, vec![("Origin", "null")]),
        (fields, vec![("Sec-Fetch-Site", "cross-site")]),
        (foreign, vec![]),
        ([fields[0], fields[1], ("form_token", "forged")], vec![]),
    ] {
        assert_eq!(
            owner.post(&action, &fields, &headers).await.status,
            StatusCode::FORBIDDEN
        );
    }
    assert_eq!(app.count("SELECT count(*) FROM tracking_links").await, 1);
    assert_eq!(
        owner.post(&action, &fields, &[]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(app.count("SELECT count(*) FROM tracking_links").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_the_policy_and_no_page_is_cached() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    for path in PAGES.into_iter().chain([
        "/sign-in",
        "/as-a-stranger",
        "/search?q=%00",
        "/nowhere",
        "/campaigns/cmp_0000001",
        "/reports?from=x",
        "/start",
    ]) {
        let page = if path == "/as-a-stranger" {
            app.stranger().get("/").await
        } else {
            owner.get(path).await
        };
        let header = |name: &str| page.headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert!(
            header("content-security-policy").contains("script-src 'self'"),
            "{path}"
        );
        assert_eq!(
            (header("x-content-type-options"), header("cache-control")),
            ("nosniff", "no-store"),
            "{path}"
        );
        assert!(
            !page.html.contains("<style") && !page.html.contains("onclick"),
            "{path}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_its_own_data_only() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("?sub1=secret-placement").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "A-1"), ("amount", "200")])
        .await;
    let (click_page, postback_page) = (
        format!("/clicks/{}", click.id),
        format!("/postbacks/{}", answer.get("request_id")),
    );
    let owner = app.sign_in(&app.scene.owner).await;
    let advertiser = app.sign_in(&app.scene.advertiser).await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    for member in [&owner, &advertiser, &affiliate] {
        for path in PAGES {
            assert_eq!(member.get(path).await.status, StatusCode::OK, "{path}");
        }
    }
    // 10 % of 200 is the affiliate's, 15 % the advertiser's bill.
    let (earned, owed, sub1) = ("20.00 EUR", "30.00 EUR", "secret-placement");
    let everything = owner.get(&click_page).await.html;
    assert!(
        everything.contains(earned) && everything.contains(owed.trim_start()) && everything.contains(sub1)
    );
    assert!(owner.get("/conversions").await.html.contains(owed));
    let seen_by_affiliate = affiliate.get(&click_page).await.html + &affiliate.get("/conversions").await.html;
    assert!(seen_by_affiliate.contains(earned) && seen_by_affiliate.contains(sub1));
    assert!(!seen_by_affiliate.contains(owed));
    let seen_by_advertiser =
        advertiser.get("/conversions").await.html + &advertiser.get("/reports").await.html;
    assert!(seen_by_advertiser.contains(owed) && !seen_by_advertiser.contains(earned));
    assert!(!advertiser.get(&click_page).await.html.contains(sub1));
    assert!(!advertiser.get(&click_page).await.html.contains(earned));
    assert_eq!(owner.get(&postback_page).await.status, StatusCode::OK);
    assert_eq!(advertiser.get(&postback_page).await.status, StatusCode::OK);
    for path in ["/postbacks", &postback_page, "/start"] {
        assert_eq!(affiliate.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(advertiser.get("/start").await.status, StatusCode::FORBIDDEN);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_network_look_like_absent_ones() {
    let app = TestApp::spawn().await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let click = app.visitor().click("").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "A-1"), ("amount", "1")])
        .await;
    let spy = app.sign_in(&rival.owner).await;
    let campaign = app.scene.campaign.id;
    let absent_campaign = spy.get("/campaigns/cmp_0000001").await;
    for path in [
        format!("/campaigns/{campaign}"),
        format!("/clicks/{}", click.id),
        format!("/postbacks/{}", answer.get("request_id")),
    ] {
        let page = spy.get(&path).await;
        assert_eq!(
            (page.status, &page.html),
            (StatusCode::NOT_FOUND, &absent_campaign.html),
            "{path}"
        );
    }
    let settle = format!("/conversions/{}", answer.get("conversion_id"));
    let refused = spy
        .submit("/", &settle, &[("decision", "approve"), ("here", "/")])
        .await;
    assert_eq!(
        (refused.status, &refused.html),
        (StatusCode::NOT_FOUND, &absent_campaign.html)
    );
    let link = format!("/campaigns/{campaign}/links");
    assert_eq!(
        spy.submit("/", &link, &[("affiliate", ""), ("alias", "x")])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let report = spy
        .get(&format!("/reports?campaign={campaign}&group=campaign"))
        .await;
    assert!(!report.html.contains("Orbit campaign"));
    assert_eq!(
        app.count("SELECT count(*) FROM conversions WHERE status = 'pending'")
            .await,
        1
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_shows_new_events_at_once_and_the_csv_equals_it() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    for order in ["A-1", "A-2"] {
        let click = app.visitor().click("").await;
        app.advertiser()
            .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "49.90")])
            .await;
    }
    let in_dollars = [("amount", "10"), ("currency", "USD"), ("order_id", "A-3")];
    let click = app.visitor().click("").await;
    app.advertiser()
        .postback(&[&in_dollars[..], &[("click_id", &click.id)]].concat())
        .await;
    let page = owner.get("/reports?group=campaign").await;
    assert!(page.html.contains("9.98 EUR") && page.html.contains("1.00 USD"));
    let metrics =
        "clicks,unique_clicks,invalid_clicks,conversions,conversion_rate,pending,commission,revenue";
    let csv = owner
        .get(&format!("/reports.csv?group=campaign&metrics={metrics}"))
        .await;
    assert!(
        csv.headers["content-disposition"]
            .to_str()
            .unwrap()
            .contains("Europe-Warsaw.csv")
    );
    let campaign = app.scene.campaign.id;
    assert_eq!(
        csv.html,
        format!(
            "\u{feff}campaign_id,campaign,{metrics},currency\r\n\
             {campaign},Orbit campaign,3,0,3,3,,3,9.98,14.96,EUR\r\n\
             {campaign},Orbit campaign,0,0,0,0,,0,1.00,1.50,USD\r\n"
        )
    );
    let wrong = owner.get("/reports?from=yesterday").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.html.contains("“yesterday” is not a date"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_on_a_conversion_moves_its_money() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let click = app.visitor().click("").await;
    let mut conversions = Vec::new();
    for order in ["A-1", "A-2"] {
        let answer = app
            .advertiser()
            .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "100")])
            .await;
        conversions.push(format!("/conversions/{}", answer.get("conversion_id")));
    }
    let decide = |decision: &'static str| [("decision", decision), ("here", "/conversions?status=pending")];
    let done = owner
        .submit("/conversions", &conversions[0], &decide("approve"))
        .await;
    assert_eq!(
        (done.status, done.location()),
        (StatusCode::SEE_OTHER, "/conversions?status=pending")
    );
    let done = owner
        .submit("/conversions", &conversions[1], &decide("reject"))
        .await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    for again in ["approve", "reject"] {
        let done = owner
            .submit("/conversions", &conversions[1], &decide(again))
            .await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{again}");
    }
    assert_eq!(
        owner
            .submit("/conversions", &conversions[0], &decide("maybe"))
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    let refused = affiliate
        .submit("/conversions", &conversions[0], &decide("approve"))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let path = owner.get(&format!("/clicks/{}", click.id)).await.html;
    assert!(
        path.contains("\u{2212}10.00 EUR"),
        "the reversal of the rejected commission is shown"
    );
    let balance = app
        .count("SELECT sum(commission_pending_micros + commission_payable_micros) FROM ledger_entries")
        .await;
    assert_eq!(balance, 10_000_000);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_with_an_unknown_macro_is_refused_under_its_field() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let url = format!("/campaigns/{}/settings", app.scene.campaign.id);
    let settings = |destination: &'static str| {
        [
            ("name", "New <name>"),
            ("status", "live"),
            ("destination", destination),
            ("attribution_days", "30"),
            ("destination_weight", "1"),
            ("access", "open"),
        ]
    };
    let refused = owner
        .submit(&url, &url, &settings("https://shop.example/?c={clickid}"))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused
            .html
            .contains("{clickid} is not a macro. Use {click_id}, {sub1}"),
        "{}",
        refused.html
    );
    assert!(
        refused
            .html
            .contains("value=\"https://shop.example/?c={clickid}\""),
        "the input is kept"
    );
    assert!(refused.html.contains("New &#60;name&#62;") && !refused.html.contains("<name>"));
    let saved = owner
        .submit(&url, &url, &settings("https://shop.example/?c={click_id}"))
        .await;
    assert_eq!(
        (saved.status, saved.location()),
        (StatusCode::SEE_OTHER, url.as_str())
    );
    let says_so = owner.get(&url).await.html.contains(">Saved.<");
    let again = owner.get(&url).await.html.contains(">Saved.<");
    assert_eq!((says_so, again), (true, false), "the next page says it, once");
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let response = app.visitor().request(reqwest::Method::GET, "").await;
    assert!(
        response.headers()["location"]
            .to_str()
            .unwrap()
            .starts_with("https://shop.example/?c=04")
    );
    let taken = owner
        .submit(
            url.trim_end_matches("/settings"),
            &url.replace("/settings", "/links"),
            &[
                ("affiliate", &app.scene.affiliate_id.to_string()),
                ("alias", &app.scene.alias),
            ],
        )
        .await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(taken.html.contains("Another link has this alias"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_of_visitors_and_callers_is_text_on_every_page() {
    let app = TestApp::spawn().await;
    let attack = "\"><script>alert(1)</script>";
    let encoded = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let click = app
        .visitor()
        .click(&format!("?sub1={encoded}&sub5={encoded}"))
        .await;
    let answer = app
        .advertiser()
        .postback(&[
            ("click_id", &click.id),
            ("order_id", attack),
            ("amount", "1"),
            (attack, attack),
        ])
        .await;
    assert_eq!(answer.reason(), "accepted");
    app.advertiser()
        .postback(&[("click_id", attack), ("goal", attack), ("order_id", attack)])
        .await;
    let owner = app.sign_in(&app.scene.owner).await;
    let postback = format!("/postbacks/{}", answer.get("request_id"));
    for path in [
        "/",
        "/conversions",
        "/postbacks",
        &postback,
        &format!("/clicks/{}", click.id),
    ] {
        let page = owner.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(
            page.html.contains("&#60;script&#62;alert") && !page.html.contains("<script>alert"),
            "{path}"
        );
    }
    let searched = owner.get(&format!("/search?q={encoded}")).await;
    assert_eq!(searched.status, StatusCode::SEE_OTHER);
    assert!(
        !owner
            .get(searched.location())
            .await
            .html
            .contains("<script>alert")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_form_creates_a_campaign_ready_for_its_tests() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let fields = |commission: &'static str| {
        [
            ("advertiser", "Fresh Brand"),
            ("name", ""),
            ("destination", "https://fresh.example/?id={click_id}"),
            ("kind", "sale"),
            ("commission", commission),
            ("revenue", "2.00 + 12 %"),
            ("currency", "eur"),
            ("attribution_days", "7"),
        ]
    };
    let refused = owner.submit("/start", "/start", &fields("ten percent")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.html.contains("“ten percent” is not a decimal number."));
    let done = owner.submit("/start", "/start", &fields("1.00 + 10 %")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let text = owner.get(done.location()).await.html.replace("&#38;", "&");
    assert!(
        !owner.get(done.location()).await.html.contains("fresh-token"),
        "the token is shown once"
    );
    let between = |start: &str, end: &str| {
        let (_, rest) = text.split_once(start).unwrap();
        rest.split_once(end).unwrap().0.to_owned()
    };
    let link = between("<code class=\"link\" id=\"link-1\">", "</code>");
    let token = between("<code id=\"fresh-token\">", "</code>");
    assert!(between("<pre id=\"postback-url\">", "</pre>").ends_with(&format!("&token={token}")));
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let sent_on = http.get(&link).send().await.unwrap();
    let location = sent_on.headers()["location"].to_str().unwrap();
    let click_id = location.strip_prefix("https://fresh.example/?id=").unwrap();
    let server = app.advertiser().with_token(&token);
    let answer = server
        .postback(&[("click_id", click_id), ("order_id", "1"), ("amount", "50")])
        .await;
    assert_eq!(
        answer.reason(),
        "test_accepted",
        "nothing counts before going live"
    );
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    app.finish().await;
}
