//! URL templates: URLs with macros that users save in the URL builder, for systems that call us and for trackers that
//! we call. Users copy them; nothing is sent to them.

use chrono::{DateTime, Utc};
use dialects::Template;
use dialects::template::{self, Incoming};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, NetworkConn, UrlTemplateId, advertisers, affiliates, text_enum, url_templates,
};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, Scope, check_name, taken};
use url::Url;

/// Maximum number of templates of a network.
const MAX_OF_NETWORK: i64 = 200;
/// Maximum number of templates of one advertiser or affiliate.
const MAX_OF_PARTY: i64 = 20;

text_enum! {
    /// Direction of the call.
    pub enum Direction {
        /// Another system calls us and fills in its values.
        Inbound = "inbound",
        /// We call a tracker and fill in ours.
        Outbound = "outbound",
    }
}

/// A URL template as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = url_templates)]
pub struct UrlTemplate {
    /// The template.
    pub id: UrlTemplateId,
    /// Advertiser whose user saved the template; `None` for none.
    pub advertiser_id: Option<AdvertiserId>,
    /// Affiliate whose user saved the template; `None` for none.
    pub affiliate_id: Option<AffiliateId>,
    /// Name shown to users.
    pub name: String,
    /// Direction of the call.
    pub direction: Direction,
    /// URL with its macros, without secrets.
    pub url: String,
}

/// Settings of a URL template, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = url_templates)]
pub struct UrlTemplateSettings {
    /// Name shown to users; not empty.
    pub name: String,
    /// Direction of the call.
    pub direction: Direction,
    /// URL as accepted by [`Incoming::parse`] or [`Template::parse`], without secrets.
    pub url: String,
}

impl UrlTemplateSettings {
    /// Fields of a URL template's [`Draft`].
    pub const FIELDS: [&'static str; 3] = ["name", "direction", "url"];

    /// The settings as [`UrlTemplateSettings::check`] reads them.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft::with([
            ("name", self.name.clone()),
            ("direction", self.direction.to_string()),
            ("url", self.url.clone()),
        ])
    }

    /// Checks a draft and returns the settings, or `None` with the errors in the draft. A placeholder replaces each
    /// secret in the URL.
    pub fn check(draft: &mut Draft) -> Option<Self> {
        let name = draft.take("name", check_name);
        let direction: Option<Direction> = draft.take("direction", str::parse);
        let url = direction.and_then(|direction| draft.take("url", |text| check_url(direction, text)));
        Some(Self {
            name: name?,
            direction: direction?,
            url: url?,
        })
    }

    /// The URL with samples in place of its macros.
    #[must_use]
    pub fn preview(&self) -> String {
        let filled = match self.direction {
            Direction::Inbound => Incoming::parse(&self.url).ok().map(|url| url.preview()),
            Direction::Outbound => Template::parse(&self.url).ok().map(|url| url.preview()),
        };
        // A stored URL was accepted once; if today's parser refuses it, its macros stay.
        filled.unwrap_or_else(|| self.url.clone())
    }

    /// Parameters of the URL that carry secrets; their values are not stored.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        template::secrets(&self.url).map(str::to_owned).collect()
    }

    fn to_json(&self) -> Value {
        json!({ "name": self.name, "direction": self.direction.as_str(), "url": self.url })
    }
}

fn check_url(direction: Direction, text: &str) -> Result<String, String> {
    match direction {
        Direction::Inbound => Incoming::parse(text)
            .map(drop)
            .map_err(|problem| problem.to_string())?,
        Direction::Outbound => Template::parse(text)
            .map(drop)
            .map_err(|problem| problem.to_string())?,
    }
    let url = Url::parse(text).map_err(|problem| format!("This is not a web address: {problem}."))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("Remove the user name and password from the address: they are secrets.".to_owned());
    }
    Ok(template::without_secrets(text))
}

impl UrlTemplate {
    /// Current settings.
    #[must_use]
    pub fn settings(&self) -> UrlTemplateSettings {
        UrlTemplateSettings {
            name: self.name.clone(),
            direction: self.direction,
            url: self.url.clone(),
        }
    }
}

/// Saves a template of the scope's advertiser or affiliate, or else of the network.
///
/// # Errors
/// [`ChangeError::Fields`] when the owner has a template of this name and direction, [`ChangeError::Limit`] when the
/// owner has the maximum number; when the database fails.
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    settings: &UrlTemplateSettings,
    now: DateTime<Utc>,
) -> Result<UrlTemplate, ChangeError> {
    let network_id = conn.network_id();
    let made: i64 = url_templates::table
        .filter(url_templates::network_id.eq(network_id))
        .filter(url_templates::advertiser_id.is_not_distinct_from(scope.advertiser))
        .filter(url_templates::affiliate_id.is_not_distinct_from(scope.affiliate))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    let most = if scope == Scope::default() {
        MAX_OF_NETWORK
    } else {
        MAX_OF_PARTY
    };
    if made >= most {
        return Err(ChangeError::Limit(format!(
            "You have {made} URL templates, the maximum. Remove one first."
        )));
    }
    let made: UrlTemplate = diesel::insert_into(url_templates::table)
        .values((
            url_templates::network_id.eq(network_id),
            url_templates::advertiser_id.eq(scope.advertiser),
            url_templates::affiliate_id.eq(scope.affiliate),
            url_templates::created_at.eq(now),
            settings,
        ))
        .returning(UrlTemplate::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(name_taken)?;
    let change = Change::created("url_template.create", made.id, &made.name, settings.to_json());
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

fn name_taken(error: diesel::result::Error) -> ChangeError {
    let message = "You already have a template with this name; choose a different one.";
    taken("url_templates_name_key", "name", message)(error)
}

/// Changes a template in scope.
///
/// # Errors
/// [`ChangeError::NotFound`] if no template in scope has this id; [`ChangeError::Fields`] when the owner has another of
/// this name and direction; when the database fails.
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    id: UrlTemplateId,
    settings: &UrlTemplateSettings,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let old = find(conn, scope, id).await?.ok_or(ChangeError::NotFound)?;
    let old = old.settings();
    if old == *settings {
        return Ok(());
    }
    let network_id = conn.network_id();
    diesel::update(url_templates::table.find((network_id, id)))
        .set(settings)
        .execute(&mut **conn)
        .await
        .map_err(name_taken)?;
    let (before, after) = (old.to_json(), settings.to_json());
    let change = Change::between("url_template.update", id, &settings.name, before, after);
    audit::record(conn, author, change, now).await?;
    Ok(())
}

/// Removes a template. Returns false if no template in scope has this id.
///
/// # Errors
/// Database errors.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    scope: Scope,
    id: UrlTemplateId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = find(conn, scope, id).await? else {
        return Ok(false);
    };
    let network_id = conn.network_id();
    diesel::delete(url_templates::table.find((network_id, id)))
        .execute(&mut **conn)
        .await?;
    let before = old.settings().to_json();
    let change = Change::between("url_template.remove", id, &old.name, before, json!({}));
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// The template with this id, if it is in scope.
///
/// # Errors
/// Database errors.
pub async fn find(
    conn: &mut NetworkConn,
    scope: Scope,
    id: UrlTemplateId,
) -> QueryResult<Option<UrlTemplate>> {
    let network_id = conn.network_id();
    let mut query = UrlTemplate::query()
        .filter(url_templates::network_id.eq(network_id))
        .filter(url_templates::id.eq(id))
        .into_boxed();
    if let Some(own) = scope.advertiser {
        query = query.filter(url_templates::advertiser_id.eq(own));
    }
    if let Some(own) = scope.affiliate {
        query = query.filter(url_templates::affiliate_id.eq(own));
    }
    query.first(&mut **conn).await.optional()
}

/// Templates in scope by id: at most `limit`, after this id.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    scope: Scope,
    after: Option<UrlTemplateId>,
    limit: i64,
) -> QueryResult<Vec<UrlTemplate>> {
    let network_id = conn.network_id();
    let mut query = UrlTemplate::query()
        .filter(url_templates::network_id.eq(network_id))
        .order(url_templates::id)
        .limit(limit)
        .into_boxed();
    if let Some(own) = scope.advertiser {
        query = query.filter(url_templates::advertiser_id.eq(own));
    }
    if let Some(own) = scope.affiliate {
        query = query.filter(url_templates::affiliate_id.eq(own));
    }
    if let Some(id) = after {
        query = query.filter(url_templates::id.gt(id));
    }
    query.load(&mut **conn).await
}

/// Templates in scope with the name of their advertiser or affiliate, the network's own first, by name: at most
/// `limit`.
///
/// # Errors
/// Database errors.
pub async fn with_owners(
    conn: &mut NetworkConn,
    scope: Scope,
    limit: i64,
) -> QueryResult<Vec<(UrlTemplate, Option<String>)>> {
    let network_id = conn.network_id();
    let advertiser = advertisers::network_id
        .eq(url_templates::network_id)
        .and(advertisers::id.nullable().eq(url_templates::advertiser_id));
    let affiliate = affiliates::network_id
        .eq(url_templates::network_id)
        .and(affiliates::id.nullable().eq(url_templates::affiliate_id));
    let mut query = url_templates::table
        .left_join(advertisers::table.on(advertiser))
        .left_join(affiliates::table.on(affiliate))
        .filter(url_templates::network_id.eq(network_id))
        .order((
            affiliates::name.asc().nulls_first(),
            advertisers::name.asc().nulls_first(),
            url_templates::name,
            url_templates::id,
        ))
        .limit(limit)
        .select((
            UrlTemplate::as_select(),
            advertisers::name.nullable(),
            affiliates::name.nullable(),
        ))
        .into_boxed();
    if let Some(own) = scope.advertiser {
        query = query.filter(url_templates::advertiser_id.eq(own));
    }
    if let Some(own) = scope.affiliate {
        query = query.filter(url_templates::affiliate_id.eq(own));
    }
    let rows: Vec<(UrlTemplate, Option<String>, Option<String>)> = query.load(&mut **conn).await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(template, advertiser, affiliate)| (template, advertiser.or(affiliate)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(direction: &str, url: &str) -> Result<String, String> {
        let mut draft = Draft::with([
            ("name", "Own".to_owned()),
            ("direction", direction.to_owned()),
            ("url", url.to_owned()),
        ]);
        let settings = UrlTemplateSettings::check(&mut draft);
        settings
            .map(|settings| settings.url)
            .ok_or_else(|| draft.error("url").to_owned())
    }

    #[test]
    fn an_unknown_macro_is_named_with_its_offset() {
        let refused = checked("outbound", "https://t.example/?a={payout}&b={nothing}").unwrap_err();
        assert_eq!(refused, "At 32: {nothing} is not a macro.");
        assert!(checked("inbound", "https://t.example/postback?click_id={nothing}").is_ok());
    }

    #[test]
    fn no_secret_is_stored() {
        for direction in ["inbound", "outbound"] {
            let kept = checked(
                direction,
                "https://t.example/postback?click_id={click_id}&token=abc",
            );
            assert_eq!(
                kept.unwrap(),
                "https://t.example/postback?click_id={click_id}&token=YOUR_TOKEN"
            );
            let refused = checked(
                direction,
                "https://ada:pass@t.example/postback?click_id={click_id}",
            );
            assert!(refused.unwrap_err().contains("secrets"), "{direction}");
        }
    }
}
