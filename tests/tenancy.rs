//! Networks, parties and people, through the pages: how they come, what they may, and how they go.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

use reqwest::StatusCode;
use schema::clock;
use tenancy::second_factor::code_at;
use tenancy::{RoleKind, people};
use testkit::{MailSink, Member, Page, TestApp, TestOptions};

const PASSWORD: &str = "four unlikely words here";

fn see_other(page: &Page) -> &str {
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
    page.location()
}

/// The text of the element with this id.
fn shown<'a>(page: &'a Page, id: &str) -> &'a str {
    let marker = format!("id=\"{id}\">");
    let (_, rest) = page
        .html
        .split_once(&marker)
        .unwrap_or_else(|| panic!("no {id} in {}", page.html));
    rest.split('<').next().unwrap()
}

/// The path of a link of ours.
fn path<'a>(app: &TestApp, link: &'a str) -> &'a str {
    link.strip_prefix(&app.dashboard_url)
        .unwrap_or_else(|| panic!("{link} leads elsewhere"))
}

async fn invite(app: &TestApp, by: &Member, fields: &[(&str, &str)]) -> String {
    let sent = by.submit("/members", "/members/invite", fields).await;
    assert_eq!(see_other(&sent), "/members");
    let page = by.get("/members").await;
    path(app, shown(&page, "fresh-link")).to_owned()
}

async fn accept(app: &TestApp, link: &str, name: &str, password: &str) -> Member {
    let guest = app.stranger();
    let accepted = guest
        .submit(link, link, &[("name", name), ("password", password)])
        .await;
    assert_eq!(see_other(&accepted), "/");
    guest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_signs_a_network_up_and_tracks_without_dns() {
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
        ("destination", "https://nova.example/?id={click_id}"),
        ("kind", "sale"),
        ("commission", "10 %"),
        ("revenue", "12 %"),
        ("currency", "INR"),
        ("window", "30"),
    ];
    let made = stranger.submit("/start", "/start", &campaign).await;
    let page = stranger.get(see_other(&made)).await;
    let token = shown(&page, "fresh-token").to_owned();
    let (_, rest) = page.html.split_once("<code class=\"link\">").unwrap();
    let link = rest.split('<').next().unwrap();
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
    assert_eq!(http.get(&postback).send().await.unwrap().status(), StatusCode::OK);
    // Another network's door does not know the click, nor the token.
    let elsewhere = postback.replace("/nova-partners/", "/orbit/");
    assert_eq!(
        http.get(elsewhere).send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    assert!(stranger.get("/conversions").await.html.contains("100.00 INR"));
    // The same slug cannot be had twice, and says so under its field.
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
            .contains("Another network has this name in its addresses")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_accepted_once_and_gives_its_role_and_no_more() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let link = invite(
        &app,
        &owner,
        &[("email", "ana@orbit.example"), ("role", "analyst")],
    )
    .await;
    let ana = accept(&app, &link, "Ana Lyst", PASSWORD).await;
    assert_eq!(
        app.stranger().get(&link).await.status,
        StatusCode::NOT_FOUND,
        "it works once"
    );
    assert_eq!(ana.get("/reports").await.status, StatusCode::OK);
    let refused = ana.get("/start").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused
            .html
            .contains("Ask an owner, admin or manager of the network."),
        "{}",
        refused.html
    );
    // Weak passwords, and those that everybody would try first, are refused with the field named.
    let link = invite(
        &app,
        &owner,
        &[("email", "bo@orbit.example"), ("role", "manager")],
    )
    .await;
    for weak in ["short", "password123", "1234567890"] {
        let page = app
            .stranger()
            .submit(&link, &link, &[("name", "Bo"), ("password", weak)])
            .await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{weak}");
    }
    // An expired one is as absent.
    app.database.operate("SELECT 1").await;
    let mut conn = app.database.owner().await;
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut conn,
        "UPDATE invitations SET expires_at = now()",
    )
    .await
    .unwrap();
    assert_eq!(app.stranger().get(&link).await.status, StatusCode::NOT_FOUND);
    // A manager invites people of parties, and no colleagues.
    let manager = app.sign_in(app.scene.person(RoleKind::Manager)).await;
    let fields = [("email", "c@orbit.example"), ("role", "admin")];
    assert_eq!(
        manager
            .submit("/members", "/members/invite", &fields)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    let advertiser = app.scene.advertiser_id.to_string();
    let fields = [
        ("email", "c@orbit.example"),
        ("role", "advertiser"),
        ("advertiser", advertiser.as_str()),
    ];
    invite(&app, &manager, &fields).await;
    // An admin makes no owners.
    let admin = app.sign_in(app.scene.person(RoleKind::Admin)).await;
    let fields = [("email", "d@orbit.example"), ("role", "owner")];
    assert_eq!(
        admin.submit("/members", "/members/invite", &fields).await.status,
        StatusCode::CONFLICT
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_needs_no_password_and_comes_back_by_mail() {
    let sink = MailSink::start().await;
    let app = TestApp::spawn_with(TestOptions {
        mailer: sink.mailer(),
        ..TestOptions::default()
    })
    .await;
    let owner = app.sign_in(&app.scene.owner).await;
    let advertiser = app.scene.advertiser_id.to_string();
    let fields = [
        ("email", "dev@shop.example"),
        ("role", "advertiser_developer"),
        ("advertiser", advertiser.as_str()),
    ];
    assert_eq!(
        see_other(&owner.submit("/members", "/members/invite", &fields).await),
        "/members"
    );
    let mail = sink.newest_to("dev@shop.example").await;
    assert_eq!(mail.from, "no-reply@clickledger.example");
    assert!(
        mail.text.contains("Subject: Connect Orbit Shop to Orbit"),
        "{}",
        mail.text
    );
    let link = mail.link(&app.dashboard_url);
    let developer = accept(&app, path(&app, &link), "Dev", "").await;
    assert_eq!(see_other(&developer.get("/").await), "/integration");
    let integration = developer.get(&format!("/integration/{advertiser}")).await;
    assert!(integration.html.contains("goal=sale"), "{}", integration.html);
    for closed in [
        "/reports",
        "/conversions",
        "/campaigns",
        "/affiliates",
        "/members",
        "/settings",
    ] {
        assert_eq!(
            developer.get(closed).await.status,
            StatusCode::FORBIDDEN,
            "{closed}"
        );
    }
    // Back again: by mail, with a link that works once.
    let back = app.stranger();
    back.submit("/forgot", "/forgot", &[("email", "dev@shop.example")])
        .await;
    let mut link = String::new();
    for _ in 0..100 {
        let mails = sink.all_to("dev@shop.example");
        if let Some(mail) = mails.iter().find(|mail| mail.text.contains("/sign-in/link/")) {
            link = mail.link(&app.dashboard_url);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let link = path(&app, &link).to_owned();
    assert_eq!(see_other(&back.submit(&link, &link, &[]).await), "/");
    assert_eq!(back.get("/integration").await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.stranger().get(&link).await.status, StatusCode::NOT_FOUND);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affiliate_applies_is_approved_and_sees_only_its_own() {
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
    assert!(stranger.get(&status).await.html.contains("waiting for Orbit"));
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
    // Decided once.
    let again = owner.submit("/members", &format!("{url}/decline"), &[]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let affiliate = accept(&app, &link, "Fred", PASSWORD).await;
    app.visitor().click("").await;
    assert!(
        !affiliate.get("/campaigns").await.html.contains("Orbit campaign"),
        "it has no link there"
    );
    assert!(
        affiliate.get("/reports").await.html.contains("Nothing happened")
            || !affiliate.get("/reports").await.html.contains("Orbit Blog")
    );
    // A rule approves a listed domain at once.
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
async fn a_paused_affiliate_sends_nobody_on_and_a_blocked_one_earns_nothing() {
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
    assert_eq!(answer.reason(), "accepted", "an earlier click still converts");
    set("blocked", "2").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "2"), ("amount", "1")])
        .await;
    assert_eq!(answer.reason(), "affiliate_blocked");
    // Two people's edits do not overwrite each other.
    let fields = [("name", "Late"), ("status", "active"), ("version", "1")];
    let late = owner.submit(&affiliate, &affiliate, &fields).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.html.contains("Somebody changed this"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_network_stops_and_comes_back_with_everything() {
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
        "the call was kept"
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

/// Somebody who runs the installation, signed in.
async fn operator(app: &TestApp) -> Member {
    let hash = tenancy::Passwords::new().hash(PASSWORD).await.unwrap();
    let person = people::NewPerson {
        email: "ops@example.com",
        name: "Olga",
        password: Some(&hash),
        is_operator: true,
    };
    let mut conn = app.db.unscoped().await.unwrap();
    people::create(&mut conn, &person, clock::now()).await.unwrap();
    let operator = app.stranger();
    assert_eq!(
        see_other(&operator.try_sign_in("ops@example.com", PASSWORD).await),
        "/"
    );
    assert_eq!(
        see_other(&operator.get("/").await),
        "/ops",
        "an operator works for no network"
    );
    operator
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_acts_for_somebody_in_the_sight_of_both_logs() {
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
        "a reason is needed"
    );
    let fields = [("membership", member.as_str()), ("reason", "Ticket 77")];
    assert_eq!(
        see_other(&operator.submit(&url, &format!("{url}/act"), &fields).await),
        "/"
    );
    let home = operator.get("/").await;
    assert!(
        home.html
            .contains("Olga acts as Orbit manager of Orbit. Reason: Ticket 77"),
        "{}",
        home.html
    );
    assert_eq!(
        operator.get("/settings/audit").await.status,
        StatusCode::FORBIDDEN,
        "as the manager it is"
    );
    assert_eq!(
        operator.get("/ops").await.status,
        StatusCode::NOT_FOUND,
        "not both at once"
    );
    // What belongs to a person is not touched.
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
async fn limits_are_fair_and_do_not_touch_the_neighbours() {
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
    let calls = futures_util::future::join_all((0..40).map(|_| server.raw("click_id=x&token=y"))).await;
    let limited: Vec<_> = calls.iter().filter(|it| it.status.as_u16() == 429).collect();
    assert!(limited.len() >= 30, "{} of 40 were limited", limited.len());
    assert!(
        limited
            .iter()
            .all(|it| it.reason() == "rate_limited" && it.headers.contains_key("retry-after"))
    );
    let neighbour = format!("{}/rival/postback?token={}", app.tracking_url, rival.token);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(
        http.get(neighbour).send().await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    // Four seats, four colleagues: owner, admin, manager, analyst.
    let owner = app.sign_in(&app.scene.owner).await;
    let full = owner
        .submit(
            "/members",
            "/members/invite",
            &[("email", "e@orbit.example"), ("role", "analyst")],
        )
        .await;
    assert_eq!(full.status, StatusCode::CONFLICT);
    assert!(full.html.contains("All 4 seats of the network are taken"));
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
    assert!(link.html.contains("as many as it may"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_change_hands_and_an_owner_stays() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let analyst = app.sign_in(app.scene.person(RoleKind::Analyst)).await;
    let id = async |kind: &str| {
        let sql = format!("SELECT id FROM memberships WHERE role = '{kind}' AND ended_at IS NULL");
        schema::MembershipId(i32::try_from(app.count(&sql).await).unwrap()).to_string()
    };
    let change = format!("/members/{}/role", id("analyst").await);
    assert_eq!(
        see_other(&owner.submit("/members", &change, &[("role", "manager")]).await),
        "/members"
    );
    assert_eq!(
        see_other(&analyst.get("/reports").await),
        "/sign-in?next=%2Freports",
        "signed out by it"
    );
    let promoted = app.sign_in(app.scene.person(RoleKind::Analyst)).await;
    assert_eq!(promoted.get("/start").await.status, StatusCode::OK);
    let alone = owner
        .submit("/members", &format!("/members/{}/remove", id("owner").await), &[])
        .await;
    assert_eq!(alone.status, StatusCode::CONFLICT);
    assert!(alone.html.contains("This is the only owner"));
    let admin = app.sign_in(app.scene.person(RoleKind::Admin)).await;
    let coup = admin
        .submit("/members", &format!("/members/{}/remove", id("owner").await), &[])
        .await;
    assert_eq!(coup.status, StatusCode::CONFLICT);
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let gone = format!("/members/{}/remove", id("affiliate").await);
    assert_eq!(see_other(&admin.submit("/members", &gone, &[]).await), "/members");
    assert_eq!(
        see_other(&affiliate.get("/reports").await),
        "/sign-in?next=%2Freports"
    );
    let again = app
        .stranger()
        .try_sign_in(&app.scene.affiliate.email, &app.scene.affiliate.password)
        .await;
    assert_eq!(
        again.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "there is nowhere to sign in to"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_works_for_two_networks() {
    let app = TestApp::spawn().await;
    let rival = testkit::Scene::set(&app.db, "Rival", "rival.example").await;
    let rivals_owner = app.sign_in(&rival.owner).await;
    let email = app.scene.owner.email.as_str();
    let link = invite(&app, &rivals_owner, &[("email", email), ("role", "analyst")]).await;
    // The link alone signs nobody in who has an account.
    let guest = app.stranger();
    let page = guest.get(&link).await;
    assert!(page.html.contains("You have an account"), "{}", page.html);
    let owner = app.sign_in(&app.scene.owner).await;
    assert_eq!(see_other(&owner.submit(&link, &link, &[]).await), "/");
    assert!(owner.get("/").await.html.contains("Rival"));
    assert_eq!(
        owner.get("/start").await.status,
        StatusCode::FORBIDDEN,
        "an analyst there"
    );
    let account = owner.get("/account").await;
    let (_, rest) = account.html.split_once("name=\"membership\" value=\"").unwrap();
    let membership = rest.split('"').next().unwrap().to_owned();
    let switched = owner
        .submit("/account", "/account/switch", &[("membership", &membership)])
        .await;
    assert_eq!(see_other(&switched), "/");
    assert_eq!(owner.get("/start").await.status, StatusCode::OK, "the owner here");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_each_code_works_once() {
    let app = TestApp::spawn().await;
    let (email, password) = (app.scene.owner.email.as_str(), app.scene.owner.password.as_str());
    let owner = app.sign_in(&app.scene.owner).await;
    let page = owner.get("/account/second-factor").await;
    let secret = shown(&page, "secret").to_owned();
    let (_, rest) = page.html.split_once("name=\"enrolment\" value=\"").unwrap();
    let enrolment = rest.split('"').next().unwrap();
    let code = code_at(&secret, clock::now()).unwrap();
    let fields = |code: &str, present: &str| {
        [
            ("enrolment".to_owned(), enrolment.to_owned()),
            ("code".to_owned(), code.to_owned()),
            ("present".to_owned(), present.to_owned()),
            ("form_token".to_owned(), page.form_token().to_owned()),
        ]
    };
    let send = async |fields: [(String, String); 4]| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        owner.post("/account/second-factor", &fields, &[]).await
    };
    assert_eq!(
        send(fields("000000", password)).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        send(fields(&code, "wrong password")).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let done = send(fields(&code, password)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.html);
    let recovery: Vec<String> = shown(&done, "recovery-codes")
        .lines()
        .map(str::to_owned)
        .filter(|it| !it.is_empty())
        .collect();
    assert_eq!(recovery.len(), 10);
    // Signing in: the password alone opens nothing.
    let again = app.stranger();
    assert!(see_other(&again.try_sign_in(email, password).await).starts_with("/sign-in/code"));
    assert_eq!(see_other(&again.get("/reports").await), "/sign-in/code");
    assert_eq!(see_other(&again.get("/account").await), "/sign-in/code");
    let replayed = again
        .submit("/sign-in/code", "/sign-in/code", &[("code", &code)])
        .await;
    assert_eq!(
        replayed.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "the code of the enrolment was used"
    );
    let next = code_at(&secret, clock::now() + chrono::TimeDelta::seconds(30)).unwrap();
    assert_eq!(
        see_other(
            &again
                .submit("/sign-in/code", "/sign-in/code", &[("code", &next)])
                .await
        ),
        "/"
    );
    assert_eq!(again.get("/reports").await.status, StatusCode::OK);
    for expected in [StatusCode::SEE_OTHER, StatusCode::UNPROCESSABLE_ENTITY] {
        let third = app.stranger();
        third.try_sign_in(email, password).await;
        let used = third
            .submit("/sign-in/code", "/sign-in/code", &[("code", &recovery[0])])
            .await;
        assert_eq!(used.status, expected, "a recovery code works once");
    }
    // Where the network demands it, whoever has none sets it up first.
    let settings = [
        ("name", "Orbit"),
        ("slug", "orbit"),
        ("time_zone", "Europe/Warsaw"),
        ("currency", "EUR"),
        ("require_two_factor", "yes"),
    ];
    let host = app.tracking_url.strip_prefix("http://").unwrap();
    let settings = [&settings[..], &[("tracking_hosts", host)]].concat();
    assert_eq!(
        see_other(&again.submit("/settings", "/settings", &settings).await),
        "/settings"
    );
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    assert_eq!(
        see_other(&affiliate.get("/reports").await),
        "/account/second-factor"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_cannot_be_guessed_by_trying() {
    let app = TestApp::spawn().await;
    let person_id = app
        .count("SELECT id FROM people WHERE email = 'owner@orbit.example'")
        .await;
    let mut conn = app.database.owner().await;
    let sql = format!("UPDATE people SET totp_sealed = '\\x00' WHERE id = {person_id}");
    diesel_async::SimpleAsyncConnection::batch_execute(&mut conn, &sql)
        .await
        .unwrap();
    let guesser = app.stranger();
    guesser
        .try_sign_in(&app.scene.owner.email, &app.scene.owner.password)
        .await;
    let mut statuses = Vec::new();
    for number in 0..12 {
        let code = format!("{number:06}");
        statuses.push(
            guesser
                .submit("/sign-in/code", "/sign-in/code", &[("code", &code)])
                .await
                .status
                .as_u16(),
        );
    }
    assert_eq!(statuses, [vec![422; 10], vec![429; 2]].concat());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_signs_everyone_else_out() {
    let sink = MailSink::start().await;
    let app = TestApp::spawn_with(TestOptions {
        mailer: sink.mailer(),
        ..TestOptions::default()
    })
    .await;
    let (email, password) = (app.scene.owner.email.as_str(), app.scene.owner.password.as_str());
    let here = app.sign_in(&app.scene.owner).await;
    let elsewhere = app.sign_in(&app.scene.owner).await;
    let wrong = [("present", "not it at all"), ("password", PASSWORD)];
    assert_eq!(
        here.submit("/account", "/account/password", &wrong).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let right = [("present", password), ("password", PASSWORD)];
    assert_eq!(
        see_other(&here.submit("/account", "/account/password", &right).await),
        "/account"
    );
    assert_eq!(here.get("/reports").await.status, StatusCode::OK);
    assert_eq!(elsewhere.get("/reports").await.status, StatusCode::SEE_OTHER);
    // Lost: a link by mail, which works once and signs everyone out.
    let stranger = app.stranger();
    stranger.submit("/forgot", "/forgot", &[("email", email)]).await;
    let link = sink.newest_to(email).await.link(&app.dashboard_url);
    let link = path(&app, &link).to_owned();
    let chosen = "another set of unlikely words";
    assert_eq!(
        see_other(&stranger.submit(&link, &link, &[("password", chosen)]).await),
        "/sign-in"
    );
    assert_eq!(here.get("/reports").await.status, StatusCode::SEE_OTHER);
    assert_eq!(stranger.get(&link).await.status, StatusCode::NOT_FOUND);
    assert_eq!(see_other(&stranger.try_sign_in(email, chosen).await), "/");
    // Sessions are listed, and one is ended from another.
    let third = app.stranger();
    third.try_sign_in(email, chosen).await;
    let account = third.get("/account").await;
    let (_, rest) = account.html.split_once("/account/sessions/ses_").unwrap();
    let session = format!("/account/sessions/ses_{}/end", rest.split('/').next().unwrap());
    assert_eq!(
        see_other(&third.submit("/account", &session, &[]).await),
        "/account"
    );
    assert_eq!(stranger.get("/reports").await.status, StatusCode::SEE_OTHER);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_imported_after_a_look_at_what_it_would_do() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let csv = "Publisher;Publisher ID;Status;Group;Country\nNew Blog;77;active;Orbit group;PL\n\
               Orbit Blog;;paused;;DE\n;5;;;\nBad;6;sleeping;;\nOdd;7;;Nowhere;\n=1+1;8;;;";
    let preview = owner
        .submit("/affiliates/import", "/affiliates/import", &[("csv", csv)])
        .await;
    assert_eq!(preview.status, StatusCode::OK);
    for expected in [
        "create <strong>2</strong>, change <strong>1</strong>",
        "<strong>3</strong> rows cannot be accepted",
        "passed over: Country",
        "Enter a name.",
        "No group is called “Nowhere”",
    ] {
        assert!(preview.html.contains(expected), "{expected}: {}", preview.html);
    }
    assert!(
        !owner.get("/affiliates").await.html.contains("New Blog"),
        "a preview changes nothing"
    );
    let refused = owner
        .submit(
            "/affiliates/import",
            "/affiliates/import",
            &[("csv", csv), ("refused", "yes")],
        )
        .await;
    assert_eq!(refused.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(refused.html.lines().count(), 4, "{}", refused.html);
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
        "a spreadsheet must not calculate it: {exported}"
    );
    let same = owner
        .submit("/affiliates/import", "/affiliates/import", &[("csv", &exported)])
        .await;
    assert!(
        same.html
            .contains("create <strong>0</strong>, change <strong>0</strong>"),
        "{}",
        same.html
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log_which_nobody_rewrites() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let advertiser = format!("/advertisers/{}", app.scene.advertiser_id);
    let fields = [("name", "Renamed Shop"), ("status", "active"), ("version", "1")];
    see_other(&owner.submit(&advertiser, &advertiser, &fields).await);
    app.stranger()
        .try_sign_in(&app.scene.owner.email, "wrong password here")
        .await;
    let page = owner.get("/settings/audit").await;
    for expected in [
        "session.start",
        "session.refuse",
        "advertiser.update",
        "Orbit Shop → Renamed Shop",
    ] {
        assert!(page.html.contains(expected), "{expected}");
    }
    let filtered = owner
        .get(&format!(
            "/settings/audit?object={}&action=advertiser.update",
            app.scene.advertiser_id
        ))
        .await;
    assert!(filtered.html.contains("Renamed Shop") && !filtered.html.contains("session.start"));
    let csv = owner.get("/settings/audit.csv?author=owner").await.html;
    assert!(csv.starts_with("at,author,via,address,action") && csv.contains("advertiser.update"));
    for statement in [
        "UPDATE audit_log SET author = 'x'",
        "DELETE FROM audit_log",
        "DELETE FROM operator_log",
    ] {
        let mut conn = app.network().await;
        let refused = diesel_async::SimpleAsyncConnection::batch_execute(&mut *conn, statement)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{statement}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_exported_and_erased_and_its_neighbour_stays() {
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
        "only its own, and no hashes"
    );
    let mistyped = owner
        .submit("/settings/delete", "/settings/delete", &[("name", "orbit")])
        .await;
    assert_eq!(mistyped.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        see_other(
            &owner
                .submit("/settings/delete", "/settings/delete", &[("name", "Orbit")])
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
        "something is left"
    );
    assert!(
        app.count(&left_of(rival.network.id.0)).await > 10,
        "the neighbour has everything"
    );
    let nowhere = app
        .stranger()
        .try_sign_in(&app.scene.owner.email, &app.scene.owner.password)
        .await;
    assert_eq!(nowhere.status, StatusCode::UNPROCESSABLE_ENTITY);
    app.finish().await;
}
