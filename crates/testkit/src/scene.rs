//! Small network with one of everything, which most tests begin with.

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
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, ApplicationId, CampaignId, CapId, Db, GoalId, GroupId, LandingPageId, LinkId,
    NetworkConn, RuleId, UrlTemplateId, clock, host_claims,
};
use tenancy::advertisers::AdvertiserSettings;
use tenancy::affiliates::AffiliateSettings;
use tenancy::applications::{self, ApplicationDraft};
use tenancy::memberships::{self, Role, RoleKind};
use tenancy::networks::{self, Joining, Network, NewNetwork};
use tenancy::people::{self, NewPerson};
use tenancy::{Author, Passwords, Scope, advertisers, affiliates, groups, unscoped};

/// Credentials of a person.
pub struct SignIn {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
}

/// Destination of the scene's campaign.
const DESTINATION: &str = "https://shop.example/p?own=1&id={click_id}&s={sub1}&a={affiliate_id}#top";

/// Network with one advertiser, one campaign with two goals, one affiliate with one link, and a person of each role.
pub struct Scene {
    /// Network.
    pub network: Network,
    /// Advertiser.
    pub advertiser_id: AdvertiserId,
    /// Affiliate.
    pub affiliate_id: AffiliateId,
    /// Campaign in EUR: `sale` pays 10 % once per order, `lead` pays 5.00 once per click.
    pub campaign: Campaign,
    /// Goal `sale` of the campaign.
    pub sale_id: GoalId,
    /// Rule of that goal, for orders with a coupon that no test sends.
    pub rule_id: RuleId,
    /// Landing page of weight 0.
    pub landing_page_id: LandingPageId,
    /// Cap that no test reaches.
    pub cap_id: CapId,
    /// URL template of the network.
    pub url_template_id: UrlTemplateId,
    /// Link of the affiliate.
    pub link_id: LinkId,
    /// Alias of the link.
    pub alias: String,
    /// Token of the advertiser.
    pub token: String,
    /// Sign-in of the owner.
    pub owner: SignIn,
    /// Sign-in of a member of the advertiser.
    pub advertiser: SignIn,
    /// Sign-in of a member of the affiliate.
    pub affiliate: SignIn,
    /// Sign-ins of the other members: admin, manager, analyst, and the advertiser's developer.
    pub others: Vec<(RoleKind, SignIn)>,
    /// Group of affiliates.
    pub group_id: GroupId,
    /// Application that waits for a decision.
    pub application_id: ApplicationId,
}

impl Scene {
    /// Returns the sign-in of the member with this role.
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

/// Parts of a campaign besides goals and links, which affect no click and no conversion.
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
            name: "Unused coupon".to_owned(),
            position: 1,
            conditions: Conditions {
                coupon: Some("NEVER-SENT".to_owned()),
                ..Conditions::default()
            },
            commission_fixed_micros: 0,
            commission_rate_ppm: 120_000,
            revenue_fixed_micros: 0,
            revenue_rate_ppm: 170_000,
        };
        let page = LandingPageSettings {
            name: "Unused page".to_owned(),
            url: "https://shop.example/unused?id={click_id}".to_owned(),
            weight: 0,
        };
        let cap = NewCap {
            campaign_id,
            affiliate_id: None,
            metric: Metric::Conversions,
            period: CapPeriod::Total,
            most: 1_000_000_000,
            currency: None,
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

impl Scene {
    /// Creates a network with this name and tracking host, and one of everything in it.
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
        networks::create(&mut conn, &author, &new, now).await.unwrap();
        networks::set_tracking_hosts(&mut conn, &[tracking_host.to_owned()], now)
            .await
            .unwrap();
        // Later than any test: a check in the background would change rows that a test compares.
        diesel::update(host_claims::table.filter(host_claims::network_id.eq(network_id)))
            .set(host_claims::check_after.eq(now + TimeDelta::days(1)))
            .execute(&mut *conn)
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
        let share = |rate_ppm| Pay {
            fixed_micros: 0,
            rate_ppm,
        };
        let sum = |fixed_micros| Pay {
            fixed_micros,
            rate_ppm: 0,
        };
        let terms = Terms {
            commission: share(100_000),
            revenue: share(150_000),
        };
        let sale = GoalSettings::new("sale", "Sale", GoalKind::Sale, terms);
        let sale = goals::create(&mut conn, &author, campaign.id, &sale, now)
            .await
            .unwrap();
        let terms = Terms {
            commission: sum(5_000_000),
            revenue: sum(7_000_000),
        };
        let lead = GoalSettings {
            unique_by: UniqueBy::Click,
            auto_approve: true,
            ..GoalSettings::new("lead", "Lead", GoalKind::Lead, terms)
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
        let template = url_templates::create(&mut conn, &author, Scope::default(), &template, now)
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
        let network = networks::current(&mut conn).await.unwrap();
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
