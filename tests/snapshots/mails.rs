//! Mails: the text of each that people get.

use std::time::Duration;

use schema::clock;
use tenancy::Urls;
use tenancy::host_checks::{CheckNotices, Dns, HostChecker, check_due};
use testkit::people::{PASSWORD, accept, path, see_other};
use testkit::{MailSink, ReceivedMail, TestApp, TestOptions};

use crate::recorder::Recorder;
use crate::redaction::Redaction;

/// Mail with this text in its headers or body, waited for.
pub(crate) async fn with_text(sink: &MailSink, address: &str, text: &str) -> ReceivedMail {
    for _ in 0..100 {
        if let Some(mail) = sink
            .all_to(address)
            .into_iter()
            .find(|mail| mail.text.contains(text))
        {
            return mail;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "no mail with “{text}” to {address} within five seconds: {:?}",
        sink.all_to(address)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_to_people() {
    let sink = MailSink::start().await;
    let app = TestApp::spawn_with(TestOptions {
        mailer: sink.mailer(),
        ..TestOptions::default()
    })
    .await;
    let redaction = Redaction::of(&app);
    let mut snapshots = Recorder::new("mails");
    let mut check = |name: &str, mail: &ReceivedMail| {
        let text = format!(
            "From: {}\nTo: {}\n{}",
            mail.from,
            mail.to,
            without_date(&mail.text)
        );
        snapshots.check(name, &redaction.apply(&text));
    };
    let owner = app.sign_in(&app.scene.owner).await;
    let advertiser = app.scene.advertiser_id.to_string();
    for (name, email, role, advertiser) in [
        ("invitation", "ana@orbit.example", "analyst", ""),
        (
            "invitation.of_advertiser",
            "adam@shop.example",
            "advertiser",
            advertiser.as_str(),
        ),
        (
            "invitation.of_developer",
            "dev@shop.example",
            "advertiser_developer",
            advertiser.as_str(),
        ),
    ] {
        let fields = [("email", email), ("role", role), ("advertiser", advertiser)];
        assert_eq!(
            see_other(&owner.submit("/members", "/members/invite", &fields).await),
            "/members"
        );
        check(name, &sink.newest_to(email).await);
    }
    // A person without a password gets a link to sign in.
    let link = sink.newest_to("dev@shop.example").await.link(&app.dashboard_url);
    accept(&app, path(&app, &link), "Dev", "").await;
    for (name, email, subject) in [
        (
            "sign_in_link",
            "dev@shop.example",
            "Your Clickledger sign-in link",
        ),
        (
            "reset",
            app.scene.owner.email.as_str(),
            "Reset your Clickledger password",
        ),
    ] {
        app.stranger()
            .submit("/forgot", "/forgot", &[("email", email)])
            .await;
        check(name, &with_text(&sink, email, subject).await);
    }
    let known = [
        ("network", "Nova Partners"),
        ("your_name", "Nina Novak"),
        ("email", app.scene.owner.email.as_str()),
        ("password", PASSWORD),
        ("time_zone", "Europe/Warsaw"),
        ("currency", "EUR"),
    ];
    app.stranger().submit("/sign-up", "/sign-up", &known).await;
    check(
        "existing_account",
        &with_text(
            &sink,
            &app.scene.owner.email,
            "You already have a Clickledger account",
        )
        .await,
    );
    for (name, email, decision) in [
        ("application.approved", "one@fresh.example", "approve"),
        ("application.declined", "two@fresh.example", "decline"),
    ] {
        check(name, &decided(&app, &sink, email, decision).await);
    }
    for (name, mail) in alerts(&app, &sink).await {
        check(name, &mail);
    }
    check("lost_host", &lost_host(&app, &sink).await);
    snapshots.finish();
    app.finish().await;
}

/// Mail on a host that another network has proven.
async fn lost_host(app: &TestApp, sink: &MailSink) -> ReceivedMail {
    let network = app.scene.network.id;
    app.execute(&format!(
        "INSERT INTO host_claims (network_id, host, token, claimed_at, check_after, lost_at)
         VALUES ({}, 'go.orbit.example', 'abcdefghjkmnpqrs', now(), now(), now())",
        network.0
    ))
    .await;
    let urls = Urls::new(&app.dashboard_url, &app.tracking_url);
    let checker = HostChecker::new(Dns::default(), &urls);
    let notices = CheckNotices {
        mailer: sink.mailer(),
        dashboard_url: app.dashboard_url.clone(),
    };
    check_due(&app.db, &checker, &notices, network, clock::now())
        .await
        .unwrap();
    let email = &app.scene.owner.email;
    with_text(sink, email, "no longer has the tracking host").await
}

/// Mail on the decision about an application.
async fn decided(app: &TestApp, sink: &MailSink, email: &str, decision: &str) -> ReceivedMail {
    let fields = [
        ("name", "Fresh Blog"),
        ("email", email),
        ("website", "https://fresh.example"),
    ];
    let applied = app.stranger().submit("/join/orbit", "/join/orbit", &fields).await;
    assert!(see_other(&applied).starts_with("/join/orbit/"));
    let owner = app.sign_in(&app.scene.owner).await;
    let list = owner.get("/applications?status=pending").await.html;
    let (before, _) = list.split_once(">Fresh Blog</a>").unwrap();
    let (_, url) = before.rsplit_once("href=\"").unwrap();
    let url = url.trim_end_matches('"');
    let reason = [("reason", "We know too little of you.")];
    let sent = owner.submit(url, &format!("{url}/{decision}"), &reason).await;
    assert_eq!(see_other(&sent), url);
    sink.newest_to(email).await
}

/// Mails on an integration whose postbacks are rejected, and when they are accepted again.
async fn alerts(app: &TestApp, sink: &MailSink) -> [(&'static str, ReceivedMail); 2] {
    let click = app.visitor().click("").await.id;
    app.settled().await;
    for order in 0..12 {
        let order = order.to_string();
        let parameters = [
            ("click_id", click.as_str()),
            ("goal", "salle"),
            ("order_id", &order),
            ("amount", "1"),
        ];
        assert_eq!(
            app.advertiser().postback(&parameters).await.reason(),
            "goal_unknown"
        );
    }
    app.settled().await;
    let network = app.scene.network.id;
    let watch = async |now| {
        monitoring::alerts::watch(&app.db, network, &sink.mailer(), &app.dashboard_url, now)
            .await
            .unwrap();
    };
    let email = &app.scene.owner.email;
    watch(clock::now()).await;
    let begun = with_text(sink, email, "Orbit Shop: many postbacks").await;
    watch(clock::now() + chrono::TimeDelta::days(2)).await;
    let over = with_text(
        sink,
        email,
        "Orbit Shop: the alert about rejected postbacks is over",
    )
    .await;
    [("alert", begun), ("alert.over", over)]
}

/// Mail without its `Date`, which must have the shape of one.
pub(crate) fn without_date(text: &str) -> String {
    let shape = regex::Regex::new(r"(?m)^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]0000$").unwrap();
    assert!(shape.is_match(text), "{text}");
    shape.replace(text, "Date: [date]").into_owned()
}
