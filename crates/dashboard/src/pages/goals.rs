//! One goal: what counts as it, what it pays, and the rules that pay some otherwise.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::goals::{self, Chain, Demands, Goal, GoalKind, GoalSettings, UniqueBy};
use campaigns::rules;
use campaigns::terms::{Pay, Terms};
use dialects::Amount;
use schema::{Currency, GoalId, NetworkConn, Words, clock};
use tenancy::networks;
use tenancy::{ChangeError, affiliates, check_name, groups, needs};

use super::campaign_settings::{check_external_id, words};
use super::campaigns::find as find_campaign;
use super::id;
use super::rules::{Names, RuleRow};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{Choice, PostedForm, Typed};
use crate::shell::{PageResult, Shell, page_with, saved};
use crate::{Dashboard, pay, urls};

/// The goal form's fields.
const FIELDS: [&str; 15] = [
    "name",
    "code",
    "kind",
    "external_id",
    "unique_by",
    "hold_days",
    "commission",
    "revenue",
    "default_amount",
    "required_parameters",
    "forbidden_parameters",
    "parent_goal",
    "wait_hours",
    "times_per_parent",
    "auto_approve",
];

/// `GET /campaigns/{id}/goals/new`
pub(super) async fn new(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find_campaign(&mut conn, &actor, &path).await?;
    let form = Typed::with([
        ("kind", GoalKind::Sale.to_string()),
        ("unique_by", UniqueBy::Order.to_string()),
        ("wait_hours", "72".to_owned()),
    ]);
    let of = Of { campaign, goal: None };
    render(&request, &dashboard, &actor, conn, of, form, Typed::default()).await
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
    let mut typed = Typed::of_form(&form, &FIELDS);
    if let Some(settings) = check(&mut typed, campaign.currency) {
        match goals::create(&mut conn, &actor.author(), campaign.id, &settings, clock::now()).await {
            Ok(goal) => {
                conn.commit().await?;
                return saved(&urls::goal(goal.id));
            }
            Err(ChangeError::Fields(errors)) => {
                typed.errors = errors;
                // The failed statement ended the transaction: start over for the page, with one connection.
                drop(conn);
                conn = actor.network(&dashboard.db).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let of = Of { campaign, goal: None };
    render(&request, &dashboard, &actor, conn, of, typed, Typed::default()).await
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
    let form = of.typed();
    render(&request, &dashboard, &actor, conn, of, form, Typed::default()).await
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
    let mut typed = Typed::of_form(&form, &FIELDS);
    if let Some(settings) = check(&mut typed, of.campaign.currency) {
        match goals::update(&mut conn, &actor.author(), goal_id, &settings, clock::now()).await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::goal(goal_id));
            }
            Err(ChangeError::Fields(errors)) => {
                typed.errors = errors;
                drop(conn);
                conn = actor.network(&dashboard.db).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    render(&request, &dashboard, &actor, conn, of, typed, Typed::default()).await
}

/// A goal, or the place of one that is not there yet.
pub(super) struct Of {
    pub(super) campaign: Campaign,
    pub(super) goal: Option<Goal>,
}

impl Of {
    /// A goal's settings as its form shows them.
    pub(super) fn typed(&self) -> Typed {
        let Some(goal) = &self.goal else {
            return Typed::default();
        };
        let (settings, terms) = (&goal.settings, goal.terms());
        let some = |value: Option<String>| value.unwrap_or_default();
        Typed::with([
            ("name", settings.name.clone()),
            ("code", settings.code.clone()),
            ("kind", settings.kind.to_string()),
            ("external_id", some(settings.external_id.clone())),
            ("unique_by", settings.unique_by.to_string()),
            (
                "auto_approve",
                if settings.auto_approve { "yes" } else { "" }.to_owned(),
            ),
            ("hold_days", settings.hold_days.to_string()),
            ("commission", pay_typed(terms.commission)),
            ("revenue", pay_typed(terms.revenue)),
            (
                "default_amount",
                some(settings.demands.default_amount_micros.map(decimal)),
            ),
            (
                "required_parameters",
                settings.demands.required_parameters.on_one_line(),
            ),
            (
                "forbidden_parameters",
                settings.demands.forbidden_parameters.on_one_line(),
            ),
            (
                "parent_goal",
                some(settings.chain.parent_goal_id.map(|id| id.to_string())),
            ),
            ("wait_hours", settings.chain.wait_hours.to_string()),
            (
                "times_per_parent",
                some(settings.chain.times_per_parent.map(|times| times.to_string())),
            ),
        ])
    }
}

/// Micro-units as people type them: with the decimals they have.
fn decimal(micros: i64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A pay as people type it.
fn pay_typed(pay: Pay) -> String {
    let share = decimal(i64::from(pay.rate_ppm) * 100);
    match (pay.fixed_micros, pay.rate_ppm) {
        (fixed, 0) => decimal(fixed),
        (0, _) => format!("{share} %"),
        (fixed, _) => format!("{} + {share} %", decimal(fixed)),
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

/// The goal that was typed, if all can be accepted.
fn check(typed: &mut Typed, currency: Currency) -> Option<GoalSettings> {
    let name = typed.take("name", check_name);
    let code = typed.take("code", goals::check_code);
    let kind = typed.take("kind", str::parse::<GoalKind>);
    let external_id = typed.take("external_id", check_external_id);
    let unique_by = typed.take("unique_by", str::parse::<UniqueBy>);
    let hold_days = typed.take("hold_days", |text| check_number(text, 0, 0..=365));
    let commission = typed.take("commission", |text| pay::parse(text, Some(currency)));
    let revenue = typed.take("revenue", |text| pay::parse(text, Some(currency)));
    let default_amount = typed.take("default_amount", check_amount);
    let required = typed.take("required_parameters", check_parameters);
    let forbidden = typed.take("forbidden_parameters", check_parameters);
    let parent_goal_id = typed.take("parent_goal", check_parent);
    let wait_hours = typed.take("wait_hours", |text| check_number(text, 72, 0..=2160));
    let times_per_parent = typed.take("times_per_parent", check_times);
    let auto_approve = !typed.of("auto_approve").is_empty();
    let terms = Terms {
        commission: commission?,
        revenue: revenue?,
    };
    if terms.commission.fixed_micros > terms.revenue.fixed_micros && terms.revenue.rate_ppm == 0
        || terms.commission.rate_ppm > terms.revenue.rate_ppm && terms.revenue.fixed_micros == 0
    {
        typed.errors.add(
            "revenue",
            "The affiliate would earn more than the advertiser pays: every conversion would cost the network money.",
        );
        return None;
    }
    Some(GoalSettings {
        code: code?,
        name: name?,
        kind: kind?,
        external_id: external_id?,
        unique_by: unique_by?,
        auto_approve,
        hold_days: hold_days?,
        terms: terms.into(),
        demands: Demands {
            required_parameters: required?,
            forbidden_parameters: forbidden?,
            default_amount_micros: default_amount?,
        },
        chain: Chain {
            parent_goal_id: parent_goal_id?,
            wait_hours: wait_hours?,
            times_per_parent: times_per_parent?,
        },
    })
}

pub(super) fn check_number(
    text: &str,
    empty: i32,
    range: std::ops::RangeInclusive<i32>,
) -> Result<i32, String> {
    match text {
        "" => Ok(empty),
        _ => text
            .parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("Enter a whole number from {} to {}.", range.start(), range.end())),
    }
}

fn check_amount(text: &str) -> Result<Option<i64>, String> {
    match text {
        "" => Ok(None),
        _ => Amount::parse(text)
            .map(|amount| Some(amount.micros))
            .map_err(|problem| format!("“{text}” {problem}.")),
    }
}

fn check_parameters(text: &str) -> Result<Words, String> {
    let names = Words::typed(text);
    let plain = |name: &String| {
        name.len() <= 64
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-[]".contains(&byte))
    };
    match names.0.iter().find(|name| !plain(name)) {
        Some(odd) => Err(format!("“{odd}” is not the name of a parameter.")),
        None if names.0.len() > 30 => Err("Name at most 30 parameters.".to_owned()),
        None => Ok(names),
    }
}

fn check_parent(text: &str) -> Result<Option<GoalId>, &'static str> {
    match text {
        "" => Ok(None),
        _ => text
            .parse()
            .map(Some)
            .map_err(|_| "Choose one of the campaign's goals."),
    }
}

pub(super) fn check_times(text: &str) -> Result<Option<i32>, String> {
    match text {
        "" => Ok(None),
        _ => check_number(text, 0, 1..=10_000).map(Some),
    }
}

pub(super) async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Allowed<needs::Configure>,
    mut conn: NetworkConn,
    of: Of,
    form: Typed,
    rule_form: Typed,
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
    let subs = (1..=5).map(|number| (number.to_string(), format!("sub{number}")));
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
#[template(path = "campaigns/goal.html")]
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
    form: Typed,
    rule_form: Typed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pay_is_typed_as_it_is_read() {
        let eur = "EUR".parse().ok();
        for text in ["10 %", "12.5", "1 + 5 %", "0.25 + 7.25 %", "0"] {
            let read = pay::parse(text, eur).unwrap();
            assert_eq!(pay_typed(read), text);
        }
    }
}
