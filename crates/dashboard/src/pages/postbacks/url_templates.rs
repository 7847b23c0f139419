//! Saving, changing and removing URL templates; the postback tools list them.

use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::url_templates::{self, Direction, UrlTemplate, UrlTemplateSettings};
use dialects::{senders, template};
use schema::{NetworkConn, UrlTemplateId, clock};
use serde::Deserialize;
use tenancy::{Actor, Draft, Permission, needs, networks};

use super::tools::{OWN, SAMPLE_TRACKER};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::pages::campaigns::campaign::tracking_url;
use crate::pages::campaigns::settings::fields;
use crate::pages::id;
use crate::shell::{PageResult, Shell, page_with, see_other};
use crate::{Dashboard, urls};

/// Most templates on the page of the tools.
const MOST_LISTED: i64 = 500;

/// What a new template begins as.
#[derive(Debug, Deserialize)]
pub(super) struct Beginning {
    /// Key of a system that calls us.
    #[serde(default)]
    system: String,
    /// Key of a tracker that we call.
    #[serde(default)]
    tracker: String,
}

impl Beginning {
    /// As what is known of the system or tracker; blank where none is named.
    fn draft(&self, base: &str) -> Draft {
        let system = senders::of_key(&self.system);
        let tracker = template::outgoing().find(|it| it.dialect.key == self.tracker);
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
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SaveTemplates>,
    beginning: web::Query<Beginning>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let base = tracking_url(&mut conn, &dashboard).await?;
    render(&request, &dashboard, &actor, conn, None, beginning.draft(&base)).await
}

/// `POST /tools/templates`
pub(super) async fn create(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SaveTemplates>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let mut draft = form.draft("", &UrlTemplateSettings::FIELDS);
    if let Some(settings) = UrlTemplateSettings::check(&mut draft) {
        let (author, scope, now) = (actor.author(), actor.role.scope(), clock::now());
        let made =
            conn.attempt(async |conn| url_templates::create(conn, &author, scope, &settings, now).await);
        match made.await {
            Ok(_) => {
                conn.commit().await?;
                return see_other(OWN);
            }
            Err(error) => draft.errors = fields(error)?,
        }
    }
    render(&request, &dashboard, &actor, conn, None, draft).await
}

/// `GET /tools/templates/{id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SaveTemplates>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let known = find(&mut conn, &actor, &path).await?;
    let draft = known.settings().draft();
    render(&request, &dashboard, &actor, conn, Some(known), draft).await
}

/// `POST /tools/templates/{id}`
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SaveTemplates>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let known = find(&mut conn, &actor, &path).await?;
    let mut draft = form.draft("", &UrlTemplateSettings::FIELDS);
    if let Some(settings) = UrlTemplateSettings::check(&mut draft) {
        let (author, scope, now) = (actor.author(), actor.role.scope(), clock::now());
        let changed = conn.attempt(async |conn| {
            url_templates::update(conn, &author, scope, known.id, &settings, now).await
        });
        match changed.await {
            Ok(()) => {
                conn.commit().await?;
                return see_other(OWN);
            }
            Err(error) => draft.errors = fields(error)?,
        }
    }
    render(&request, &dashboard, &actor, conn, Some(known), draft).await
}

/// `POST /tools/templates/{id}/remove`
pub(super) async fn remove(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SaveTemplates>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let (template_id, scope) = (id(&path)?, actor.role.scope());
    match url_templates::remove(&mut conn, &actor.author(), scope, template_id, clock::now()).await? {
        true => {
            conn.commit().await?;
            see_other(OWN)
        }
        false => Err(PageError::NotFound),
    }
}

/// The template of a path, if this person may see it.
async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<UrlTemplate, PageError> {
    let template_id: UrlTemplateId = id(path)?;
    let found = url_templates::find(conn, actor.role.scope(), template_id).await?;
    found.ok_or(PageError::NotFound)
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    known: Option<UrlTemplate>,
    draft: Draft,
) -> PageResult {
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let title = known
        .as_ref()
        .map_or("Save a URL of your own", |known| known.name.as_str());
    let directions = Direction::ALL.iter().map(|direction| {
        let label = match direction {
            Direction::Inbound => "Their system calls us, and puts its values in",
            Direction::Outbound => "We call their tracker, and put ours in",
        };
        (*direction, label)
    });
    page_with(
        forms::status(&draft.errors),
        &Form {
            shell: Shell::new(dashboard, request, actor, &network, "Postbacks", title),
            action: known.map_or_else(
                || "/tools/templates".to_owned(),
                |known| urls::url_template(known.id),
            ),
            directions: Choice::list(directions, draft.of("direction")),
            draft,
        },
    )
}

/// A template as the postback tools list it.
pub(super) struct Saved {
    pub(super) page: String,
    pub(super) name: String,
    pub(super) owner: Option<String>,
    pub(super) direction: &'static str,
    pub(super) url: String,
    pub(super) preview: String,
    pub(super) secrets: String,
}

/// The templates that this person may see; of the network's people only, whose each is.
pub(super) async fn saved(conn: &mut NetworkConn, actor: &Actor) -> Result<Vec<Saved>, PageError> {
    if !actor.may(Permission::SeeTemplates) {
        return Ok(Vec::new());
    }
    let scope = actor.role.scope();
    let is_staff = scope.advertiser.is_none() && scope.affiliate.is_none();
    let found = url_templates::with_owners(conn, scope, MOST_LISTED).await?;
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
