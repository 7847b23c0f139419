//! What a network sets on an integration: who may call, how it is proved, and in whose voice it is answered.

use actix_web::{HttpRequest, web};
use campaigns::integrations::{
    self, AnswerFormat, Integration, IntegrationSettings, check_addresses, check_status_map,
};
use schema::clock;
use tenancy::needs;

use super::integration::{SIGNING, find, render};
use crate::auth::Allowed;
use crate::forms::{PostedForm, Typed};
use crate::shell::{PageResult, saved, see_other, show_secret};
use crate::{Dashboard, urls};

/// The form's fields, as the page names them.
const FIELDS: [&str; 9] = [
    "answer_format",
    "requires_token",
    "requires_signature",
    "signature_seconds",
    "allowed_addresses",
    "is_monitoring",
    "status_map",
    "takes_commission",
    "ignores_letter_case",
];

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
    let known = integrations::of_advertiser(&mut conn, advertiser.id).await?;
    let mut form = Typed::of_form(&form, &FIELDS);
    if known.is_none() {
        form.errors.add(
            "requires_token",
            "Make a token first: there is nothing to set yet.",
        );
    }
    match known.and_then(|known| check(&mut form, &known)) {
        Some(settings) => {
            let author = actor.author();
            integrations::update(&mut conn, &author, advertiser.id, &settings, clock::now()).await?;
            conn.commit().await?;
            saved(&urls::integration(advertiser.id))
        }
        None => render(&request, &dashboard, &actor, conn, advertiser, Some(form)).await,
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

/// An integration's settings as the form shows them.
pub(super) fn typed(integration: &Integration) -> Typed {
    let settings = &integration.settings;
    let tick = |ticked: bool| if ticked { "yes" } else { "" }.to_owned();
    let map = settings.status_map.as_object();
    let lines = map
        .into_iter()
        .flatten()
        .map(|(word, meaning)| format!("{word} = {}", meaning.as_str().unwrap_or_default()));
    Typed::with([
        ("answer_format", settings.answer_format.to_string()),
        ("requires_token", tick(settings.requires_token)),
        ("requires_signature", tick(settings.requires_signature)),
        ("signature_seconds", settings.signature_seconds.to_string()),
        ("allowed_addresses", settings.allowed_addresses.on_lines()),
        ("is_monitoring", tick(settings.is_monitoring)),
        ("status_map", lines.collect::<Vec<_>>().join("\n")),
        ("takes_commission", tick(settings.takes_commission)),
        ("ignores_letter_case", tick(settings.ignores_letter_case)),
    ])
}

/// The settings that were typed, if all can be accepted.
fn check(form: &mut Typed, known: &Integration) -> Option<IntegrationSettings> {
    let answer_format = form.take("answer_format", str::parse::<AnswerFormat>);
    let signature_seconds = form.take("signature_seconds", |text| {
        text.parse()
            .ok()
            .filter(|seconds| (10..=86_400).contains(seconds))
            .ok_or("Enter a whole number of seconds from 10 to 86400.")
    });
    let allowed_addresses = form.take("allowed_addresses", check_addresses);
    let status_map = form.take("status_map", check_status_map);
    let ticked = |field: &str| !form.of(field).is_empty();
    let requires_signature = ticked("requires_signature");
    let settings = IntegrationSettings {
        dialect: known.settings.dialect.clone(),
        requires_token: ticked("requires_token"),
        requires_signature,
        signature_seconds: signature_seconds?,
        allowed_addresses: allowed_addresses?,
        is_monitoring: ticked("is_monitoring"),
        answer_format: answer_format?,
        status_map: status_map?,
        takes_commission: ticked("takes_commission"),
        ignores_letter_case: ticked("ignores_letter_case"),
    };
    if requires_signature && !known.has_signing_secret() {
        form.errors.add(
            "requires_signature",
            "Make a signing secret first, and give it to the advertiser.",
        );
        return None;
    }
    Some(settings)
}
