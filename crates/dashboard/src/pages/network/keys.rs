//! API keys: one's own, and for those who manage people everybody's.

use actix_web::{HttpRequest, web};
use askama::Template;
use schema::{ApiKeyId, clock};
use tenancy::api_keys::{self, KeyDraft};
use tenancy::api_tokens::TokenSource;
use tenancy::{Access, ChangeError, FieldErrors, Permission, needs, networks};

use super::settings;
use crate::Dashboard;
use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, page_with, see_other, set_cookie, show_secret};

const HOME: &str = "/settings/keys";

/// `GET /settings/keys`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::UseApi>,
) -> PageResult {
    let fresh = fresh_secret(&request);
    let form = (KeyDraft::default(), FieldErrors::default());
    let mut response = render(&request, &dashboard, &actor, fresh, form).await?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(HOME));
    Ok(response)
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    fresh: Option<String>,
    (draft, errors): (KeyDraft, FieldErrors),
) -> PageResult {
    let now = clock::now();
    let all = actor.may(Permission::ManageMembers);
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let keys = api_keys::list(&mut conn, (!all).then_some(actor.membership_id), now).await?;
    conn.commit().await?;
    let status = forms::status(&errors);
    // A key begins like a key; what else is fresh here is a short token.
    let is_key = fresh
        .as_deref()
        .is_some_and(|text| text.starts_with(api_keys::PREFIX));
    page_with(
        status,
        &List {
            shell: Shell::new(dashboard, request, actor, &network, "API keys", "API keys"),
            tabs: settings::tabs(actor, HOME),
            fresh_key: fresh.clone().filter(|_| is_key),
            fresh_token: fresh.filter(|_| !is_key),
            scopes: api_keys::grantable(actor)
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
                    created: TimeCell::new(key.created_at, now, &network),
                    used: key.used_at.map(|at| TimeCell::new(at, now, &network)),
                    expires: key.expires_at.map(|at| TimeCell::new(at, now, &network)),
                })
                .collect(),
            draft,
            errors,
        },
    )
}

/// `POST /settings/keys`: the key is shown once, on the page it leads to.
pub(super) async fn create(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::UseApi>,
    form: PostedForm,
) -> PageResult {
    let draft = KeyDraft {
        name: form.get("name").to_owned(),
        scopes: form.all("scopes"),
        expires_in_days: form.get("expires_in_days").to_owned(),
    };
    let mut conn = actor.network(&dashboard.db).await?;
    match api_keys::create(&mut conn, &actor, &draft, clock::now()).await {
        Ok((_, key)) => {
            conn.commit().await?;
            show_secret(&dashboard, HOME, key.as_str())
        }
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            render(&request, &dashboard, &actor, None, (draft, errors)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /settings/keys/token`: a token that works for a quarter of an hour, for trying the API out.
pub(super) async fn short_token(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::UseApi>,
    _form: PostedForm,
) -> PageResult {
    let session_id = actor.session_id.ok_or(PageError::NotFound)?;
    let source = TokenSource::Session(session_id, actor.membership_id);
    let (token, _) = dashboard
        .api_tokens
        .issue(actor.network_id(), source, clock::now());
    show_secret(&dashboard, HOME, &token)
}

/// `POST /settings/keys/{id}/revoke`
pub(super) async fn revoke(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::UseApi>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let key: ApiKeyId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    api_keys::revoke(&mut conn, &actor, key, clock::now()).await?;
    conn.commit().await?;
    see_other(HOME)
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
