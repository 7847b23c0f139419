//! One goal: what counts as it, what it pays, and the rules that pay some otherwise.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::goals::{self, Goal, GoalKind, GoalSettings, UniqueBy};
use campaigns::rules::{self, RuleSettings};
use schema::{GoalId, NetworkConn, clock};
use tenancy::networks;
use tenancy::{Draft, affiliates, groups, needs};

use super::campaign::find as find_campaign;
use super::rules::{Names, RuleRow};
use super::settings::{fields, words};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{Choice, PostedForm};
use crate::pages::id;
use crate::shell::{PageResult, Shell, page_with, saved};
use crate::{Dashboard, urls};

/// `GET /campaigns/{id}/goals/new`
pub(super) async fn new(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find_campaign(&mut conn, &actor, &path).await?;
    let form = GoalSettings::blank();
    let of = Of { campaign, goal: None };
    render(
        &request,
        &dashboard,
        &actor,
        conn,
        of,
        form,
        RuleSettings::blank(),
    )
    .await
}

/// `POST /campaigns/{id}/goals`
pub(super) async fn create(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find_campaign(&mut conn, &actor, &path).await?;
    let mut draft = form.draft("", &GoalSettings::FIELDS);
    if let Some(settings) = GoalSettings::check(&mut draft, campaign.currency) {
        let (author, now) = (actor.author(), clock::now());
        let made = conn.attempt(async |conn| goals::create(conn, &author, campaign.id, &settings, now).await);
        match made.await {
            Ok(goal) => {
                conn.commit().await?;
                return saved(&urls::goal(goal.id));
            }
            Err(error) => draft.errors = fields(error)?,
        }
    }
    let of = Of { campaign, goal: None };
    render(
        &request,
        &dashboard,
        &actor,
        conn,
        of,
        draft,
        RuleSettings::blank(),
    )
    .await
}

/// `GET /goals/{id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let of = find(&mut conn, &actor, id(&path)?).await?;
    let form = of.draft();
    render(
        &request,
        &dashboard,
        &actor,
        conn,
        of,
        form,
        RuleSettings::blank(),
    )
    .await
}

/// `POST /goals/{id}`
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let goal_id: GoalId = id(&path)?;
    let of = find(&mut conn, &actor, goal_id).await?;
    let mut draft = form.draft("", &GoalSettings::FIELDS);
    if let Some(settings) = GoalSettings::check(&mut draft, of.campaign.currency) {
        let (author, now) = (actor.author(), clock::now());
        let changed = conn.attempt(async |conn| goals::update(conn, &author, goal_id, &settings, now).await);
        match changed.await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::goal(goal_id));
            }
            Err(error) => draft.errors = fields(error)?,
        }
    }
    render(
        &request,
        &dashboard,
        &actor,
        conn,
        of,
        draft,
        RuleSettings::blank(),
    )
    .await
}

/// A goal, or the place of one that is not there yet.
pub(super) struct Of {
    pub(super) campaign: Campaign,
    pub(super) goal: Option<Goal>,
}

impl Of {
    /// A goal's settings as its form shows them.
    pub(super) fn draft(&self) -> Draft {
        self.goal
            .as_ref()
            .map(|goal| goal.settings.draft())
            .unwrap_or_default()
    }
}

/// The goal of a path with its campaign, if this person may see it.
pub(super) async fn find(
    conn: &mut NetworkConn,
    actor: &Allowed<needs::Configure>,
    goal_id: GoalId,
) -> Result<Of, PageError> {
    let goal = goals::find(conn, goal_id).await?.ok_or(PageError::NotFound)?;
    let campaign = find_campaign(conn, actor, &goal.campaign_id.to_string()).await?;
    Ok(Of {
        campaign,
        goal: Some(goal),
    })
}

pub(super) async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Allowed<needs::Configure>,
    mut conn: NetworkConn,
    of: Of,
    form: Draft,
    rule_form: Draft,
) -> Result<HttpResponse, PageError> {
    let network = networks::current(&mut conn).await?;
    let siblings = goals::of_campaign(&mut conn, of.campaign.id).await?;
    let in_force = match &of.goal {
        Some(goal) => rules::of_goal(&mut conn, goal.id).await?,
        None => Vec::new(),
    };
    let known = affiliates::all(&mut conn).await?;
    let known_groups = groups::all(&mut conn).await?;
    conn.commit().await?;
    let none = || std::iter::once((String::new(), "Any".to_owned()));
    let affiliates: Vec<_> = known
        .iter()
        .map(|it| (it.id.to_string(), it.name.clone()))
        .collect();
    let groups: Vec<_> = known_groups
        .iter()
        .map(|it| (it.id.to_string(), it.name.clone()))
        .collect();
    let own = of.goal.as_ref().map(|goal| goal.id);
    let parents = siblings.iter().filter(|goal| Some(goal.id) != own);
    let parents = parents.map(|goal| (goal.id.to_string(), goal.settings.name.clone()));
    let no_parent = std::iter::once((String::new(), "Nothing".to_owned()));
    let no_sub = std::iter::once((String::new(), "Any sub id".to_owned()));
    let subs = no_sub.chain((1..=5).map(|number| (number.to_string(), format!("sub{number}"))));
    let status = match form.errors.is_empty() && rule_form.errors.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let (title, url) = match &of.goal {
        Some(goal) => (
            format!("{} of {}", goal.settings.name, of.campaign.name),
            urls::goal(goal.id),
        ),
        None => (
            format!("New goal of {}", of.campaign.name),
            format!("{}/goals", urls::campaign(of.campaign.id)),
        ),
    };
    let names = Names {
        affiliates: &affiliates,
        groups: &groups,
    };
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, "Campaigns", &title),
            url,
            campaign: urls::campaign(of.campaign.id),
            campaign_name: of.campaign.name.clone(),
            is_new: of.goal.is_none(),
            version: of.goal.as_ref().map_or(1, |goal| goal.version),
            kinds: words(GoalKind::ALL, form.of("kind")),
            uniques: words(UniqueBy::ALL, form.of("unique_by")),
            parents: Choice::list(no_parent.chain(parents), form.of("parent_goal")),
            rules: in_force
                .iter()
                .map(|rule| RuleRow::new(rule, &names, of.campaign.currency))
                .collect(),
            rule_affiliates: Choice::list(
                none().chain(affiliates.iter().cloned()),
                rule_form.of("affiliate"),
            ),
            rule_groups: Choice::list(none().chain(groups.iter().cloned()), rule_form.of("group")),
            sub_numbers: Choice::list(subs, rule_form.of("sub_number")),
            approves: !form.of("auto_approve").is_empty(),
            form,
            rule_form,
        },
    )
}

#[derive(Template)]
#[template(path = "campaigns/goals/show.html")]
struct Show {
    shell: Shell,
    url: String,
    campaign: String,
    campaign_name: String,
    is_new: bool,
    version: i32,
    kinds: Vec<Choice>,
    uniques: Vec<Choice>,
    parents: Vec<Choice>,
    rules: Vec<RuleRow>,
    rule_affiliates: Vec<Choice>,
    rule_groups: Vec<Choice>,
    sub_numbers: Vec<Choice>,
    approves: bool,
    form: Draft,
    rule_form: Draft,
}
