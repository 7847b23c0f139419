//! Postback tools: URLs to paste into other systems with their macros, and the postback debugger.

use actix_web::web;
use askama::Template;
use dialects::detect::{Detection, detect_with};
use dialects::senders::{self, Sender};
use dialects::{Macro, template};
use serde::Deserialize;
use tenancy::{Permission, needs};

use super::url_templates::{self, Saved};
use crate::forms::Choice;
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, html};
use crate::urls;

/// Address of the saved URL templates.
pub(super) const OWN: &str = "/tools/postback#own";
/// Sample address of an affiliate's tracker.
pub(super) const SAMPLE_TRACKER: &str = "https://your-tracker.example";

/// Chosen system and tracker, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    system: String,
    #[serde(default)]
    tracker: String,
}

/// `GET /tools/postback`
pub(super) async fn show(page: Page<needs::SignIn>, chosen: web::Query<Chosen>) -> PageResult {
    render(page, &chosen, String::new(), None).await
}

/// `POST /tools/postback`: analyzes a pasted request, which is neither stored nor processed.
pub(super) async fn analyze(Submitted(page, form): Submitted<needs::SignIn>) -> PageResult {
    let pasted = form.get("pasted").to_owned();
    let analysis = Analysis::new(&detect_with(&pasted, &|text| page.click_id(text).is_some()));
    render(page, &Chosen::default(), pasted, Some(analysis)).await
}

async fn render(
    mut page: Page<needs::SignIn>,
    chosen: &Chosen,
    pasted: String,
    analysis: Option<Analysis>,
) -> PageResult {
    let base = page.tracking_url().await?;
    let saved = url_templates::saved(&mut page.conn, &page.actor).await?;
    let frame = page.commit().await?;
    let sender = senders::of_key(&chosen.system).or(senders::all().first());
    let tracker = template::outgoing()
        .find(|tracker| tracker.dialect.key == chosen.tracker)
        .or_else(|| template::outgoing().next());
    html(&Show {
        shell: frame.shell("Postbacks", "Postback tools"),
        systems: Choice::list(
            senders::all().iter().map(|sender| (sender.key, sender.name)),
            sender.map_or("", |sender| sender.key),
        ),
        built: sender.map(|sender| SenderUrl::new(sender, &base)),
        trackers: Choice::list(
            template::outgoing().map(|tracker| (tracker.dialect.key, tracker.dialect.name)),
            tracker.map_or("", |tracker| tracker.dialect.key),
        ),
        outgoing: tracker.map(|tracker| (tracker.at(SAMPLE_TRACKER), tracker.to_confirm())),
        own_from_tracker: tracker.map_or_else(String::new, |tracker| {
            urls::new_url_template("tracker", tracker.dialect.key)
        }),
        may_save: frame.actor.may(Permission::SaveTemplates),
        saved,
        macros: Macro::all()
            .map(|name| (name.name(), name.meaning(), name.sample()))
            .collect(),
        pasted,
        seen: analysis,
    })
}

/// Postback URL for one system that sends postbacks.
struct SenderUrl {
    name: &'static str,
    own: String,
    url: String,
    preview: String,
    link_parameter: Option<&'static str>,
    note: Option<&'static str>,
    to_confirm: Vec<&'static str>,
    macros: Vec<(&'static str, &'static str)>,
}

impl SenderUrl {
    fn new(sender: &'static Sender, base: &str) -> Self {
        let unconfirmed = sender.macros.iter().filter(|name| !name.confirmed);
        Self {
            name: sender.name,
            own: urls::new_url_template("system", sender.key),
            url: sender.url(base, Some("YOUR_TOKEN")),
            preview: sender.preview(base, Some("YOUR_TOKEN")),
            link_parameter: sender.link_parameter,
            note: sender.note,
            to_confirm: unconfirmed.map(|name| name.text).collect(),
            macros: sender
                .macros
                .iter()
                .map(|name| (name.field.label(), name.text))
                .collect(),
        }
    }
}

/// Analysis of a pasted request.
struct Analysis {
    is_call: bool,
    candidates: Vec<(&'static str, u8, String)>,
    parameters: Vec<(String, String, &'static str)>,
    warnings: Vec<(String, String, String)>,
}

impl Analysis {
    fn new(detection: &Detection) -> Self {
        let candidates = detection.candidates.iter();
        let parameters = detection.parameters.iter();
        let warnings = detection.warnings.iter();
        Self {
            is_call: detection.call.is_some(),
            candidates: candidates
                .map(|candidate| (candidate.dialect.name, candidate.score, candidate.why.clone()))
                .collect(),
            parameters: parameters
                .map(|parsed| {
                    let meaning = parsed.field.map_or("extra parameter", dialects::Field::label);
                    (parsed.parameter.clone(), parsed.value.clone(), meaning)
                })
                .collect(),
            warnings: warnings
                .map(|warning| {
                    let parameter = warning.parameter.clone();
                    let parameter = parameter.unwrap_or_else(|| warning.code.code().to_owned());
                    (parameter, warning.message.clone(), warning.advice.clone())
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
    built: Option<SenderUrl>,
    trackers: Vec<Choice>,
    outgoing: Option<(String, bool)>,
    own_from_tracker: String,
    may_save: bool,
    saved: Vec<Saved>,
    macros: Vec<(&'static str, &'static str, &'static str)>,
    pasted: String,
    seen: Option<Analysis>,
}
