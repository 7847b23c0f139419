//! People, through the pages: invitations, sign-in, two-factor authentication, roles.

use reqwest::StatusCode;
use schema::clock;
use tenancy::RoleKind;
use tenancy::two_factor::code_at;
use testkit::people::{PASSWORD, accept, invite, path, see_other, shown};
use testkit::{MailSink, TestApp, TestOptions};

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_accepted_once_and_grants_only_its_role() {
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
        "the link works once"
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
    // Short and common passwords are rejected with an error at the field.
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
    // Staff members change their role instead of getting a second one.
    let fields = [("email", "ana@orbit.example"), ("role", "manager")];
    let again = owner.submit("/members", "/members/invite", &fields).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.html.contains("already a member of this network"));
    // An expired invitation reads like an absent one.
    app.database.operate("SELECT 1").await;
    let mut conn = app.database.owner().await;
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut conn,
        "UPDATE invitations SET expires_at = now()",
    )
    .await
    .unwrap();
    assert_eq!(app.stranger().get(&link).await.status, StatusCode::NOT_FOUND);
    // A manager invites users of advertisers and affiliates, but no staff.
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
    // An admin cannot create owners.
    let admin = app.sign_in(app.scene.person(RoleKind::Admin)).await;
    let fields = [("email", "d@orbit.example"), ("role", "owner")];
    assert_eq!(
        admin.submit("/members", "/members/invite", &fields).await.status,
        StatusCode::CONFLICT
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_needs_no_password_and_returns_by_a_mailed_link() {
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
    // The inviting user knows an invitation's link, so it does not sign in a person who already has an account.
    let link = mail.link(&app.dashboard_url);
    assert_eq!(
        app.stranger().get(path(&app, &link)).await.status,
        StatusCode::NOT_FOUND
    );
    let thief = testkit::Scene::set(&app.db, "Thief", "thief.example").await;
    let thiefs_owner = app.sign_in(&thief.owner).await;
    let fields = [("email", "dev@shop.example"), ("role", "analyst")];
    assert_eq!(
        see_other(&thiefs_owner.submit("/members", "/members/invite", &fields).await),
        "/members"
    );
    let mails = sink.all_to("dev@shop.example");
    let link = mails.last().unwrap().link(&app.dashboard_url);
    let stolen = app.stranger();
    let refused = stolen.submit("/sign-in", path(&app, &link), &[]).await;
    assert!(
        see_other(&refused).starts_with("/sign-in"),
        "{}",
        refused.location()
    );
    // The developer signs in again with a mailed link, which works once.
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
async fn roles_change_but_one_owner_remains() {
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
        "the role change signs the person out"
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
    let key = testkit::api_key(&affiliate).await;
    let gone = format!("/members/{}/remove", id("affiliate").await);
    assert_eq!(see_other(&admin.submit("/members", &gone, &[]).await), "/members");
    assert_eq!(
        see_other(&affiliate.get("/reports").await),
        "/sign-in?next=%2Freports"
    );
    // Without a role, only the account page is left; a new invitation restores access, but not the old API keys.
    let again = app.stranger();
    let (email, password) = (&app.scene.affiliate.email, &app.scene.affiliate.password);
    assert_eq!(see_other(&again.try_sign_in(email, password).await), "/");
    assert_eq!(see_other(&again.get("/reports").await), "/account");
    let affiliate_id = app.scene.affiliate_id.to_string();
    let fields = [
        ("email", email.as_str()),
        ("role", "affiliate"),
        ("affiliate", &affiliate_id),
    ];
    let link = invite(&app, &owner, &fields).await;
    assert_eq!(see_other(&again.submit(&link, &link, &[]).await), "/");
    assert_eq!(again.get("/reports").await.status, StatusCode::OK);
    let called = reqwest::Client::new()
        .get(format!("{}/api/v1/me", app.dashboard_url))
        .bearer_auth(key);
    assert_eq!(called.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_is_a_member_of_two_networks() {
    let app = TestApp::spawn().await;
    let rival = testkit::Scene::set(&app.db, "Rival", "rival.example").await;
    let rivals_owner = app.sign_in(&rival.owner).await;
    let email = app.scene.owner.email.as_str();
    let link = invite(&app, &rivals_owner, &[("email", email), ("role", "analyst")]).await;
    // The link alone does not sign in a person who has an account.
    let guest = app.stranger();
    let page = guest.get(&link).await;
    assert!(page.html.contains("You already have an account"), "{}", page.html);
    let owner = app.sign_in(&app.scene.owner).await;
    assert_eq!(see_other(&owner.submit(&link, &link, &[]).await), "/");
    assert!(owner.get("/").await.html.contains("Rival"));
    assert_eq!(
        owner.get("/start").await.status,
        StatusCode::FORBIDDEN,
        "an analyst in the other network"
    );
    let account = owner.get("/account").await;
    let (_, rest) = account.html.split_once("name=\"membership\" value=\"").unwrap();
    let membership = rest.split('"').next().unwrap().to_owned();
    let switched = owner
        .submit("/account", "/account/switch", &[("membership", &membership)])
        .await;
    assert_eq!(see_other(&switched), "/");
    assert_eq!(
        owner.get("/start").await.status,
        StatusCode::OK,
        "the owner in this network"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_factor_authentication_is_required_and_each_code_works_once() {
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
        .filter(|code| !code.is_empty())
        .collect();
    assert_eq!(recovery.len(), 10);
    // The password alone gives no access.
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
        "the code of the enrolment is used up"
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
    // Nor does the password alone turn it off.
    for (code, status) in [
        ("000000", StatusCode::FORBIDDEN),
        (recovery[0].as_str(), StatusCode::FORBIDDEN),
    ] {
        let fields = [("present", password), ("code", code)];
        let remove = "/account/second-factor/remove";
        assert_eq!(again.submit("/account", remove, &fields).await.status, status);
    }
    // Where the network requires it, members must set it up before anything else.
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
async fn codes_cannot_be_guessed() {
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
async fn a_new_password_ends_all_other_sessions() {
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
    // A mailed reset link works once and ends all sessions.
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
    // Sessions are listed, and one can end another.
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
async fn every_change_is_in_the_append_only_audit_log() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let advertiser = format!("/advertisers/{}", app.scene.advertiser_id);
    let fields = [("name", "Renamed Shop"), ("status", "active"), ("version", "1")];
    let saved = owner.submit(&advertiser, &advertiser, &fields).await;
    assert_eq!(see_other(&saved), advertiser);
    app.stranger()
        .try_sign_in(&app.scene.owner.email, "wrong password here")
        .await;
    // Recorded after the response, so that response times reveal nothing.
    app.eventually(
        "SELECT count(*) FROM audit_log WHERE action = 'session.refuse'",
        "1",
    )
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
    assert!(csv.starts_with("\u{feff}at,author,via,address,action") && csv.contains("advertiser.update"));
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
