//! Import of advertisers and affiliates from CSV. A dry run is the import in a transaction that is rolled back, so a
//! preview always matches the import.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use schema::{GroupId, MembershipId, NetworkConn, text_enum};

use crate::advertisers::{self, AdvertiserSettings};
use crate::affiliates::{self, AffiliateSettings};
use crate::author::Author;
use crate::error::ChangeError;
use crate::groups;
use crate::memberships;
use crate::parties::PartyDraft;
use crate::table::{Cells, Column, Outcome, Report, Table};

text_enum! {
    /// Kind of rows in a file.
    pub enum Party {
        /// Advertisers.
        Advertisers = "advertisers",
        /// Affiliates.
        Affiliates = "affiliates",
    }
}

/// Recognised columns, with the names that exports of other systems use for them.
const COLUMNS: [Column; 7] = [
    (
        "name",
        &[
            "advertiser",
            "affiliate",
            "publisher",
            "partner",
            "merchant",
            "company",
        ],
    ),
    (
        "external_id",
        &[
            "id",
            "advertiser_id",
            "affiliate_id",
            "publisher_id",
            "partner_id",
        ],
    ),
    ("status", &[]),
    ("group", &["affiliate_group"]),
    ("manager", &["affiliate_manager", "account_manager"]),
    ("notes", &["note", "comment"]),
    ("tags", &["labels"]),
];

/// Groups by name and members of the staff by e-mail address, both in lower case.
struct Known {
    groups: HashMap<String, GroupId>,
    managers: HashMap<String, MembershipId>,
}

impl Known {
    async fn load(conn: &mut NetworkConn) -> Result<Self, ChangeError> {
        let groups = groups::all(conn).await?.into_iter();
        let staff = memberships::staff(conn).await?.into_iter();
        Ok(Self {
            groups: groups
                .map(|group| (group.name.to_lowercase(), group.id))
                .collect(),
            managers: staff
                .map(|member| (member.email.to_lowercase(), member.id))
                .collect(),
        })
    }
}

/// Draft of a party from a row.
fn draft(cells: &Cells<'_>) -> PartyDraft {
    PartyDraft {
        name: cells.get("name").to_owned(),
        external_id: cells.get("external_id").to_owned(),
        notes: cells.get("notes").to_owned(),
        // Tags in a cell may be separated by semicolons as well as commas.
        tags: cells.get("tags").replace(';', ","),
    }
}

/// Reads a CSV file and creates or updates a party for each valid row. Columns that are absent from the file leave
/// existing values unchanged.
///
/// # Errors
/// [`ChangeError::Fields`] if the text is not CSV, has no column `name`, or has too many rows.
pub async fn run(
    conn: &mut NetworkConn,
    author: &Author,
    party: Party,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Report, ChangeError> {
    let table = Table::read(text, &COLUMNS, &["name"])?;
    let known = Known::load(conn).await?;
    let named = |cells: &Cells<'_>| cells.get("name").to_owned();
    let reference = |cells: &Cells<'_>| match cells.get("external_id") {
        "" => format!("name {}", cells.get("name")),
        id => format!("id {id}"),
    };
    let make = async |conn: &mut NetworkConn, cells: &Cells<'_>| match party {
        Party::Advertisers => advertiser(conn, author, cells, now).await,
        Party::Affiliates => affiliate(conn, author, cells, &known, now).await,
    };
    table.apply_rows(conn, named, reference, make).await
}

fn status(cells: &Cells<'_>) -> String {
    match cells.get("status") {
        "" => "active".to_owned(),
        word => word.to_lowercase(),
    }
}

async fn advertiser(
    conn: &mut NetworkConn,
    author: &Author,
    cells: &Cells<'_>,
    now: DateTime<Utc>,
) -> Result<Outcome, ChangeError> {
    let draft = draft(cells);
    let mut settings = AdvertiserSettings::checked(&draft, &status(cells))?;
    let Some(known) = advertisers::matching(conn, &settings).await? else {
        advertisers::create(conn, author, &settings, now).await?;
        return Ok(Outcome::Create);
    };
    let present = known.settings();
    let absent = |column: &str| cells.get(column).is_empty();
    if absent("status") {
        settings.status = present.status;
    }
    if absent("external_id") {
        settings.external_id.clone_from(&present.external_id);
    }
    if absent("notes") {
        settings.notes.clone_from(&present.notes);
    }
    if absent("tags") {
        settings.tags.clone_from(&present.tags);
    }
    if settings == present {
        return Ok(Outcome::Unchanged);
    }
    advertisers::update(conn, author, known.id, None, &settings, now).await?;
    Ok(Outcome::Update)
}

async fn affiliate(
    conn: &mut NetworkConn,
    author: &Author,
    cells: &Cells<'_>,
    names: &Known,
    now: DateTime<Utc>,
) -> Result<Outcome, ChangeError> {
    let draft = draft(cells);
    let group = match cells.get("group") {
        "" => String::new(),
        name => names
            .groups
            .get(&name.to_lowercase())
            .map(ToString::to_string)
            .ok_or_else(|| {
                ChangeError::field(
                    "group",
                    format!("No group is called “{name}”; create the group first."),
                )
            })?,
    };
    let manager = match cells.get("manager") {
        "" => String::new(),
        email => names
            .managers
            .get(&email.to_lowercase())
            .map(ToString::to_string)
            .ok_or_else(|| {
                ChangeError::field(
                    "manager",
                    format!(
                        "No member of your team has the e-mail address “{email}”; invite the person first."
                    ),
                )
            })?,
    };
    let mut settings = AffiliateSettings::checked(&draft, &status(cells), &group, &manager)?;
    let Some(known) = affiliates::matching(conn, &settings).await? else {
        affiliates::create(conn, author, &settings, now).await?;
        return Ok(Outcome::Create);
    };
    let present = known.settings();
    let absent = |column: &str| cells.get(column).is_empty();
    if absent("status") {
        settings.status = present.status;
    }
    if absent("group") {
        settings.group_id = present.group_id;
    }
    if absent("manager") {
        settings.manager_id = present.manager_id;
    }
    if absent("external_id") {
        settings.external_id.clone_from(&present.external_id);
    }
    if absent("notes") {
        settings.notes.clone_from(&present.notes);
    }
    if absent("tags") {
        settings.tags.clone_from(&present.tags);
    }
    if settings == present {
        return Ok(Outcome::Unchanged);
    }
    affiliates::update(conn, author, known.id, None, &settings, now).await?;
    Ok(Outcome::Update)
}
