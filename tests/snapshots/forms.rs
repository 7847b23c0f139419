//! Pages that answer a form: what is wrong with its fields, what a pasted postback means, and why a page is refused.

use reqwest::StatusCode;
use tenancy::operators;
use testkit::people::{PASSWORD, accept, path, see_other};
use testkit::{MailSink, Member, TestApp, TestOptions};

use crate::fixture::Fixture;
use crate::mails::with_text;
use crate::pages::text_of;
use crate::recorder::Recorder;
use crate::redaction::Redaction;

/// Form with fields that are refused: name of the snapshot, page and action, fields.
type Refused<'a> = (&'static str, (String, String), &'a [(&'static str, &'a str)]);

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_are_refused() {
    let fixture = Fixture::new().await;
    let mut snapshots = Recorder::new("pages/forms");
    let scene = &fixture.app.scene;
    let campaign = format!("/campaigns/{}", scene.campaign.id);
    let goal = format!("/goals/{}", scene.sale_id);
    let advertiser = format!("/advertisers/{}", scene.advertiser_id);
    let integration = format!("/integration/{}", scene.advertiser_id);
    let at = |path: &str| (path.to_owned(), path.to_owned());
    let below = |page: &str, action: &str| (format!("{campaign}{page}"), format!("{campaign}{action}"));
    let cases: Vec<Refused> = vec![
        (
            "start",
            at("/start"),
            &[
                ("commission", "ten"),
                ("currency", "EURO"),
                ("attribution_days", "0"),
            ],
        ),
        (
            "settings",
            at("/settings"),
            &[
                ("name", ""),
                ("slug", "A B"),
                ("time_zone", "Mars"),
                ("currency", "x"),
            ],
        ),
        (
            "joining",
            at("/settings/joining"),
            &[("auto_approve", "listed"), ("auto_approve_domains", "no domain")],
        ),
        (
            "key",
            at("/settings/keys"),
            &[("name", ""), ("expires_in_days", "soon")],
        ),
        (
            "member",
            ("/members".into(), "/members/invite".into()),
            &[("email", "ana"), ("role", "affiliate")],
        ),
        (
            "advertiser",
            ("/advertisers/new".into(), "/advertisers".into()),
            &[("name", ""), ("status", "gone")],
        ),
        (
            "affiliate",
            ("/affiliates/new".into(), "/affiliates".into()),
            &[("name", ""), ("status", "gone")],
        ),
        (
            "stale",
            at(&advertiser),
            &[("name", "x"), ("status", "active"), ("version", "77")],
        ),
        ("group", at("/affiliates/groups"), &[("name", "")]),
        (
            "url_template",
            ("/tools/templates/new".into(), "/tools/templates".into()),
            &[("name", ""), ("direction", "outbound"), ("url", "nowhere")],
        ),
        (
            "campaign",
            below("/settings", "/settings"),
            &[("name", ""), ("destination", "nowhere"), ("countries", "Mars")],
        ),
        (
            "landing_page",
            below("/settings", "/landing-pages"),
            &[("page_name", ""), ("page_url", "nowhere")],
        ),
        (
            "cap",
            below("/settings", "/caps"),
            &[("cap_most", "0"), ("cap_metric", "clicks"), ("cap_period", "day")],
        ),
        ("coupon", below("/settings", "/coupons"), &[("coupon_code", "")]),
        (
            "goal",
            below("/goals/new", "/goals"),
            &[("code", "A B"), ("kind", "gift"), ("commission", "x")],
        ),
        (
            "goal_settings",
            at(&goal),
            &[("code", "sale"), ("name", ""), ("review_above", "lots")],
        ),
        (
            "rule",
            (goal.clone(), format!("{goal}/rules")),
            &[("rule_name", ""), ("rule_commission", "x")],
        ),
        ("link", below("/links/new", "/links"), &[("alias", "a b/c")]),
        (
            "integration",
            at(&integration),
            &[("allowed_addresses", "nowhere"), ("signature_seconds", "0")],
        ),
        (
            "password",
            ("/account".into(), "/account/password".into()),
            &[("present", "x"), ("password", "short")],
        ),
        (
            "import",
            at("/affiliates/import"),
            &[("csv", "name,status\n,active\nBlog,gone\n")],
        ),
        (
            "exchange_rate",
            at("/settings/exchange-rates"),
            &[
                ("new_currency", "EUR"),
                ("new_day", "27.11.2026"),
                ("new_rate", "1,25"),
            ],
        ),
        (
            "exchange_rates",
            at("/settings/exchange-rates/import"),
            &[
                (
                    "csv",
                    "currency,day,rate\nUSD,2026-11-04,1.25\nUSD,2026-11-05,0\n",
                ),
                ("confirm", "yes"),
            ],
        ),
        (
            "sheet",
            at("/campaigns/files/goals"),
            &[("csv", "campaign,code,kind\nNova,sale,gift\n")],
        ),
        (
            "paste.postback",
            at("/tools/postback"),
            &[("pasted", "https://t.example/p.ashx?o=1&r={click_id}&t={order_id}")],
        ),
        (
            "delete",
            at("/settings/delete"),
            &[("name", "Nova"), ("password", "x")],
        ),
    ];
    for (name, (page, action), fields) in cases {
        let answer = fixture.owner.submit(&page, &action, fields).await;
        assert_ne!(answer.status, StatusCode::SEE_OTHER, "{name} was accepted");
        snapshots.check(name, &text_of(&fixture.redaction, &answer));
    }
    for (name, path) in [
        ("error.not_found", "/nowhere".to_owned()),
        ("error.absent", "/campaigns/cmp_0000010".to_owned()),
        ("error.report", "/reports?from=yesterday&group=colour".to_owned()),
    ] {
        let answer = fixture.owner.get(&path).await;
        snapshots.check(name, &text_of(&fixture.redaction, &answer));
    }
    let affiliate = fixture.app.sign_in(&scene.affiliate).await;
    let answer = affiliate.get("/members").await;
    snapshots.check("error.not_permitted", &text_of(&fixture.redaction, &answer));
    let answer = affiliate.post("/account/name", &[("name", "x")], &[]).await;
    snapshots.check("error.form_token", &text_of(&fixture.redaction, &answer));
    let answer = fixture
        .app
        .stranger()
        .try_sign_in("owner@orbit.example", "wrong password")
        .await;
    snapshots.check("sign_in", &text_of(&fixture.redaction, &answer));
    snapshots.finish();
    fixture.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_links_with_a_token() {
    let sink = MailSink::start().await;
    let app = TestApp::spawn_with(TestOptions {
        mailer: sink.mailer(),
        ..TestOptions::default()
    })
    .await;
    let redaction = Redaction::of(&app);
    let mut snapshots = Recorder::new("pages/tokens");
    let mut check = async |name: &str, member: &Member, path: &str| {
        let page = member.get(path).await;
        snapshots.check(name, &text_of(&redaction, &page));
    };
    let (owner, stranger) = (app.sign_in(&app.scene.owner).await, app.stranger());
    let token = operators::setup_token(&mut app.db.unscoped().await.unwrap())
        .await
        .unwrap()
        .unwrap();
    check("setup", &stranger, &format!("/setup/{}", token.as_str())).await;
    check("setup.used", &stranger, "/setup/0000").await;
    let fields = [("email", "ana@orbit.example"), ("role", "analyst")];
    let invited = owner.submit("/members", "/members/invite", &fields).await;
    assert_eq!(see_other(&invited), "/members");
    let link = sink.newest_to("ana@orbit.example").await.link(&app.dashboard_url);
    let link = path(&app, &link);
    check("invitation", &stranger, link).await;
    check("invitation.signed_in", &owner, link).await;
    let ana = accept(&app, link, "Ana", PASSWORD).await;
    check("home.analyst", &ana, "/").await;
    // Without a password, a lost one is a link to sign in.
    let advertiser = app.scene.advertiser_id.to_string();
    let fields = [
        ("email", "dev@shop.example"),
        ("role", "advertiser_developer"),
        ("advertiser", advertiser.as_str()),
    ];
    let invited = owner.submit("/members", "/members/invite", &fields).await;
    assert_eq!(see_other(&invited), "/members");
    let link = sink.newest_to("dev@shop.example").await.link(&app.dashboard_url);
    let link = path(&app, &link);
    check("invitation.developer", &stranger, link).await;
    accept(&app, link, "Dev", "").await;
    for (name, email, beginning) in [
        ("reset", app.scene.owner.email.as_str(), "/reset/"),
        ("sign_in_link", "dev@shop.example", "/sign-in/link/"),
    ] {
        let asked = stranger.submit("/forgot", "/forgot", &[("email", email)]).await;
        snapshots.check(&format!("{name}.asked"), &text_of(&redaction, &asked));
        let beginning = format!("{}{beginning}", app.dashboard_url);
        let link = with_text(&sink, email, &beginning).await.link(&beginning);
        let page = stranger.get(path(&app, &link)).await;
        snapshots.check(name, &text_of(&redaction, &page));
    }
    let fields = [
        ("name", "Fresh Blog"),
        ("email", "me@fresh.example"),
        ("website", "https://fresh.example"),
    ];
    let applied = stranger.submit("/join/orbit", "/join/orbit", &fields).await;
    let page = stranger.get(see_other(&applied)).await;
    snapshots.check("join.applied", &text_of(&redaction, &page));
    snapshots.finish();
    app.finish().await;
}
