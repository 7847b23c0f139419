//! Creation of tracking links of a campaign, for one or several affiliates.

use actix_web::web;
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::landing_pages::{self, LandingPage};
use campaigns::links::{self, Link, NewLink, SUBS};
use tenancy::{ChangeError, Draft, affiliates, needs};

use super::campaign::find as find_campaign;
use crate::error::PageError;
use crate::forms::{self, Choice};
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, done, html_with};
use crate::urls;

/// `GET /campaigns/{id}/links/new`
pub(super) async fn show(mut page: Page<needs::MakeLinks>, path: web::Path<String>) -> PageResult {
    let campaign = find_campaign(&mut page.conn, &page.actor, &path).await?;
    render(page, campaign, Draft::default(), &[]).await
}

/// `POST /campaigns/{id}/links`: creates a link for each of the chosen affiliates; an affiliate creates its own.
pub(super) async fn create(
    Submitted(mut page, form): Submitted<needs::MakeLinks>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find_campaign(&mut page.conn, &page.actor, &path).await?;
    let mut draft = form.draft("", &NewLink::FIELDS);
    let chosen = match page.actor.scope().affiliate {
        Some(own) => {
            draft.set("is_test", "");
            vec![own.to_string()]
        }
        None => form.all("affiliate"),
    };
    match create_all(&mut page, &campaign, &mut draft, &chosen).await? {
        Some(links) => {
            page.commit().await?;
            match links.as_slice() {
                [only] => done(&urls::link(only.id), "The link was created."),
                several => done(
                    &urls::campaign(campaign.id),
                    &format!("{} links were created.", several.len()),
                ),
            }
        }
        None => {
            // All links or none: links created before the refused one are rolled back.
            render(page.reopen().await?, campaign, draft, &chosen).await
        }
    }
}

/// Creates a link for each affiliate. None if a link was refused, with the errors in the draft.
async fn create_all(
    page: &mut Page<needs::MakeLinks>,
    campaign: &Campaign,
    draft: &mut Draft,
    chosen: &[String],
) -> Result<Option<Vec<Link>>, PageError> {
    if chosen.len() > 1 && draft.is_set("alias") {
        let message = "An alias belongs to one link: leave it empty or choose one affiliate.";
        draft.errors.add("alias", message);
        return Ok(None);
    }
    if chosen.is_empty() {
        draft.errors.add("affiliate", "Choose one of your affiliates.");
    }
    let mut created_links = Vec::new();
    for affiliate in chosen {
        draft.set("affiliate", affiliate.as_str());
        let Some(new) = NewLink::check(&mut page.conn, draft, campaign).await? else {
            break;
        };
        let author = page.actor.author();
        let created = page
            .conn
            .attempt(async |conn| links::create(conn, &author, &new, page.now).await);
        match created.await {
            Ok(link) => created_links.push(link),
            Err(ChangeError::Fields(errors)) => {
                draft.errors = errors;
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(draft.errors.is_empty().then_some(created_links))
}

async fn render<P>(mut page: Page<P>, campaign: Campaign, draft: Draft, chosen: &[String]) -> PageResult {
    let pages = landing_pages::of_campaign(&mut page.conn, campaign.id).await?;
    let scope = page.actor.scope();
    let known = match scope.affiliate {
        Some(_) => Vec::new(),
        None => affiliates::active(&mut page.conn, scope).await?,
    };
    let frame = page.commit().await?;
    html_with(
        forms::status(&draft.errors),
        &New {
            shell: frame.shell("Campaigns", "Create a tracking link"),
            campaign: urls::campaign(campaign.id),
            campaign_name: campaign.name,
            affiliates: known
                .into_iter()
                .map(|affiliate| {
                    let id = affiliate.id.to_string();
                    Choice {
                        chosen: chosen.contains(&id),
                        value: id,
                        label: affiliate.name,
                    }
                })
                .collect(),
            landing_pages: landing_page_choices(pages, &draft),
            has_subs: SUBS.iter().any(|sub| draft.is_set(sub)),
            draft,
        },
    )
}

/// Options of the landing page of a link.
pub(super) fn landing_page_choices(pages: Vec<LandingPage>, draft: &Draft) -> Vec<Choice> {
    let none = std::iter::once((String::new(), "Campaign default (by weight)".to_owned()));
    let pages = pages.into_iter().map(|page| (page.id.to_string(), page.name));
    Choice::list(none.chain(pages), draft.of("landing_page"))
}

#[derive(Template)]
#[template(path = "campaigns/new_links/show.html")]
struct New {
    shell: Shell,
    campaign: String,
    campaign_name: String,
    affiliates: Vec<Choice>,
    landing_pages: Vec<Choice>,
    has_subs: bool,
    draft: Draft,
}
