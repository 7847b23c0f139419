//! What a network sets on an integration: who may call, how it is proved, and in whose voice it is answered.

use actix_web::{HttpRequest, web};
use campaigns::integrations::{self, IntegrationSettings};
use schema::clock;
use tenancy::needs;

use super::advertiser::{SIGNING, Whose, find, render};
use crate::auth::Allowed;
use crate::forms::PostedForm;
use crate::shell::{PageResult, saved, see_other, show_secret};
use crate::{Dashboard, urls};

/// `POST /integration/{advertiser}`
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let advertiser = find(&mut conn, &actor, &path).await?;
    let known = integrations::find(&mut conn, advertiser.id).await?;
    let mut form = form.draft("", &IntegrationSettings::FIELDS);
    if known.is_none() {
        form.errors.add(
            "requires_token",
            "Make a token first: there is nothing to set yet.",
        );
    }
    match known.and_then(|known| IntegrationSettings::check(&mut form, &known)) {
        Some(settings) => {
            let author = actor.author();
            integrations::update(&mut conn, &author, advertiser.id, &settings, clock::now()).await?;
            conn.commit().await?;
            saved(&urls::integration(advertiser.id))
        }
        None => {
            let whose = Whose::Advertiser(advertiser);
            render(&request, &dashboard, &actor, conn, whose, Some(form)).await
        }
    }
}

/// `POST /integration/{advertiser}/secret`: gives the advertiser a fresh signing secret and shows it, once.
pub(super) async fn new_secret(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::RotateToken>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let advertiser = find(&mut conn, &actor, &path).await?;
    let author = actor.author();
    let page = urls::integration(advertiser.id);
    let secret =
        integrations::new_signing_secret(&mut conn, &author, &dashboard.secret, advertiser.id, clock::now());
    match secret.await? {
        Some(secret) => {
            conn.commit().await?;
            show_secret(&dashboard, &page, &format!("{SIGNING}{secret}"))
        }
        None => see_other(&page),
    }
}
