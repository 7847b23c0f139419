//! Random clicks, orders and queries of reports.

use campaigns::{ClickFlag, ClickId, ClickIds};
use chrono::{DateTime, TimeDelta, Utc};
use postbacks::InboundRequest;
use rand::RngExt as _;
use rand::rngs::StdRng;
use reports::Dimension;
use schema::{AffiliateId, CampaignId, LandingPageId, LinkId, MembershipId, clock};
use tenancy::Scope;
use testkit::TestApp;
use tracking::clicks::{NewClick, Visitor};
use visitors::{Agent, Country, Device};

/// Days over which the events are spread: the end of summer time in Europe and America is among them.
pub(crate) const DAYS: i64 = 45;

/// Zones with hours that begin with the network's, and without.
pub(crate) const ZONES: [&str; 8] = [
    "Europe/Warsaw",
    "UTC",
    "America/New_York",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/Sao_Paulo",
];

fn pick<'a>(random: &mut StdRng, values: &[&'a str]) -> &'a str {
    values[random.random_range(0..values.len())]
}

fn some(random: &mut StdRng, values: &[&str]) -> Option<String> {
    random.random_ratio(4, 5).then(|| pick(random, values).to_owned())
}

pub(crate) fn random_click(random: &mut StdRng, app: &TestApp, now: DateTime<Utc>) -> NewClick {
    let scene = &app.scene;
    let at = now - TimeDelta::seconds(random.random_range(60..DAYS * 86_400));
    // Half of the clicks belong to objects that the configuration does not know.
    let other = random.random_range(1..4);
    let (link_id, campaign_id, affiliate_id) = if random.random_ratio(1, 2) {
        (scene.link_id, scene.campaign.id, scene.affiliate_id)
    } else {
        (LinkId(other), CampaignId(other % 2 + 1), AffiliateId(other))
    };
    let flags = [ClickFlag::Bot, ClickFlag::Duplicate];
    NewClick {
        key: ClickIds::fresh_key(link_id, at),
        clicked_at: at,
        link_id,
        campaign_id,
        affiliate_id,
        landing_page_id: random.random_ratio(1, 3).then_some(LandingPageId(7)),
        subs: [
            some(random, &["news", "blog", "", "100%_x", "Größe", "a,b"]),
            some(random, &["w1", "w2"]),
            None,
            some(random, &["x"]),
            None,
        ],
        ip_prefix: None,
        referrer: some(
            random,
            &[
                "https://u@News.example:8443/a?b",
                "android-app://com.x",
                "nonsense",
                "http://a.example",
            ],
        ),
        visitor: Visitor {
            hash: None,
            is_unique: random.random_ratio(1, 2),
            flag: random
                .random_ratio(1, 4)
                .then(|| flags[random.random_range(0..2)]),
            country: some(random, &["DE", "PL", "US"]).map(|code| code.parse::<Country>().unwrap()),
            asn: None,
            agent: Agent {
                device: [Device::Desktop, Device::Mobile][random.random_range(0..2)],
                os: some(random, &["Linux", "iOS"]).map(Into::into),
                browser: some(random, &["Firefox", "Safari"]).map(Into::into),
                bot: false,
            },
        },
    }
}

pub(crate) async fn record(app: &TestApp, random: &mut StdRng, count: usize) -> Vec<NewClick> {
    let intake = app.running().tracker.intake();
    let now = clock::now();
    let mut clicks = Vec::new();
    for _ in 0..count {
        let click = random_click(random, app, now);
        intake.record(&app.scene.network, &click).await.unwrap();
        clicks.push(click);
    }
    app.settled().await;
    clicks
}

/// Sends orders of these clicks at a time after them.
pub(crate) async fn convert(
    app: &TestApp,
    random: &mut StdRng,
    clicks: &[NewClick],
    numbers: std::ops::Range<u32>,
) {
    let intake = app.running().tracker.intake();
    let ids = ClickIds::new(app.secret.clone());
    let now = clock::now();
    let ours: Vec<_> = clicks
        .iter()
        .filter(|click| click.link_id == app.scene.link_id)
        .collect();
    for number in numbers {
        let click = ours[random.random_range(0..ours.len())];
        let until_now = (now - click.clicked_at).num_seconds();
        let at = click.clicked_at + TimeDelta::seconds(random.random_range(1..until_now));
        let id = ClickId {
            network_id: app.scene.network.id,
            key: click.key,
        };
        let id = ids.write(id, app.scene.network.click_key);
        let goal = pick(random, &["sale", "lead"]);
        let status = pick(random, &["approved", "pending", "rejected"]);
        let (amount, currency) = (random.random_range(1..900), pick(random, &["EUR", "USD"]));
        let coupon = pick(random, &["", "&coupon=SPRING"]);
        let items = pick(
            random,
            &[
                "",
                "&items=%5B%7B%22category%22%3A%22Shoes%22%2C%22amount%22%3A%221%22%7D%5D",
                "&items=%5B%7B%22category%22%3A%22shoes%22%2C%22amount%22%3A%221%22%7D%2C%7B%22category%22%3A%22hats%22%2C%22amount%22%3A%221%22%7D%5D",
            ],
        );
        let customer = pick(
            random,
            &[
                "",
                "&customer_id=c1",
                "&customer_id=c2",
                "&customer_id=c3",
                "&customer_id=c4",
            ],
        );
        let target = format!(
            "/postback?click_id={id}&goal={goal}&order_id=o{number}&amount={amount}&currency={currency}&status={status}&token={}{coupon}{items}{customer}",
            app.scene.token
        );
        let request = InboundRequest::get(&target, at, "198.51.100.23/32".parse().ok());
        let parsed = request.parse();
        intake.receive(&app.scene.network, request, parsed).await;
    }
    app.settled().await;
}

/// Text of a random query, and its scope.
pub(crate) fn random_query(
    random: &mut StdRng,
    app: &TestApp,
    now: DateTime<Utc>,
    manager: MembershipId,
) -> (String, Scope) {
    let day = |random: &mut StdRng| now.date_naive() - TimeDelta::days(random.random_range(0..DAYS));
    let (one, other) = (day(random), day(random));
    let mut query = format!(
        "from={}&to={}&tz={}",
        one.min(other),
        one.max(other),
        pick(random, &ZONES)
    );
    if random.random_ratio(1, 3) {
        query.push_str("&by=click");
    }
    let group: Vec<_> = (0..random.random_range(1..5))
        .map(|_| Dimension::ALL[random.random_range(0..Dimension::ALL.len())].to_string())
        .collect();
    query.push_str(&format!("&group={}", group.join(",")));
    if random.random_ratio(1, 4) {
        query.push_str("&metrics=clicks,time_to_conversion");
    }
    let (campaign, goal) = (app.scene.campaign.id, app.scene.sale_id);
    let filters = [
        format!("campaign={campaign}"),
        format!("campaign.not={campaign}"),
        format!("goal={goal}"),
        format!("affiliate={}", AffiliateId(2)),
        format!("link={},{}", LinkId(1), app.scene.link_id),
        "sub1=news,blog".to_owned(),
        "sub1.not=news".to_owned(),
        "sub1.contains=GRÖ".to_owned(),
        "sub1.begins=100%25_".to_owned(),
        "sub1.empty=yes".to_owned(),
        "sub3.empty=no".to_owned(),
        "country.not=DE".to_owned(),
        "referrer_host=news.example".to_owned(),
        "invalid_because.empty=yes".to_owned(),
        "status=approved,pending".to_owned(),
        "currency=USD".to_owned(),
        "coupon=SPRING".to_owned(),
        "landing_page.empty=no".to_owned(),
        "item_categories.contains=SHOES".to_owned(),
        "first_sub1.not=news".to_owned(),
        "customer_type=returning".to_owned(),
        format!("affiliate_manager={manager}"),
    ];
    for _ in 0..random.random_range(0..3) {
        query.push_str(&format!("&{}", filters[random.random_range(0..filters.len())]));
    }
    let scope = match random.random_range(0..7) {
        0 => Scope {
            affiliate: Some(app.scene.affiliate_id),
            ..Scope::default()
        },
        1 => Scope {
            advertiser: Some(app.scene.advertiser_id),
            ..Scope::default()
        },
        2 => Scope {
            manager: Some(manager),
            ..Scope::default()
        },
        _ => Scope::default(),
    };
    (query, scope)
}
