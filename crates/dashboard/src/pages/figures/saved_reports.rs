//! Saved views of reports: the row of views on the report, the list, and the form of a view.

use actix_web::web;
use askama::Template;
use reports::links::DEFAULT_DAYS;
use reports::saved::{self, Audience, SavedReportSettings, View};
use reports::{Period, ReportQuery, StoredQuery};
use schema::{SavedReportId, Words};
use tenancy::networks::Network;
use tenancy::{Actor, ChangeError, Draft, Permission, RoleKind, needs};

use crate::forms::{self, Choice, PostedForm};
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html, html_with};

const HOME: &str = "/reports/views";

/// View that the page of reports shows, and the views beside it.
pub(super) struct Views {
    /// Views, each with its URL.
    pub(super) tabs: Vec<Tab>,
    /// View that is open; `None` for a report without one.
    pub(super) open: Option<Tab>,
    /// Query string to save.
    pub(super) query: String,
    pub(super) periods: Vec<Choice>,
    pub(super) audiences: Vec<Choice>,
    /// True if the user may offer the view to the team.
    pub(super) has_team: bool,
    pub(super) roles: Vec<Choice>,
    pub(super) may_save: bool,
    /// Validity of a share link by default, in days.
    pub(super) link_days: i64,
}

/// View in the row of views.
#[derive(Clone)]
pub(super) struct Tab {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_open: bool,
    pub(super) may_change: bool,
}

impl Views {
    /// Views of an actor beside a report. `period` is the relative period of the report, if it has one.
    pub(super) fn new(
        views: &[View],
        open: Option<SavedReportId>,
        (query, period): (&ReportQuery, Option<Period>),
        actor: &Actor,
        today: chrono::NaiveDate,
    ) -> Self {
        let tab = |view: &View| Tab {
            id: view.report.id.to_string(),
            name: view.report.name.clone(),
            is_open: open == Some(view.report.id),
            may_change: view.may_change,
        };
        let tabs: Vec<Tab> = views.iter().map(tab).collect();
        let period = period.or_else(|| Period::of_days(query.from, query.to, today));
        Self {
            open: tabs.iter().find(|tab| tab.is_open).cloned(),
            tabs,
            query: query.to_query_string(),
            periods: periods(period.map_or("fixed", Period::as_str), &fixed_label(query)),
            audiences: audiences(actor, ""),
            has_team: actor.may(Permission::Configure),
            roles: roles(&Words::default()),
            may_save: actor.may(Permission::SaveReports),
            link_days: DEFAULT_DAYS,
        }
    }
}

fn fixed_label(query: &ReportQuery) -> String {
    format!("{} to {}", query.from, query.to)
}

/// Choices of a period: the relative ones, and the days of the report.
pub(super) fn periods(chosen: &str, fixed: &str) -> Vec<Choice> {
    let relative = Period::ALL
        .iter()
        .map(|period| (period.as_str(), period.label().to_owned()));
    let fixed = ("fixed", format!("Always {fixed}"));
    Choice::list(relative.chain([fixed]), chosen)
}

fn audiences(actor: &Actor, chosen: &str) -> Vec<Choice> {
    let audiences = Audience::of_actor(actor);
    Choice::list(
        audiences
            .into_iter()
            .map(|audience| (audience.as_str(), audience.label())),
        chosen,
    )
}

/// Checkboxes of the roles that a view is offered to; all of them for a new view.
fn roles(offered: &Words) -> Vec<Choice> {
    let choice = |role: RoleKind| Choice {
        value: role.as_str().to_owned(),
        label: role.label().to_owned(),
        chosen: offered.0.is_empty() || offered.0.iter().any(|word| word == role.as_str()),
    };
    saved::roles().into_iter().map(choice).collect()
}

/// `GET /reports/views`
pub(super) async fn list(mut page: Page<needs::SeeReports>) -> PageResult {
    let views = saved::list(&mut page.conn, &page.actor).await?;
    let frame = page.commit().await?;
    let row = |view: View| ViewRow {
        id: view.report.id.to_string(),
        seen_by: seen_by(&view),
        owner: view.owner,
        period: view.report.period.map_or("Fixed days", Period::label),
        default_for: labels(&view.default_for),
        changed: frame.time(view.report.updated_at),
        name: view.report.name,
        may_change: view.may_change,
    };
    html(&List {
        shell: frame.shell("Reports", "Saved views"),
        rows: views.into_iter().map(row).collect(),
    })
}

fn labels(roles: &[RoleKind]) -> String {
    let labels: Vec<_> = roles.iter().map(|role| role.label()).collect();
    labels.join(", ")
}

fn seen_by(view: &View) -> String {
    let roles: Vec<RoleKind> = view
        .report
        .roles
        .0
        .iter()
        .filter_map(|word| word.parse().ok())
        .collect();
    match view.report.audience {
        Audience::Personal if !view.is_own => view.owner.clone(),
        Audience::Personal | Audience::Party => view.report.audience.label().to_owned(),
        Audience::Team => labels(&roles),
    }
}

/// `POST /reports/views`: saves the report that was shown.
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::SaveReports>) -> PageResult {
    let mut draft = posted(&form, Draft::default());
    let settings = SavedReportSettings::check(&mut draft, &page.actor, page.now, page.network.time_zone());
    let created = match draft.clone().accepted(settings) {
        Ok(settings) => saved::create(&mut page.conn, &page.actor, &settings, page.now).await,
        Err(error) => Err(error),
    };
    match created {
        Ok(view) => {
            page.commit().await?;
            done(
                &format!("/reports?view={}", view.report.id),
                "The view was saved.",
            )
        }
        Err(error) => {
            draft.errors = forms::field_errors(error)?;
            render(page.reopen().await?, None, draft).await
        }
    }
}

/// The draft with the fields of a form. A form without a query keeps that of the draft.
fn posted(form: &PostedForm, mut draft: Draft) -> Draft {
    for field in ["name", "audience", "period"] {
        draft.set(field, form.get(field));
    }
    draft.set("roles", form.all("roles").join(","));
    if !form.get("query").is_empty() {
        draft.set("query", form.get("query"));
    }
    draft
}

/// `GET /reports/views/{id}`
pub(super) async fn show(mut page: Page<needs::SeeReports>, path: web::Path<String>) -> PageResult {
    let view = visible(&mut page, &path).await?;
    let draft = view.report.draft();
    render(page, Some(view), draft).await
}

async fn visible<P>(page: &mut Page<P>, path: &str) -> Result<View, crate::error::PageError> {
    let found = saved::find(&mut page.conn, &page.actor, id(path)?).await?;
    found.ok_or(crate::error::PageError::NotFound)
}

async fn render<P>(page: Page<P>, view: Option<View>, draft: Draft) -> PageResult {
    let frame = page.commit().await?;
    let status = forms::status(&draft.errors);
    let title = view.as_ref().map_or("Save view", |view| &view.report.name);
    let stored = StoredQuery {
        period: None,
        text: draft.of("query").to_owned(),
    };
    let days = days(&stored, &frame.network, frame.now);
    let defaults = view
        .as_ref()
        .filter(|view| view.report.audience == Audience::Team && frame.actor.may(Permission::ManageNetwork));
    html_with(
        status,
        &Edit {
            shell: frame.shell("Reports", title),
            title: title.to_owned(),
            periods: periods(draft.of("period"), &days),
            audiences: audiences(&frame.actor, draft.of("audience")),
            has_team: frame.actor.may(Permission::Configure),
            roles: roles(&Words::typed(draft.of("roles"))),
            defaults: defaults.map_or_else(Vec::new, default_choices),
            may_change: view.as_ref().is_none_or(|view| view.may_change),
            id: view.map(|view| view.report.id.to_string()),
            draft,
        },
    )
}

/// Days of a query, as the choice of a period shows them.
fn days(query: &StoredQuery, network: &Network, now: chrono::DateTime<chrono::Utc>) -> String {
    let query = query.at(now, network.time_zone());
    query.map_or_else(|_| "these days".to_owned(), |query| fixed_label(&query))
}

/// Checkboxes of the roles that open a view by default.
fn default_choices(view: &View) -> Vec<Choice> {
    let offered = view
        .report
        .roles
        .0
        .iter()
        .filter_map(|word| word.parse::<RoleKind>().ok());
    offered
        .map(|role| Choice {
            value: role.as_str().to_owned(),
            label: role.label().to_owned(),
            chosen: view.default_for.contains(&role),
        })
        .collect()
}

/// `POST /reports/views/{id}`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::SaveReports>,
    path: web::Path<String>,
) -> PageResult {
    let old = visible(&mut page, &path).await?;
    // The button on the report replaces the query alone.
    let mut draft = if form.get("only") == "query" {
        let mut draft = old.report.draft();
        draft.set("query", form.get("query"));
        draft.set("period", form.get("period"));
        draft
    } else {
        posted(&form, old.report.draft())
    };
    let settings = SavedReportSettings::check(&mut draft, &page.actor, page.now, page.network.time_zone());
    let updated = match draft.clone().accepted(settings) {
        Ok(settings) => saved::update(&mut page.conn, &page.actor, old.report.id, &settings, page.now).await,
        Err(error) => Err(error),
    };
    match updated {
        Ok(view) => {
            page.commit().await?;
            done(
                &format!("/reports?view={}", view.report.id),
                "The view was changed.",
            )
        }
        Err(ChangeError::Fields(errors)) => {
            draft.errors = errors;
            render(page.reopen().await?, Some(old), draft).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /reports/views/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::SaveReports>,
    path: web::Path<String>,
) -> PageResult {
    saved::remove(&mut page.conn, &page.actor, id(&path)?, page.now).await?;
    page.commit().await?;
    done(HOME, "The view was removed.")
}

/// `POST /reports/views/{id}/default`
pub(super) async fn set_default(
    Submitted(mut page, form): Submitted<needs::ManageNetwork>,
    path: web::Path<String>,
) -> PageResult {
    let view = visible(&mut page, &path).await?.report.id;
    let ticked = form.all("roles");
    let roles: Vec<RoleKind> = ticked.iter().filter_map(|word| word.parse().ok()).collect();
    saved::set_default(&mut page.conn, &page.actor, view, &roles, page.now).await?;
    page.commit().await?;
    done(HOME, "The default was changed.")
}

struct ViewRow {
    id: String,
    name: String,
    seen_by: String,
    owner: String,
    period: &'static str,
    default_for: String,
    changed: TimeCell,
    may_change: bool,
}

#[derive(Template)]
#[template(path = "figures/saved_reports/list.html")]
struct List {
    shell: Shell,
    rows: Vec<ViewRow>,
}

#[derive(Template)]
#[template(path = "figures/saved_reports/edit.html")]
struct Edit {
    shell: Shell,
    title: String,
    /// View to change; `None` for a new one.
    id: Option<String>,
    draft: Draft,
    periods: Vec<Choice>,
    audiences: Vec<Choice>,
    has_team: bool,
    roles: Vec<Choice>,
    /// Roles that may open the view by default; empty if the user cannot decide it.
    defaults: Vec<Choice>,
    may_change: bool,
}
