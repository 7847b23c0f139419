//! Form to enter a conversion whose postback never arrived.

use actix_web::http::StatusCode;
use askama::Template;
use campaigns::campaigns as campaign_table;
use conversions::ConversionStatus;
use postbacks::VerdictStatus;
use tenancy::{Draft, affiliates, needs};
use tracking::entering::Entry;

use crate::forms::{self, Choice, field_errors};
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, done, html_with};
use crate::urls;

/// `GET /conversions/new`
pub(super) async fn show(page: Page<needs::DecideConversions>) -> PageResult {
    render(page, Draft::default(), String::new()).await
}

/// `POST /conversions/new`: records the conversion and opens it, or shows why it was refused.
pub(super) async fn submit(Submitted(mut page, form): Submitted<needs::DecideConversions>) -> PageResult {
    let mut draft = form.draft("", &Entry::FIELDS);
    let tracker = page.request.dashboard.tracker.clone();
    let network = page.network.clone();
    let scope = page.actor.scope();
    let checked = Entry::check(&mut page.conn, &tracker, &network, scope, &draft).await;
    let entry = match checked {
        Ok(entry) => entry,
        Err(error) => {
            draft.errors = field_errors(error)?;
            return render(page.reopen().await?, draft, String::new()).await;
        }
    };
    let frame = page.commit().await?;
    let entered = entry.record(&tracker, &network).await;
    let mut page = frame.reopen().await?;
    entry.note(&mut page.conn, &page.actor.author(), &entered).await?;
    let verdict = entered.verdict;
    let is_made = matches!(
        verdict.reason.status(),
        VerdictStatus::Accepted | VerdictStatus::Duplicate
    );
    match verdict.conversion_id.filter(|_| is_made) {
        Some(id) => {
            page.commit().await?;
            done(&urls::conversion(id), &verdict.message)
        }
        None => {
            let hint = verdict.hint.map_or(String::new(), |hint| format!(" {hint}"));
            render(page, draft, format!("{}{hint}", verdict.message)).await
        }
    }
}

async fn render(mut page: Page<needs::DecideConversions>, draft: Draft, problem: String) -> PageResult {
    let campaigns = campaign_table::visible(&mut page.conn, tenancy::Scope::default(), None).await?;
    let affiliates = affiliates::all(&mut page.conn, page.actor.scope()).await?;
    let frame = page.commit().await?;
    let status = if problem.is_empty() {
        forms::status(&draft.errors)
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let none = || std::iter::once((String::new(), "—".to_owned()));
    let campaigns = campaigns
        .into_iter()
        .map(|(campaign, _)| (campaign.id.to_string(), campaign.name));
    let affiliates = affiliates
        .into_iter()
        .map(|affiliate| (affiliate.id.to_string(), affiliate.name));
    let statuses = [
        ConversionStatus::Pending,
        ConversionStatus::Approved,
        ConversionStatus::Rejected,
    ];
    let statuses = statuses.map(|status| (status.to_string(), status.to_string()));
    html_with(
        status,
        &Show {
            shell: frame.shell("Conversions", "Enter a conversion"),
            campaigns: Choice::list(none().chain(campaigns), draft.of("campaign")),
            affiliates: Choice::list(none().chain(affiliates), draft.of("affiliate")),
            statuses: Choice::list(none().chain(statuses), draft.of("status")),
            problem,
            form: draft,
        },
    )
}

#[derive(Template)]
#[template(path = "figures/conversions/new.html")]
struct Show {
    shell: Shell,
    campaigns: Vec<Choice>,
    affiliates: Vec<Choice>,
    statuses: Vec<Choice>,
    /// Verdict of a rejected entry; empty if none.
    problem: String,
    form: Draft,
}
