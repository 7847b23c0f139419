//! URL templates: the form that saves, changes and removes one. The postback tools list them.

use actix_web::web;
use askama::Template;
use campaigns::url_templates::{self, Direction, UrlTemplate, UrlTemplateSettings};
use dialects::{senders, template};
use schema::{NetworkConn, UrlTemplateId};
use serde::Deserialize;
use tenancy::{Actor, Draft, Permission, needs};

use super::tools::{OWN, SAMPLE_TRACKER};
use crate::error::PageError;
use crate::forms::{self, Choice, field_errors};
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, html_with, see_other};
use crate::urls;

/// Maximum number of templates on the page of the tools.
const MAX_LISTED: i64 = 500;

/// System or tracker whose URL a new template starts with, from the query string.
#[derive(Debug, Deserialize)]
pub(super) struct Beginning {
    /// Key of a system that sends postbacks to us.
    #[serde(default)]
    system: String,
    /// Key of a tracker that we send postbacks to.
    #[serde(default)]
    tracker: String,
}

impl Beginning {
    /// Draft with the URL of the system or tracker; blank if neither is named.
    fn draft(&self, base: &str) -> Draft {
        let system = senders::of_key(&self.system);
        let tracker = template::outgoing().find(|tracker| tracker.dialect.key == self.tracker);
        let (name, direction, url) = match (system, tracker) {
            (Some(system), _) => (
                system.name,
                Direction::Inbound,
                system.url(base, Some("YOUR_TOKEN")),
            ),
            (None, Some(tracker)) => (
                tracker.dialect.name,
                Direction::Outbound,
                tracker.at(SAMPLE_TRACKER),
            ),
            (None, None) => ("", Direction::Inbound, String::new()),
        };
        Draft::with([
            ("name", name.to_owned()),
            ("direction", direction.to_string()),
            ("url", url),
        ])
    }
}

/// `GET /tools/templates/new`
pub(super) async fn new(
    mut page: Page<needs::SaveTemplates>,
    beginning: web::Query<Beginning>,
) -> PageResult {
    let base = page.tracking_url().await?;
    render(page, None, beginning.draft(&base)).await
}

/// `POST /tools/templates`
pub(super) async fn create(Submitted(mut page, form): Submitted<needs::SaveTemplates>) -> PageResult {
    let mut draft = form.draft("", &UrlTemplateSettings::FIELDS);
    if let Some(settings) = UrlTemplateSettings::check(&mut draft) {
        let (author, scope) = (page.actor.author(), page.actor.scope());
        let made = page
            .conn
            .attempt(async |conn| url_templates::create(conn, &author, scope, &settings, page.now).await);
        match made.await {
            Ok(_) => {
                page.commit().await?;
                return see_other(OWN);
            }
            Err(error) => draft.errors = field_errors(error)?,
        }
    }
    render(page, None, draft).await
}

/// `GET /tools/templates/{id}`
pub(super) async fn show(mut page: Page<needs::SaveTemplates>, path: web::Path<String>) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let draft = known.settings().draft();
    render(page, Some(known), draft).await
}

/// `POST /tools/templates/{id}`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::SaveTemplates>,
    path: web::Path<String>,
) -> PageResult {
    let known = find(&mut page.conn, &page.actor, &path).await?;
    let mut draft = form.draft("", &UrlTemplateSettings::FIELDS);
    if let Some(settings) = UrlTemplateSettings::check(&mut draft) {
        let (author, scope) = (page.actor.author(), page.actor.scope());
        let changed = page.conn.attempt(async |conn| {
            url_templates::update(conn, &author, scope, known.id, &settings, page.now).await
        });
        match changed.await {
            Ok(()) => {
                page.commit().await?;
                return see_other(OWN);
            }
            Err(error) => draft.errors = field_errors(error)?,
        }
    }
    render(page, Some(known), draft).await
}

/// `POST /tools/templates/{id}/remove`
pub(super) async fn remove(
    Submitted(mut page, _): Submitted<needs::SaveTemplates>,
    path: web::Path<String>,
) -> PageResult {
    let (template_id, scope) = (id(&path)?, page.actor.scope());
    let author = page.actor.author();
    if !url_templates::remove(&mut page.conn, &author, scope, template_id, page.now).await? {
        return Err(PageError::NotFound);
    }
    page.commit().await?;
    see_other(OWN)
}

/// Template of a path, if the actor may see it.
async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<UrlTemplate, PageError> {
    let template_id: UrlTemplateId = id(path)?;
    let found = url_templates::find(conn, actor.scope(), template_id).await?;
    found.ok_or(PageError::NotFound)
}

async fn render<P>(page: Page<P>, known: Option<UrlTemplate>, draft: Draft) -> PageResult {
    let frame = page.commit().await?;
    let title = known
        .as_ref()
        .map_or("New URL template", |known| known.name.as_str());
    let directions = Direction::ALL.iter().map(|direction| {
        let label = match direction {
            Direction::Inbound => "Inbound: their system sends postbacks to us",
            Direction::Outbound => "Outbound: we send postbacks to their tracker",
        };
        (*direction, label)
    });
    html_with(
        forms::status(&draft.errors),
        &Form {
            shell: frame.shell("Postbacks", title),
            action: known.map_or_else(
                || "/tools/templates".to_owned(),
                |known| urls::url_template(known.id),
            ),
            directions: Choice::list(directions, draft.of("direction")),
            draft,
        },
    )
}

/// Row of the list of templates in the postback tools.
pub(super) struct Saved {
    /// URL of the template's form.
    pub(super) page: String,
    pub(super) name: String,
    /// Name of the advertiser or affiliate. None for the network's own, and for users outside the staff.
    pub(super) owner: Option<String>,
    pub(super) direction: &'static str,
    pub(super) url: String,
    pub(super) preview: String,
    /// Parameters that need a secret, comma-separated.
    pub(super) secrets: String,
}

/// Templates that the actor may see. Their owners are shown to the network's staff only.
pub(super) async fn saved(conn: &mut NetworkConn, actor: &Actor) -> Result<Vec<Saved>, PageError> {
    if !actor.may(Permission::SeeTemplates) {
        return Ok(Vec::new());
    }
    let scope = actor.scope();
    let is_staff = scope.advertiser.is_none() && scope.affiliate.is_none();
    let found = url_templates::with_owners(conn, scope, MAX_LISTED).await?;
    let saved = found.into_iter().map(|(template, owner)| {
        let settings = template.settings();
        Saved {
            page: urls::url_template(template.id),
            owner: owner.filter(|_| is_staff),
            direction: match settings.direction {
                Direction::Inbound => "they call us",
                Direction::Outbound => "we call them",
            },
            preview: settings.preview(),
            secrets: settings.secrets().join(", "),
            name: settings.name,
            url: settings.url,
        }
    });
    Ok(saved.collect())
}

#[derive(Template)]
#[template(path = "postbacks/url_templates/form.html")]
struct Form {
    shell: Shell,
    action: String,
    directions: Vec<Choice>,
    draft: Draft,
}
