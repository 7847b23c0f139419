//! CSV files of the configuration: exports, and imports row by row. An import changes only the rows and columns of its
//! file.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use schema::{Currency, GoalId, NetworkConn, text_enum};
use tenancy::csv_export::to_csv;
use tenancy::table::{Cells, Column, Outcome, Report, Table};
use tenancy::{Author, ChangeError, Draft, advertisers, networks};

use crate::campaigns::{self as campaign_table, Campaign, CampaignSettings};
use crate::coupons::{self, Coupon};
use crate::goals::{self, Goal, GoalSettings};
use crate::landing_pages::{self, LandingPageSettings};
use crate::links::{self, NewLink};
use crate::rules::{self, RuleSettings};

/// Maximum number of rows of an export.
pub const MOST_EXPORTED: i64 = 100_000;
/// Fields with yes or no.
const YES_OR_NO: [&str; 2] = ["auto_approve", "is_test"];

text_enum! {
    /// Kind of rows in a file.
    pub enum Sheet {
        /// Campaigns.
        Campaigns = "campaigns",
        /// Goals of campaigns.
        Goals = "goals",
        /// Commission rules of goals.
        Rules = "rules",
        /// Landing pages of campaigns.
        LandingPages = "landing-pages",
        /// Coupons of campaigns.
        Coupons = "coupons",
        /// Tracking links.
        Links = "links",
    }
}

impl Sheet {
    /// Columns, identifying ones first.
    #[must_use]
    pub fn columns(self) -> Vec<&'static str> {
        let (about, fields): (&[_], &[_]) = match self {
            Self::Campaigns => (&["id", "advertiser", "currency"], &CampaignSettings::FIELDS),
            Self::Goals => (&["campaign"], &GoalSettings::FIELDS),
            Self::Rules => (&["id", "campaign", "goal"], &RuleSettings::FIELDS),
            Self::LandingPages => (&["id", "campaign"], &LandingPageSettings::FIELDS),
            Self::Coupons => (&["campaign"], &Coupon::FIELDS),
            Self::Links => (&["campaign"], &NewLink::FIELDS),
        };
        about.iter().chain(fields).copied().collect()
    }

    /// Columns a file must have.
    fn needed(self) -> &'static [&'static str] {
        match self {
            Self::Campaigns => &["name"],
            Self::Goals | Self::Coupons => &["campaign", "code"],
            Self::Rules => &["campaign", "goal", "name"],
            Self::LandingPages => &["campaign", "name"],
            Self::Links => &["campaign", "affiliate"],
        }
    }

    /// Column that names a row to users.
    fn named(self) -> &'static str {
        match self {
            Self::Campaigns | Self::Rules | Self::LandingPages => "name",
            Self::Goals | Self::Coupons => "code",
            Self::Links => "alias",
        }
    }

    /// Key of the object a row is about, if the row has no id.
    fn reference(self, cells: &Cells<'_>) -> String {
        let about: &[_] = match self {
            Self::Campaigns if !cells.get("external_id").is_empty() => &["external_id"],
            Self::Campaigns => &["name"],
            Self::Rules => &["campaign", "goal", "name"],
            Self::LandingPages => &["campaign", "name"],
            Self::Goals | Self::Coupons => &["campaign", "code"],
            // Each row without an alias creates another link.
            Self::Links if cells.get("alias").is_empty() => return format!("{cells:?}"),
            Self::Links => &["alias"],
        };
        match cells.get("id") {
            "" => about
                .iter()
                .map(|column| cells.get(column))
                .collect::<Vec<_>>()
                .join("\n"),
            id => id.to_owned(),
        }
    }
}

/// Imports a file: creates or updates the object of every valid row. Missing columns and empty cells leave values
/// unchanged.
///
/// # Errors
/// [`ChangeError::Fields`] if the file is no CSV, lacks required columns, or is too long; when the database fails.
pub async fn import(
    conn: &mut NetworkConn,
    author: &Author,
    sheet: Sheet,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Report, ChangeError> {
    let columns: Vec<Column> = sheet.columns().into_iter().map(|name| (name, &[][..])).collect();
    let table = Table::read(text, &columns, sheet.needed())?;
    let named = |cells: &Cells<'_>| cells.get(sheet.named()).to_owned();
    let reference = |cells: &Cells<'_>| sheet.reference(cells);
    let import = Import { author, now };
    let make = async |conn: &mut NetworkConn, cells: &Cells<'_>| match sheet {
        Sheet::Campaigns => import.campaign(conn, cells).await,
        Sheet::Goals => import.goal(conn, cells).await,
        Sheet::Rules => import.rule(conn, cells).await,
        Sheet::LandingPages => import.landing_page(conn, cells).await,
        Sheet::Coupons => import.coupon(conn, cells).await,
        Sheet::Links => import.link(conn, cells).await,
    };
    table.apply_rows(conn, named, reference, make).await
}

struct Import<'a> {
    author: &'a Author,
    now: DateTime<Utc>,
}

impl Import<'_> {
    async fn campaign(&self, conn: &mut NetworkConn, cells: &Cells<'_>) -> Result<Outcome, ChangeError> {
        let zone = networks::current(conn).await?.time_zone();
        let known = ["id", "external_id", "name"]
            .into_iter()
            .map(|column| cells.get(column));
        let known = match known.into_iter().find(|text| !text.is_empty()) {
            Some(text) => campaign_table::known_as(conn, text).await?,
            None => None,
        };
        let over = |draft: Draft| cells.over(draft, &CampaignSettings::FIELDS, &YES_OR_NO);
        if let Some(known) = known {
            let present = known.settings();
            let mut draft = over(present.draft(zone));
            let settings = present.changed(&mut draft, zone);
            let settings = draft.accepted(settings)?;
            if settings == present {
                return Ok(Outcome::Unchanged);
            }
            campaign_table::update(conn, self.author, known.id, &settings, self.now).await?;
            return Ok(Outcome::Update);
        }
        if !cells.get("id").is_empty() {
            return Err(ChangeError::field(
                "id",
                "No campaign has this id; leave it empty for a new one.",
            ));
        }
        let mut draft = over(CampaignSettings::blank(zone));
        let advertiser = advertisers::known_as(conn, cells.get("advertiser")).await?;
        let advertiser = draft
            .errors
            .take("advertiser", advertiser.ok_or("Name one of your advertisers."));
        let currency = draft
            .errors
            .take("currency", cells.get("currency").parse::<Currency>());
        let settings = CampaignSettings::check(&mut draft, zone);
        let wanted = settings.zip(advertiser).zip(currency);
        let ((settings, advertiser), currency) = draft.accepted(wanted)?;
        campaign_table::create(conn, self.author, advertiser.id, currency, &settings, self.now).await?;
        Ok(Outcome::Create)
    }

    async fn goal(&self, conn: &mut NetworkConn, cells: &Cells<'_>) -> Result<Outcome, ChangeError> {
        let campaign = campaign_of(conn, cells).await?;
        let known = goals::known_as(conn, campaign.id, cells.get("code")).await?;
        let base = known
            .as_ref()
            .map_or_else(GoalSettings::blank, |known| known.settings.draft());
        let mut draft = cells.over(base, &GoalSettings::FIELDS, &YES_OR_NO);
        // Files name goals by their codes.
        if let Some(parent) = goals::known_as(conn, campaign.id, draft.of("parent_goal")).await? {
            draft.set("parent_goal", parent.id.to_string());
        }
        let settings = GoalSettings::check(&mut draft, campaign.currency);
        let settings = draft.accepted(settings)?;
        match known {
            Some(known) if known.settings == settings => Ok(Outcome::Unchanged),
            Some(known) => {
                goals::update(conn, self.author, known.id, &settings, self.now).await?;
                Ok(Outcome::Update)
            }
            None => {
                goals::create(conn, self.author, campaign.id, &settings, self.now).await?;
                Ok(Outcome::Create)
            }
        }
    }

    async fn rule(&self, conn: &mut NetworkConn, cells: &Cells<'_>) -> Result<Outcome, ChangeError> {
        let campaign = campaign_of(conn, cells).await?;
        let goal = goals::known_as(conn, campaign.id, cells.get("goal")).await?;
        let goal =
            goal.ok_or_else(|| ChangeError::field("goal", "Name one of the campaign's goals by its code."))?;
        let in_force = rules::of_goal(conn, goal.id).await?;
        let (id, name) = (cells.get("id"), cells.get("name"));
        let fits = |rule: &&rules::Rule| match id {
            "" => rule.settings.name == name,
            id => rule.id.to_string() == id,
        };
        let known = only(in_force.iter().filter(fits), "rules")?;
        if known.is_none() && !id.is_empty() {
            return Err(ChangeError::field(
                "id",
                "The goal has no rule with this id; leave it empty for a new one.",
            ));
        }
        let base = known.map_or_else(RuleSettings::blank, |known| known.settings.draft());
        let mut draft = cells.over(base, &RuleSettings::FIELDS, &YES_OR_NO);
        let settings = RuleSettings::check(conn, &mut draft, campaign.currency).await?;
        let settings = draft.accepted(settings)?;
        match known {
            Some(known) if known.settings == settings => Ok(Outcome::Unchanged),
            Some(known) => {
                rules::update(conn, self.author, known.id, &settings, self.now).await?;
                Ok(Outcome::Update)
            }
            None => {
                rules::create(conn, self.author, goal.id, &settings, self.now).await?;
                Ok(Outcome::Create)
            }
        }
    }

    async fn landing_page(&self, conn: &mut NetworkConn, cells: &Cells<'_>) -> Result<Outcome, ChangeError> {
        let campaign = campaign_of(conn, cells).await?;
        let pages = landing_pages::of_campaign(conn, campaign.id).await?;
        let (id, name) = (cells.get("id"), cells.get("name"));
        let fits = |page: &&landing_pages::LandingPage| match id {
            "" => page.name == name,
            id => page.id.to_string() == id,
        };
        let known = only(pages.iter().filter(fits), "landing pages")?;
        if known.is_none() && !id.is_empty() {
            let message = "The campaign has no landing page with this id; leave it empty for a new one.";
            return Err(ChangeError::field("id", message));
        }
        let base = known.map_or_else(LandingPageSettings::blank, |known| known.settings().draft());
        let mut draft = cells.over(base, &LandingPageSettings::FIELDS, &YES_OR_NO);
        let settings = LandingPageSettings::check(&mut draft, &campaign.sending);
        let settings = draft.accepted(settings)?;
        match known {
            Some(known) if known.settings() == settings => Ok(Outcome::Unchanged),
            Some(known) => {
                landing_pages::update(conn, self.author, known.id, &settings, self.now).await?;
                Ok(Outcome::Update)
            }
            None => {
                landing_pages::create(conn, self.author, campaign.id, &settings, self.now).await?;
                Ok(Outcome::Create)
            }
        }
    }

    async fn coupon(&self, conn: &mut NetworkConn, cells: &Cells<'_>) -> Result<Outcome, ChangeError> {
        let campaign = campaign_of(conn, cells).await?;
        let mut draft = cells.over(Draft::default(), &Coupon::FIELDS, &YES_OR_NO);
        let coupon = Coupon::check(conn, &mut draft, campaign.id).await?;
        let coupon = draft.accepted(coupon)?;
        if coupons::find(conn, campaign.id, &coupon.code).await?.as_ref() == Some(&coupon) {
            return Ok(Outcome::Unchanged);
        }
        coupons::create(conn, self.author, &coupon, self.now).await?;
        Ok(Outcome::Create)
    }

    async fn link(&self, conn: &mut NetworkConn, cells: &Cells<'_>) -> Result<Outcome, ChangeError> {
        let campaign = campaign_of(conn, cells).await?;
        let known = links::of_alias(conn, cells.get("alias")).await?;
        let base = known.as_ref().map_or_else(Draft::default, links::Link::draft);
        let mut draft = cells.over(base, &NewLink::FIELDS, &YES_OR_NO);
        let link = NewLink::check(conn, &mut draft, &campaign).await?;
        let link = draft.accepted(link)?;
        match known.filter(|known| known.is_way_of(&link)) {
            Some(known) if known.settings() == link.settings() => Ok(Outcome::Unchanged),
            Some(known) => {
                links::update(conn, self.author, known.id, None, &link.settings(), self.now).await?;
                Ok(Outcome::Update)
            }
            // A taken alias of another link is refused by `create`.
            None => {
                links::create(conn, self.author, &link, self.now).await?;
                Ok(Outcome::Create)
            }
        }
    }
}

/// Campaign of a row.
async fn campaign_of(conn: &mut NetworkConn, cells: &Cells<'_>) -> Result<Campaign, ChangeError> {
    let found = campaign_table::known_as(conn, cells.get("campaign")).await?;
    found.ok_or_else(|| {
        let message = "Name one of your campaigns by its id, its external id, or its name if that is unique.";
        ChangeError::field("campaign", message)
    })
}

/// Single match of a row; `None` if nothing matches.
fn only<'a, T>(mut found: impl Iterator<Item = &'a T>, what: &str) -> Result<Option<&'a T>, ChangeError> {
    let first = found.next();
    match found.next() {
        Some(_) => Err(ChangeError::field(
            "id",
            format!("Several {what} have this name; use the id."),
        )),
        None => Ok(first),
    }
}

/// Exports a file that [`import`] can read: at most [`MOST_EXPORTED`] rows.
///
/// # Errors
/// [`ChangeError::Limit`] if the sheet has more rows; when the database fails.
pub async fn export(conn: &mut NetworkConn, sheet: Sheet) -> Result<String, ChangeError> {
    let rows = rows(conn, sheet).await?;
    if i64::try_from(rows.len()).is_ok_and(|rows| rows > MOST_EXPORTED) {
        let message = format!("The list has more than {MOST_EXPORTED} rows; read it page by page.");
        return Err(ChangeError::Limit(message));
    }
    let columns = sheet.columns();
    let cells = rows.iter().map(|draft| {
        let cell = |column: &&str| match draft.of(column) {
            "" if YES_OR_NO.contains(column) => "no".to_owned(),
            text => text.to_owned(),
        };
        columns.iter().map(cell).collect::<Vec<_>>()
    });
    Ok(to_csv(&columns, cells))
}

/// All rows of a sheet as drafts, identifying columns included.
async fn rows(conn: &mut NetworkConn, sheet: Sheet) -> Result<Vec<Draft>, ChangeError> {
    const LIMIT: i64 = MOST_EXPORTED + 1;
    let about = |mut draft: Draft, pairs: &[(&'static str, String)]| {
        for (field, text) in pairs {
            draft.set(field, text.as_str());
        }
        draft
    };
    Ok(match sheet {
        Sheet::Campaigns => {
            let zone = networks::current(conn).await?.time_zone();
            let rows = campaign_table::list(conn, None, None, LIMIT).await?;
            let row = |campaign: Campaign| {
                let pairs = [
                    ("id", campaign.id.to_string()),
                    ("advertiser", campaign.advertiser_id.to_string()),
                    ("currency", campaign.currency.to_string()),
                ];
                about(campaign.settings().draft(zone), &pairs)
            };
            rows.into_iter().map(row).collect()
        }
        Sheet::Goals => {
            let rows = goals::list(conn, None, None, LIMIT).await?;
            let codes: HashMap<GoalId, &str> = rows.iter().map(|goal| (goal.id, goal.code())).collect();
            let code = |id: Option<GoalId>| {
                let code = id.and_then(|id| codes.get(&id).copied());
                code.unwrap_or_default().to_owned()
            };
            let row = |goal: &Goal| {
                let pairs = [
                    ("campaign", goal.campaign_id.to_string()),
                    ("parent_goal", code(goal.settings.chain.parent_goal_id)),
                ];
                about(goal.settings.draft(), &pairs)
            };
            rows.iter().map(row).collect()
        }
        Sheet::Rules => {
            let goals = goals::list(conn, None, None, LIMIT).await?;
            let goals: HashMap<GoalId, Goal> = goals.into_iter().map(|goal| (goal.id, goal)).collect();
            let rows = rules::list(conn, None, None, LIMIT).await?;
            let row = |rule: rules::Rule| {
                let goal = goals.get(&rule.goal_id);
                let pairs = [
                    ("id", rule.id.to_string()),
                    (
                        "campaign",
                        goal.map_or_else(String::new, |goal| goal.campaign_id.to_string()),
                    ),
                    (
                        "goal",
                        goal.map_or_else(String::new, |goal| goal.settings.code.clone()),
                    ),
                ];
                about(rule.settings.draft(), &pairs)
            };
            rows.into_iter().map(row).collect()
        }
        Sheet::LandingPages => {
            let rows = landing_pages::list(conn, None, None, LIMIT).await?;
            let row = |page: landing_pages::LandingPage| {
                let pairs = [
                    ("id", page.id.to_string()),
                    ("campaign", page.campaign_id.to_string()),
                ];
                about(page.settings().draft(), &pairs)
            };
            rows.into_iter().map(row).collect()
        }
        Sheet::Coupons => {
            let rows = coupons::list(conn, None, None, LIMIT).await?;
            let row = |coupon: Coupon| {
                Draft::with([
                    ("campaign", coupon.campaign_id.to_string()),
                    ("code", coupon.code),
                    ("affiliate", coupon.affiliate_id.to_string()),
                ])
            };
            rows.into_iter().map(row).collect()
        }
        Sheet::Links => {
            let rows = links::list(conn, &links::LinkFilter::default(), LIMIT).await?;
            let row = |link: links::Link| about(link.draft(), &[("campaign", link.campaign_id.to_string())]);
            rows.into_iter().map(row).collect()
        }
    })
}
