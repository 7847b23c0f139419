//! Affiliate groups: a short list, each with its own small form.

use actix_web::{HttpRequest, web};
use askama::Template;
use schema::{GroupId, clock};
use tenancy::{Access, ChangeError, FieldErrors, Permission, groups, needs, networks};

use crate::Dashboard;
use crate::auth::Allowed;
use crate::forms::{self, PostedForm};
use crate::pages::id;
use crate::shell::{PageResult, Shell, page_with, see_other};

const HOME: &str = "/affiliates/groups";

/// `GET /affiliates/groups`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeParties>,
) -> PageResult {
    render(&request, &dashboard, &actor, "", FieldErrors::default()).await
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    name: &str,
    errors: FieldErrors,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let groups = groups::all(&mut conn).await?;
    conn.commit().await?;
    let status = forms::status(&errors);
    page_with(
        status,
        &List {
            shell: Shell::new(
                dashboard,
                request,
                actor,
                &network,
                "Affiliates",
                "Affiliate groups",
            ),
            rows: groups
                .into_iter()
                .map(|group| (group.id.to_string(), group.name))
                .collect(),
            may_manage: actor.may(Permission::ManageParties),
            name: name.to_owned(),
            errors,
        },
    )
}

/// `POST /affiliates/groups`
pub(super) async fn create(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    match groups::create(&mut conn, &actor.author(), form.get("name"), clock::now()).await {
        Ok(_) => {
            conn.commit().await?;
            see_other(HOME)
        }
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            render(&request, &dashboard, &actor, form.get("name"), errors).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /affiliates/groups/{id}`
pub(super) async fn rename(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let group: GroupId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    groups::rename(&mut conn, &actor.author(), group, form.get("name"), clock::now()).await?;
    conn.commit().await?;
    see_other(HOME)
}

/// `POST /affiliates/groups/{id}/remove`
pub(super) async fn remove(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageParties>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let group: GroupId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    groups::remove(&mut conn, &actor.author(), group, clock::now()).await?;
    conn.commit().await?;
    see_other(HOME)
}

#[derive(Template)]
#[template(path = "network/groups/list.html")]
struct List {
    shell: Shell,
    rows: Vec<(String, String)>,
    may_manage: bool,
    name: String,
    errors: FieldErrors,
}
