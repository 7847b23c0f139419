//! A network with something of every kind in it, made through the pages, links and postbacks that people use.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use schema::{InvitationId, MembershipId, clock};
use testkit::people::{invite, see_other, shown};
use testkit::{Answer, Member, TestApp, TestOptions};

use crate::redaction::Redaction;

pub(crate) struct Fixture {
    pub(crate) app: TestApp,
    pub(crate) owner: Member,
    pub(crate) redaction: Redaction,
    /// Click with a conversion in each status.
    pub(crate) click: String,
    /// Receipts of postbacks by verdict.
    pub(crate) postbacks: BTreeMap<&'static str, String>,
    /// Conversions by status.
    pub(crate) conversions: BTreeMap<&'static str, String>,
    pub(crate) alert: String,
    /// Saved view, its scheduled mail and a share link.
    pub(crate) saved: [String; 4],
    /// Ids of a destination and its delivery.
    pub(crate) delivery: [String; 2],
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let app = TestApp::spawn_with(TestOptions {
            calls_per_minute: Some(u32::MAX),
            ..TestOptions::default()
        })
        .await;
        let owner = app.sign_in(&app.scene.owner).await;
        let mut redaction = Redaction::of(&app);
        let clicks = [
            click(&app, "?sub1=newsletter", DESKTOP).await,
            click(&app, "?sub1=vip&sub2=banner", PHONE).await,
        ];
        app.visitor().click("").await;
        let campaign = format!("/campaigns/{}/test", app.scene.campaign.id);
        let made = owner.submit(&campaign, &campaign, &[]).await;
        assert_eq!(see_other(&made), campaign);
        let link = shown(&owner.get(&campaign).await, "test-link").to_owned();
        let (_, test_alias) = link.rsplit_once('/').unwrap();
        redaction.add(test_alias, "[test alias]");
        let test_click = app.visitor_of(test_alias).click("").await.id;
        app.settled().await;
        let (postbacks, conversions) = send(&app, &clicks, &test_click).await;
        for (decision, status) in [("approve", "approved"), ("reject", "rejected")] {
            let action = format!("/conversions/{}", conversions[status]);
            let decided = owner
                .submit("/conversions", &action, &[("decision", decision)])
                .await;
            assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.html);
        }
        invite(
            &app,
            &owner,
            &[("email", "ana@orbit.example"), ("role", "analyst")],
        )
        .await;
        let key = [("name", "Reports"), ("scopes", "reports:read")];
        let made = owner.submit("/settings/keys", "/settings/keys", &key).await;
        assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.html);
        // Shown once, on this page.
        owner.get("/settings/keys").await;
        let proven = owner.submit("/settings/proof", "/settings/proof", &[]).await;
        assert_eq!(proven.status, StatusCode::SEE_OTHER, "{}", proven.html);
        let alert = add_alerts(&app).await;
        add_exchange_rates(&app).await;
        let saved = add_saved_reports(&app).await;
        let delivery = add_delivery(&app).await;
        for table in ["audit_log", "ledger_entries"] {
            order_rows(&app, table).await;
        }
        let [click, _] = clicks;
        Self {
            app,
            owner,
            redaction,
            click,
            postbacks,
            conversions,
            alert,
            saved,
            delivery,
        }
    }

    /// Makes a replay that would change nothing, waits for it, and returns its path. The sweep that does it takes seconds.
    pub(crate) async fn replay(&self) -> String {
        let action = format!("/postbacks/{}/replay", self.postbacks["goal_unknown"]);
        let asked = self.owner.submit("/postbacks", &action, &[("how", "dry")]).await;
        self.app
            .eventually("SELECT count(*) FROM replays WHERE done_at IS NULL", "0")
            .await;
        see_other(&asked).to_owned()
    }

    /// Text without what differs in every run.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.redaction.apply(text)
    }

    /// Id of the membership with this role.
    pub(crate) async fn member_id(&self, role: &str) -> String {
        let sql = format!("SELECT id FROM memberships WHERE role = '{role}'");
        MembershipId(i32::try_from(self.app.count(&sql).await).unwrap()).to_string()
    }

    /// Id of the invitation.
    pub(crate) async fn invitation_id(&self) -> String {
        let sql = "SELECT max(id) FROM invitations";
        InvitationId(i32::try_from(self.app.count(sql).await).unwrap()).to_string()
    }
}

/// User-Agent of a computer.
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
/// User-Agent of a telephone.
pub(crate) const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
    Version/18.6 Mobile/15E148 Safari/604.1";

/// Clicks the scene's link with this browser, and returns the click id that the destination receives.
async fn click(app: &TestApp, query: &str, browser: &str) -> String {
    let target = format!("/{}{query}", app.scene.alias);
    let headers = [
        ("User-Agent", browser),
        ("Referer", "https://blog.example/post?page=2"),
    ];
    let sent = app
        .advertiser()
        .call_with(Method::GET, &target, &headers, "")
        .await;
    let (_, id) = sent.headers["location"]
        .to_str()
        .unwrap()
        .split_once("&id=")
        .unwrap();
    id.split('&').next().unwrap().to_owned()
}

/// Sends a postback of every kind of verdict that lists show.
async fn send(
    app: &TestApp,
    [click, other]: &[String; 2],
    test_click: &str,
) -> (BTreeMap<&'static str, String>, BTreeMap<&'static str, String>) {
    let server = app.advertiser();
    let orders: [(&'static str, &[(&str, &str)]); 11] = [
        (
            "accepted",
            &[("click_id", click), ("order_id", "A-1"), ("amount", "100")],
        ),
        (
            "accepted",
            &[
                ("click_id", click),
                ("order_id", "A-2"),
                ("amount", "49.99"),
                ("gift", "yes"),
            ],
        ),
        (
            "accepted",
            &[("click_id", other), ("order_id", "A-3"), ("amount", "1234.50")],
        ),
        (
            "duplicate_order",
            &[("click_id", click), ("order_id", "A-1"), ("amount", "100")],
        ),
        (
            "duplicate_conflict",
            &[("click_id", click), ("order_id", "A-1"), ("amount", "120")],
        ),
        ("accepted", &[("click_id", click), ("goal", "lead")]),
        (
            "goal_unknown",
            &[
                ("click_id", click),
                ("goal", "salle"),
                ("order_id", "A-4"),
                ("amount", "10"),
            ],
        ),
        (
            "amount_invalid",
            &[("click_id", click), ("order_id", "A-5"), ("amount", "10,50")],
        ),
        (
            "waiting_for_conversion",
            &[("click_id", click), ("order_id", "A-6"), ("refund", "all")],
        ),
        (
            "wrong_mode",
            &[
                ("click_id", click),
                ("order_id", "A-7"),
                ("amount", "1"),
                ("test", "1"),
            ],
        ),
        (
            "test_accepted",
            &[("click_id", test_click), ("order_id", "T-1"), ("amount", "50")],
        ),
    ];
    let (mut postbacks, mut conversions) = (BTreeMap::new(), BTreeMap::new());
    let mut statuses = ["pending", "approved", "rejected"].into_iter();
    for (reason, parameters) in orders {
        let answer = server.postback(parameters).await;
        assert_eq!(answer.reason(), reason, "{}", answer.text);
        postbacks.entry(reason).or_insert_with(|| receipt(&answer));
        if let ("accepted", Some(status)) = (reason, statuses.next()) {
            conversions.insert(status, answer.get("conversion_id").to_owned());
        }
    }
    let parameters = [("click_id", click.as_str()), ("order_id", "A-8"), ("amount", "1")];
    let answer = server.with_token("wrong").postback(&parameters).await;
    assert_eq!(answer.reason(), "token_invalid", "{}", answer.text);
    postbacks.insert("token_invalid", receipt(&answer));
    app.settled().await;
    (postbacks, conversions)
}

fn receipt(answer: &Answer) -> String {
    answer.get("request_id").to_owned()
}

/// Adds a rate of the network, and two reference rates, one of which it replaces.
async fn add_exchange_rates(app: &TestApp) {
    let network = app.scene.network.id.0;
    app.execute(&format!(
        "INSERT INTO exchange_rates (network_id, day, currency, nanos_per_euro, source, set_at, set_by)
         VALUES ({network}, '2026-11-03', 'USD', 1250000000, 'user', now(), 'Ada')"
    ))
    .await;
    app.execute(
        "INSERT INTO reference_rates (day, currency, nanos_per_euro, source, stored_at)
         VALUES ('2026-11-03', 'USD', 1123400000, 'ecb', now()), ('2026-11-03', 'JPY', 172350000000, 'ecb', now())",
    )
    .await;
}

/// Adds an alert of each kind, one of them over, as the watch would after days; returns the open one.
async fn add_alerts(app: &TestApp) -> String {
    let (network, advertiser) = (app.scene.network.id.0, app.scene.advertiser_id.0);
    let now = clock::now();
    let rejections = r#"{"kind": "rejections", "rejected": 12, "calls": 40, "percent_before": 3, "reason": "goal_unknown", "for_it": 11}"#;
    let silent = r#"{"kind": "silent", "clicks": 48, "expected": 24}"#;
    let mut open = String::new();
    for (minutes, kind, finding, closed) in [
        (2, "rejections", rejections, "now()"),
        (1, "silent", silent, "NULL"),
    ] {
        let id = schema::AlertId::fresh(now - chrono::TimeDelta::minutes(minutes));
        app.execute(&format!(
            "INSERT INTO alerts (network_id, id, advertiser_id, kind, since, opened_at, finding, closed_at, notify_after)
             VALUES ({network}, '{}', {advertiser}, '{kind}', now() - interval '3 hours', now(), '{finding}', {closed}, now())",
            id.0
        ))
        .await;
        open = id.to_string();
    }
    open
}

/// Adds a view of the team with its mail, which a recipient stopped, and a share link; returns their ids.
async fn add_saved_reports(app: &TestApp) -> [String; 4] {
    app.execute(
        "INSERT INTO saved_reports (network_id, owner_id, name, audience, roles, period, query, created_at, updated_at)
         SELECT network_id, id, 'Last week by affiliate', 'team', '{owner,analyst,affiliate}', 'last_week',
             'group=affiliate&metrics=clicks%2Cconversions', now(), now()
         FROM memberships WHERE role = 'owner'",
    )
    .await;
    app.execute(
        "INSERT INTO report_defaults (network_id, role, saved_report_id) SELECT network_id, 'analyst', id FROM saved_reports",
    )
    .await;
    app.execute(
        "INSERT INTO report_mails (network_id, saved_report_id, owner_id, rhythm, on_day, at_hour, format, created_at, next_at)
         SELECT network_id, id, owner_id, 'weekly', 1, 7, 'csv', now(), '2100-01-04T06:00:00Z' FROM saved_reports",
    )
    .await;
    app.execute(
        "INSERT INTO report_mail_recipients (network_id, report_mail_id, membership_id, stopped_at)
         SELECT r.network_id, r.id, m.id, CASE m.role WHEN 'analyst' THEN now() END
         FROM report_mails r JOIN memberships m ON m.network_id = r.network_id AND m.role IN ('owner', 'analyst')",
    )
    .await;
    app.execute(
        "INSERT INTO report_links (network_id, owner_id, name, token_hash, period, query, created_at, expires_at)
         SELECT network_id, owner_id, 'For the board', sha256('link'), 'this_month', 'group=day', now(), now() + interval '30 days'
         FROM saved_reports",
    )
    .await;
    app.execute(
        "WITH file AS (
             INSERT INTO report_files (network_id, owner_id, query, format, status, rows_total, rows_written, bytes, created_at,
                                       finished_at, expires_at)
             SELECT network_id, owner_id, 'group=sub1&from=2026-11-01&to=2026-11-30', 'csv', 'ready', 3, 3, 23,
                    '2026-11-30T08:00:00Z', '2026-11-30T08:01:00Z', '2100-01-04T06:00:00Z'
             FROM saved_reports RETURNING network_id, id)
         INSERT INTO report_file_parts (network_id, file_id, part, data)
         SELECT network_id, id, 0, convert_to('sub1,clicks' || chr(10) || 'a,1' || chr(10) || 'b,2' || chr(10) || 'x,3', 'UTF8')
         FROM file",
    )
    .await;
    let id = async |table: &str| i32::try_from(app.count(&format!("SELECT id FROM {table}")).await).unwrap();
    [
        schema::SavedReportId(id("saved_reports").await).to_string(),
        schema::ReportMailId(id("report_mails").await).to_string(),
        schema::ReportLinkId(id("report_links").await).to_string(),
        schema::ReportFileId(id("report_files").await).to_string(),
    ]
}

/// Adds a paused destination of the affiliate with a delivery that failed once, and an event consumer; returns the ids of the
/// former.
async fn add_delivery(app: &TestApp) -> [String; 2] {
    let affiliate = app.scene.affiliate_id.0;
    app.execute(&format!(
        "INSERT INTO destinations (network_id, kind, affiliate_id, name, events, method, url, value_maps, state,
             paused_because, created_at, failures)
         SELECT network_id, 'postback', id, 'My Keitaro', 'created,approved', 'GET',
             'https://tracker.example/postback?subid={{sub1}}&status={{status}}&token=YOUR_TOKEN',
             '{{\"status\": {{\"approved\": \"sale\"}}}}', 'paused', 'gone', '2100-01-04T06:00:00Z', 1
         FROM affiliates WHERE id = {affiliate}"
    ))
    .await;
    let id = schema::DeliveryId::fresh(clock::now());
    app.execute(&format!(
        "INSERT INTO deliveries (network_id, id, destination_id, conversion_id, version, event, attempts, failures, is_retry,
             code, problem)
         SELECT d.network_id, '{id}', d.id, c.id, 1, 'created', 1, 1, true, 410, 'The receiver wants no more events (410).'
         FROM destinations d JOIN (SELECT network_id, id FROM conversions ORDER BY id LIMIT 1) c USING (network_id)",
        id = id.0
    ))
    .await;
    app.execute(
        "INSERT INTO delivery_attempts (network_id, delivery_id, number, at, method, url, code, problem, duration_ms, answer)
         SELECT network_id, id, 1, now(), 'GET', 'https://tracker.example/postback?subid=a&status=sale&token=YOUR_TOKEN',
             code, problem, 87, 'gone' FROM deliveries",
    )
    .await;
    app.execute(
        "INSERT INTO event_consumers (network_id, name, position, created_at) SELECT network_id, 'warehouse', 0, created_at
         FROM destinations",
    )
    .await;
    let destination = app.count("SELECT id FROM destinations").await;
    let destination = schema::DestinationId(i32::try_from(destination).unwrap());
    [destination.to_string(), id.to_string()]
}

/// Gives rows of a table ids in the order they were written in: within a millisecond they are random.
async fn order_rows(app: &TestApp, table: &str) {
    app.execute(&format!(
        "UPDATE {table} AS row SET id = ordered.new_id FROM (
             SELECT id, (left(id::text, 15) || '000-8000-'
                 || lpad(to_hex(row_number() OVER (ORDER BY ctid)), 12, '0'))::uuid AS new_id
             FROM {table}
         ) AS ordered WHERE row.id = ordered.id",
    ))
    .await;
}
