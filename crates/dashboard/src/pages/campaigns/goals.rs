//! Goal of a campaign: deduplication, default commission and revenue, and commission rules.

use actix_web::web;
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::goals::{self, Goal, GoalKind, GoalSettings, UniqueBy};
use campaigns::rules::{self, RuleSettings};
use schema::{GoalId, NetworkConn};
use serde::Deserialize;
use tenancy::{Actor, Draft, affiliates, groups, needs};

use super::campaign::find as find_campaign;
use super::rules::{Names, RuleRow};
use crate::error::PageError;
use crate::forms::{Card, Choice, cards, choices, field_errors, status_of};
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, html_with, saved};
use crate::{labels, urls};

/// Kinds of goals that have usual settings.
const PRESETS: &[GoalKind] = &[
    GoalKind::Sale,
    GoalKind::Lead,
    GoalKind::Install,
    GoalKind::Deposit,
];

/// Query of the page of a new goal.
#[derive(Deserialize)]
pub(super) struct Preset {
    /// Kind of goal whose usual settings the form begins with.
    preset: Option<String>,
}

/// `GET /campaigns/{id}/goals/new?preset=…`
pub(super) async fn new(
    mut page: Page<needs::Configure>,
    path: web::Path<String>,
    query: web::Query<Preset>,
) -> PageResult {
    let campaign = find_campaign(&mut page.conn, &page.actor, &path).await?;
    let edited = EditedGoal { campaign, goal: None };
    let preset = query.preset.as_deref();
    let kind = GoalKind::ALL.iter().find(|kind| preset == Some(kind.as_str()));
    let form = kind.map_or_else(GoalSettings::blank, |kind| GoalSettings::usual(*kind));
    render(page, edited, form, RuleSettings::blank()).await
}

/// `POST /campaigns/{id}/goals`
pub(super) async fn create(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find_campaign(&mut page.conn, &page.actor, &path).await?;
    let mut draft = form.draft("", &GoalSettings::FIELDS);
    if let Some(settings) = GoalSettings::check(&mut draft, campaign.currency) {
        let author = page.actor.author();
        let made = page
            .conn
            .attempt(async |conn| goals::create(conn, &author, campaign.id, &settings, page.now).await);
        match made.await {
            Ok(goal) => {
                page.commit().await?;
                return saved(&urls::goal(goal.id));
            }
            Err(error) => draft.errors = field_errors(error)?,
        }
    }
    let edited = EditedGoal { campaign, goal: None };
    render(page, edited, draft, RuleSettings::blank()).await
}

/// `GET /goals/{id}`
pub(super) async fn show(mut page: Page<needs::Configure>, path: web::Path<String>) -> PageResult {
    let edited = find(&mut page.conn, &page.actor, id(&path)?).await?;
    let form = edited.draft();
    render(page, edited, form, RuleSettings::blank()).await
}

/// `POST /goals/{id}`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let goal_id: GoalId = id(&path)?;
    let edited = find(&mut page.conn, &page.actor, goal_id).await?;
    let mut draft = form.draft("", &GoalSettings::FIELDS);
    if let Some(settings) = GoalSettings::check(&mut draft, edited.campaign.currency) {
        let author = page.actor.author();
        let changed = page
            .conn
            .attempt(async |conn| goals::update(conn, &author, goal_id, &settings, page.now).await);
        match changed.await {
            Ok(_) => {
                page.commit().await?;
                return saved(&urls::goal(goal_id));
            }
            Err(error) => draft.errors = field_errors(error)?,
        }
    }
    render(page, edited, draft, RuleSettings::blank()).await
}

/// Goal on its page, with its campaign.
pub(super) struct EditedGoal {
    pub(super) campaign: Campaign,
    /// None for a new goal.
    pub(super) goal: Option<Goal>,
}

impl EditedGoal {
    /// Draft of the goal's settings, for its form.
    pub(super) fn draft(&self) -> Draft {
        self.goal
            .as_ref()
            .map(|goal| goal.settings.draft())
            .unwrap_or_default()
    }
}

/// Goal with its campaign, if the actor may see the campaign.
pub(super) async fn find(
    conn: &mut NetworkConn,
    actor: &Actor,
    goal_id: GoalId,
) -> Result<EditedGoal, PageError> {
    let goal = goals::find(conn, goal_id).await?.ok_or(PageError::NotFound)?;
    let campaign = find_campaign(conn, actor, &goal.campaign_id.to_string()).await?;
    Ok(EditedGoal {
        campaign,
        goal: Some(goal),
    })
}

/// Shows the goal with these drafts of its form and of the form for a new rule.
pub(super) async fn render(
    mut page: Page<needs::Configure>,
    edited: EditedGoal,
    form: Draft,
    rule_form: Draft,
) -> PageResult {
    let siblings = goals::of_campaign(&mut page.conn, edited.campaign.id).await?;
    let in_force = match &edited.goal {
        Some(goal) => rules::of_goal(&mut page.conn, goal.id).await?,
        None => Vec::new(),
    };
    let known = affiliates::all(&mut page.conn, tenancy::Scope::default()).await?;
    let known_groups = groups::all(&mut page.conn).await?;
    let frame = page.commit().await?;
    let none = || std::iter::once((String::new(), "Any".to_owned()));
    let affiliates: Vec<_> = known
        .iter()
        .map(|affiliate| (affiliate.id.to_string(), affiliate.name.clone()))
        .collect();
    let groups: Vec<_> = known_groups
        .iter()
        .map(|group| (group.id.to_string(), group.name.clone()))
        .collect();
    let own = edited.goal.as_ref().map(|goal| goal.id);
    let parents = siblings.iter().filter(|goal| Some(goal.id) != own);
    let parents = parents.map(|goal| (goal.id.to_string(), goal.settings.name.clone()));
    let no_parent = std::iter::once((String::new(), "None".to_owned()));
    let no_sub = std::iter::once((String::new(), "Any sub ID".to_owned()));
    let subs = no_sub.chain((1..=5).map(|number| (number.to_string(), format!("sub{number}"))));
    let (title, url) = match &edited.goal {
        Some(goal) => (
            format!("{} of {}", goal.settings.name, edited.campaign.name),
            urls::goal(goal.id),
        ),
        None => (
            format!("New goal of {}", edited.campaign.name),
            format!("{}/goals", urls::campaign(edited.campaign.id)),
        ),
    };
    let names = Names {
        affiliates: &affiliates,
        groups: &groups,
    };
    html_with(
        status_of(&[&form, &rule_form]),
        &Show {
            shell: frame.shell("Campaigns", &title),
            url,
            campaign: urls::campaign(edited.campaign.id),
            is_new: edited.goal.is_none(),
            version: edited.goal.as_ref().map_or(1, |goal| goal.version),
            kinds: choices(GoalKind::ALL, labels::goal_kind, form.of("kind")),
            uniques: cards(UniqueBy::ALL, labels::deduplication, form.of("unique_by")),
            presets: cards(PRESETS, labels::preset, form.of("code")),
            currency: edited.campaign.currency.code(),
            parents: Choice::list(no_parent.chain(parents), form.of("parent_goal")),
            rules: in_force
                .iter()
                .map(|rule| RuleRow::new(rule, &names, edited.campaign.currency))
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
    is_new: bool,
    version: i32,
    kinds: Vec<Choice>,
    uniques: Vec<Card>,
    presets: Vec<Card>,
    currency: &'static str,
    parents: Vec<Choice>,
    rules: Vec<RuleRow>,
    rule_affiliates: Vec<Choice>,
    rule_groups: Vec<Choice>,
    sub_numbers: Vec<Choice>,
    approves: bool,
    form: Draft,
    rule_form: Draft,
}
