//! Access matrix: every route × every role × another network's IDs in every position. A route without a row fails.
//!
//! The expected access of each role is listed here, apart from the permission table, so that a change of that table
//! shows up as a failure.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

mod matrix_rows;

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use matrix_rows::{API, Door, Id, PAGES, Row};
use reqwest::{Client, Method, StatusCode};
use schema::{
    AdvertiserId, AffiliateId, ApiKeyId, ApplicationId, CampaignId, CapId, DestinationId, GoalId, GroupId,
    InvitationId, LandingPageId, LinkId, MembershipId, NetworkId, ReportFileId, ReportLinkId, ReportMailId,
    RuleId, SavedReportId, UrlTemplateId,
};
use tenancy::RoleKind;
use testkit::{Member, Page, Scene, TestApp, TestOptions};

/// Word in every name, address and sub ID of the other network, and nowhere else.
const CANARY: &str = "Rival";

/// IDs of one network, of every kind, as text.
struct Ids(Vec<(Id, String)>);

impl Ids {
    fn get(&self, id: Id) -> &str {
        let found = self.0.iter().find(|(kind, _)| *kind == id);
        &found.unwrap_or_else(|| panic!("no {id:?} in the scene")).1
    }

    /// Valid IDs of no object. Those that sort by time have the time of the foreign ones, because as the start of a
    /// page they stand for that time, whatever network they belong to.
    fn absent(foreign: &Self) -> Self {
        const ABSENT: i32 = 0x7fff_fff1;
        let like = |id: Id| {
            let text = foreign.get(id);
            let (rest, last) = text.split_at(text.len() - 2);
            format!("{rest}{}", if last == "00" { "40" } else { "00" })
        };
        Self(vec![
            (Id::Campaign, CampaignId(ABSENT).to_string()),
            (Id::Goal, GoalId(ABSENT).to_string()),
            (Id::Rule, RuleId(ABSENT).to_string()),
            (Id::LandingPage, LandingPageId(ABSENT).to_string()),
            (Id::UrlTemplate, UrlTemplateId(ABSENT).to_string()),
            (Id::Cap, CapId(ABSENT).to_string()),
            (Id::Coupon, format!("{}.SCENE", CampaignId(ABSENT))),
            (Id::Link, LinkId(ABSENT).to_string()),
            (Id::Advertiser, AdvertiserId(ABSENT).to_string()),
            (Id::Affiliate, AffiliateId(ABSENT).to_string()),
            (Id::Group, GroupId(ABSENT).to_string()),
            (Id::Application, ApplicationId(ABSENT).to_string()),
            (Id::Member, MembershipId(ABSENT).to_string()),
            (Id::Invitation, InvitationId(ABSENT).to_string()),
            (Id::Key, ApiKeyId(ABSENT).to_string()),
            (Id::Session, schema::SessionId(ABSENT).to_string()),
            (Id::Network, NetworkId(ABSENT).to_string()),
            (Id::Conversion, like(Id::Conversion)),
            (Id::Postback, like(Id::Postback)),
            (Id::Audit, like(Id::Audit)),
            (Id::Click, like(Id::Click)),
            (Id::Alert, like(Id::Alert)),
            (Id::Rate, "2026-11-03-SEK".to_owned()),
            (Id::SavedReport, SavedReportId(ABSENT).to_string()),
            (Id::ReportMail, ReportMailId(ABSENT).to_string()),
            (Id::ReportLink, ReportLinkId(ABSENT).to_string()),
            (Id::ReportFile, ReportFileId(ABSENT).to_string()),
            (Id::Destination, DestinationId(ABSENT).to_string()),
            (Id::Delivery, like(Id::Delivery)),
            (Id::Consumer, matrix_rows::consumer(ABSENT)),
        ])
    }

    /// IDs of a network that has an object of every kind, after a click and a conversion.
    async fn of(app: &TestApp, scene: &Scene, click: &str) -> Self {
        let network = scene.network.id.0;
        let number = async |sql: &str| {
            let sql = sql.replace("$n", &network.to_string());
            i32::try_from(app.count(&sql).await).unwrap()
        };
        let event = async |prefix: &str, table: &str| {
            let uuid = app
                .text(&format!(
                    "SELECT id FROM {table} WHERE network_id = {network} ORDER BY id DESC LIMIT 1"
                ))
                .await;
            let uuid: uuid::Uuid = uuid.parse().unwrap();
            format!("{prefix}_{}", schema::BASE32.encode(uuid.as_bytes()))
        };
        let analyst = "SELECT id FROM memberships WHERE network_id = $n AND role = 'analyst'";
        let session = "SELECT s.id FROM sessions s JOIN memberships m ON m.network_id = s.network_id
                       AND m.id = s.membership_id WHERE s.network_id = $n AND m.role = 'owner' LIMIT 1";
        Self(vec![
            (Id::Campaign, scene.campaign.id.to_string()),
            (Id::Goal, scene.sale_id.to_string()),
            (Id::Rule, scene.rule_id.to_string()),
            (Id::LandingPage, scene.landing_page_id.to_string()),
            (Id::UrlTemplate, scene.url_template_id.to_string()),
            (Id::Cap, scene.cap_id.to_string()),
            (Id::Coupon, format!("{}.SCENE", scene.campaign.id)),
            (Id::Link, scene.link_id.to_string()),
            (Id::Advertiser, scene.advertiser_id.to_string()),
            (Id::Affiliate, scene.affiliate_id.to_string()),
            (Id::Group, scene.group_id.to_string()),
            (Id::Application, scene.application_id.to_string()),
            (Id::Member, MembershipId(number(analyst).await).to_string()),
            (
                Id::Invitation,
                InvitationId(number("SELECT id FROM invitations WHERE network_id = $n LIMIT 1").await)
                    .to_string(),
            ),
            (
                Id::Key,
                ApiKeyId(number("SELECT id FROM api_keys WHERE network_id = $n LIMIT 1").await).to_string(),
            ),
            (Id::Session, schema::SessionId(number(session).await).to_string()),
            (Id::Network, scene.network.id.to_string()),
            (Id::Conversion, event("cnv", "conversions").await),
            (Id::Postback, event("pb", "postbacks").await),
            (Id::Audit, event("aud", "audit_log").await),
            (Id::Click, click.to_owned()),
            (Id::Alert, event("alr", "alerts").await),
            (
                Id::Rate,
                app.text(&format!(
                    "SELECT day || '-' || currency FROM exchange_rates WHERE network_id = {network}"
                ))
                .await,
            ),
            (
                Id::SavedReport,
                SavedReportId(number("SELECT id FROM saved_reports WHERE network_id = $n").await).to_string(),
            ),
            (
                Id::ReportMail,
                ReportMailId(number("SELECT id FROM report_mails WHERE network_id = $n").await).to_string(),
            ),
            (
                Id::ReportLink,
                ReportLinkId(number("SELECT id FROM report_links WHERE network_id = $n").await).to_string(),
            ),
            (
                Id::ReportFile,
                ReportFileId(number("SELECT id FROM report_files WHERE network_id = $n").await).to_string(),
            ),
            (
                Id::Destination,
                DestinationId(number("SELECT id FROM destinations WHERE network_id = $n").await).to_string(),
            ),
            (Id::Delivery, event("dlv", "deliveries").await),
            (Id::Consumer, matrix_rows::consumer(network)),
        ])
    }
}

/// Two networks with objects of every kind, and the server's log.
struct Stage {
    app: TestApp,
    rival: Scene,
    own: Ids,
    foreign: Ids,
    absent: Ids,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Stage {
    async fn set() -> Self {
        let turn = TURN.lock().await;
        record_logs();
        // Each role calls every endpoint several times.
        let app = TestApp::spawn_with(TestOptions {
            calls_per_minute: Some(u32::MAX),
            ..TestOptions::default()
        })
        .await;
        let rival = Scene::set(&app.db, CANARY, "rival.example").await;
        let own_click = live(&app, "orbit", &app.scene).await;
        let foreign_click = live(&app, "rival", &rival).await;
        let own = Ids::of(&app, &app.scene, &own_click).await;
        let foreign = Ids::of(&app, &rival, &foreign_click).await;
        LOGGED.lock().unwrap().clear();
        // Conversions get what their clicks had in the background.
        app.eventually(
            "SELECT count(*) FROM conversions WHERE visit IS NULL AND click_id IS NOT NULL",
            "0",
        )
        .await;
        Self {
            app,
            rival,
            own,
            absent: Ids::absent(&foreign),
            foreign,
            _turn: turn,
        }
    }

    /// Digest of every row of the other network.
    async fn rivals_rows(&self) -> String {
        #[derive(QueryableByName)]
        struct Digest {
            #[diesel(sql_type = Text)]
            digest: String,
        }
        let mut conn = self.app.db.network(self.rival.network.id).await.unwrap();
        let found: Digest = diesel::sql_query(
            "SELECT md5(string_agg(table_name || row_json, '' ORDER BY table_name, row_json)) AS digest
             FROM export_network()",
        )
        .get_result(&mut *conn)
        .await
        .unwrap();
        found.digest
    }

    async fn finish(self) {
        let logged = String::from_utf8_lossy(&LOGGED.lock().unwrap()).into_owned();
        assert!(
            !logged.contains(CANARY),
            "the log mentions the other network: {logged}"
        );
        self.app.finish().await;
    }
}

/// Log of this process, at `info` and above.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Lock for tests in one process, which share its log.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn record_logs() {
    struct Memory;
    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            LOGGED.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // The first test of a process installs the subscriber; the others find it installed.
    let _ = tracing_subscriber::fmt().with_writer(|| Memory).try_init();
}

/// Creates data of every kind in a network: a click, a conversion, a session, an invitation, a key.
async fn live(app: &TestApp, slug: &str, scene: &Scene) -> String {
    let is_rival = scene.network.name == CANARY;
    let sub1 = if is_rival { CANARY } else { "own" };
    let link = format!("{}/{slug}/{}?sub1={sub1}", app.tracking_url, scene.alias);
    let http = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let click = http.get(&link).send().await.unwrap();
    assert_eq!(click.status(), StatusCode::FOUND, "{link}");
    let location = click.headers()["location"].to_str().unwrap().to_owned();
    let click = location
        .split_once("id=")
        .unwrap()
        .1
        .split('&')
        .next()
        .unwrap()
        .to_owned();
    // A closed alert, which no page shows as open.
    let alert = schema::AlertId::fresh(schema::clock::now()).0;
    let (network, advertiser) = (scene.network.id.0, scene.advertiser_id.0);
    app.execute(&format!(
        "INSERT INTO alerts (network_id, id, advertiser_id, kind, since, opened_at, finding, closed_at, notify_after)
         VALUES ({network}, '{alert}', {advertiser}, 'silent', now(), now(), '{{}}', now(), now())"
    ))
    .await;
    // Each network has a rate of another currency, by which the other network must not find it.
    let currency = if is_rival { "NOK" } else { "CHF" };
    app.execute(&format!(
        "INSERT INTO exchange_rates (network_id, day, currency, nanos_per_euro, source, set_at, set_by)
         VALUES ({network}, '2026-11-03', '{currency}', 1000000000, 'user', now(), '{}')",
        scene.network.name
    ))
    .await;
    // A view of the team, which every role that sees reports can open.
    app.execute(&format!(
        "INSERT INTO saved_reports (network_id, owner_id, name, audience, roles, period, query, created_at, updated_at)
         SELECT network_id, id, '{} view', 'team', '{{owner,admin,manager,analyst,advertiser,affiliate}}', 'today',
             'group=day', now(), now()
         FROM memberships WHERE network_id = {network} AND role = 'owner'",
        scene.network.name
    ))
    .await;
    app.execute(&format!(
        "INSERT INTO report_mails (network_id, saved_report_id, owner_id, rhythm, at_hour, format, created_at, next_at)
         SELECT network_id, id, owner_id, 'daily', 7, 'csv', now(), now() + interval '1 year'
         FROM saved_reports WHERE network_id = {network}"
    ))
    .await;
    app.execute(&format!(
        "INSERT INTO report_links (network_id, owner_id, name, token_hash, query, created_at, expires_at)
         SELECT network_id, owner_id, name, sha256(id::text::bytea), 'group=day', now(), now() + interval '1 day'
         FROM saved_reports WHERE network_id = {network}"
    ))
    .await;
    app.execute(&format!(
        "WITH file AS (INSERT INTO report_files (network_id, owner_id, query, format, status, bytes, created_at, finished_at, expires_at)
             SELECT network_id, owner_id, 'group=day', 'csv', 'ready', 3, now(), now(), now() + interval '1 day'
             FROM saved_reports WHERE network_id = {network} RETURNING network_id, id)
         INSERT INTO report_file_parts (network_id, file_id, part, data) SELECT network_id, id, 0, 'day' FROM file"
    ))
    .await;
    let order = format!("{}-1", scene.network.name);
    let postback = format!("{}/{slug}/postback", app.tracking_url);
    let query = [
        ("click_id", click.as_str()),
        ("goal", "sale"),
        ("order_id", &order),
        ("amount", "10"),
        ("token", &scene.token),
    ];
    assert_eq!(
        http.get(postback).query(&query).send().await.unwrap().status(),
        StatusCode::OK
    );
    app.settled().await;
    for statement in matrix_rows::delivery_rows(network) {
        app.execute(&statement).await;
    }
    let owner = app.sign_in(&scene.owner).await;
    let guest = [("email", &*format!("guest@{slug}.example")), ("role", "analyst")];
    let invited = owner.submit("/members", "/members/invite", &guest).await;
    assert_eq!(invited.status, StatusCode::SEE_OTHER, "{}", invited.html);
    let key = [("name", scene.network.name.as_str()), ("scopes", "reports:read")];
    let made = owner.submit("/settings/keys", "/settings/keys", &key).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.html);
    click
}

/// Path of a row with its IDs filled in.
fn fill(row: &Row, ids: &Ids) -> String {
    match row.id {
        Some(id) => {
            let (before, rest) = row.path.split_once('{').unwrap();
            let (_, after) = rest.split_once('}').unwrap();
            format!("{before}{}{after}", ids.get(id))
        }
        None => row.path.to_owned(),
    }
}

/// Response without the parts that differ every time: the requested ID, form tokens, the clock.
fn essence(text: &str, asked: &[&str]) -> String {
    let mut text = text.to_owned();
    for id in asked {
        text = text.replace(id, "ID");
    }
    for (start, end) in [
        ("name=\"form_token\" value=\"", "\""),
        ("Data through ", " "),
        ("\"request_id\":\"", "\""),
    ] {
        let mut rest = text.as_str();
        let mut kept = String::new();
        while let Some((before, after)) = rest.split_once(start) {
            kept.push_str(before);
            rest = after.split_once(end).map_or("", |(_, after)| after);
        }
        kept.push_str(rest);
        text = kept;
    }
    text
}

fn assert_no_canary(whom: &str, what: &str, text: &str) {
    assert!(!text.contains(CANARY), "{whom} sees the other network at {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_has_its_row_and_every_row_its_route() {
    let listed = |rows: &[Row]| -> BTreeSet<(String, String)> {
        rows.iter()
            .map(|row| (row.method.to_lowercase(), row.path.to_owned()))
            .collect()
    };
    let served = |routes: &[(&str, &str)]| -> BTreeSet<(String, String)> {
        routes
            .iter()
            .map(|(method, path)| (method.to_lowercase(), (*path).to_owned()))
            .collect()
    };
    assert_eq!(served(&dashboard::routes()), listed(PAGES));
    assert_eq!(served(api::ROUTES), listed(API));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_opens_its_pages_and_nothing_of_another_network() {
    let stage = Stage::set().await;
    let before = stage.rivals_rows().await;
    for kind in RoleKind::ALL {
        let member = stage.app.sign_in(stage.app.scene.person(*kind)).await;
        let token = member.get("/account").await.form_token().to_owned();
        for row in PAGES {
            check_page(&stage, *kind, &member, &token, row).await;
        }
    }
    assert_eq!(
        stage.rivals_rows().await,
        before,
        "the other network's rows have changed"
    );
    stage.finish().await;
}

async fn check_page(stage: &Stage, kind: RoleKind, member: &Member, token: &str, row: &Row) {
    let what = format!("{} {}", row.method, row.path);
    let who = kind.as_str();
    let own = fill(row, &stage.own);
    match row.door {
        Door::Public | Door::Unasked => {}
        Door::Operator => {
            let page = ask(member, token, row, &own, &stage.own).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{who} at {what}");
        }
        Door::Roles(roles) | Door::Owners(roles) if !roles.contains(&kind) => {
            for ids in [&stage.own, &stage.foreign, &stage.absent] {
                let page = ask(member, token, row, &fill(row, ids), ids).await;
                assert_eq!(page.status, StatusCode::FORBIDDEN, "{who} at {what}");
                assert_no_canary(who, &what, &page.html);
            }
        }
        Door::Person | Door::Roles(_) | Door::Owners(_) => {
            if row.method == "get" && !matches!(row.door, Door::Owners(_)) {
                let page = member.get(&own).await;
                let fine = page.status == StatusCode::OK || page.status == StatusCode::SEE_OTHER;
                assert!(fine, "{who} at {what}: {}", page.status);
                assert_no_canary(who, &what, &page.html);
            }
            let foreign = ask(member, token, row, &fill(row, &stage.foreign), &stage.foreign).await;
            let absent = ask(member, token, row, &fill(row, &stage.absent), &stage.absent).await;
            if row.id.is_none() && row.fields.is_empty() && row.queries.is_empty() {
                return;
            }
            if row.id.is_some() {
                assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{who} at {what}");
                assert_eq!(foreign.html, absent.html, "{who} at {what}");
            }
            compare(who, &what, (&foreign, &stage.foreign), (&absent, &stage.absent));
            for (name, id) in row.queries {
                let with = |ids: &Ids| format!("{}?{name}={}", row.path, ids.get(*id));
                let foreign = member.get(&with(&stage.foreign)).await;
                let absent = member.get(&with(&stage.absent)).await;
                compare(who, &what, (&foreign, &stage.foreign), (&absent, &stage.absent));
            }
        }
    }
}

fn compare(who: &str, what: &str, foreign: (&Page, &Ids), absent: (&Page, &Ids)) {
    let text = |(page, ids): (&Page, &Ids)| {
        let asked: Vec<&str> = ids.0.iter().map(|(_, id)| id.as_str()).collect();
        essence(&page.html, &asked)
    };
    assert_eq!(foreign.0.status, absent.0.status, "{who} at {what}");
    assert_no_canary(who, what, &foreign.0.html);
    assert_eq!(
        text(foreign),
        text(absent),
        "{who} at {what}: another network's ID is distinguishable from an absent one"
    );
}

async fn ask(member: &Member, token: &str, row: &Row, path: &str, ids: &Ids) -> Page {
    if row.method == "get" {
        return member.get(path).await;
    }
    let mut fields: Vec<(&str, &str)> = row.texts.to_vec();
    fields.extend(row.fields.iter().map(|(name, id)| (*name, ids.get(*id))));
    fields.push(("form_token", token));
    member.post(path, &fields, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_sent_to_sign_in_and_operators_have_no_network() {
    let stage = Stage::set().await;
    let stranger = stage.app.stranger();
    for row in PAGES.iter().filter(|row| row.door != Door::Public) {
        let page = ask(&stranger, "none", row, &fill(row, &stage.own), &stage.own).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{} {}", row.method, row.path);
        assert!(
            page.location().starts_with("/sign-in"),
            "{} {}",
            row.method,
            row.path
        );
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_calls_its_endpoints_and_reaches_no_other_network() {
    let stage = Stage::set().await;
    let before = stage.rivals_rows().await;
    let http = Client::builder().no_proxy().build().unwrap();
    for kind in RoleKind::ALL {
        let key = testkit::api_key(&stage.app.sign_in(stage.app.scene.person(*kind)).await).await;
        for row in API {
            check_endpoint(&stage, *kind, &http, &key, row).await;
        }
    }
    assert_eq!(
        stage.rivals_rows().await,
        before,
        "the other network's rows have changed"
    );
    stage.finish().await;
}

async fn check_endpoint(stage: &Stage, kind: RoleKind, http: &Client, key: &str, row: &Row) {
    let (who, what) = (kind.as_str(), format!("{} {}", row.method, row.path));
    let call = async |path: String, ids: &Ids| -> (StatusCode, String) {
        let url = format!("{}{path}", stage.app.dashboard_url);
        let method: Method = row.method.to_uppercase().parse().unwrap();
        let mut request = http.request(method.clone(), url).bearer_auth(key);
        if method != Method::GET && method != Method::DELETE {
            request = match row.texts {
                [("csv", csv)] => request.header("Content-Type", "text/csv").body(*csv),
                _ => request.json(&body(row, ids)),
            };
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let asked = |ids: &Ids| ids.0.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>();
    let plain = |text: &str, ids: &Ids| {
        let asked = asked(ids);
        essence(text, &asked.iter().map(String::as_str).collect::<Vec<_>>())
    };
    match row.door {
        Door::Public | Door::Unasked => {}
        Door::Roles(roles) | Door::Owners(roles) if !roles.contains(&kind) => {
            for ids in [&stage.own, &stage.foreign, &stage.absent] {
                let (status, text) = call(fill(row, ids), ids).await;
                assert_eq!(status, StatusCode::FORBIDDEN, "{who} at {what}: {text}");
                assert_no_canary(who, &what, &text);
            }
        }
        _ => {
            if row.method == "get" && !matches!(row.door, Door::Owners(_)) {
                let (status, text) = call(fill(row, &stage.own), &stage.own).await;
                assert_eq!(status, StatusCode::OK, "{who} at {what}: {text}");
                assert_no_canary(who, &what, &text);
            }
            if row.id.is_some() || !row.fields.is_empty() {
                let (foreign, foreign_text) = call(fill(row, &stage.foreign), &stage.foreign).await;
                let (absent, absent_text) = call(fill(row, &stage.absent), &stage.absent).await;
                if row.id.is_some() {
                    assert_eq!(foreign, StatusCode::NOT_FOUND, "{who} at {what}: {foreign_text}");
                }
                assert!(
                    foreign.is_client_error(),
                    "{who} at {what}: {foreign} {foreign_text}"
                );
                assert_eq!(
                    (foreign, plain(&foreign_text, &stage.foreign)),
                    (absent, plain(&absent_text, &stage.absent)),
                    "{who} at {what}"
                );
                assert_no_canary(who, &what, &foreign_text);
            }
            for (name, id) in row.queries {
                let with = |ids: &Ids| format!("{}?{name}={}", row.path, ids.get(*id));
                let (foreign, foreign_text) = call(with(&stage.foreign), &stage.foreign).await;
                let (absent, absent_text) = call(with(&stage.absent), &stage.absent).await;
                assert_eq!(
                    (foreign, plain(&foreign_text, &stage.foreign)),
                    (absent, plain(&absent_text, &stage.absent)),
                    "{who} at {what} by {name}"
                );
                assert_no_canary(who, &what, &foreign_text);
            }
        }
    }
}

fn body(row: &Row, ids: &Ids) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    for (name, text) in row.texts {
        object.insert((*name).to_owned(), serde_json::json!(text));
    }
    for (name, id) in row.fields {
        object.insert((*name).to_owned(), serde_json::json!(ids.get(*id)));
    }
    serde_json::Value::Object(object)
}
