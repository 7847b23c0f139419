//! Settings of the network: profile, click ID key, and the tabs of all settings pages.

use actix_web::http::StatusCode;
use askama::Template;
use schema::Words;
use tenancy::networks::{self, Limits, ProfileDraft};
use tenancy::{Access, ChangeError, FieldErrors, Permission, memberships, needs};

use super::tracking_hosts::HostRow;
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, TimeCell, html_with, saved};

/// `GET /settings`
pub(super) async fn show(page: Page<needs::SeeNetwork>) -> PageResult {
    render(page, None).await
}

/// `POST /settings`
pub(super) async fn update(Submitted(mut page, form): Submitted<needs::ManageNetwork>) -> PageResult {
    let draft = ProfileDraft {
        name: form.get("name").to_owned(),
        slug: form.get("slug").to_owned(),
        time_zone: form.get("time_zone").to_owned(),
        currency: form.get("currency").to_owned(),
        tracking_hosts: Words::typed(form.get("tracking_hosts")).0,
        require_two_factor: form.ticked("require_two_factor"),
        require_tests: form.ticked("require_tests"),
        names_affiliates: form.ticked("names_affiliates"),
        managers_see_all: form.ticked("managers_see_all"),
        second_user_above: form.get("second_user_above").to_owned(),
        blocked_addresses: Words::typed(form.get("blocked_addresses")).0,
    };
    let outcome = match draft.checked() {
        Ok(profile) => {
            let (author, reserved) = (page.actor.author(), &page.request.dashboard.reserved_hosts);
            networks::update_profile(&mut page.conn, &author, &profile, reserved, page.now).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => {
            page.commit().await?;
            saved("/settings")
        }
        Err(ChangeError::Fields(errors)) => render(page.reopen().await?, Some((draft, errors))).await,
        Err(error) => Err(error.into()),
    }
}

/// Shows the profile, or a draft of it with its errors.
async fn render<P>(mut page: Page<P>, refused: Option<(ProfileDraft, FieldErrors)>) -> PageResult {
    let profile = networks::profile(&mut page.conn).await?;
    let hosts = networks::claimed_hosts(&mut page.conn).await?;
    let seats = memberships::seats_taken(&mut page.conn, page.now).await?;
    let frame = page.commit().await?;
    let status = match &refused {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let slug = profile.slug.clone();
    let click_key = frame.network.click_key;
    let (draft, errors) = refused.unwrap_or_else(|| {
        let draft = ProfileDraft {
            second_user_above: profile.second_user_above(),
            name: profile.name,
            slug: profile.slug,
            time_zone: profile.time_zone.name().to_owned(),
            currency: profile.currency.to_string(),
            tracking_hosts: profile.tracking_hosts,
            require_two_factor: profile.require_two_factor,
            require_tests: profile.require_tests,
            names_affiliates: profile.names_affiliates,
            managers_see_all: profile.managers_see_all,
            blocked_addresses: profile.blocked_addresses,
        };
        (draft, FieldErrors::default())
    });
    html_with(
        status,
        &Show {
            shell: frame.shell("Settings", "Settings"),
            tabs: tabs(&frame.actor, "/settings"),
            slug_hint: format!(
                "{}/{slug} on the shared host. After a change, links and postback URLs with the old slug stop working.",
                frame.request.dashboard.tracking_url
            ),
            hosts_to_prove: hosts
                .into_iter()
                .map(|claimed| HostRow::new(claimed, &frame))
                .collect(),
            hosts: draft.tracking_hosts.join("\n"),
            blocked: draft.blocked_addresses.join("\n"),
            key: click_key.number,
            // The network's first key has no start.
            key_since: (click_key.number > 1).then(|| frame.time(click_key.since)),
            limits: frame.network.limits,
            seats,
            may_manage: frame.actor.may(Permission::ManageNetwork),
            draft,
            errors,
        },
    )
}

/// `POST /settings/click-key`: replaces the key that signs click IDs.
pub(super) async fn replace_click_key(Submitted(mut page, _): Submitted<needs::ManageNetwork>) -> PageResult {
    networks::replace_click_key(&mut page.conn, &page.actor.author(), page.now).await?;
    page.commit().await?;
    saved("/settings")
}

/// Tabs of the settings pages that the actor may open: label, URL, and true for the current one.
pub(super) fn tabs<P>(actor: &Access<P>, current: &str) -> Vec<(&'static str, &'static str, bool)> {
    [
        ("Profile", "/settings", Permission::SeeNetwork),
        ("Applications", "/settings/joining", Permission::SeeNetwork),
        (
            "Exchange rates",
            "/settings/exchange-rates",
            Permission::SeeReports,
        ),
        ("API keys", "/settings/keys", Permission::UseApi),
        ("Verification", "/settings/proof", Permission::SeeNetwork),
        ("Audit log", "/settings/audit", Permission::SeeAudit),
        ("Delete", "/settings/delete", Permission::DeleteNetwork),
    ]
    .into_iter()
    .filter(|(_, _, needed)| actor.may(*needed))
    .map(|(label, href, _)| (label, href, href == current))
    .collect()
}

#[derive(Template)]
#[template(path = "network/settings/show.html")]
struct Show {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    slug_hint: String,
    hosts: String,
    hosts_to_prove: Vec<HostRow>,
    blocked: String,
    key: i16,
    key_since: Option<TimeCell>,
    limits: Limits,
    seats: i64,
    may_manage: bool,
    draft: ProfileDraft,
    errors: FieldErrors,
}
