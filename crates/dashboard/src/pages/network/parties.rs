//! Lists of advertisers and of affiliates, as pages and as CSV. The two differ little, so they share their pages; the first
//! segment of the path selects the kind.

use actix_web::web;
use askama::Template;
use chrono::{DateTime, Utc};
use schema::NetworkConn;
use serde::Deserialize;
use tenancy::advertisers::{Advertiser, AdvertiserStatus};
use tenancy::affiliates::{Affiliate, AffiliateStatus};
use tenancy::groups::{self, Group};
use tenancy::import::Party;
use tenancy::parties::{PartyFilter, PartySort};
use tenancy::{Permission, advertisers, affiliates, csv_export, memberships, needs, networks};

use crate::error::PageError;
use crate::forms::Choice;
use crate::listing::{self, Tab};
use crate::page::{Page, PageRequest};
use crate::shell::{PageResult, Shell, TimeCell, csv_file, html};
use crate::urls;

/// Maximum number of rows of an export.
const EXPORT: i64 = 100_000;

/// Kind of a request's path.
pub(super) fn party(request: &PageRequest) -> Party {
    if request.http.path().starts_with("/advertisers") {
        Party::Advertisers
    } else {
        Party::Affiliates
    }
}

pub(super) fn title(party: Party) -> &'static str {
    match party {
        Party::Advertisers => "Advertisers",
        Party::Affiliates => "Affiliates",
    }
}

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    search: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    after: String,
}

impl Filters {
    fn sort(&self) -> Result<PartySort, PageError> {
        match self.sort.as_str() {
            "" => Ok(PartySort::default()),
            word => word.parse().map_err(PageError::BadRequest),
        }
    }

    fn filter<S: std::str::FromStr<Err = String>, I: std::str::FromStr>(
        &self,
        include_archived: bool,
    ) -> Result<PartyFilter<S, I>, PageError> {
        Ok(PartyFilter {
            search: listing::text(&self.search),
            status: listing::word(&self.status)?,
            include_archived,
            sort: self.sort()?,
            after: listing::id(&self.after)?,
        })
    }

    /// Rows of a kind, at most `limit`, and all groups.
    async fn find(
        &self,
        conn: &mut NetworkConn,
        party: Party,
        include_archived: bool,
        limit: i64,
    ) -> Result<(Vec<PartyRow>, Vec<Group>), PageError> {
        let groups = groups::all(conn).await?;
        let rows = match party {
            Party::Advertisers => {
                let filter = self.filter(include_archived)?;
                let found = advertisers::list(conn, &filter, limit).await?;
                found.into_iter().map(PartyRow::advertiser).collect()
            }
            Party::Affiliates => {
                let (filter, group) = (self.filter(include_archived)?, listing::id(&self.group)?);
                let found = affiliates::list(conn, &filter, group, limit).await?;
                found
                    .into_iter()
                    .map(|affiliate| PartyRow::affiliate(affiliate, &groups))
                    .collect()
            }
        };
        Ok((rows, groups))
    }
}

/// `GET /advertisers`, `GET /affiliates`
pub(super) async fn list(mut page: Page<needs::SeeParties>, filters: web::Query<Filters>) -> PageResult {
    let party = party(&page.request);
    let path = format!("/{party}");
    let (found, groups) = filters
        .find(&mut page.conn, party, false, listing::QUERIED)
        .await?;
    let slug = networks::slug(&mut page.conn).await?;
    let frame = page.commit().await?;
    let kept = [
        ("search", filters.search.as_str()),
        ("status", filters.status.as_str()),
        ("group", filters.group.as_str()),
        ("sort", filters.sort.as_str()),
    ];
    let (rows, next) = listing::cut_after(found, &path, &kept, |row| row.id.clone());
    let tabs = match party {
        Party::Advertisers => listing::tabs(&path, AdvertiserStatus::ALL, listing::word(&filters.status)?),
        Party::Affiliates => listing::tabs(&path, AffiliateStatus::ALL, listing::word(&filters.status)?),
    };
    html(&List {
        shell: frame.shell(title(party), title(party)),
        export: listing::with_query(&format!("{path}/export.csv"), &kept),
        join: (party == Party::Affiliates && frame.network.joining.join_open)
            .then(|| format!("{}/join/{slug}", frame.request.dashboard.dashboard_url)),
        tabs,
        sorts: sort_links(&path, &kept, filters.sort()?),
        search: filters.search.clone(),
        status: filters.status.clone(),
        groups: group_choices(&groups, &filters.group, "All groups"),
        has_groups: party == Party::Affiliates,
        rows: rows
            .into_iter()
            .map(|row| (frame.time(row.created_at), row))
            .collect(),
        next,
        may_manage: frame.actor.may(Permission::ManageParties),
        path,
    })
}

/// Headings that sort the list: label, URL, and the present order for `aria-sort`.
fn sort_links(
    path: &str,
    kept: &[(&str, &str)],
    sort: PartySort,
) -> Vec<(&'static str, String, &'static str)> {
    [("Name", "name"), ("Created", "created")]
        .into_iter()
        .map(|(label, word)| {
            let by_this = sort.by.as_str() == word;
            let (wanted, order) = match (by_this, sort.descending) {
                (true, false) => (format!("-{word}"), "ascending"),
                (true, true) => (word.to_owned(), "descending"),
                (false, _) => (word.to_owned(), "none"),
            };
            let others = kept.iter().copied().filter(|(name, _)| *name != "sort");
            let pairs: Vec<_> = others.chain([("sort", wanted.as_str())]).collect();
            (label, listing::with_query(path, &pairs), order)
        })
        .collect()
}

pub(super) fn group_choices(groups: &[Group], chosen: &str, none: &str) -> Vec<Choice> {
    let all = groups
        .iter()
        .map(|group| (group.id.to_string(), group.name.clone()));
    Choice::list(
        std::iter::once((String::new(), none.to_owned())).chain(all),
        chosen,
    )
}

/// `GET /advertisers/export.csv`, `GET /affiliates/export.csv`: all rows of the list, in the columns of the import.
pub(super) async fn export(mut page: Page<needs::SeeParties>, filters: web::Query<Filters>) -> PageResult {
    let party = party(&page.request);
    let text = match party {
        Party::Advertisers => {
            csv_export::advertisers(&advertisers::list(&mut page.conn, &filters.filter(true)?, EXPORT).await?)
        }
        Party::Affiliates => {
            let group = listing::id(&filters.group)?;
            let found = affiliates::list(&mut page.conn, &filters.filter(true)?, group, EXPORT).await?;
            let groups = groups::all(&mut page.conn).await?;
            csv_export::affiliates(&found, &groups, &memberships::staff(&mut page.conn).await?)
        }
    };
    let slug = networks::slug(&mut page.conn).await?;
    page.commit().await?;
    Ok(csv_file(&format!("{slug}_{party}.csv"), text))
}

/// Advertiser or affiliate in the list.
struct PartyRow {
    id: String,
    url: String,
    name: String,
    status: &'static str,
    external_id: String,
    group: String,
    tags: String,
    created_at: DateTime<Utc>,
}

impl PartyRow {
    fn advertiser(advertiser: Advertiser) -> Self {
        Self {
            id: advertiser.id.to_string(),
            url: urls::advertiser(advertiser.id),
            name: advertiser.name,
            status: advertiser.status.as_str(),
            external_id: advertiser.external_id.unwrap_or_default(),
            group: String::new(),
            tags: advertiser.tags.on_one_line(),
            created_at: advertiser.created_at,
        }
    }

    fn affiliate(affiliate: Affiliate, groups: &[Group]) -> Self {
        let group = groups.iter().find(|group| Some(group.id) == affiliate.group_id);
        Self {
            id: affiliate.id.to_string(),
            url: urls::affiliate(affiliate.id),
            name: affiliate.name,
            status: affiliate.status.as_str(),
            external_id: affiliate.external_id.unwrap_or_default(),
            group: group.map_or_else(String::new, |group| group.name.clone()),
            tags: affiliate.tags.on_one_line(),
            created_at: affiliate.created_at,
        }
    }
}

#[derive(Template)]
#[template(path = "network/parties/list.html")]
struct List {
    shell: Shell,
    path: String,
    export: String,
    join: Option<String>,
    tabs: Vec<Tab>,
    sorts: Vec<(&'static str, String, &'static str)>,
    search: String,
    status: String,
    groups: Vec<Choice>,
    has_groups: bool,
    rows: Vec<(TimeCell, PartyRow)>,
    next: Option<String>,
    may_manage: bool,
}
