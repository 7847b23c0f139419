//! Attacks by outsiders: forged forms, session fixation, account enumeration, database logins with too many rights.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::process::Command;

use diesel_async::SimpleAsyncConnection;
use reqwest::StatusCode;
use testkit::{MailSink, Member, Page, TestApp, TestOptions};

/// A path that matches this pattern.
fn example(pattern: &str) -> String {
    let mut path = pattern.to_owned();
    while let Some((before, rest)) = path.split_once('{') {
        let (_, after) = rest.split_once('}').unwrap();
        path = format!("{before}x{after}");
    }
    path
}

/// Every row of the database, except the times of last use of sessions.
async fn digest(app: &TestApp) -> String {
    app.text(
        "SELECT string_agg(md5(query_to_xml(format('SELECT * FROM %I ORDER BY 1, 2', table_name), true, false, '')::text), ','
                           ORDER BY table_name)
         FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> 'sessions'",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_another_site_changes_anything_on_any_route() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let genuine = owner.get("/account").await.form_token().to_owned();
    let foreign = app.stranger().get("/sign-in").await.form_token().to_owned();
    let before = digest(&app).await;
    let posts: Vec<_> = dashboard::routes()
        .into_iter()
        .filter(|(method, _)| *method == "post")
        .collect();
    assert!(posts.len() > 30);
    for (_, pattern) in posts {
        let path = example(pattern);
        for (token, headers) in [
            ("", vec![]),
            (foreign.as_str(), vec![]),
            ("not.a.token", vec![]),
            (genuine.as_str(), vec![("Origin", "https://evil.example")]),
            (genuine.as_str(), vec![("Origin", "null")]),
            (genuine.as_str(), vec![("Sec-Fetch-Site", "cross-site")]),
            (genuine.as_str(), vec![("Sec-Fetch-Site", "same-site")]),
        ] {
            let page = owner.post(&path, &[("form_token", token)], &headers).await;
            let refused = [
                StatusCode::FORBIDDEN,
                StatusCode::NOT_FOUND,
                StatusCode::MISDIRECTED_REQUEST,
            ]
            .contains(&page.status);
            assert!(
                refused,
                "POST {path} with {token:.9} {headers:?}: {}",
                page.status
            );
        }
        // A GET request changes nothing.
        let viewed = owner.get(&path).await;
        assert!(viewed.status != StatusCode::INTERNAL_SERVER_ERROR, "GET {path}");
    }
    assert_eq!(digest(&app).await, before, "the database has changed");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cookie_set_before_sign_in_is_never_promoted() {
    let app = TestApp::spawn().await;
    let fixed = "0".repeat(52);
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let page = http
        .get(format!("{}/sign-in", app.dashboard_url))
        .header("Cookie", format!("session={fixed}"))
        .send()
        .await
        .unwrap();
    let html = page.text().await.unwrap();
    let token = html
        .split_once("name=\"form_token\" value=\"")
        .unwrap()
        .1
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let owner = &app.scene.owner;
    let fields = [
        ("email", owner.email.as_str()),
        ("password", owner.password.as_str()),
        ("form_token", &token),
    ];
    let signed_in = http
        .post(format!("{}/sign-in", app.dashboard_url))
        .header("Cookie", format!("session={fixed}"))
        .form(&fields)
        .send()
        .await
        .unwrap();
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        !cookie.contains(&fixed) && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let with = async |cookie: &str| {
        let request = http
            .get(format!("{}/reports", app.dashboard_url))
            .header("Cookie", cookie);
        request.send().await.unwrap().status()
    };
    assert_eq!(with(&format!("session={fixed}")).await, StatusCode::SEE_OTHER);
    let fresh = cookie.split(';').next().unwrap();
    assert_eq!(with(fresh).await, StatusCode::OK);
    // Idle sessions end, and so do sessions of maximum age, even if busy.
    for (column, ago) in [("seen_at", "25 hours"), ("expires_at", "1 second")] {
        let mut conn = app.database.owner().await;
        let sql = format!("UPDATE sessions SET {column} = now() - interval '{ago}'");
        conn.batch_execute(&sql).await.unwrap();
        assert_eq!(with(fresh).await, StatusCode::SEE_OTHER, "{column}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_do_not_reveal_which_addresses_have_an_account() {
    let sink = MailSink::start().await;
    let app = TestApp::spawn_with(TestOptions {
        mailer: sink.mailer(),
        ..TestOptions::default()
    })
    .await;
    let (known, unknown) = (app.scene.owner.email.as_str(), "unknown@orbit.example");
    let plain = |page: Page, email: &str| {
        let html = page.html.replace(email, "ADDRESS");
        let (before, rest) = html
            .split_once("name=\"form_token\" value=\"")
            .unwrap_or((html.as_str(), ""));
        let after = rest.split_once('"').map_or("", |(_, after)| after);
        (page.status, format!("{before}{after}"))
    };
    let ask = async |path: &str, email: &str, more: &[(&str, &str)]| {
        let fields = [&[("email", email)], more].concat();
        plain(app.stranger().submit(path, path, &fields).await, email)
    };
    let wrong = [("password", "wrong password here")];
    assert_eq!(
        ask("/sign-in", known, &wrong).await,
        ask("/sign-in", unknown, &wrong).await
    );
    assert_eq!(
        ask("/forgot", known, &[]).await,
        ask("/forgot", unknown, &[]).await
    );
    // A sign-up with the address of an existing account is reported to its owner by mail only.
    let fields = [
        ("network", "Copycat"),
        ("your_name", "Copy Cat"),
        ("password", "four unlikely words here"),
        ("time_zone", "UTC"),
        ("currency", "EUR"),
    ];
    let (status, html) = ask("/sign-up", known, &fields).await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("We sent an email to ADDRESS"), "{html}");
    assert!(
        sink.newest_to(known)
            .await
            .text
            .contains("sign-up at Clickledger was attempted")
    );
    assert_eq!(app.count("SELECT count(*) FROM networks").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_bypasses_row_level_security_is_refused_and_an_ordinary_one_accepted() {
    let app = TestApp::spawn().await;
    let data = tempfile::tempdir().unwrap();
    let run = |command: &str, variables: &[(&str, &str)]| {
        let mut run = Command::new(env!("CARGO_BIN_EXE_clickledger"));
        run.args([command, "--data-dir"])
            .arg(data.path())
            .env_remove("OWNER_DATABASE_URL");
        if command == "create-network" {
            run.args(["--name", "By Hand", "--owner-email", "hand@example.com"]);
        }
        let output = run.envs(variables.iter().copied()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let superuser = app.database.url.as_str();
    let (ran, output) = run("create-network", &[("DATABASE_URL", superuser)]);
    assert!(
        !ran && output.contains("is a superuser") && output.contains("CREATE ROLE clickledger_app"),
        "{output}"
    );
    // A fresh database with an owner that is no superuser, and a login that owns nothing.
    let owned = format!("{}_owned", app.database.name);
    app.database
        .operate(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'test_owner') THEN
         CREATE ROLE test_owner LOGIN CREATEROLE; CREATE ROLE test_app LOGIN; END IF; END $$",
        )
        .await;
    app.database
        .operate(&format!("CREATE DATABASE {owned} OWNER test_owner"))
        .await;
    app.database
        .operate("GRANT clickledger_web TO test_owner WITH ADMIN OPTION")
        .await;
    let url = |login: &str| {
        let (before, rest) = superuser.split_once("://").unwrap();
        let (_, after) = rest.split_once('@').unwrap();
        let after = after.replacen(&app.database.name, &owned, 1);
        format!("{before}://{login}@{after}")
    };
    let (login, owner) = (url("test_app"), url("test_owner"));
    let (ran, output) = run("create-network", &[("DATABASE_URL", &login)]);
    assert!(!ran && output.contains("clickledger migrate"), "{output}");
    let (ran, output) = run(
        "migrate",
        &[("DATABASE_URL", &login), ("OWNER_DATABASE_URL", &owner)],
    );
    assert!(ran && output.contains("up to date"), "{output}");
    let (ran, output) = run("create-network", &[("DATABASE_URL", &owner)]);
    assert!(!ran && output.contains("owns tables of the database"), "{output}");
    let (ran, output) = run("create-network", &[("DATABASE_URL", &login)]);
    assert!(ran && output.contains("by-hand"), "{output}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_shown_as_text_on_every_page() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}";
    let submit = async |page: &str, action: &str, fields: &[(&str, &str)]| {
        let done = owner.submit(page, action, fields).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{action}: {}", done.html);
    };
    submit(
        "/affiliates/new",
        "/affiliates",
        &[
            ("name", evil),
            ("external_id", evil),
            ("notes", evil),
            ("tags", "<b>x</b>"),
            ("status", "active"),
        ],
    )
    .await;
    submit("/affiliates/groups", "/affiliates/groups", &[("name", evil)]).await;
    submit(
        "/settings/joining",
        "/settings/joining",
        &[
            ("join_open", "yes"),
            ("join_greeting", evil),
            ("join_questions", evil),
            ("auto_approve", "none"),
        ],
    )
    .await;
    submit(
        "/settings/keys",
        "/settings/keys",
        &[("name", evil), ("scopes", "reports:read")],
    )
    .await;
    submit("/account", "/account/name", &[("name", evil)]).await;
    let fields = [
        ("name", evil),
        ("email", "x@evil.example"),
        ("website", evil),
        ("answer1", evil),
    ];
    let applied = app.stranger().submit("/join/orbit", "/join/orbit", &fields).await;
    let status = applied.location().to_owned();
    let list = owner.get("/applications").await;
    let (_, rest) = list.html.split_once("/applications/app_").unwrap();
    let application = format!("/applications/app_{}", rest.split('"').next().unwrap());
    let pages = [
        "/affiliates",
        "/affiliates/groups",
        "/settings/joining",
        "/settings/keys",
        "/account",
        "/applications",
        "/settings/audit",
        "/members",
        &application,
        &status,
        "/join/orbit",
        "/reports",
        "/start",
    ];
    for path in pages {
        let page = owner.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(
            !page.html.contains("<script>alert")
                && !page.html.contains("<img src=x")
                && !page.html.contains("<b>x"),
            "{path}"
        );
    }
    refuse_controls(&owner).await;
    app.finish().await;
}

async fn refuse_controls(owner: &Member) {
    let fields = [("name", "a\u{7}b"), ("status", "active")];
    let page = owner.submit("/affiliates/new", "/affiliates", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.html.contains("Remove control characters."));
}
