//! The postback tools: the URL to paste into another system, with its own macros; and what a pasted call means.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use dialects::detect::{Detection, detect_with};
use dialects::senders::{self, Sender};
use dialects::{Macro, template};
use serde::Deserialize;
use tenancy::{Permission, needs, networks};

use super::url_templates::{self, Saved};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{Choice, PostedForm};
use crate::pages::campaigns::campaign::tracking_url;
use crate::shell::{PageResult, Shell, page};
use crate::{Dashboard, urls};

/// Where the templates that people have saved stand.
pub(super) const OWN: &str = "/tools/postback#own";
/// Where a tracker of an affiliate's listens, for samples.
pub(super) const SAMPLE_TRACKER: &str = "https://your-tracker.example";

/// What is chosen, as the page's URL has it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    system: String,
    #[serde(default)]
    tracker: String,
}

/// `GET /tools/postback`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SignIn>,
    chosen: web::Query<Chosen>,
) -> PageResult {
    render(&request, &dashboard, &actor, &chosen, String::new(), None).await
}

/// `POST /tools/postback`: looks at a pasted call. Nothing of it is kept.
pub(super) async fn look(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SignIn>,
    form: PostedForm,
) -> PageResult {
    let pasted = form.get("pasted").to_owned();
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let is_click = |text: &str| {
        dashboard
            .click_ids
            .read(text, network.id, network.click_key)
            .is_ok()
    };
    let seen = Seen::of(&detect_with(&pasted, &is_click));
    render(
        &request,
        &dashboard,
        &actor,
        &Chosen::default(),
        pasted,
        Some(seen),
    )
    .await
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Allowed<needs::SignIn>,
    chosen: &Chosen,
    pasted: String,
    seen: Option<Seen>,
) -> Result<HttpResponse, PageError> {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let base = tracking_url(&mut conn, dashboard).await?;
    let saved = url_templates::saved(&mut conn, actor).await?;
    conn.commit().await?;
    let sender = senders::of_key(&chosen.system).or(senders::all().first());
    let tracker = template::outgoing()
        .find(|it| it.dialect.key == chosen.tracker)
        .or_else(|| template::outgoing().next());
    let title = "Postback tools";
    page(&Show {
        shell: Shell::new(dashboard, request, actor, &network, "Postbacks", title),
        systems: Choice::list(
            senders::all()
                .iter()
                .map(|it| (it.key.to_owned(), it.name.to_owned())),
            sender.map_or("", |it| it.key),
        ),
        built: sender.map(|sender| Built::new(sender, &base)),
        trackers: Choice::list(
            template::outgoing().map(|it| (it.dialect.key.to_owned(), it.dialect.name.to_owned())),
            tracker.map_or("", |it| it.dialect.key),
        ),
        outgoing: tracker.map(|it| (it.at(SAMPLE_TRACKER), it.to_confirm())),
        own_from_tracker: tracker.map_or_else(String::new, |it| {
            urls::new_url_template("tracker", it.dialect.key)
        }),
        may_save: actor.may(Permission::SaveTemplates),
        saved,
        macros: Macro::all()
            .map(|it| (it.name(), it.meaning(), it.sample()))
            .collect(),
        pasted,
        seen,
    })
}

/// The URL for one system.
struct Built {
    name: &'static str,
    own: String,
    url: String,
    preview: String,
    link_parameter: Option<&'static str>,
    note: Option<&'static str>,
    to_confirm: Vec<&'static str>,
    macros: Vec<(&'static str, &'static str)>,
}

impl Built {
    fn new(sender: &'static Sender, base: &str) -> Self {
        let unconfirmed = sender.macros.iter().filter(|it| !it.confirmed);
        Self {
            name: sender.name,
            own: urls::new_url_template("system", sender.key),
            url: sender.url(base, Some("YOUR_TOKEN")),
            preview: sender.preview(base, Some("YOUR_TOKEN")),
            link_parameter: sender.link_parameter,
            note: sender.note,
            to_confirm: unconfirmed.map(|it| it.text).collect(),
            macros: sender
                .macros
                .iter()
                .map(|it| (it.field.label(), it.text))
                .collect(),
        }
    }
}

/// What a pasted call turned out to be.
struct Seen {
    is_call: bool,
    candidates: Vec<(&'static str, u8, String)>,
    parameters: Vec<(String, String, &'static str)>,
    warnings: Vec<(String, String, String)>,
}

impl Seen {
    fn of(detection: &Detection) -> Self {
        let candidates = detection.candidates.iter();
        let parameters = detection.parameters.iter();
        let warnings = detection.warnings.iter();
        Self {
            is_call: detection.call.is_some(),
            candidates: candidates
                .map(|it| (it.dialect.name, it.score, it.why.clone()))
                .collect(),
            parameters: parameters
                .map(|it| {
                    let meaning = it.field.map_or("kept as extra", dialects::Field::label);
                    (it.parameter.clone(), it.value.clone(), meaning)
                })
                .collect(),
            warnings: warnings
                .map(|it| {
                    let parameter = it.parameter.clone().unwrap_or_else(|| it.code.code().to_owned());
                    (parameter, it.message.clone(), it.advice.clone())
                })
                .collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "postbacks/tools/show.html")]
struct Show {
    shell: Shell,
    systems: Vec<Choice>,
    built: Option<Built>,
    trackers: Vec<Choice>,
    outgoing: Option<(String, bool)>,
    own_from_tracker: String,
    may_save: bool,
    saved: Vec<Saved>,
    macros: Vec<(&'static str, &'static str, &'static str)>,
    pasted: String,
    seen: Option<Seen>,
}
