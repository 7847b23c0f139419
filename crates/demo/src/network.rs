//! Network of the demo: advertisers with their campaigns, affiliates with their links, and one person of each role.

use campaigns::campaigns::{self as campaign_table, CampaignSettings};
use campaigns::caps::{self, CapPeriod, Metric, NewCap};
use campaigns::goals::{self, GoalKind, GoalSettings, UniqueBy};
use campaigns::integrations::{self, Token};
use campaigns::links::{self, NewLink};
use campaigns::terms::{Pay, Terms};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use schema::{AffiliateId, BASE32, CampaignId, Currency, Db, LinkId, NetworkConn, Words, clock};
use tenancy::advertisers::AdvertiserSettings;
use tenancy::affiliates::AffiliateSettings;
use tenancy::applications::{self, ApplicationDraft};
use tenancy::memberships::{self, Role};
use tenancy::networks::{self, Joining, Limits, Network, NewNetwork};
use tenancy::people::NewPerson;
use tenancy::{Author, Passwords, advertisers, affiliates, people, unscoped};

use crate::DemoError;
use crate::description::{
    DemoAddresses, Description, GoalDescription, LinkDescription, Named, PostbackDescription, SignIn,
    destination,
};
use crate::dialect::Dialect;
use crate::scenarios::{self, Scenarios};

/// Advertiser with its one campaign and the campaign's traffic.
struct CampaignPlan {
    advertiser: &'static str,
    campaign: &'static str,
    /// Destination of clicks; that of the first campaign is the demo shop.
    destination: &'static str,
    currency: &'static str,
    goal: (&'static str, &'static str),
    kind: GoalKind,
    unique_by: UniqueBy,
    auto_approve: bool,
    /// Commission: fixed micro-units, parts per million.
    commission: (i64, i32),
    /// Revenue: fixed micro-units, parts per million.
    revenue: (i64, i32),
    /// Conversions per thousand clicks.
    per_thousand: u32,
    /// Smallest and largest order, in whole units; zero for conversions without an amount.
    order: (u32, u32),
    /// Share of the traffic, relative to the other campaigns.
    weight: u32,
    /// Postback format of the advertiser's server.
    dialect: Dialect,
    /// True if its allowed addresses are monitored only.
    is_monitored: bool,
    /// Cap of clicks per day, with the fallback URL for visitors beyond it.
    cap: Option<(i64, &'static str)>,
}

#[rustfmt::skip]
const CAMPAIGN_PLANS: [CampaignPlan; 8] = [
    CampaignPlan { advertiser: "Nova Shop", campaign: "Nova Shop — everything for the desk", destination: "", currency: "EUR", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 100_000), revenue: (0, 130_000), per_thousand: 28, order: (19, 240), weight: 26, dialect: Dialect::Native, is_monitored: false, cap: None },
    CampaignPlan { advertiser: "Baltic Outdoor & Camping Supplies International", campaign: "Baltic Outdoor & Camping: autumn clearance, tents, packs and stoves", destination: "https://baltic-outdoor.example/lp?cid={click_id}&pub={affiliate_id}", currency: "EUR", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 72_500), revenue: (0, 95_000), per_thousand: 17, order: (35, 620), weight: 15, dialect: Dialect::Tune, is_monitored: false, cap: None },
    CampaignPlan { advertiser: "Zenith VPN", campaign: "Zenith VPN 24 months", destination: "https://zenith-vpn.example/go?ref={click_id}&s={sub1}", currency: "USD", goal: ("sale", "Subscription"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: true, commission: (32_000_000, 0), revenue: (41_000_000, 0), per_thousand: 11, order: (59, 99), weight: 18, dialect: Dialect::Everflow, is_monitored: false, cap: None },
    CampaignPlan { advertiser: "FinPilot", campaign: "FinPilot account opening (UK)", destination: "https://finpilot.example/open?click={click_id}", currency: "GBP", goal: ("lead", "Qualified lead"), kind: GoalKind::Lead, unique_by: UniqueBy::Click, auto_approve: false, commission: (14_500_000, 0), revenue: (19_000_000, 0), per_thousand: 34, order: (0, 0), weight: 12, dialect: Dialect::Cake, is_monitored: false, cap: None },
    CampaignPlan { advertiser: "Kaffeerösterei Morgenröte", campaign: "Morgenröte Kaffee-Abo", destination: "https://morgenroete.example/abo?click_id={click_id}#bestellen", currency: "EUR", goal: ("sale", "Abo"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: true, commission: (2_000_000, 50_000), revenue: (3_000_000, 70_000), per_thousand: 21, order: (18, 64), weight: 9, dialect: Dialect::Partnerize, is_monitored: false, cap: None },
    CampaignPlan { advertiser: "Yamada Games 株式会社", campaign: "Kumo no Ryū — app install", destination: "https://yamada-games.example/install/{click_id}?aff={affiliate_id}", currency: "JPY", goal: ("install", "Install"), kind: GoalKind::Install, unique_by: UniqueBy::Click, auto_approve: true, commission: (180_000_000, 0), revenue: (240_000_000, 0), per_thousand: 62, order: (0, 0), weight: 11, dialect: Dialect::Native, is_monitored: false, cap: Some((90, "https://yamada-games.example/soon")) },
    CampaignPlan { advertiser: "متجر النخيل", campaign: "متجر النخيل للهدايا", destination: "https://palm-gifts.example/?c={click_id}", currency: "AED", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 80_000), revenue: (0, 100_000), per_thousand: 14, order: (90, 900), weight: 5, dialect: Dialect::Native, is_monitored: false, cap: None },
    CampaignPlan { advertiser: "Harbour & Pine Furniture Co.", campaign: "Harbour & Pine: sofas, beds, free delivery", destination: "https://harbourpine.example/track?hp={click_id}&c={campaign_id}", currency: "USD", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 45_000), revenue: (0, 60_000), per_thousand: 6, order: (180, 3_900), weight: 4, dialect: Dialect::Native, is_monitored: true, cap: None },
];

const AFFILIATES: [&str; 21] = [
    "Desk Dispatch Weekly",
    "CouponCrate",
    "The Honest Packlist",
    "Vergleichsfuchs24",
    "Blue Lantern Media Buying & Performance Partners sp. z o.o.",
    "nomad.notes",
    "Sparfuchs Club",
    "GearGrid Reviews",
    "Privacy Plain & Simple",
    "CashbackKoala",
    "Moneta Magazine",
    "Pixel Patio",
    "Tokyo Tap Arcade",
    "Northern Trails Podcast",
    "Ofertas del Día",
    "Cup & Crema",
    "BudgetBee UK",
    "Atlas Push Network",
    "دليل الهدايا",
    "HomeHarmony Interiors Blog",
    "QuietKeys Forum",
];

/// Link with its traffic and conversions.
pub(crate) struct LinkTraffic {
    pub(crate) link_id: LinkId,
    pub(crate) affiliate_id: AffiliateId,
    pub(crate) campaign_id: CampaignId,
    /// Share of the traffic, relative to the other links.
    pub(crate) weight: u32,
    /// Conversions per thousand clicks.
    pub(crate) per_thousand: u32,
    /// Smallest and largest order, in whole units.
    pub(crate) order: (u32, u32),
    pub(crate) currency: Currency,
    pub(crate) goal: &'static str,
    pub(crate) needs_order: bool,
    pub(crate) token: Token,
    /// Postback format of the advertiser's server.
    pub(crate) dialect: Dialect,
    /// Cap of valid clicks per day; none without a cap.
    pub(crate) daily_cap: Option<i64>,
}

/// Network with everything that the history needs.
pub(crate) struct DemoNetwork {
    pub(crate) network: Network,
    pub(crate) links: Vec<LinkTraffic>,
    pub(crate) scenarios: Scenarios,
}

/// Creates the network in one transaction.
pub(crate) async fn create(
    db: &Db,
    addresses: &DemoAddresses,
    database_url: &str,
) -> Result<(DemoNetwork, Description), DemoError> {
    let now = clock::now();
    let founded = now - TimeDelta::days(90);
    let mut random = StdRng::seed_from_u64(7);
    let network_id = unscoped::new_network_id(&mut *db.unscoped().await?).await?;
    let mut conn = db.network(network_id).await?;
    #[expect(clippy::expect_used, reason = "EUR is a currency")]
    let currency = "EUR".parse().expect("EUR is a currency");
    let author = Author::system();
    let new = NewNetwork {
        name: "Orbit Partners",
        slug: "orbit",
        time_zone: Tz::Europe__Warsaw,
        currency,
    };
    let network = networks::create(&mut conn, &author, &new, founded).await?;
    // A visitor's load test meets the limits of the machine, as a network with a limit that fits its traffic does.
    let limits = Limits {
        max_postbacks_per_second: 1_000_000,
        ..network.limits
    };
    networks::set_limits(&mut conn, &author, limits, founded).await?;
    let network = networks::current(&mut conn).await?;

    let mut partners = Vec::new();
    for name in AFFILIATES {
        let settings = AffiliateSettings::named(name);
        partners.push(affiliates::create(&mut conn, &author, &settings, founded).await?);
    }
    let mut links_with_traffic = Vec::new();
    let mut description = None;
    for (index, plan) in CAMPAIGN_PLANS.iter().enumerate() {
        let settings = AdvertiserSettings::named(plan.advertiser);
        let advertiser = advertisers::create(&mut conn, &author, &settings, founded).await?;
        let token =
            integrations::new_token(&mut conn, &author, advertiser.id, TimeDelta::zero(), founded).await?;
        let mut settings = plan.dialect.integration();
        if plan.is_monitored {
            settings.allowed_addresses = Words(vec!["203.0.113.0/24".to_owned()]);
            settings.is_monitoring = true;
        }
        integrations::update(&mut conn, &author, advertiser.id, &settings, founded).await?;
        let is_shop = index == 0;
        let to = if is_shop {
            destination(&addresses.shop)
        } else {
            plan.destination.to_owned()
        };
        let (campaign_id, goal) = create_campaign(&mut conn, plan, advertiser.id, &to, founded).await?;
        let mut shop_link = None;
        for (rank, partner) in partners.iter().enumerate() {
            // The first affiliate always promotes the shop; the others promote about a third of everything.
            let is_first = is_shop && rank == 0;
            if !(random.random_ratio(1, 3) || is_first) {
                continue;
            }
            let alias = if is_first {
                "desk".to_owned()
            } else {
                links::random_alias()
            };
            let link = NewLink::plain(partner.id, campaign_id, &alias);
            let link = links::create(&mut conn, &author, &link, founded).await?;
            let popularity = u32::try_from(AFFILIATES.len() - rank).unwrap_or(1) + random.random_range(0..6);
            links_with_traffic.push(LinkTraffic {
                link_id: link.id,
                affiliate_id: partner.id,
                campaign_id,
                weight: plan.weight * popularity,
                per_thousand: plan.per_thousand * random.random_range(60..150) / 100,
                order: plan.order,
                currency: plan.currency.parse().unwrap_or(currency),
                goal: plan.goal.0,
                needs_order: plan.unique_by == UniqueBy::Order,
                token: token.clone(),
                dialect: plan.dialect,
                daily_cap: plan.cap.map(|(most, _)| most),
            });
            shop_link.get_or_insert((link, partner.id));
        }
        if let (true, Some((link, affiliate_id))) = (is_shop, shop_link) {
            let parties = [
                Role::Owner,
                Role::Affiliate(affiliate_id),
                Role::Advertiser(advertiser.id),
                Role::AdvertiserDeveloper(advertiser.id),
                Role::Manager,
            ];
            description = Some(Description {
                dashboard: addresses.dashboard.clone(),
                tracking: addresses.tracking.clone(),
                shop: addresses.shop.clone(),
                sign_in: create_people(&mut conn, parties, now).await?,
                network: Named {
                    id: network.id,
                    name: network.name.clone(),
                },
                campaign: Named {
                    id: campaign_id,
                    name: plan.campaign.to_owned(),
                },
                goal,
                link: LinkDescription {
                    id: link.id,
                    url: format!("{}/{}", addresses.tracking, link.alias),
                    alias: link.alias,
                },
                postback: PostbackDescription {
                    url: format!("{}/postback", addresses.tracking),
                    token: token.as_str().to_owned(),
                },
                database_url: database_url.to_owned(),
                goal_chain: None,
                testing: None,
            });
        }
    }
    #[expect(
        clippy::expect_used,
        reason = "the first plan is the shop's, and the first affiliate has a link to it"
    )]
    let mut description = description.expect("the shop has a link");
    let scenarios = scenarios::set_up(&mut conn, &partners, founded).await?;
    description.goal_chain = Some(scenarios.courses.named());
    description.testing = Some(scenarios.bikes.named());
    networks::set_tracking_hosts(&mut conn, &description.tracking_hosts(), now).await?;
    open_applications(&mut conn, now).await?;
    conn.commit().await?;
    let demo = DemoNetwork {
        network,
        links: links_with_traffic,
        scenarios,
    };
    Ok((demo, description))
}

async fn create_campaign(
    conn: &mut NetworkConn,
    plan: &CampaignPlan,
    advertiser_id: schema::AdvertiserId,
    destination: &str,
    now: DateTime<Utc>,
) -> Result<(CampaignId, GoalDescription), DemoError> {
    #[expect(clippy::expect_used, reason = "the plans have currencies of ISO 4217")]
    let currency = plan.currency.parse().expect("a currency of ISO 4217");
    let mut settings = CampaignSettings::live(plan.campaign, destination);
    settings.external_id = plan.dialect.external_id().map(str::to_owned);
    settings.sending.fallback_url = plan.cap.map(|(_, fallback)| fallback.to_owned());
    let author = Author::system();
    let campaign = campaign_table::create(conn, &author, advertiser_id, currency, &settings, now).await?;
    if let Some((most, _)) = plan.cap {
        let cap = NewCap {
            campaign_id: campaign.id,
            affiliate_id: None,
            metric: Metric::Clicks,
            period: CapPeriod::Day,
            most,
            currency: None,
        };
        caps::create(conn, &author, &cap, now).await?;
    }
    let pay = |(fixed_micros, rate_ppm)| Pay {
        fixed_micros,
        rate_ppm,
    };
    let terms = Terms {
        commission: pay(plan.commission),
        revenue: pay(plan.revenue),
    };
    let (code, name) = plan.goal;
    let settings = GoalSettings {
        unique_by: plan.unique_by,
        auto_approve: plan.auto_approve,
        ..GoalSettings::new(code, name, plan.kind, terms)
    };
    let goal = goals::create(conn, &author, campaign.id, &settings, now).await?;
    Ok((
        campaign.id,
        GoalDescription {
            id: goal.id,
            code: goal.settings.code,
        },
    ))
}

/// Lets affiliates apply, and adds two applications.
async fn open_applications(conn: &mut NetworkConn, now: DateTime<Utc>) -> Result<(), DemoError> {
    let joining = Joining {
        join_open: true,
        join_greeting: "Orbit works with publishers who know their readers. Tell us about yours.".to_owned(),
        join_questions: Words(vec![
            "How do your visitors find you? *".to_owned(),
            "Which of our advertisers interest you?".to_owned(),
        ]),
        ..Joining::closed()
    };
    networks::update_joining(conn, &Author::system(), &joining, now).await?;
    for (name, email, website, answers) in [
        (
            "Trailhead Scenarios",
            "hello@trailhead.example",
            "https://trailhead.example",
            ["Search and a newsletter", "Baltic Outdoor"],
        ),
        (
            "Dealfox Europe GmbH & Co. KG",
            "partner@dealfox.example",
            "https://dealfox.example",
            ["Price comparison", ""],
        ),
    ] {
        let draft = ApplicationDraft {
            name: name.to_owned(),
            email: email.to_owned(),
            website: website.to_owned(),
            answers: answers.map(str::to_owned).to_vec(),
        };
        applications::apply(conn, &joining, &draft, now).await?;
    }
    Ok(())
}

/// Creates one person for each role, and an operator, each with a random password.
async fn create_people(
    conn: &mut NetworkConn,
    roles: [Role; 5],
    now: DateTime<Utc>,
) -> Result<Vec<SignIn>, DemoError> {
    let passwords = Passwords::new();
    let mut sign_ins = Vec::new();
    let names = [
        "Maja Kowalska",
        "Jonas Weber",
        "Ines Laurent",
        "Priya Raman",
        "Tom Okafor",
    ];
    let members = roles.into_iter().map(Some).zip(names);
    for (role, name) in members.chain([(None, "Olga Operator")]) {
        let word = role.map_or("operator", Role::as_str);
        let email = format!("{}@orbit.example", word.replace('_', "."));
        let password = BASE32.encode(&rand::random::<[u8; 10]>());
        let hash = passwords.hash(&password).await?;
        let person = NewPerson {
            email: &email,
            name,
            password: Some(&hash),
            is_operator: role.is_none(),
        };
        let person = people::create(conn, &person, now).await?;
        if let Some(role) = role {
            memberships::give(conn, &Author::system(), person.id, role, now).await?;
        }
        sign_ins.push(SignIn {
            role: word.to_owned(),
            email,
            password,
        });
    }
    Ok(sign_ins)
}
