//! Who is in the demo: a network, its advertisers with their campaigns, its affiliates with their links, and one
//! person of each kind who can sign in.

use campaigns::campaigns::{self as campaign_table, CampaignSettings};
use campaigns::caps::{self, CapPeriod, Metric, NewCap};
use campaigns::goals::{self, GoalKind, GoalSettings, UniqueBy};
use campaigns::integrations::{self, IntegrationSettings, Token};
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
use tenancy::networks::{self, Joining, Network, NewNetwork};
use tenancy::people::NewPerson;
use tenancy::{Author, Passwords, advertisers, affiliates, people, unscoped};

use crate::DemoError;
use crate::description::{
    DemoAddresses, Description, GoalDescription, LinkDescription, Named, PostbackDescription, SignIn,
    destination,
};
use crate::spelling::Spelling;
use crate::stories::{self, Stories};

/// An advertiser and its one campaign, as the demo plays them.
struct Script {
    advertiser: &'static str,
    campaign: &'static str,
    /// Where clicks go; the first one goes to the demo shop instead.
    destination: &'static str,
    currency: &'static str,
    goal: (&'static str, &'static str),
    kind: GoalKind,
    unique_by: UniqueBy,
    auto_approve: bool,
    /// What the affiliate earns: fixed micro-units, parts per million.
    commission: (i64, i32),
    /// What the advertiser owes.
    revenue: (i64, i32),
    /// Conversions per thousand clicks.
    per_thousand: u32,
    /// Smallest and largest usual order, in whole units.
    order: (u32, u32),
    /// How much of the traffic it gets.
    weight: u32,
    /// How its server spells its calls.
    spelling: Spelling,
    /// Whether its addresses are only looked at, until it is sure which ones it has.
    is_monitored: bool,
    /// How many clicks a day it wants; who comes beyond goes to the other address.
    cap: Option<(i64, &'static str)>,
}

#[rustfmt::skip]
const SCRIPTS: [Script; 8] = [
    Script { advertiser: "Nova Shop", campaign: "Nova Shop — everything for the desk", destination: "", currency: "EUR", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 100_000), revenue: (0, 130_000), per_thousand: 28, order: (19, 240), weight: 26, spelling: Spelling::Own, is_monitored: false, cap: None },
    Script { advertiser: "Baltic Outdoor & Camping Supplies International", campaign: "Baltic Outdoor & Camping: autumn clearance, tents, packs and stoves", destination: "https://baltic-outdoor.example/lp?cid={click_id}&pub={affiliate_id}", currency: "EUR", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 72_500), revenue: (0, 95_000), per_thousand: 17, order: (35, 620), weight: 15, spelling: Spelling::Tune, is_monitored: false, cap: None },
    Script { advertiser: "Zenith VPN", campaign: "Zenith VPN 24 months", destination: "https://zenith-vpn.example/go?ref={click_id}&s={sub1}", currency: "USD", goal: ("sale", "Subscription"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: true, commission: (32_000_000, 0), revenue: (41_000_000, 0), per_thousand: 11, order: (59, 99), weight: 18, spelling: Spelling::Everflow, is_monitored: false, cap: None },
    Script { advertiser: "FinPilot", campaign: "FinPilot account opening (UK)", destination: "https://finpilot.example/open?click={click_id}", currency: "GBP", goal: ("lead", "Qualified lead"), kind: GoalKind::Lead, unique_by: UniqueBy::Click, auto_approve: false, commission: (14_500_000, 0), revenue: (19_000_000, 0), per_thousand: 34, order: (0, 0), weight: 12, spelling: Spelling::Cake, is_monitored: false, cap: None },
    Script { advertiser: "Kaffeerösterei Morgenröte", campaign: "Morgenröte Kaffee-Abo", destination: "https://morgenroete.example/abo?click_id={click_id}#bestellen", currency: "EUR", goal: ("sale", "Abo"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: true, commission: (2_000_000, 50_000), revenue: (3_000_000, 70_000), per_thousand: 21, order: (18, 64), weight: 9, spelling: Spelling::Partnerize, is_monitored: false, cap: None },
    Script { advertiser: "Yamada Games 株式会社", campaign: "Kumo no Ryū — app install", destination: "https://yamada-games.example/install/{click_id}?aff={affiliate_id}", currency: "JPY", goal: ("install", "Install"), kind: GoalKind::Install, unique_by: UniqueBy::Click, auto_approve: true, commission: (180_000_000, 0), revenue: (240_000_000, 0), per_thousand: 62, order: (0, 0), weight: 11, spelling: Spelling::Own, is_monitored: false, cap: Some((90, "https://yamada-games.example/soon")) },
    Script { advertiser: "متجر النخيل", campaign: "متجر النخيل للهدايا", destination: "https://palm-gifts.example/?c={click_id}", currency: "AED", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 80_000), revenue: (0, 100_000), per_thousand: 14, order: (90, 900), weight: 5, spelling: Spelling::Own, is_monitored: false, cap: None },
    Script { advertiser: "Harbour & Pine Furniture Co.", campaign: "Harbour & Pine: sofas, beds, free delivery", destination: "https://harbourpine.example/track?hp={click_id}&c={campaign_id}", currency: "USD", goal: ("sale", "Sale"), kind: GoalKind::Sale, unique_by: UniqueBy::Order, auto_approve: false, commission: (0, 45_000), revenue: (0, 60_000), per_thousand: 6, order: (180, 3_900), weight: 4, spelling: Spelling::Own, is_monitored: true, cap: None },
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

/// A link that gets traffic, with how it converts.
pub(crate) struct Stage {
    pub(crate) link_id: LinkId,
    pub(crate) affiliate_id: AffiliateId,
    pub(crate) campaign_id: CampaignId,
    /// How much of the traffic it gets.
    pub(crate) weight: u32,
    pub(crate) per_thousand: u32,
    pub(crate) order: (u32, u32),
    pub(crate) currency: Currency,
    pub(crate) goal: &'static str,
    pub(crate) needs_order: bool,
    pub(crate) token: Token,
    /// How the advertiser's server spells its calls.
    pub(crate) spelling: Spelling,
    /// How many valid clicks a day the campaign wants.
    pub(crate) clicks_a_day: Option<i64>,
}

/// Everyone, for the history to play.
pub(crate) struct Cast {
    pub(crate) network: Network,
    pub(crate) stages: Vec<Stage>,
    pub(crate) stories: Stories,
}

/// Creates everyone in one transaction.
pub(crate) async fn create(
    db: &Db,
    addresses: &DemoAddresses,
    database_url: &str,
) -> Result<(Cast, Description), DemoError> {
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

    let mut partners = Vec::new();
    for name in AFFILIATES {
        let settings = AffiliateSettings::named(name);
        partners.push(affiliates::create(&mut conn, &author, &settings, founded).await?);
    }
    let mut stages = Vec::new();
    let mut description = None;
    for (index, script) in SCRIPTS.iter().enumerate() {
        let settings = AdvertiserSettings::named(script.advertiser);
        let advertiser = advertisers::create(&mut conn, &author, &settings, founded).await?;
        let token =
            integrations::new_token(&mut conn, &author, advertiser.id, TimeDelta::zero(), founded).await?;
        let settings = match script.is_monitored {
            true => IntegrationSettings {
                allowed_addresses: Words(vec!["203.0.113.0/24".to_owned()]),
                is_monitoring: true,
                ..script.spelling.integration()
            },
            false => script.spelling.integration(),
        };
        integrations::update(&mut conn, &author, advertiser.id, &settings, founded).await?;
        let is_shop = index == 0;
        let to = if is_shop {
            destination(&addresses.shop)
        } else {
            script.destination.to_owned()
        };
        let (campaign_id, goal) = create_campaign(&mut conn, script, advertiser.id, &to, founded).await?;
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
            stages.push(Stage {
                link_id: link.id,
                affiliate_id: partner.id,
                campaign_id,
                weight: script.weight * popularity,
                per_thousand: script.per_thousand * random.random_range(60..150) / 100,
                order: script.order,
                currency: script.currency.parse().unwrap_or(currency),
                goal: script.goal.0,
                needs_order: script.unique_by == UniqueBy::Order,
                token: token.clone(),
                spelling: script.spelling,
                clicks_a_day: script.cap.map(|(most, _)| most),
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
                    name: script.campaign.to_owned(),
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
    #[expect(clippy::expect_used, reason = "the first script is the shop's and has a link")]
    let mut description = description.expect("the shop is in the cast");
    let stories = stories::set_up(&mut conn, &partners, founded).await?;
    description.goal_chain = Some(stories.courses.named());
    description.testing = Some(stories.bikes.named());
    networks::set_tracking_hosts(&mut conn, &description.tracking_hosts()).await?;
    open_the_door(&mut conn, now).await?;
    conn.commit().await?;
    let cast = Cast {
        network,
        stages,
        stories,
    };
    Ok((cast, description))
}

async fn create_campaign(
    conn: &mut NetworkConn,
    script: &Script,
    advertiser_id: schema::AdvertiserId,
    destination: &str,
    now: DateTime<Utc>,
) -> Result<(CampaignId, GoalDescription), DemoError> {
    #[expect(clippy::expect_used, reason = "the scripts name currencies of ISO 4217")]
    let currency = script.currency.parse().expect("a currency of ISO 4217");
    let mut settings = CampaignSettings::live(script.campaign, destination);
    settings.external_id = script.spelling.external_id().map(str::to_owned);
    settings.sending.fallback_url = script.cap.map(|(_, elsewhere)| elsewhere.to_owned());
    let author = Author::system();
    let campaign = campaign_table::create(conn, &author, advertiser_id, currency, &settings, now).await?;
    if let Some((most, _)) = script.cap {
        let cap = NewCap {
            campaign_id: campaign.id,
            affiliate_id: None,
            metric: Metric::Clicks,
            period: CapPeriod::Day,
            most,
        };
        caps::create(conn, &author, &cap, now).await?;
    }
    let pay = |(fixed_micros, rate_ppm)| Pay {
        fixed_micros,
        rate_ppm,
    };
    let terms = Terms {
        commission: pay(script.commission),
        revenue: pay(script.revenue),
    };
    let (code, name) = script.goal;
    let settings = GoalSettings {
        unique_by: script.unique_by,
        auto_approve: script.auto_approve,
        ..GoalSettings::new(code, name, script.kind, terms)
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

/// Lets affiliates apply, and two have done so.
async fn open_the_door(conn: &mut NetworkConn, now: DateTime<Utc>) -> Result<(), DemoError> {
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
            "Trailhead Stories",
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

/// One person for each role, with a password of their own, and one who operates the installation.
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
