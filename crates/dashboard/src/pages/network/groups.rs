//! Affiliate groups: the list, with a form for each group.

use actix_web::web;
use askama::Template;
use schema::GroupId;
use tenancy::{ChangeError, FieldErrors, Permission, groups, needs};

use crate::forms::{self};
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, done, html_with};

const HOME: &str = "/affiliates/groups";

/// `GET /affiliates/groups`
pub(super) async fn list(page: Page<needs::SeeParties>) -> PageResult {
    render(page, "", FieldErrors::default()).await
}

async fn render<P>(mut page: Page<P>, name: &str, errors: FieldErrors) -> PageResult {
    let groups = groups::all(&mut page.conn).await?;
    let frame = page.commit().await?;
    let status = forms::status(&errors);
    html_with(
        status,
        &List {
            shell: frame.shell("Affiliates", "Affiliate groups"),
            rows: groups
                .into_iter()
                .map(|group| (group.id.to_string(), group.name))
                .collect(),
            may_manage: frame.actor.may(Permission::ManageParties),
            name: name.to_owned(),
            errors,
        },
    )
}

/// `POST /affiliates/groups`
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::ManageParties>) -> PageResult {
    match groups::create(&mut page.conn, &page.actor.author(), form.get("name"), page.now).await {
        Ok(_) => {
            page.commit().await?;
            done(HOME, &format!("The group {} was created.", form.get("name")))
        }
        Err(ChangeError::Fields(errors)) => render(page.reopen().await?, form.get("name"), errors).await,
        Err(error) => Err(error.into()),
    }
}

/// `POST /affiliates/groups/{id}`
pub(super) async fn rename(
    Submitted(mut page, form): Submitted<needs::ManageParties>,
    path: web::Path<String>,
) -> PageResult {
    let group: GroupId = id(&path)?;
    groups::rename(
        &mut page.conn,
        &page.actor.author(),
        group,
        form.get("name"),
        page.now,
    )
    .await?;
    page.commit().await?;
    done(HOME, &format!("The group is now {}.", form.get("name")))
}

/// `POST /affiliates/groups/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::ManageParties>,
    path: web::Path<String>,
) -> PageResult {
    let group: GroupId = id(&path)?;
    groups::remove(&mut page.conn, &page.actor.author(), group, page.now).await?;
    page.commit().await?;
    done(HOME, "The group was removed. Its affiliates stay.")
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
