//! Rules for applications of affiliates: the public form, its questions, automatic approval.

use actix_web::http::StatusCode;
use askama::Template;
use schema::Words;
use tenancy::networks::{self, AutoApprove, Joining};
use tenancy::{ChangeError, FieldErrors, Permission, needs};

use super::settings;
use crate::forms::Choice;
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, html_with, saved};

/// `GET /settings/joining`
pub(super) async fn show(page: Page<needs::SeeNetwork>) -> PageResult {
    render(page, None).await
}

/// `POST /settings/joining`
pub(super) async fn update(Submitted(mut page, form): Submitted<needs::ManageNetwork>) -> PageResult {
    let draft = Joining {
        join_open: form.ticked("join_open"),
        join_greeting: form.get("join_greeting").to_owned(),
        join_questions: Words(lines(form.get("join_questions"))),
        // An unknown word approves no application automatically.
        auto_approve: form.get("auto_approve").parse().unwrap_or(AutoApprove::None),
        auto_approve_domains: Words::typed(form.get("auto_approve_domains")),
    };
    match draft.clone().checked() {
        Ok(joining) => {
            networks::update_joining(&mut page.conn, &page.actor.author(), &joining, page.now).await?;
            page.commit().await?;
            saved("/settings/joining")
        }
        Err(ChangeError::Fields(errors)) => render(page, Some((draft, errors))).await,
        Err(error) => Err(error.into()),
    }
}

/// Non-empty lines of a text. Questions may contain commas, so only line breaks separate them.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// Shows the rules for applications, or a draft of them with its errors.
async fn render<P>(mut page: Page<P>, refused: Option<(Joining, FieldErrors)>) -> PageResult {
    let slug = networks::slug(&mut page.conn).await?;
    let frame = page.commit().await?;
    let status = match &refused {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let (joining, errors) =
        refused.unwrap_or_else(|| (frame.network.joining.clone(), FieldErrors::default()));
    let rules = [
        ("none", "None (manual review)"),
        ("listed", "Email domains listed below"),
        ("all", "All"),
    ];
    html_with(
        status,
        &Show {
            shell: frame.shell("Settings", "Affiliate applications"),
            tabs: settings::tabs(&frame.actor, "/settings/joining"),
            page: format!("{}/join/{slug}", frame.request.dashboard.dashboard_url),
            rules: Choice::list(rules, joining.auto_approve.as_str()),
            may_manage: frame.actor.may(Permission::ManageNetwork),
            joining,
            errors,
        },
    )
}

#[derive(Template)]
#[template(path = "network/joining/show.html")]
struct Show {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    page: String,
    rules: Vec<Choice>,
    may_manage: bool,
    joining: Joining,
    errors: FieldErrors,
}
