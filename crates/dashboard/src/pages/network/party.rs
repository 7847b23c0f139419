//! Form that creates or changes one advertiser or affiliate.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use schema::{AdvertiserId, AffiliateId};
use tenancy::advertisers::{Advertiser, AdvertiserSettings};
use tenancy::affiliates::{Affiliate, AffiliateSettings};
use tenancy::import::Party;
use tenancy::memberships::{self, Member};
use tenancy::parties::PartyDraft;
use tenancy::{ChangeError, FieldErrors, Permission, advertisers, affiliates, groups, needs};

use super::parties::{group_choices, party, title};
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, done, html_with, saved};
use crate::urls;

/// `GET /advertisers/new`, `GET /affiliates/new`
pub(super) async fn new(page: Page<needs::ManageParties>) -> PageResult {
    let form = PartyForm {
        status: "active".to_owned(),
        ..PartyForm::default()
    };
    render(page, None, form).await
}

/// `POST /advertisers`, `POST /affiliates`
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::ManageParties>) -> PageResult {
    let form = PartyForm::read(&form);
    let author = page.actor.author();
    let made = match party(&page.request) {
        Party::Advertisers => match AdvertiserSettings::checked(&form.draft, &form.status) {
            Ok(settings) => advertisers::create(&mut page.conn, &author, &settings, page.now)
                .await
                .map(|made| urls::advertiser(made.id)),
            Err(error) => Err(error),
        },
        Party::Affiliates => {
            match AffiliateSettings::checked(&form.draft, &form.status, &form.group, &form.manager) {
                Ok(settings) => affiliates::create(&mut page.conn, &author, &settings, page.now)
                    .await
                    .map(|made| urls::affiliate(made.id)),
                Err(error) => Err(error),
            }
        }
    };
    finish(page, None, form, made).await
}

/// `GET /advertisers/{id}`, `GET /affiliates/{id}`
pub(super) async fn show(mut page: Page<needs::SeeParties>, path: web::Path<String>) -> PageResult {
    let form = match party(&page.request) {
        Party::Advertisers => {
            let found = advertisers::find(&mut page.conn, id(&path)?).await?;
            PartyForm::advertiser(found.ok_or(PageError::NotFound)?)
        }
        Party::Affiliates => {
            let found = affiliates::find(&mut page.conn, id(&path)?).await?;
            PartyForm::affiliate(found.ok_or(PageError::NotFound)?)
        }
    };
    render(page, Some(path.into_inner()), form).await
}

/// `POST /advertisers/{id}`, `POST /affiliates/{id}`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::ManageParties>,
    path: web::Path<String>,
) -> PageResult {
    let form = PartyForm::read(&form);
    // An unparsable version never matches.
    let version = Some(form.version.parse().unwrap_or(0));
    let author = page.actor.author();
    let changed = match party(&page.request) {
        Party::Advertisers => {
            let id: AdvertiserId = id(&path)?;
            advertisers::find(&mut page.conn, id)
                .await?
                .ok_or(PageError::NotFound)?;
            match AdvertiserSettings::checked(&form.draft, &form.status) {
                Ok(settings) => {
                    advertisers::update(&mut page.conn, &author, id, version, &settings, page.now)
                        .await
                        .map(|_| urls::advertiser(id))
                }
                Err(error) => Err(error),
            }
        }
        Party::Affiliates => {
            let id: AffiliateId = id(&path)?;
            affiliates::find(&mut page.conn, id)
                .await?
                .ok_or(PageError::NotFound)?;
            match AffiliateSettings::checked(&form.draft, &form.status, &form.group, &form.manager) {
                Ok(settings) => affiliates::update(&mut page.conn, &author, id, version, &settings, page.now)
                    .await
                    .map(|_| urls::affiliate(id)),
                Err(error) => Err(error),
            }
        }
    };
    finish(page, Some(path.into_inner()), form, changed).await
}

/// Commits and redirects, or shows the form again with its errors.
async fn finish<P>(
    page: Page<P>,
    existing: Option<String>,
    form: PartyForm,
    outcome: Result<String, ChangeError>,
) -> PageResult {
    match outcome {
        Ok(url) => {
            page.commit().await?;
            match existing {
                Some(_) => saved(&url),
                None => done(&url, "Created."),
            }
        }
        // Edit conflict: the input is kept; saving again overwrites.
        Err(ChangeError::Stale) => {
            let mut errors = FieldErrors::default();
            errors.add("name", ChangeError::Stale.to_string());
            let form = PartyForm { errors, ..form };
            render_with(page.reopen().await?, StatusCode::CONFLICT, existing, form).await
        }
        Err(ChangeError::Fields(errors)) => {
            render(page.reopen().await?, existing, PartyForm { errors, ..form }).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn render<P>(page: Page<P>, existing: Option<String>, form: PartyForm) -> PageResult {
    let status = forms::status(&form.errors);
    render_with(page, status, existing, form).await
}

async fn render_with<P>(
    mut page: Page<P>,
    status: StatusCode,
    existing: Option<String>,
    form: PartyForm,
) -> PageResult {
    let party = party(&page.request);
    let groups = groups::all(&mut page.conn).await?;
    let staff = memberships::staff(&mut page.conn).await?;
    let frame = page.commit().await?;
    let heading = match (&existing, party) {
        (Some(_), _) => form.draft.name.clone(),
        (None, Party::Advertisers) => "New advertiser".to_owned(),
        (None, Party::Affiliates) => "New affiliate".to_owned(),
    };
    let report = match (&existing, party) {
        (Some(id), Party::Affiliates) => Some(format!("/reports?affiliate={id}&group=campaign,day")),
        _ => None,
    };
    let integration = match (&existing, party) {
        (Some(id), Party::Advertisers) => Some(urls::integration(self::id(id)?)),
        _ => None,
    };
    html_with(
        status,
        &Edit {
            shell: frame.shell(title(party), &heading),
            action: match &existing {
                Some(id) => format!("/{party}/{id}"),
                None => format!("/{party}"),
            },
            report,
            integration,
            history: existing
                .as_ref()
                .filter(|_| frame.actor.may(Permission::SeeAudit))
                .map(|id| urls::audit_of(id)),
            existing,
            statuses: Choice::list(statuses(party).iter().copied(), &form.status),
            groups: group_choices(&groups, &form.group, "No group"),
            managers: manager_choices(&staff, &form.manager),
            is_affiliate: party == Party::Affiliates,
            may_manage: frame.actor.may(Permission::ManageParties),
            form,
        },
    )
}

fn manager_choices(staff: &[Member], chosen: &str) -> Vec<Choice> {
    let all = staff
        .iter()
        .map(|member| (member.id.to_string(), member.person_name.clone()));
    Choice::list(
        std::iter::once((String::new(), "No manager".to_owned())).chain(all),
        chosen,
    )
}

fn statuses(party: Party) -> &'static [(&'static str, &'static str)] {
    match party {
        Party::Advertisers => &[
            ("active", "Active"),
            ("paused", "Paused: no clicks and no conversions"),
            ("archived", "Archived: not offered for new campaigns"),
        ],
        Party::Affiliates => &[
            ("active", "Active"),
            ("paused", "Paused: no new clicks; earlier clicks still convert"),
            ("blocked", "Blocked: no clicks and no conversions"),
            ("archived", "Archived: like paused, and hidden from lists"),
        ],
    }
}

/// Input of the form, with its errors.
#[derive(Default)]
struct PartyForm {
    draft: PartyDraft,
    status: String,
    group: String,
    manager: String,
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
            manager: form.get("manager").to_owned(),
            version: form.get("version").to_owned(),
            errors: FieldErrors::default(),
        }
    }

    fn advertiser(advertiser: Advertiser) -> Self {
        Self {
            draft: PartyDraft {
                name: advertiser.name,
                external_id: advertiser.external_id.unwrap_or_default(),
                notes: advertiser.notes,
                tags: advertiser.tags.on_one_line(),
            },
            status: advertiser.status.to_string(),
            group: String::new(),
            manager: String::new(),
            version: advertiser.version.to_string(),
            errors: FieldErrors::default(),
        }
    }

    fn affiliate(affiliate: Affiliate) -> Self {
        Self {
            draft: PartyDraft {
                name: affiliate.name,
                external_id: affiliate.external_id.unwrap_or_default(),
                notes: affiliate.notes,
                tags: affiliate.tags.on_one_line(),
            },
            status: affiliate.status.to_string(),
            group: affiliate.group_id.map_or_else(String::new, |id| id.to_string()),
            manager: affiliate.manager_id.map_or_else(String::new, |id| id.to_string()),
            version: affiliate.version.to_string(),
            errors: FieldErrors::default(),
        }
    }
}

#[derive(Template)]
#[template(path = "network/party/edit.html")]
struct Edit {
    shell: Shell,
    action: String,
    existing: Option<String>,
    report: Option<String>,
    integration: Option<String>,
    history: Option<String>,
    statuses: Vec<Choice>,
    groups: Vec<Choice>,
    managers: Vec<Choice>,
    is_affiliate: bool,
    may_manage: bool,
    form: PartyForm,
}
