//! Quick start: one form that creates a campaign ready for its tests.

use askama::Template;
use campaigns::destination::macro_names;
use campaigns::quick_start::{self, FIRST_GOALS, QuickStart};
use tenancy::{Draft, needs};

use crate::forms::{self, Choice};
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, html_with, see_other};
use crate::urls;

/// `GET /start`
pub(super) async fn show(page: Page<needs::Configure>) -> PageResult {
    let draft = QuickStart::blank(&page.network);
    render(page, draft).await
}

/// `POST /start`: creates everything in one transaction, and redirects to the campaign.
pub(super) async fn submit(Submitted(mut page, form): Submitted<needs::Configure>) -> PageResult {
    let mut draft = form.draft("", &QuickStart::FIELDS);
    let currency = draft.of("currency").to_uppercase();
    draft.set("currency", currency);
    let Some(start) = QuickStart::check(&mut draft) else {
        return render(page, draft).await;
    };
    let author = page.actor.author();
    let created = quick_start::create(&mut page.conn, &author, &start, page.now).await?;
    let frame = page.commit().await?;
    let url = urls::campaign(created.campaign_id);
    match created.token {
        Some(token) => frame.request.show_secret(&url, token.as_str()),
        None => see_other(&url),
    }
}

async fn render(page: Page<needs::Configure>, form: Draft) -> PageResult {
    let frame = page.commit().await?;
    html_with(
        forms::status(&form.errors),
        &Show {
            shell: frame.shell("Campaigns", "New campaign"),
            destination_hint: format!("https://shop.example/?click_id={{click_id}} — {}", macro_names()),
            kinds: Choice::list(FIRST_GOALS.map(|goal| (goal.code, goal.name)), form.of("kind")),
            form,
        },
    )
}

#[derive(Template)]
#[template(path = "network/onboarding/show.html")]
struct Show {
    shell: Shell,
    destination_hint: String,
    kinds: Vec<Choice>,
    form: Draft,
}
