//! Goals: the kinds of conversions of a campaign, with their default commission and revenue.

mod check;
mod versions;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{CampaignId, Currency, GoalId, NetworkConn, Words, campaigns, goals, text_enum};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, check_name, check_number, taken, yes_or_empty};

pub use self::check::check_code;
pub(crate) use self::check::check_times;
use self::check::{check_amount, check_goal_id, check_parameters};
use self::versions::keep_version;
pub use self::versions::{GoalVersion, versions_of_campaign};
use crate::external_id::check_external_id;
use crate::terms::{LOSES_MONEY, Pay, Terms, decimal};

text_enum! {
    /// Key by which conversions of a goal are deduplicated.
    pub enum UniqueBy {
        /// The advertiser's order ID: many conversions per click, one per order.
        Order = "order",
        /// The click: one conversion per visit, with or without an order ID.
        Click = "click",
        /// The advertiser's customer: one conversion each, whatever they clicked.
        Customer = "customer",
        /// None: every postback is a conversion unless it repeats an order ID.
        Fire = "fire",
    }
}

text_enum! {
    /// Kind of event a goal stands for.
    pub enum GoalKind {
        /// A lead, such as a contact form.
        Lead = "lead",
        /// A purchase.
        Sale = "sale",
        /// An app install.
        Install = "install",
        /// A deposit.
        Deposit = "deposit",
        /// Any other event.
        Custom = "custom",
    }
}

/// Requirements on the postbacks of a goal.
#[derive(Debug, Clone, Default, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = goals, treat_none_as_null = true)]
pub struct Demands {
    /// Parameters a postback must have.
    pub required_parameters: Words,
    /// Parameters a postback must not have.
    pub forbidden_parameters: Words,
    /// Amount of a postback without one, in micro-units of the campaign's currency; `None` for no default.
    pub default_amount_micros: Option<i64>,
}

/// Place of a goal in a goal chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = goals, treat_none_as_null = true)]
pub struct Chain {
    /// Parent goal: must have been reached before by the same click or customer; `None` for none.
    pub parent_goal_id: Option<GoalId>,
    /// Hours a postback is held for its parent conversion, or for the conversion it changes.
    pub wait_hours: i32,
    /// Maximum number of conversions per conversion of the parent; `None` for no limit.
    pub times_per_parent: Option<i32>,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            parent_goal_id: None,
            wait_hours: 72,
            times_per_parent: None,
        }
    }
}

/// Commission and revenue of a goal as columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = goals)]
pub struct GoalTerms {
    /// Micro-units of the campaign's currency.
    pub commission_fixed_micros: i64,
    /// Parts per million of the order amount.
    pub commission_rate_ppm: i32,
    /// Micro-units of the campaign's currency.
    pub revenue_fixed_micros: i64,
    /// Parts per million of the order amount.
    pub revenue_rate_ppm: i32,
}

impl From<Terms> for GoalTerms {
    fn from(terms: Terms) -> Self {
        Self {
            commission_fixed_micros: terms.commission.fixed_micros,
            commission_rate_ppm: terms.commission.rate_ppm,
            revenue_fixed_micros: terms.revenue.fixed_micros,
            revenue_rate_ppm: terms.revenue.rate_ppm,
        }
    }
}

impl From<GoalTerms> for Terms {
    fn from(flat: GoalTerms) -> Self {
        Self {
            commission: Pay {
                fixed_micros: flat.commission_fixed_micros,
                rate_ppm: flat.commission_rate_ppm,
            },
            revenue: Pay {
                fixed_micros: flat.revenue_fixed_micros,
                rate_ppm: flat.revenue_rate_ppm,
            },
        }
    }
}

/// Settings of a goal, checked.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = goals, treat_none_as_null = true)]
pub struct GoalSettings {
    /// Code that postbacks name the goal by: lower-case letters, digits, `_` and `-`; at most 40.
    pub code: String,
    /// Name shown to users.
    pub name: String,
    /// Kind of event the goal stands for.
    pub kind: GoalKind,
    /// Identifier in the advertiser's system or in a former one; unique within the campaign.
    pub external_id: Option<String>,
    /// Key by which conversions are deduplicated.
    pub unique_by: UniqueBy,
    /// True if conversions are approved automatically, at once or after `hold_days`.
    pub auto_approve: bool,
    /// Days a conversion stays pending before it is approved automatically.
    pub hold_days: i32,
    /// Amount above which a conversion needs a manual review, in micro-units of the campaign's currency; `None` for
    /// never.
    pub review_above_micros: Option<i64>,
    /// Commission and revenue if no commission rule matches.
    #[diesel(embed)]
    pub terms: GoalTerms,
    /// Requirements on postbacks.
    #[diesel(embed)]
    pub demands: Demands,
    /// Place in a goal chain.
    #[diesel(embed)]
    pub chain: Chain,
}

impl GoalSettings {
    /// Settings of a goal that deduplicates by order ID, is approved manually, and has nothing else set.
    #[must_use]
    pub fn new(code: &str, name: &str, kind: GoalKind, terms: Terms) -> Self {
        Self {
            code: code.to_owned(),
            name: name.to_owned(),
            kind,
            external_id: None,
            unique_by: UniqueBy::Order,
            auto_approve: false,
            hold_days: 0,
            review_above_micros: None,
            terms: terms.into(),
            demands: Demands::default(),
            chain: Chain::default(),
        }
    }

    /// Fields of a goal's [`Draft`].
    pub const FIELDS: [&'static str; 16] = [
        "code",
        "name",
        "kind",
        "external_id",
        "commission",
        "revenue",
        "default_amount",
        "unique_by",
        "parent_goal",
        "times_per_parent",
        "wait_hours",
        "required_parameters",
        "forbidden_parameters",
        "auto_approve",
        "hold_days",
        "review_above",
    ];

    /// Draft of a new goal, with its defaults.
    #[must_use]
    pub fn blank() -> Draft {
        let mut blank = Self::new("", "", GoalKind::Sale, Terms::default()).draft();
        blank.set("commission", "");
        blank.set("revenue", "");
        blank
    }

    /// Draft of a new goal of this kind, with the settings that most goals of its kind have.
    #[must_use]
    pub fn usual(kind: GoalKind) -> Draft {
        let (name, unique_by, auto_approve, hold_days) = match kind {
            // An order can be returned.
            GoalKind::Sale => ("Sale", UniqueBy::Order, true, 30),
            GoalKind::Lead => ("Lead", UniqueBy::Customer, false, 0),
            GoalKind::Install => ("Install", UniqueBy::Click, true, 0),
            GoalKind::Deposit => ("First deposit", UniqueBy::Customer, true, 0),
            GoalKind::Custom => return Self::blank(),
        };
        let settings = Self {
            unique_by,
            auto_approve,
            hold_days,
            ..Self::new(kind.as_str(), name, kind, Terms::default())
        };
        let mut usual = settings.draft();
        usual.set("commission", "");
        usual.set("revenue", "");
        usual
    }

    /// The settings as [`GoalSettings::check`] reads them.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let terms: Terms = self.terms.into();
        let (demands, chain) = (&self.demands, self.chain);
        let number = |number: i32| number.to_string();
        Draft::with([
            ("code", self.code.clone()),
            ("name", self.name.clone()),
            ("kind", self.kind.to_string()),
            ("external_id", self.external_id.clone().unwrap_or_default()),
            ("commission", terms.commission.as_typed()),
            ("revenue", terms.revenue.as_typed()),
            (
                "default_amount",
                demands.default_amount_micros.map(decimal).unwrap_or_default(),
            ),
            ("unique_by", self.unique_by.to_string()),
            (
                "parent_goal",
                chain.parent_goal_id.map(|id| id.to_string()).unwrap_or_default(),
            ),
            (
                "times_per_parent",
                chain.times_per_parent.map(number).unwrap_or_default(),
            ),
            ("wait_hours", number(chain.wait_hours)),
            ("required_parameters", demands.required_parameters.on_one_line()),
            ("forbidden_parameters", demands.forbidden_parameters.on_one_line()),
            ("auto_approve", yes_or_empty(self.auto_approve)),
            ("hold_days", number(self.hold_days)),
            (
                "review_above",
                self.review_above_micros.map(decimal).unwrap_or_default(),
            ),
        ])
    }

    /// Checks a draft and returns the settings, or `None` with the errors in the draft; fixed sums are in this
    /// currency.
    pub fn check(draft: &mut Draft, currency: Currency) -> Option<Self> {
        let code = draft.take("code", check_code);
        let name = draft.take("name", check_name);
        let kind = draft.take("kind", str::parse);
        let external_id = draft.take("external_id", check_external_id);
        let commission = draft.take("commission", |text| Pay::typed(text, Some(currency)));
        let revenue = draft.take("revenue", |text| Pay::typed(text, Some(currency)));
        let default_amount_micros = draft.take("default_amount", check_amount);
        let unique_by = draft.take("unique_by", str::parse);
        let parent_goal_id = draft.take("parent_goal", check_goal_id);
        let times_per_parent = draft.take("times_per_parent", check_times);
        let wait_hours = draft.take("wait_hours", |text| check_number(text, Some(72), 0..=2160));
        let required_parameters = draft.take("required_parameters", check_parameters);
        let forbidden_parameters = draft.take("forbidden_parameters", check_parameters);
        let hold_days = draft.take("hold_days", |text| check_number(text, Some(0), 0..=365));
        let review_above_micros = draft.take("review_above", check_amount);
        let terms = Terms {
            commission: commission?,
            revenue: revenue?,
        };
        if terms.lose_money() {
            draft.errors.add("revenue", LOSES_MONEY);
            return None;
        }
        Some(Self {
            code: code?,
            name: name?,
            kind: kind?,
            external_id: external_id?,
            unique_by: unique_by?,
            auto_approve: draft.is_set("auto_approve"),
            hold_days: hold_days?,
            review_above_micros: review_above_micros?,
            terms: terms.into(),
            demands: Demands {
                required_parameters: required_parameters?,
                forbidden_parameters: forbidden_parameters?,
                default_amount_micros: default_amount_micros?,
            },
            chain: Chain {
                parent_goal_id: parent_goal_id?,
                wait_hours: wait_hours?,
                times_per_parent: times_per_parent?,
            },
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "code": self.code,
            "name": self.name,
            "kind": self.kind.as_str(),
            "external_id": self.external_id,
            "unique_by": self.unique_by.as_str(),
            "auto_approve": self.auto_approve,
            "hold_days": self.hold_days,
            "review_above_micros": self.review_above_micros,
            "commission_fixed_micros": self.terms.commission_fixed_micros,
            "commission_rate_ppm": self.terms.commission_rate_ppm,
            "revenue_fixed_micros": self.terms.revenue_fixed_micros,
            "revenue_rate_ppm": self.terms.revenue_rate_ppm,
            "required_parameters": self.demands.required_parameters,
            "forbidden_parameters": self.demands.forbidden_parameters,
            "default_amount_micros": self.demands.default_amount_micros,
            "parent_goal": self.chain.parent_goal_id.map(|id| id.to_string()),
            "wait_hours": self.chain.wait_hours,
            "times_per_parent": self.chain.times_per_parent,
        })
    }
}

/// A goal as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = goals)]
pub struct Goal {
    /// The goal.
    pub id: GoalId,
    /// The campaign it belongs to.
    pub campaign_id: CampaignId,
    /// Version of the terms, counted up by each change of them.
    pub version: i32,
    /// Start of the current version of the terms.
    pub changed_at: DateTime<Utc>,
    /// True if conversions may have another key than `unique_by` says, because it was changed.
    pub has_other_keys: bool,
    /// Settings of the goal.
    #[diesel(embed)]
    pub settings: GoalSettings,
}

impl Goal {
    /// Code that postbacks name the goal by.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.settings.code
    }

    /// Commission and revenue if no commission rule matches.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.settings.terms.into()
    }
}

fn names_are_free<T>(result: QueryResult<T>) -> Result<T, ChangeError> {
    result
        .map_err(taken(
            "goals_network_id_campaign_id_code_key",
            "code",
            "The campaign already has a goal with this code.",
        ))
        .map_err(|error| match error {
            ChangeError::Db(error) => taken(
                "goals_network_id_campaign_id_external_id_key",
                "external_id",
                "Another goal of the campaign has this external id.",
            )(error),
            other => other,
        })
}

/// Creates a goal.
///
/// # Errors
/// [`ChangeError::Fields`] when code or external id are taken or the parent is of another campaign; when the database
/// fails, or the campaign is not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    campaign_id: CampaignId,
    settings: &GoalSettings,
    now: DateTime<Utc>,
) -> Result<Goal, ChangeError> {
    let network_id = conn.network_id();
    check_parent(conn, campaign_id, None, settings.chain.parent_goal_id).await?;
    let made: QueryResult<Goal> = diesel::insert_into(goals::table)
        .values((
            goals::network_id.eq(network_id),
            goals::campaign_id.eq(campaign_id),
            goals::created_at.eq(now),
            goals::changed_at.eq(now),
            settings,
        ))
        .returning(Goal::as_select())
        .get_result(&mut **conn)
        .await;
    let made = names_are_free(made)?;
    let mut after = settings.to_json();
    if let Some(fields) = after.as_object_mut() {
        fields.insert("campaign".to_owned(), campaign_id.to_string().into());
    }
    let change = Change::created("goal.create", made.id, &settings.name, after);
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Changes a goal; changed terms get the next version. Returns false if no goal has this id.
///
/// # Errors
/// The same as [`create`].
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    id: GoalId,
    settings: &GoalSettings,
    now: DateTime<Utc>,
) -> Result<bool, ChangeError> {
    let Some(old) = find(conn, id).await? else {
        return Ok(false);
    };
    if old.settings == *settings {
        return Ok(true);
    }
    check_parent(conn, old.campaign_id, Some(id), settings.chain.parent_goal_id).await?;
    let network_id = conn.network_id();
    let (version, since) = if old.settings.terms == settings.terms {
        (old.version, old.changed_at)
    } else {
        (old.version + 1, now)
    };
    let has_other_keys = old.has_other_keys || old.settings.unique_by != settings.unique_by;
    if version != old.version {
        keep_version(conn, &old, now).await?;
    }
    let updated = diesel::update(goals::table.find((network_id, id)))
        .set((
            goals::version.eq(version),
            goals::changed_at.eq(since),
            goals::has_other_keys.eq(has_other_keys),
            settings,
        ))
        .execute(&mut **conn)
        .await;
    names_are_free(updated)?;
    let (before, after) = (old.settings.to_json(), settings.to_json());
    let change = Change::between("goal.update", id, &settings.name, before, after);
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// Checks that the parent is a goal of the same campaign, and that no goal becomes its own ancestor.
async fn check_parent(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    id: Option<GoalId>,
    parent: Option<GoalId>,
) -> Result<(), ChangeError> {
    let Some(parent) = parent else { return Ok(()) };
    // Locked: two concurrent changes could close a circle.
    lock_campaign(conn, campaign_id).await?;
    let siblings = of_campaign(conn, campaign_id).await?;
    let above = |id: GoalId| siblings.iter().find(|goal| goal.id == id);
    let mut next = Some(parent);
    for _ in 0..=siblings.len() {
        let Some(current) = next else { return Ok(()) };
        if Some(current) == id {
            break;
        }
        let Some(goal) = above(current) else {
            return Err(ChangeError::field(
                "parent_goal",
                "Choose a goal of the same campaign.",
            ));
        };
        next = goal.settings.chain.parent_goal_id;
    }
    Err(ChangeError::field(
        "parent_goal",
        "A goal cannot be its own parent, directly or through other goals.",
    ))
}

/// The goal with this id.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut NetworkConn, id: GoalId) -> QueryResult<Option<Goal>> {
    let network_id = conn.network_id();
    Goal::query()
        .filter(goals::network_id.eq(network_id).and(goals::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

async fn lock_campaign(conn: &mut NetworkConn, id: CampaignId) -> QueryResult<()> {
    let network_id = conn.network_id();
    campaigns::table
        .find((network_id, id))
        .select(campaigns::id)
        .for_update()
        .first::<CampaignId>(&mut **conn)
        .await
        .optional()
        .map(drop)
}

/// Finds the goal with this id and locks its row until the transaction ends.
///
/// # Errors
/// Database errors.
pub async fn lock(conn: &mut NetworkConn, id: GoalId) -> QueryResult<Option<Goal>> {
    let network_id = conn.network_id();
    goals::table
        .find((network_id, id))
        .select(Goal::as_select())
        .for_update()
        .first(&mut **conn)
        .await
        .optional()
}

/// Finds a goal of a campaign by its id or its code.
///
/// # Errors
/// Database errors.
pub async fn known_as(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    text: &str,
) -> QueryResult<Option<Goal>> {
    let of_campaign = of_campaign(conn, campaign_id).await?;
    let mut found = of_campaign.into_iter();
    Ok(found.find(|goal| goal.code() == text || goal.id.to_string() == text))
}

/// Goals by id, of one campaign if given: at most `limit`, after this id.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    campaign_id: Option<CampaignId>,
    after: Option<GoalId>,
    limit: i64,
) -> QueryResult<Vec<Goal>> {
    let network_id = conn.network_id();
    let mut query = Goal::query()
        .filter(goals::network_id.eq(network_id))
        .order(goals::id)
        .limit(limit)
        .into_boxed();
    if let Some(id) = campaign_id {
        query = query.filter(goals::campaign_id.eq(id));
    }
    if let Some(id) = after {
        query = query.filter(goals::id.gt(id));
    }
    query.load(&mut **conn).await
}

/// The goals of a campaign, oldest first.
///
/// # Errors
/// Database errors.
pub async fn of_campaign(conn: &mut NetworkConn, campaign_id: CampaignId) -> QueryResult<Vec<Goal>> {
    let network_id = conn.network_id();
    Goal::query()
        .filter(
            goals::network_id
                .eq(network_id)
                .and(goals::campaign_id.eq(campaign_id)),
        )
        .order((goals::created_at, goals::code))
        .load(&mut **conn)
        .await
}
