//! Quick start: one set of fields that creates a campaign ready for its tests, with advertiser, goal, test link and token.

use chrono::{DateTime, TimeDelta, Utc};
use schema::{CampaignId, Currency, NetworkConn};
use tenancy::advertisers::{self, AdvertiserSettings};
use tenancy::affiliates::{self, AffiliateSettings};
use tenancy::networks::Network;
use tenancy::{Author, ChangeError, Draft, check_name};

use crate::campaigns::{self, CampaignSettings, CampaignStatus, check_window};
use crate::destination::Destination;
use crate::goals::{self, GoalKind, GoalSettings, UniqueBy};
use crate::integrations::{self, Token};
use crate::links::{self, Link, NewLink};
use crate::terms::{LOSES_MONEY, Pay, Terms};

/// Name of the affiliate that owns the test link.
const FIRST_AFFILIATE: &str = "Your test affiliate";

/// Default attribution window, in days.
const DEFAULT_DAYS: &str = "30";

/// Goal that a quick start creates.
#[derive(Debug, Clone, Copy)]
pub struct FirstGoal {
    /// Code of the goal.
    pub code: &'static str,
    /// Name of the goal.
    pub name: &'static str,
    kind: GoalKind,
    unique_by: UniqueBy,
}

/// Goals to choose from, by their codes.
pub const FIRST_GOALS: [FirstGoal; 4] = [
    FirstGoal {
        code: "sale",
        name: "Sale",
        kind: GoalKind::Sale,
        unique_by: UniqueBy::Order,
    },
    FirstGoal {
        code: "lead",
        name: "Lead",
        kind: GoalKind::Lead,
        unique_by: UniqueBy::Click,
    },
    FirstGoal {
        code: "install",
        name: "Install",
        kind: GoalKind::Install,
        unique_by: UniqueBy::Click,
    },
    FirstGoal {
        code: "deposit",
        name: "Deposit",
        kind: GoalKind::Deposit,
        unique_by: UniqueBy::Order,
    },
];

/// Checked fields of a quick start.
#[derive(Debug, Clone)]
pub struct QuickStart {
    advertiser: String,
    settings: CampaignSettings,
    goal: FirstGoal,
    terms: Terms,
    currency: Currency,
}

impl QuickStart {
    /// Fields of the [`Draft`] of a quick start.
    pub const FIELDS: [&'static str; 8] = [
        "advertiser",
        "name",
        "destination",
        "kind",
        "commission",
        "revenue",
        "currency",
        "attribution_days",
    ];

    /// Draft with the defaults of a network.
    #[must_use]
    pub fn blank(network: &Network) -> Draft {
        Draft::with([
            ("kind", "sale".to_owned()),
            ("currency", network.currency.to_string()),
            ("attribution_days", DEFAULT_DAYS.to_owned()),
        ])
    }

    /// Checks a draft. Returns `None` with the errors in the draft.
    pub fn check(draft: &mut Draft) -> Option<Self> {
        let advertiser = draft.take("advertiser", check_name);
        let name = draft.take("name", |text| match text {
            "" => Ok(None),
            text => check_name(text).map(Some),
        });
        let destination = draft.take("destination", |text| {
            Destination::parse(text).map(|_| text.to_owned())
        });
        let goal = draft.take("kind", |text| {
            let goal = FIRST_GOALS.into_iter().find(|goal| goal.code == text);
            goal.ok_or("Choose one of the goals.")
        });
        let currency = draft.take("currency", str::parse::<Currency>);
        let commission = draft.take("commission", |text| Pay::typed(text, currency));
        let revenue = draft.take("revenue", |text| Pay::typed(text, currency));
        let attribution_days = draft.take("attribution_days", check_window);
        let (advertiser, goal) = (advertiser?, goal?);
        let name = match name? {
            Some(name) => Some(name),
            None => {
                let name = format!("{advertiser} {}", goal.name.to_lowercase());
                draft.errors.take("advertiser", check_name(&name))
            }
        };
        let terms = Terms {
            commission: commission?,
            revenue: revenue?,
        };
        if terms.lose_money() {
            draft.errors.add("revenue", LOSES_MONEY);
        }
        let (name, destination) = (name?, destination?);
        let (currency, attribution_days) = (currency?, attribution_days?);
        draft.errors.is_empty().then(|| Self {
            settings: CampaignSettings {
                attribution_days,
                status: CampaignStatus::Testing,
                ..CampaignSettings::live(&name, &destination)
            },
            advertiser,
            goal,
            terms,
            currency,
        })
    }
}

/// Objects of a quick start.
pub struct Created {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// Test link.
    pub link: Link,
    /// New token of the advertiser, to be shown once; `None` if the advertiser has one, because its server uses it.
    pub token: Option<Token>,
}

/// Creates a campaign in testing with a goal and a test link, and what is missing of its advertiser, first affiliate and
/// token.
///
/// # Errors
/// [`ChangeError::Limit`] when the network has its maximum number of links; other refusals of the created objects; when
/// the database fails.
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    start: &QuickStart,
    now: DateTime<Utc>,
) -> Result<Created, ChangeError> {
    let wanted = AdvertiserSettings::named(&start.advertiser);
    let advertiser = match advertisers::matching(conn, &wanted).await? {
        Some(known) => known,
        None => advertisers::create(conn, author, &wanted, now).await?,
    };
    let campaign =
        campaigns::create(conn, author, advertiser.id, start.currency, &start.settings, now).await?;
    let goal = GoalSettings {
        unique_by: start.goal.unique_by,
        ..GoalSettings::new(start.goal.code, start.goal.name, start.goal.kind, start.terms)
    };
    goals::create(conn, author, campaign.id, &goal, now).await?;
    let wanted = AffiliateSettings::named(FIRST_AFFILIATE);
    let affiliate = match affiliates::matching(conn, &wanted).await? {
        Some(known) => known,
        None => affiliates::create(conn, author, &wanted, now).await?,
    };
    let alias = links::random_alias();
    let link = NewLink {
        is_test: true,
        ..NewLink::plain(affiliate.id, campaign.id, &alias)
    };
    let link = links::create(conn, author, &link, now).await?;
    let token = match integrations::find(conn, advertiser.id).await? {
        Some(_) => None,
        None => Some(integrations::new_token(conn, author, advertiser.id, TimeDelta::zero(), now).await?),
    };
    Ok(Created {
        campaign_id: campaign.id,
        link,
        token,
    })
}
