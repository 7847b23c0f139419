//! Destinations: trackers of affiliates, which get partner postbacks, and systems of a network, which get webhooks.

mod checks;
mod settings;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AffiliateId, CampaignId, DestinationId, GoalId, NetworkConn, NetworkId, affiliates, changes, deliveries,
    destinations, text_enum,
};
use serde_json::Value;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Scope, Secret};

use crate::content::DeliveryEvent;
use crate::format::BodyFormat;
use crate::message::Target;
use crate::send::CallMethod;
use crate::signature::SigningSecret;
use crate::value_maps::ValueMaps;

pub use settings::{DestinationSettings, UrlFindings, look_at_url};

/// Maximum number of webhooks of a network.
const MAX_WEBHOOKS: i64 = 20;
/// Maximum number of destinations of an affiliate.
const MAX_OF_AFFILIATE: i64 = 20;
/// Time for which a rotated secret signs beside its successor.
pub const OVERLAP: TimeDelta = TimeDelta::hours(24);

text_enum! {
    /// Kind of a destination.
    pub enum DestinationKind {
        /// Tracker of an affiliate: a URL with macros.
        Postback = "postback",
        /// System of the network: signed JSON.
        Webhook = "webhook",
    }
}

text_enum! {
    /// State of a destination.
    pub enum DestinationState {
        /// Events are delivered.
        Active = "active",
        /// Events are queued.
        Paused = "paused",
    }
}

text_enum! {
    /// Reason why a destination is paused.
    pub enum PausedBecause {
        /// A user paused it.
        User = "user",
        /// It answered 410.
        Gone = "gone",
        /// Every attempt of some days failed.
        Failing = "failing",
    }
}

/// A destination as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = destinations)]
pub struct Destination {
    /// Tenant.
    pub network_id: NetworkId,
    /// The destination.
    pub id: DestinationId,
    /// Kind.
    pub kind: DestinationKind,
    /// Affiliate whose conversions are delivered; `None` for a webhook.
    pub affiliate_id: Option<AffiliateId>,
    /// Name shown to users.
    pub name: String,
    /// Campaign whose conversions are delivered; `None` for all.
    pub campaign_id: Option<CampaignId>,
    /// Goal whose conversions are delivered; `None` for all.
    pub goal_id: Option<GoalId>,
    events: String,
    /// Method.
    pub method: CallMethod,
    /// Body of the calls.
    pub format: BodyFormat,
    /// URL with macros, without secrets.
    pub url: String,
    sealed_url: Option<Vec<u8>>,
    value_maps: Value,
    /// True if order IDs are sent as they are.
    pub sends_order_ids: bool,
    secret: Option<Vec<u8>>,
    former_secret: Option<Vec<u8>>,
    /// Time until which the secret before the last rotation signs too.
    pub former_secret_until: Option<DateTime<Utc>>,
    /// State.
    pub state: DestinationState,
    /// Reason for the pause.
    pub paused_because: Option<PausedBecause>,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last success.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Time of the last failure.
    pub failed_at: Option<DateTime<Utc>>,
    /// Time of the first failure after the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// Number of failures in a row.
    pub failures: i32,
}

impl Destination {
    /// Kinds of events that are delivered.
    #[must_use]
    pub fn events(&self) -> Vec<DeliveryEvent> {
        self.events
            .split(',')
            .filter_map(|word| word.parse().ok())
            .collect()
    }

    /// Words of the receiver.
    #[must_use]
    pub fn value_maps(&self) -> ValueMaps {
        ValueMaps::of_json(&self.value_maps)
    }

    /// Settings that decide about its calls.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            network_id: self.network_id,
            kind: self.kind,
            method: self.method,
            format: self.format,
            url: self.url.clone(),
            sealed_url: self.sealed_url.clone(),
            value_maps: self.value_maps.clone(),
            sends_order_ids: self.sends_order_ids,
            secret: self.secret.clone(),
            former_secret: self.former_secret.clone(),
            former_secret_until: self.former_secret_until,
        }
    }

    /// Current settings.
    #[must_use]
    pub fn settings(&self) -> DestinationSettings {
        DestinationSettings {
            name: self.name.clone(),
            campaign_id: self.campaign_id,
            goal_id: self.goal_id,
            events: self.events(),
            method: self.method,
            format: self.format,
            url: self.url.clone(),
            value_maps: self.value_maps(),
            sends_order_ids: self.sends_order_ids,
        }
    }
}

/// Owner of a new destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Affiliate, with a tracker.
    Affiliate(AffiliateId),
    /// The network, with a webhook.
    Network,
}

/// A destination with the name of its affiliate and the number of events that wait.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The destination.
    pub destination: Destination,
    /// Name of its affiliate; `None` for a webhook.
    pub affiliate: Option<String>,
    /// Number of events that wait.
    pub waiting: i64,
}

/// Creates a destination. The signing secret of a webhook is returned this once.
///
/// # Errors
/// [`ChangeError::Limit`] when the owner has the maximum number; [`ChangeError::Fields`] for a campaign, goal or
/// affiliate that does not exist; when the database fails.
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    secret: &Secret,
    owner: Owner,
    settings: &DestinationSettings,
    now: DateTime<Utc>,
) -> Result<(Destination, Option<SigningSecret>), ChangeError> {
    let network_id = conn.network_id();
    let (kind, affiliate_id, most) = match owner {
        Owner::Affiliate(id) => (DestinationKind::Postback, Some(id), MAX_OF_AFFILIATE),
        Owner::Network => (DestinationKind::Webhook, None, MAX_WEBHOOKS),
    };
    checks::check_references(conn, owner, settings).await?;
    let made: i64 = destinations::table
        .filter(destinations::network_id.eq(network_id))
        .filter(destinations::affiliate_id.is_not_distinct_from(affiliate_id))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    if made >= most {
        return Err(ChangeError::Limit(format!(
            "You have {made} destinations, the maximum. Remove one first."
        )));
    }
    let signing = (kind == DestinationKind::Webhook).then(SigningSecret::random);
    let sealed = signing
        .as_ref()
        .map(|signing| secret.seal(&purpose(network_id), signing.bytes()));
    let stored = StoredSettings::of(settings, None, secret, network_id);
    let made: Destination = diesel::insert_into(destinations::table)
        .values((
            destinations::network_id.eq(network_id),
            destinations::kind.eq(kind),
            destinations::affiliate_id.eq(affiliate_id),
            destinations::secret.eq(sealed),
            destinations::created_at.eq(now),
            &stored,
        ))
        .returning(Destination::as_select())
        .get_result(&mut **conn)
        .await?;
    let change = Change::created(
        "destination.create",
        made.id,
        &made.name,
        made.settings().to_json(),
    );
    audit::record(conn, author, change, now).await?;
    Ok((made, signing))
}

/// Changes a destination in scope. A placeholder in the URL stands for the secret that the stored URL has in the same
/// parameter.
///
/// # Errors
/// [`ChangeError::NotFound`] if no destination in scope has this id; as [`create`].
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    secret: &Secret,
    scope: Scope,
    id: DestinationId,
    settings: &DestinationSettings,
    now: DateTime<Utc>,
) -> Result<Destination, ChangeError> {
    let old = find(conn, scope, id).await?.ok_or(ChangeError::NotFound)?;
    let owner = old.affiliate_id.map_or(Owner::Network, Owner::Affiliate);
    checks::check_references(conn, owner, settings).await?;
    let network_id = conn.network_id();
    let stored = StoredSettings::of(settings, Some(&old), secret, network_id);
    let new: Destination = diesel::update(destinations::table.find((network_id, id)))
        .set(&stored)
        .returning(Destination::as_select())
        .get_result(&mut **conn)
        .await?;
    let mut after = new.settings().to_json();
    if let (Some(object), true) = (after.as_object_mut(), old.sealed_url != new.sealed_url) {
        object.insert("secrets_of_url".to_owned(), "replaced".into());
    }
    let change = Change::between(
        "destination.update",
        id,
        &new.name,
        old.settings().to_json(),
        after,
    );
    audit::record(conn, author, change, now).await?;
    Ok(new)
}

/// Pauses a destination in scope, or resumes it: then the events that waited are sent.
///
/// # Errors
/// [`ChangeError::NotFound`] if no destination in scope has this id; when the database fails.
pub async fn set_state(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    id: DestinationId,
    state: DestinationState,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let old = find(conn, scope, id).await?.ok_or(ChangeError::NotFound)?;
    if old.state == state {
        return Ok(());
    }
    let network_id = conn.network_id();
    let because = (state == DestinationState::Paused).then_some(PausedBecause::User);
    diesel::update(destinations::table.find((network_id, id)))
        .set((
            destinations::state.eq(state),
            destinations::paused_because.eq(because),
            destinations::failures.eq(0),
            destinations::mailed_failures.eq(0),
            destinations::failing_since.eq(None::<DateTime<Utc>>),
            destinations::quiet_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(&mut **conn)
        .await?;
    if state == DestinationState::Active {
        diesel::update(deliveries::table)
            .filter(deliveries::network_id.eq(network_id))
            .filter(deliveries::destination_id.eq(id))
            .filter(deliveries::state.eq("waiting"))
            .set(deliveries::next_at.eq(diesel::dsl::now))
            .execute(&mut **conn)
            .await?;
        changes::signal_events(conn).await?;
    }
    let action = match state {
        DestinationState::Active => "destination.resume",
        DestinationState::Paused => "destination.pause",
    };
    audit::record(conn, author, Change::noted(action, id, &old.name), now).await?;
    Ok(())
}

/// Replaces the signing secret of a webhook. The former one signs too for [`OVERLAP`].
///
/// # Errors
/// [`ChangeError::NotFound`] if no webhook in scope has this id; when the database fails.
pub async fn rotate_secret(
    conn: &mut NetworkConn,
    author: &Author,
    secret: &Secret,
    scope: Scope,
    id: DestinationId,
    now: DateTime<Utc>,
) -> Result<SigningSecret, ChangeError> {
    let old = find(conn, scope, id).await?.ok_or(ChangeError::NotFound)?;
    let former = old.secret.ok_or(ChangeError::NotFound)?;
    let network_id = conn.network_id();
    let fresh = SigningSecret::random();
    diesel::update(destinations::table.find((network_id, id)))
        .set((
            destinations::secret.eq(secret.seal(&purpose(network_id), fresh.bytes())),
            destinations::former_secret.eq(former),
            destinations::former_secret_until.eq(now + OVERLAP),
        ))
        .execute(&mut **conn)
        .await?;
    audit::record(
        conn,
        author,
        Change::noted("destination.rotate", id, &old.name),
        now,
    )
    .await?;
    Ok(fresh)
}

/// Removes a destination in scope with its deliveries. Returns false if no destination in scope has this id.
///
/// # Errors
/// Database errors.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    id: DestinationId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = find(conn, scope, id).await? else {
        return Ok(false);
    };
    let network_id = conn.network_id();
    diesel::delete(destinations::table.find((network_id, id)))
        .execute(&mut **conn)
        .await?;
    let before = old.settings().to_json();
    let change = Change::between("destination.remove", id, &old.name, before, serde_json::json!({}));
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// The destination with this id, if it is in scope.
///
/// # Errors
/// Database errors.
pub async fn find(
    conn: &mut NetworkConn,
    scope: Scope,
    id: DestinationId,
) -> QueryResult<Option<Destination>> {
    if scope.advertiser.is_some() {
        return Ok(None);
    }
    let network_id = conn.network_id();
    let mut query = Destination::query()
        .filter(destinations::network_id.eq(network_id))
        .filter(destinations::id.eq(id))
        .into_boxed();
    if let Some(own) = scope.affiliate {
        query = query.filter(destinations::affiliate_id.eq(own));
    }
    if let Some(manager) = scope.manager {
        query = query.filter(destinations::affiliate_id.eq_any(managed(network_id, manager)));
    }
    query.first(&mut **conn).await.optional()
}

/// Destinations in scope of a kind, by id: at most `limit`, after this id.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    scope: Scope,
    kind: Option<DestinationKind>,
    after: Option<DestinationId>,
    limit: i64,
) -> QueryResult<Vec<Listed>> {
    if scope.advertiser.is_some() {
        return Ok(Vec::new());
    }
    let network_id = conn.network_id();
    let affiliate = affiliates::network_id
        .eq(destinations::network_id)
        .and(affiliates::id.nullable().eq(destinations::affiliate_id));
    let mut query = destinations::table
        .left_join(affiliates::table.on(affiliate))
        .filter(destinations::network_id.eq(network_id))
        .order(destinations::id)
        .limit(limit)
        .select((Destination::as_select(), affiliates::name.nullable()))
        .into_boxed();
    if let Some(own) = scope.affiliate {
        query = query.filter(destinations::affiliate_id.eq(own));
    }
    if let Some(manager) = scope.manager {
        query = query.filter(affiliates::manager_id.eq(manager));
    }
    if let Some(kind) = kind {
        query = query.filter(destinations::kind.eq(kind));
    }
    if let Some(id) = after {
        query = query.filter(destinations::id.gt(id));
    }
    let found: Vec<(Destination, Option<String>)> = query.load(&mut **conn).await?;
    let ids: Vec<DestinationId> = found.iter().map(|(destination, _)| destination.id).collect();
    let waiting: Vec<(DestinationId, i64)> = deliveries::table
        .filter(deliveries::network_id.eq(network_id))
        .filter(deliveries::destination_id.eq_any(ids))
        .filter(deliveries::state.eq("waiting"))
        .group_by(deliveries::destination_id)
        .select((deliveries::destination_id, count_star()))
        .load(&mut **conn)
        .await?;
    let of = |id| {
        waiting
            .iter()
            .find(|(known, _)| *known == id)
            .map_or(0, |(_, count)| *count)
    };
    let listed = |(destination, affiliate): (Destination, Option<String>)| Listed {
        waiting: of(destination.id),
        destination,
        affiliate,
    };
    Ok(found.into_iter().map(listed).collect())
}

/// Affiliates that a manager manages.
#[diesel::dsl::auto_type]
pub(crate) fn managed(network_id: NetworkId, manager: schema::MembershipId) -> _ {
    affiliates::table
        .filter(affiliates::network_id.eq(network_id))
        .filter(affiliates::manager_id.eq(manager))
        .select(affiliates::id.nullable())
}

/// Columns that follow from the settings.
#[derive(AsChangeset, Insertable)]
#[diesel(table_name = destinations, treat_none_as_null = true)]
struct StoredSettings {
    name: String,
    campaign_id: Option<CampaignId>,
    goal_id: Option<GoalId>,
    events: String,
    method: CallMethod,
    format: BodyFormat,
    url: String,
    sealed_url: Option<Vec<u8>>,
    value_maps: Value,
    sends_order_ids: bool,
}

impl StoredSettings {
    fn of(
        settings: &DestinationSettings,
        old: Option<&Destination>,
        secret: &Secret,
        network_id: NetworkId,
    ) -> Self {
        let known = old.and_then(|old| open_text(secret, network_id, old.sealed_url.as_ref()?));
        let full = match known {
            Some(known) => {
                let url = settings.format.with_secret(&settings.url, &known);
                dialects::template::with_secrets(&url, &known)
            }
            None => settings.url.clone(),
        };
        let url = settings
            .format
            .without_secret(&dialects::template::without_secrets(&full));
        Self {
            name: settings.name.clone(),
            campaign_id: settings.campaign_id,
            goal_id: settings.goal_id,
            events: settings.event_words(","),
            method: settings.method,
            format: settings.format,
            sealed_url: (url != full).then(|| secret.seal(&purpose(network_id), full.as_bytes())),
            url,
            value_maps: settings.value_maps.to_json(),
            sends_order_ids: settings.sends_order_ids,
        }
    }
}

fn purpose(network_id: NetworkId) -> Vec<u8> {
    format!("destinations of {network_id}").into_bytes()
}

/// Decrypts a secret of a destination.
pub(crate) fn open(secret: &Secret, network_id: NetworkId, sealed: &[u8]) -> Option<Vec<u8>> {
    secret.unseal(&purpose(network_id), sealed)
}

/// Decrypts a text of a destination.
pub(crate) fn open_text(secret: &Secret, network_id: NetworkId, sealed: &[u8]) -> Option<String> {
    String::from_utf8(open(secret, network_id, sealed)?).ok()
}
