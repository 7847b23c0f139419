//! API keys: the user's own; for users who manage members, all keys of the network.

use actix_web::web;
use askama::Template;
use schema::{ApiKeyId, clock};
use tenancy::api_keys::{self, KeyDraft};
use tenancy::api_tokens::TokenSource;
use tenancy::{ChangeError, FieldErrors, Permission, needs};

use super::settings;
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::page::{Caller, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html_with, set_cookie};

const HOME: &str = "/settings/keys";

/// `GET /settings/keys`
pub(super) async fn list(page: Page<needs::UseApi>) -> PageResult {
    let end_flash = page.request.dashboard.cookies.end_flash(HOME);
    let fresh = page.request.fresh_secret();
    let form = (KeyDraft::default(), FieldErrors::default());
    let mut response = render(page, fresh, form).await?;
    set_cookie(&mut response, &end_flash);
    Ok(response)
}

async fn render<P>(
    mut page: Page<P>,
    fresh: Option<String>,
    (draft, errors): (KeyDraft, FieldErrors),
) -> PageResult {
    let all = page.actor.may(Permission::ManageMembers);
    let keys = api_keys::list(
        &mut page.conn,
        (!all).then_some(page.actor.membership_id),
        page.now,
    )
    .await?;
    let frame = page.commit().await?;
    let status = forms::status(&errors);
    // The flash cookie carries a new key or a short-lived token. Only keys have the prefix.
    let is_key = fresh
        .as_deref()
        .is_some_and(|text| text.starts_with(api_keys::PREFIX));
    html_with(
        status,
        &List {
            shell: frame.shell("API keys", "API keys"),
            tabs: settings::tabs(&frame.actor, HOME),
            fresh_key: fresh.clone().filter(|_| is_key),
            fresh_token: fresh.filter(|_| !is_key),
            scopes: api_keys::grantable(&frame.actor)
                .into_iter()
                .map(|scope| {
                    let word = scope.as_str();
                    (word, draft.scopes.iter().any(|chosen| chosen == word))
                })
                .collect(),
            rows: keys
                .into_iter()
                .map(|key| KeyRow {
                    revoke: format!("{HOME}/{}/revoke", key.id),
                    name: key.name,
                    hint: key.hint,
                    scopes: key.scopes.on_one_line(),
                    person: key.person,
                    created: frame.time(key.created_at),
                    used: key.used_at.map(|at| frame.time(at)),
                    expires: key.expires_at.map(|at| frame.time(at)),
                })
                .collect(),
            draft,
            errors,
        },
    )
}

/// `POST /settings/keys`: creates a key, which is shown once.
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::UseApi>) -> PageResult {
    let draft = KeyDraft {
        name: form.get("name").to_owned(),
        scopes: form.all("scopes"),
        expires_in_days: form.get("expires_in_days").to_owned(),
    };
    match api_keys::create(&mut page.conn, &page.actor, &draft, page.now).await {
        Ok((_, key)) => {
            let frame = page.commit().await?;
            frame.request.show_secret(HOME, key.as_str())
        }
        Err(ChangeError::Fields(errors)) => render(page.reopen().await?, None, (draft, errors)).await,
        Err(error) => Err(error.into()),
    }
}

/// `POST /settings/keys/token`: issues a token that expires in 15 minutes, for trying the API.
pub(super) async fn short_token(caller: Caller<needs::UseApi>, _form: PostedForm) -> PageResult {
    let actor = &caller.actor;
    let session_id = actor.session_id.ok_or(PageError::NotFound)?;
    let source = TokenSource::Session(session_id, actor.membership_id);
    let api_tokens = &caller.request.dashboard.api_tokens;
    let (token, _) = api_tokens.issue(actor.network_id(), source, clock::now());
    caller.request.show_secret(HOME, &token)
}

/// `POST /settings/keys/{id}/revoke`
pub(super) async fn revoke(
    Submitted(mut page, _): Submitted<needs::UseApi>,
    path: web::Path<String>,
) -> PageResult {
    let key: ApiKeyId = id(&path)?;
    api_keys::revoke(&mut page.conn, &page.actor, key, page.now).await?;
    page.commit().await?;
    done(HOME, "The API key was revoked.")
}

struct KeyRow {
    revoke: String,
    name: String,
    hint: String,
    scopes: String,
    person: String,
    created: TimeCell,
    used: Option<TimeCell>,
    expires: Option<TimeCell>,
}

#[derive(Template)]
#[template(path = "network/keys/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    fresh_key: Option<String>,
    fresh_token: Option<String>,
    scopes: Vec<(&'static str, bool)>,
    rows: Vec<KeyRow>,
    draft: KeyDraft,
    errors: FieldErrors,
}
