//! The real server on ports of its own, with a small network in it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use campaigns::campaigns::{self as campaign_table, Campaign, CampaignSettings};
use campaigns::caps::{self, CapPeriod, Metric, NewCap};
use campaigns::coupons::{self, Coupon};
use campaigns::goals::{self, GoalKind, GoalSettings, UniqueBy};
use campaigns::integrations;
use campaigns::landing_pages::{self, LandingPageSettings};
use campaigns::links::{self, NewLink};
use campaigns::rules::{self, Conditions, RuleSettings};
use campaigns::terms::{Pay, Terms};
use campaigns::url_templates::{self, Direction, UrlTemplateSettings};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{
    AdvertiserId, AffiliateId, ApplicationId, CampaignId, CapId, Db, GoalId, GroupId, LandingPageId, LinkId,
    NetworkConn, NetworkId, RuleId, UrlTemplateId, clock,
};
use server::serve::{self, Running, ServeSettings};
use tenancy::advertisers::AdvertiserSettings;
use tenancy::affiliates::AffiliateSettings;
use tenancy::applications::{self, ApplicationDraft};
use tenancy::memberships::{self, Role, RoleKind};
use tenancy::networks::{self, Joining, Network, NewNetwork};
use tenancy::people::{self, NewPerson};
use tenancy::{Author, Mailer, Passwords, Scope, Secret, advertisers, affiliates, groups, unscoped};
use tracking::verify::{self, Period};
use tracking::{JournalSettings, WhenDiskFails};

use crate::actors::{AdvertiserServer, Member, Visitor};
use crate::postgres::TestDatabase;

/// What a campaign can have besides goals and links, in a way that changes nothing.
struct Parts {
    rule_id: RuleId,
    landing_page_id: LandingPageId,
    cap_id: CapId,
}

impl Parts {
    async fn create(
        conn: &mut NetworkConn,
        author: &Author,
        campaign_id: CampaignId,
        sale_id: GoalId,
        now: DateTime<Utc>,
    ) -> Self {
        let rule = RuleSettings {
            name: "Nobody's coupon".to_owned(),
            position: 1,
            conditions: Conditions {
                coupon: Some("NOBODY-SENDS-THIS".to_owned()),
                ..Conditions::default()
            },
            commission_fixed_micros: 0,
            commission_rate_ppm: 120_000,
            revenue_fixed_micros: 0,
            revenue_rate_ppm: 170_000,
        };
        let page = LandingPageSettings {
            name: "Nobody's page".to_owned(),
            url: "https://shop.example/nobody?id={click_id}".to_owned(),
            weight: 0,
        };
        let cap = NewCap {
            campaign_id,
            affiliate_id: None,
            metric: Metric::Conversions,
            period: CapPeriod::Total,
            most: 1_000_000_000,
        };
        Self {
            rule_id: rules::create(conn, author, sale_id, &rule, now).await.unwrap().id,
            landing_page_id: landing_pages::create(conn, author, campaign_id, &page, now)
                .await
                .unwrap()
                .id,
            cap_id: caps::create(conn, author, &cap, now).await.unwrap().id,
        }
    }
}

/// The running server, its database, and the scene that is set in it.
pub struct TestApp {
    /// Where the dashboard is.
    pub dashboard_url: String,
    /// Where clicks and postbacks go.
    pub tracking_url: String,
    /// The database under it.
    pub database: TestDatabase,
    /// A pool, for looking at what was stored.
    pub db: Db,
    /// The network, with one of everything.
    pub scene: Scene,
    /// Where what networks owned is written before it is erased.
    pub exports: tempfile::TempDir,
    /// Where its journals are.
    pub journal: tempfile::TempDir,
    /// The installation's secret.
    pub secret: Secret,
    running: Option<Running>,
    finished: bool,
}

/// How a test's server differs from the usual one.
#[derive(Default)]
pub struct TestOptions {
    /// Sends mails; without it none are sent.
    pub mailer: Mailer,
    /// Proxies whose headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they say the visitor's country.
    pub country_header: Option<String>,
    /// Files that tell countries by address.
    pub places: Vec<PathBuf>,
    /// How often a network may call the API in a minute; without it, as often as anywhere.
    pub calls_per_minute: Option<u32>,
    /// Database to serve; a new one if None.
    pub database: Option<TestDatabase>,
}

/// A network with one advertiser, one campaign with two goals, one affiliate with one link, and three people.
pub struct Scene {
    /// The network.
    pub network: Network,
    /// The advertiser.
    pub advertiser_id: AdvertiserId,
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// Its campaign, in EUR: `sale` pays 10 % once per order, `lead` pays 5.00 once per click.
    pub campaign: Campaign,
    /// Its goal `sale`.
    pub sale_id: GoalId,
    /// A rule of that goal, for orders with a coupon that nobody sends.
    pub rule_id: RuleId,
    /// A landing page that nobody is sent to.
    pub landing_page_id: LandingPageId,
    /// A cap that nobody reaches.
    pub cap_id: CapId,
    /// A URL template of the network's own.
    pub url_template_id: UrlTemplateId,
    /// The affiliate's link.
    pub link_id: LinkId,
    /// Path of the link.
    pub alias: String,
    /// The advertiser's token.
    pub token: String,
    /// The owner.
    pub owner: SignIn,
    /// Somebody of the advertiser's.
    pub advertiser: SignIn,
    /// Somebody of the affiliate's.
    pub affiliate: SignIn,
    /// Its other people: an admin, a manager, an analyst, and the advertiser's developer.
    pub others: Vec<(RoleKind, SignIn)>,
    /// A group of affiliates.
    pub group_id: GroupId,
    /// An application that waits.
    pub application_id: ApplicationId,
}

impl Scene {
    /// How somebody with this role signs in.
    #[must_use]
    pub fn person(&self, kind: RoleKind) -> &SignIn {
        match kind {
            RoleKind::Owner => &self.owner,
            RoleKind::Advertiser => &self.advertiser,
            RoleKind::Affiliate => &self.affiliate,
            kind => {
                let found = self.others.iter().find(|(role, _)| *role == kind);
                &found.expect("everyone is in the scene").1
            }
        }
    }
}

/// How a person signs in.
pub struct SignIn {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
}

/// Where the scene's campaign sends visitors.
const DESTINATION: &str = "https://shop.example/p?own=1&id={click_id}&s={sub1}&a={affiliate_id}#top";

impl TestApp {
    /// Starts a server on a fresh database with a scene in it.
    pub async fn spawn() -> Self {
        Self::spawn_with(TestOptions::default()).await
    }

    /// The same, with options.
    pub async fn spawn_with(options: TestOptions) -> Self {
        let exports = tempfile::tempdir().expect("folder for exports");
        let database = match options.database {
            Some(database) => database,
            None => TestDatabase::create().await,
        };
        let tracking = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let tracking_host = tracking.local_addr().expect("bound").to_string();
        let journal = tempfile::tempdir().expect("folder for journals");
        let secret = Secret::random();
        let settings = ServeSettings {
            trusted_proxies: options.trusted_proxies,
            places: options.places,
            country_header: options.country_header,
            mailer: options.mailer,
            api_calls_per_minute: options.calls_per_minute.unwrap_or(600),
            tracking,
            ..node(&database, &secret, journal.path(), exports.path())
        };
        let running = serve::start(settings).expect("the server starts");
        let db = Db::new(&database.url, 4, Duration::from_secs(15));
        let scene = Scene::set(&db, "Orbit", &tracking_host).await;
        Self {
            dashboard_url: running.dashboard_url.clone(),
            tracking_url: running.tracking_url.clone(),
            database,
            db,
            scene,
            exports,
            journal,
            secret,
            running: Some(running),
            finished: false,
        }
    }

    /// Starts another node of the same installation, whose tracking host is the scene's network's too.
    pub async fn another_node(&self) -> Running {
        let settings = node(
            &self.database,
            &self.secret,
            self.journal.path(),
            self.exports.path(),
        );
        let host = settings.tracking.local_addr().expect("bound");
        let running = serve::start(settings).expect("the node starts");
        let sql = "INSERT INTO tracking_hosts (host, network_id) VALUES ($1, $2)";
        diesel::sql_query(sql)
            .bind::<Text, _>(host.to_string())
            .bind::<Integer, _>(self.scene.network.id)
            .execute(&mut self.database.owner().await)
            .await
            .expect("a host of its own");
        running
    }

    /// Somebody who clicks links.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.tracking_url, &self.scene.alias)
    }

    /// A visitor of another link.
    #[must_use]
    pub fn visitor_of(&self, alias: &str) -> Visitor {
        Visitor::new(&self.tracking_url, alias)
    }

    /// The advertiser's server, which knows its token.
    #[must_use]
    pub fn advertiser(&self) -> AdvertiserServer {
        AdvertiserServer::new(&self.tracking_url, &self.scene.token)
    }

    /// Somebody who has signed in to the dashboard.
    pub async fn sign_in(&self, who: &SignIn) -> Member {
        self.stranger().sign_in(&who.email, &who.password).await
    }

    /// Somebody at the dashboard who has not signed in.
    #[must_use]
    pub fn stranger(&self) -> Member {
        Member::stranger(&self.dashboard_url).watching(&self.running().tracker)
    }

    /// Waits until everything that was acknowledged is in the database.
    pub async fn settled(&self) {
        if let Some(running) = &self.running {
            running.tracker.settled().await;
        }
    }

    /// The running server.
    #[must_use]
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("runs until the test ends")
    }

    /// A transaction on the scene's network, for looking at what was stored, when it is.
    pub async fn network(&self) -> NetworkConn {
        self.settled().await;
        self.db
            .network(self.scene.network.id)
            .await
            .expect("test database answers")
    }

    /// Changes the database as nobody could through the product, to make time pass.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn execute(&self, sql: &str) {
        let mut conn = self.database.owner().await;
        diesel::sql_query(sql)
            .execute(&mut conn)
            .await
            .expect("a statement");
    }

    /// One number from the database, when what was acknowledged is in it.
    pub async fn count(&self, sql: &str) -> i64 {
        self.settled().await;
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let mut conn = self.database.owner().await;
        let sql = format!("SELECT ({sql})::bigint AS count");
        let found: Count = diesel::sql_query(&sql)
            .get_result(&mut conn)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        found.count
    }

    /// One text from the database, when what was acknowledged is in it.
    pub async fn text(&self, sql: &str) -> String {
        self.settled().await;
        #[derive(QueryableByName)]
        struct Value {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let mut conn = self.database.owner().await;
        let sql = format!("SELECT ({sql})::text AS value");
        let found: Value = diesel::sql_query(&sql)
            .get_result(&mut conn)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        found.value
    }

    /// Stops the server and checks what must hold after any test: every test ends with it.
    pub async fn finish(mut self) {
        for (invariant, sql) in INVARIANTS {
            assert_eq!(self.count(sql).await, 0, "violated: {invariant}");
        }
        self.prove().await;
        self.finished = true;
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

impl TestApp {
    /// Proves for every network that what was acknowledged is stored, counted and booked.
    async fn prove(&self) {
        let now = clock::now();
        let always = Period {
            from: DateTime::UNIX_EPOCH,
            to: now + TimeDelta::days(1),
        };
        let ids = self
            .text("SELECT coalesce(string_agg(id::text, ','), '') FROM networks")
            .await;
        for id in ids.split(',').filter_map(|id| id.parse().ok()).map(NetworkId) {
            let mut conn = self.db.network(id).await.expect("test database answers");
            let network = networks::current(&mut conn).await.expect("it is there");
            let found = verify::verify(&mut conn, &network, self.journal.path(), always, now).await;
            let found = found.unwrap_or_else(|error| panic!("{error}"));
            let violated: Vec<_> = found.checks.iter().filter(|check| !check.holds()).collect();
            assert!(violated.is_empty(), "violated in {}: {violated:#?}", network.name);
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "the test did not end with app.finish().await"
        );
    }
}

/// What every node of a test's installation is served with, on free ports.
fn node(database: &TestDatabase, secret: &Secret, journal: &Path, exports: &Path) -> ServeSettings {
    ServeSettings {
        database_url: database.url.clone(),
        secret: secret.clone(),
        dashboard: TcpListener::bind("127.0.0.1:0").expect("a free port"),
        tracking: TcpListener::bind("127.0.0.1:0").expect("a free port"),
        metrics: None,
        hands_over: false,
        drain: Duration::ZERO,
        journal: JournalSettings {
            segment_bytes: 1024 * 1024,
            quota_bytes: 64 * 1024 * 1024,
            ..JournalSettings::in_folder(journal.to_owned())
        },
        when_disk_fails: WhenDiskFails::default(),
        keep_clicks_months: None,
        places: Vec::new(),
        country_header: None,
        dashboard_url: None,
        tracking_url: None,
        trusted_proxies: Vec::new(),
        mailer: Mailer::default(),
        allow_sign_up: true,
        exports: exports.to_owned(),
        api_calls_per_minute: 600,
    }
}

/// What must hold whatever happened, besides what [`tracking::verify`] proves: each counts its violations.
const INVARIANTS: [(&str, &str); 2] = [
    (
        "no rollup row is below zero",
        "SELECT count(*) FROM conversion_rollups
         WHERE conversions < 0 OR amount_micros < 0 OR commission_micros < 0 OR revenue_micros < 0",
    ),
    ("nothing was put aside", "SELECT count(*) FROM quarantine"),
];

impl Scene {
    /// Sets a scene: a network of this name behind this tracking host.
    pub async fn set(db: &Db, name: &str, tracking_host: &str) -> Self {
        let now = clock::now();
        let network_id = unscoped::new_network_id(&mut db.unscoped().await.unwrap())
            .await
            .unwrap();
        let mut conn = db.network(network_id).await.unwrap();
        let author = Author::system();
        let slug = networks::slug_from(name);
        let new = NewNetwork {
            name,
            slug: &slug,
            time_zone: Tz::Europe__Warsaw,
            currency: "EUR".parse().unwrap(),
        };
        let network = networks::create(&mut conn, &author, &new, now).await.unwrap();
        networks::set_tracking_hosts(&mut conn, &[tracking_host.to_owned()])
            .await
            .unwrap();
        let advertiser = advertisers::create(
            &mut conn,
            &author,
            &AdvertiserSettings::named(&format!("{name} Shop")),
            now,
        )
        .await
        .unwrap();
        let affiliate = affiliates::create(
            &mut conn,
            &author,
            &AffiliateSettings::named(&format!("{name} Blog")),
            now,
        )
        .await
        .unwrap();
        let settings = CampaignSettings::live(&format!("{name} campaign"), DESTINATION);
        let campaign =
            campaign_table::create(&mut conn, &author, advertiser.id, new.currency, &settings, now)
                .await
                .unwrap();
        let pays = |commission, revenue| Terms { commission, revenue };
        let share = |rate_ppm| Pay {
            fixed_micros: 0,
            rate_ppm,
        };
        let sum = |fixed_micros| Pay {
            fixed_micros,
            rate_ppm: 0,
        };
        let terms = pays(share(100_000), share(150_000));
        let sale = GoalSettings::new("sale", "Sale", GoalKind::Sale, terms);
        let sale = goals::create(&mut conn, &author, campaign.id, &sale, now)
            .await
            .unwrap();
        let lead = GoalSettings {
            unique_by: UniqueBy::Click,
            auto_approve: true,
            ..GoalSettings::new(
                "lead",
                "Lead",
                GoalKind::Lead,
                pays(sum(5_000_000), sum(7_000_000)),
            )
        };
        goals::create(&mut conn, &author, campaign.id, &lead, now)
            .await
            .unwrap();
        let parts = Parts::create(&mut conn, &author, campaign.id, sale.id, now).await;
        let alias = links::random_alias();
        let link = NewLink::plain(affiliate.id, campaign.id, &alias);
        let link = links::create(&mut conn, &author, &link, now).await.unwrap();
        let coupon = Coupon {
            campaign_id: campaign.id,
            code: "SCENE".to_owned(),
            affiliate_id: affiliate.id,
        };
        coupons::create(&mut conn, &author, &coupon, now).await.unwrap();
        let at_once = TimeDelta::zero();
        let token = integrations::new_token(&mut conn, &author, advertiser.id, at_once, now)
            .await
            .unwrap();
        let template = UrlTemplateSettings {
            name: format!("{name} tracker"),
            direction: Direction::Outbound,
            url: "https://tracker.example/postback?cid={aff_click_id}".to_owned(),
        };
        let everyone = Scope::default();
        let template = url_templates::create(&mut conn, &author, everyone, &template, now)
            .await
            .unwrap();
        let owner = member(&mut conn, name, Role::Owner).await;
        let for_advertiser = member(&mut conn, name, Role::Advertiser(advertiser.id)).await;
        let for_affiliate = member(&mut conn, name, Role::Affiliate(affiliate.id)).await;
        let mut others = Vec::new();
        for role in [
            Role::Admin,
            Role::Manager,
            Role::Analyst,
            Role::AdvertiserDeveloper(advertiser.id),
        ] {
            others.push((role.kind(), member(&mut conn, name, role).await));
        }
        let group = groups::create(&mut conn, &author, &format!("{name} group"), now)
            .await
            .unwrap();
        let joining = Joining {
            join_open: true,
            ..Joining::closed()
        };
        networks::update_joining(&mut conn, &author, &joining, now)
            .await
            .unwrap();
        let draft = ApplicationDraft {
            name: format!("{name} applicant"),
            email: format!("applicant@{}.example", name.to_lowercase()),
            website: format!("https://{}.example", name.to_lowercase()),
            answers: Vec::new(),
        };
        let applied = applications::apply(&mut conn, &joining, &draft, now)
            .await
            .unwrap();
        let network = networks::current(&mut conn).await.unwrap_or(network);
        conn.commit().await.unwrap();
        Self {
            others,
            group_id: group.id,
            application_id: applied.application.id,
            network,
            advertiser_id: advertiser.id,
            affiliate_id: affiliate.id,
            campaign,
            sale_id: sale.id,
            rule_id: parts.rule_id,
            landing_page_id: parts.landing_page_id,
            cap_id: parts.cap_id,
            url_template_id: template.id,
            link_id: link.id,
            alias,
            token: token.as_str().to_owned(),
            owner,
            advertiser: for_advertiser,
            affiliate: for_affiliate,
        }
    }
}

async fn member(conn: &mut NetworkConn, network: &str, role: Role) -> SignIn {
    let now = clock::now();
    let email = format!("{}@{}.example", role.as_str(), network.to_lowercase());
    let password = format!("{network} {} password", role.as_str());
    let hash = Passwords::new().hash(&password).await.unwrap();
    let person = NewPerson {
        email: &email,
        name: &format!("{network} {}", role.as_str()),
        password: Some(&hash),
        is_operator: false,
    };
    let person = people::create(conn, &person, now).await.unwrap();
    memberships::give(conn, &Author::system(), person.id, role, now)
        .await
        .unwrap();
    SignIn { email, password }
}
