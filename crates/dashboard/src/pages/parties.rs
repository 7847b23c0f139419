//! Advertisers and affiliates: listed, made, changed and exported. The two differ in little, so they share
//! their pages; the first word of the path says which is meant.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use schema::{AdvertiserId, AffiliateId, NetworkConn, clock};
use serde::Deserialize;
use tenancy::advertisers::{Advertiser, AdvertiserSettings, AdvertiserStatus};
use tenancy::affiliates::{Affiliate, AffiliateSettings, AffiliateStatus};
use tenancy::groups::{self, Group};
use tenancy::import::Party;
use tenancy::networks;
use tenancy::parties::{PartyDraft, PartyFilter, PartySort};
use tenancy::{Access, ChangeError, FieldErrors, Permission, advertisers, affiliates, csv_export, needs};

use super::id;
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::listing::{self, Tab};
use crate::shell::{PageResult, Shell, TimeCell, csv_file, page, page_with, saved, see_other};
use crate::{Dashboard, auth::Allowed, urls};

/// Most rows of an export.
const EXPORT: i64 = 100_000;

/// Which of the two a request is about.
pub(super) fn party(request: &HttpRequest) -> Party {
    match request.path().starts_with("/advertisers") {
        true => Party::Advertisers,
        false => Party::Affiliates,
    }
}

pub(super) fn title(party: Party) -> &'static str {
    match party {
        Party::Advertisers => "Advertisers",
        Party::Affiliates => "Affiliates",
    }
}

/// The filters of the list, as its URL has them.
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

    /// What was found of either kind, at most `limit`, and the groups for their names.
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
                    .map(|it| PartyRow::affiliate(it, &groups))
                    .collect()
            }
        };
        Ok((rows, groups))
    }
}

/// `GET /advertisers`, `GET /affiliates`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeParties>,
    filters: web::Query<Filters>,
) -> PageResult {
    let party = party(&request);
    let path = format!("/{party}");
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let (found, groups) = filters.find(&mut conn, party, false, listing::ASK).await?;
    let slug = networks::slug(&mut conn).await?;
    conn.commit().await?;
    let kept = [
        ("search", filters.search.as_str()),
        ("status", filters.status.as_str()),
        ("group", filters.group.as_str()),
        ("sort", filters.sort.as_str()),
    ];
    let (rows, next) = listing::cut_after(found, &path, &kept, |row| row.id.clone());
    let now = clock::now();
    let tabs = match party {
        Party::Advertisers => listing::tabs(&path, AdvertiserStatus::ALL, listing::word(&filters.status)?),
        Party::Affiliates => listing::tabs(&path, AffiliateStatus::ALL, listing::word(&filters.status)?),
    };
    page(&List {
        shell: Shell::new(&dashboard, &request, &actor, &network, title(party), title(party)),
        export: listing::with_query(&format!("{path}/export.csv"), &kept),
        join: (party == Party::Affiliates && network.joining.join_open)
            .then(|| format!("{}/join/{slug}", dashboard.dashboard_url)),
        tabs,
        sorts: sort_links(&path, &kept, filters.sort()?),
        search: filters.search.clone(),
        status: filters.status.clone(),
        groups: group_choices(&groups, &filters.group, "All groups"),
        has_groups: party == Party::Affiliates,
        rows: rows
            .into_iter()
            .map(|row| (TimeCell::new(row.created_at, now, &network), row))
            .collect(),
        next,
        may_manage: actor.may(Permission::ManageParties),
        path,
    })
}

/// The headings that sort: label, where it leads, and how the list is sorted by it now, for `aria-sort`.
fn sort_links(
    path: &str,
    kept: &[(&str, &str)],
    now: PartySort,
) -> Vec<(&'static str, String, &'static str)> {
    [("Name", "name"), ("Created", "created")]
        .into_iter()
        .map(|(label, word)| {
            let by_this = now.by.as_str() == word;
            let (wanted, order) = match (by_this, now.descending) {
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

fn group_choices(groups: &[Group], chosen: &str, none: &str) -> Vec<Choice> {
    let all = groups
        .iter()
        .map(|group| (group.id.to_string(), group.name.clone()));
    Choice::list(
        std::iter::once((String::new(), none.to_owned())).chain(all),
        chosen,
    )
}

/// `GET /advertisers/export.csv`, `GET /affiliates/export.csv`: what the list shows, whole, in the columns that the
/// import reads.
pub(super) async fn export(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeParties>,
    filters: web::Query<Filters>,
) -> PageResult {
    let party = party(&request);
    let mut conn = actor.network(&dashboard.db).await?;
    let text = match party {
        Party::Advertisers => {
            csv_export::advertisers(&advertisers::list(&mut conn, &filters.filter(true)?, EXPORT).await?)
        }
        Party::Affiliates => {
            let group = listing::id(&filters.group)?;
            let found = affiliates::list(&mut conn, &filters.filter(true)?, group, EXPORT).await?;
            csv_export::affiliates(&found, &groups::all(&mut conn).await?)
        }
    };
    let slug = networks::slug(&mut conn).await?;
    conn.commit().await?;
    Ok(csv_file(&format!("{slug}_{party}.csv"), text))
}

/// `GET /advertisers/new`, `GET /affiliates/new`
pub(super) async fn new(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
) -> PageResult {
    let form = PartyForm {
        status: "active".to_owned(),
        ..PartyForm::default()
    };
    render(&request, &dashboard, &actor, None, form).await
}

/// `POST /advertisers`, `POST /affiliates`
pub(super) async fn create(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    form: PostedForm,
) -> PageResult {
    let form = PartyForm::read(&form);
    let (author, now) = (actor.author(), clock::now());
    let mut conn = actor.network(&dashboard.db).await?;
    let made = match party(&request) {
        Party::Advertisers => match AdvertiserSettings::checked(&form.draft, &form.status) {
            Ok(settings) => advertisers::create(&mut conn, &author, &settings, now)
                .await
                .map(|made| urls::advertiser(made.id)),
            Err(error) => Err(error),
        },
        Party::Affiliates => match AffiliateSettings::checked(&form.draft, &form.status, &form.group) {
            Ok(settings) => affiliates::create(&mut conn, &author, &settings, now)
                .await
                .map(|made| urls::affiliate(made.id)),
            Err(error) => Err(error),
        },
    };
    finish(&request, &dashboard, &actor, conn, None, form, made).await
}

/// `GET /advertisers/{id}`, `GET /affiliates/{id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeParties>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let form = match party(&request) {
        Party::Advertisers => {
            let found = advertisers::find(&mut conn, id(&path)?).await?;
            PartyForm::advertiser(found.ok_or(PageError::NotFound)?)
        }
        Party::Affiliates => {
            let found = affiliates::find(&mut conn, id(&path)?).await?;
            PartyForm::affiliate(found.ok_or(PageError::NotFound)?)
        }
    };
    conn.commit().await?;
    render(&request, &dashboard, &actor, Some(path.into_inner()), form).await
}

/// `POST /advertisers/{id}`, `POST /affiliates/{id}`
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let form = PartyForm::read(&form);
    // What is no version matches none.
    let version = Some(form.version.parse().unwrap_or(0));
    let (author, now) = (actor.author(), clock::now());
    let mut conn = actor.network(&dashboard.db).await?;
    let changed = match party(&request) {
        Party::Advertisers => {
            let id: AdvertiserId = id(&path)?;
            advertisers::find(&mut conn, id)
                .await?
                .ok_or(PageError::NotFound)?;
            match AdvertiserSettings::checked(&form.draft, &form.status) {
                Ok(settings) => advertisers::update(&mut conn, &author, id, version, &settings, now)
                    .await
                    .map(|_| urls::advertiser(id)),
                Err(error) => Err(error),
            }
        }
        Party::Affiliates => {
            let id: AffiliateId = id(&path)?;
            affiliates::find(&mut conn, id)
                .await?
                .ok_or(PageError::NotFound)?;
            match AffiliateSettings::checked(&form.draft, &form.status, &form.group) {
                Ok(settings) => affiliates::update(&mut conn, &author, id, version, &settings, now)
                    .await
                    .map(|_| urls::affiliate(id)),
                Err(error) => Err(error),
            }
        }
    };
    finish(
        &request,
        &dashboard,
        &actor,
        conn,
        Some(path.into_inner()),
        form,
        changed,
    )
    .await
}

/// On to the page of what was made or changed; or the form again, with what is wrong under its fields.
async fn finish<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    conn: NetworkConn,
    existing: Option<String>,
    form: PartyForm,
    outcome: Result<String, ChangeError>,
) -> PageResult {
    match outcome {
        Ok(url) => {
            conn.commit().await?;
            match existing {
                Some(_) => saved(&url),
                None => see_other(&url),
            }
        }
        // Somebody was faster: what was typed is kept, and saving again is a decision.
        Err(ChangeError::Stale) => {
            drop(conn);
            let mut errors = FieldErrors::default();
            errors.add("name", ChangeError::Stale.to_string());
            let form = PartyForm { errors, ..form };
            render_with(StatusCode::CONFLICT, request, dashboard, actor, existing, form).await
        }
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            render(request, dashboard, actor, existing, PartyForm { errors, ..form }).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    existing: Option<String>,
    form: PartyForm,
) -> PageResult {
    let status = forms::status(&form.errors);
    render_with(status, request, dashboard, actor, existing, form).await
}

async fn render_with<P>(
    status: StatusCode,
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    existing: Option<String>,
    form: PartyForm,
) -> PageResult {
    let party = party(request);
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let groups = groups::all(&mut conn).await?;
    conn.commit().await?;
    let heading = match (&existing, party) {
        (Some(_), _) => form.draft.name.clone(),
        (None, Party::Advertisers) => "New advertiser".to_owned(),
        (None, Party::Affiliates) => "New affiliate".to_owned(),
    };
    let words: &[(&str, &str)] = match party {
        Party::Advertisers => &[
            ("active", "Active"),
            ("paused", "Paused: no clicks and no conversions"),
            ("archived", "Archived: not offered for new campaigns"),
        ],
        Party::Affiliates => &[
            ("active", "Active"),
            ("paused", "Paused: no new clicks, earlier ones still convert"),
            ("blocked", "Blocked: no clicks and no conversions"),
            ("archived", "Archived: as paused, and out of the lists"),
        ],
    };
    let report = match (&existing, party) {
        (Some(id), Party::Affiliates) => Some(format!("/reports?affiliate={id}&group=campaign,day")),
        _ => None,
    };
    let integration = match (&existing, party) {
        (Some(id), Party::Advertisers) => Some(urls::integration(self::id(id)?)),
        _ => None,
    };
    page_with(
        status,
        &Edit {
            shell: Shell::new(dashboard, request, actor, &network, title(party), &heading),
            action: match &existing {
                Some(id) => format!("/{party}/{id}"),
                None => format!("/{party}"),
            },
            report,
            integration,
            history: existing
                .as_ref()
                .filter(|_| actor.may(Permission::SeeAudit))
                .map(|id| urls::audit_of(id)),
            existing,
            statuses: Choice::list(words.iter().copied(), &form.status),
            groups: group_choices(&groups, &form.group, "No group"),
            has_groups: party == Party::Affiliates,
            may_manage: actor.may(Permission::ManageParties),
            form,
        },
    )
}

/// A party as a row.
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
    fn advertiser(it: Advertiser) -> Self {
        Self {
            id: it.id.to_string(),
            url: urls::advertiser(it.id),
            name: it.name,
            status: it.status.as_str(),
            external_id: it.external_id.unwrap_or_default(),
            group: String::new(),
            tags: it.tags.on_one_line(),
            created_at: it.created_at,
        }
    }

    fn affiliate(it: Affiliate, groups: &[Group]) -> Self {
        let group = groups.iter().find(|group| Some(group.id) == it.group_id);
        Self {
            id: it.id.to_string(),
            url: urls::affiliate(it.id),
            name: it.name,
            status: it.status.as_str(),
            external_id: it.external_id.unwrap_or_default(),
            group: group.map_or_else(String::new, |group| group.name.clone()),
            tags: it.tags.on_one_line(),
            created_at: it.created_at,
        }
    }
}

/// A party as typed, and what is wrong with it.
#[derive(Default)]
struct PartyForm {
    draft: PartyDraft,
    status: String,
    group: String,
    version: String,
    errors: FieldErrors,
}

impl PartyForm {
    fn read(form: &PostedForm) -> Self {
        Self {
            draft: PartyDraft {
                name: form.get("name").to_owned(),
                external_id: form.get("external_id").to_owned(),
                notes: form.get("notes").to_owned(),
                tags: form.get("tags").to_owned(),
            },
            status: form.get("status").to_owned(),
            group: form.get("group").to_owned(),
            version: form.get("version").to_owned(),
            errors: FieldErrors::default(),
        }
    }

    fn advertiser(it: Advertiser) -> Self {
        Self {
            draft: PartyDraft {
                name: it.name,
                external_id: it.external_id.unwrap_or_default(),
                notes: it.notes,
                tags: it.tags.on_one_line(),
            },
            status: it.status.to_string(),
            group: String::new(),
            version: it.version.to_string(),
            errors: FieldErrors::default(),
        }
    }

    fn affiliate(it: Affiliate) -> Self {
        Self {
            draft: PartyDraft {
                name: it.name,
                external_id: it.external_id.unwrap_or_default(),
                notes: it.notes,
                tags: it.tags.on_one_line(),
            },
            status: it.status.to_string(),
            group: it.group_id.map_or_else(String::new, |id| id.to_string()),
            version: it.version.to_string(),
            errors: FieldErrors::default(),
        }
    }
}

#[derive(Template)]
#[template(path = "parties/list.html")]
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

#[derive(Template)]
#[template(path = "parties/edit.html")]
struct Edit {
    shell: Shell,
    action: String,
    existing: Option<String>,
    report: Option<String>,
    integration: Option<String>,
    history: Option<String>,
    statuses: Vec<Choice>,
    groups: Vec<Choice>,
    has_groups: bool,
    may_manage: bool,
    form: PartyForm,
}
