//! Networks of the installation with their usage, and the creation of a network.

use actix_web::web;
use askama::Template;
use schema::{Currency, clock};
use serde::Deserialize;
use tenancy::networks::{self, NetworkStatus, NewNetwork, check_slug, check_time_zone, slug_from};
use tenancy::operators::{self, Listed};
use tenancy::{
    ChangeError, Delivery, FieldErrors, Role, RoleKind, check_name, invitations, mail_templates, unscoped,
};

use crate::auth::SignedIn;
use crate::format;
use crate::forms::{self, PostedForm};
use crate::listing::{self, Tab};
use crate::shell::{PageResult, Shell, done, html_with, set_cookie};
use crate::urls;

const HOME: &str = "/ops";
/// Networks per page. Few, because the usage of each is counted in a transaction on that network.
const ROWS: usize = 25;
/// Networks to query: one more than a page shows, to know if another page follows.
const QUERIED: i64 = 26;

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    search: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    before: String,
}

/// `GET /ops`
pub(super) async fn list(user: SignedIn, filters: web::Query<Filters>) -> PageResult {
    let fresh = user.request.fresh_invitation();
    let form = (NewForm::default(), FieldErrors::default());
    let mut response = render(&user, &filters, fresh, form).await?;
    set_cookie(&mut response, &user.request.dashboard.cookies.end_flash(HOME));
    Ok(response)
}

async fn render(
    user: &SignedIn,
    filters: &Filters,
    fresh_link: Option<String>,
    (form, errors): (NewForm, FieldErrors),
) -> PageResult {
    let status: Option<NetworkStatus> = listing::word(&filters.status)?;
    let search = listing::text(&filters.search);
    let before = listing::id(&filters.before)?;
    let mut found = operators::list_networks(
        &user.request.dashboard.db,
        search.as_deref(),
        status,
        before,
        QUERIED,
        clock::now(),
    )
    .await?;
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let older = found.last().filter(|_| more).map(|last| {
        let before = last.network.id.to_string();
        let (search, status) = (filters.search.as_str(), filters.status.as_str());
        listing::with_query(
            HOME,
            &[("search", search), ("status", status), ("before", &before)],
        )
    });
    let http_status = forms::status(&errors);
    html_with(
        http_status,
        &List {
            shell: user.operator_shell("Networks", "Networks"),
            fresh_link,
            tabs: listing::tabs(HOME, NetworkStatus::ALL, status),
            search: filters.search.clone(),
            rows: found.into_iter().map(NetworkRow::new).collect(),
            older,
            form,
            errors,
        },
    )
}

/// `POST /ops/networks`: creates a network and invites its owner.
pub(super) async fn create(user: SignedIn, posted: PostedForm) -> PageResult {
    let form = NewForm::read(&posted);
    let now = clock::now();
    let mut unscoped_conn = user.request.dashboard.db.unscoped().await?;
    let network_id = unscoped::new_network_id(&mut unscoped_conn).await?;
    drop(unscoped_conn);
    let mut conn = user.request.dashboard.db.network(network_id).await?;
    let made = async {
        let (name, slug, time_zone, currency) = form.checked()?;
        let network = NewNetwork {
            name: &name,
            slug: &slug,
            time_zone,
            currency,
        };
        let author = user.author();
        networks::create(&mut conn, author, &network, now).await?;
        let (_, token) = invitations::offer(&mut conn, author, &form.owner, Role::Owner, now).await?;
        operators::record(
            &mut conn,
            author,
            "network.create",
            Some((network_id, &name)),
            &form.owner,
            now,
        )
        .await?;
        Ok::<_, ChangeError>((name, token))
    };
    let (name, token) = match made.await {
        Ok(made) => made,
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            let filters = Filters::default();
            return render(&user, &filters, None, (form, errors)).await;
        }
        Err(error) => return Err(error.into()),
    };
    conn.commit().await?;
    let url = &user.request.dashboard.dashboard_url;
    let mail = mail_templates::invitation(url, &name, RoleKind::Owner, None, &form.owner, &token);
    match user.request.dashboard.mailer.send(&mail).await {
        Delivery::Sent => done(HOME, "The network was created, and its owner invited by email."),
        _ => user.request.show_secret(HOME, token.as_str()),
    }
}

/// Input of the form for a new network, before checks.
#[derive(Default)]
struct NewForm {
    name: String,
    slug: String,
    time_zone: String,
    currency: String,
    owner: String,
}

impl NewForm {
    fn read(form: &PostedForm) -> Self {
        let name = form.get("name").to_owned();
        let slug = match form.get("slug") {
            "" => slug_from(&name),
            typed => typed.to_owned(),
        };
        Self {
            slug,
            name,
            time_zone: form.get("time_zone").to_owned(),
            currency: form.get("currency").to_owned(),
            owner: form.get("email").to_owned(),
        }
    }

    fn checked(&self) -> Result<(String, String, chrono_tz::Tz, Currency), ChangeError> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", check_name(&self.name));
        let slug = errors.take("slug", check_slug(&self.slug));
        let zone = errors.take("time_zone", check_time_zone(&self.time_zone));
        let currency = errors.take("currency", self.currency.parse::<Currency>());
        errors.take("email", tenancy::check_email(&self.owner));
        let checked = match (name, slug, zone, currency) {
            (Some(name), Some(slug), Some(zone), Some(currency)) => Some((name, slug, zone, currency)),
            _ => None,
        };
        errors.or(checked)
    }
}

/// Network of a list, with its usage.
pub(super) struct NetworkRow {
    pub(super) url: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: &'static str,
    pub(super) seats: String,
    pub(super) links: String,
    pub(super) clicks: String,
    pub(super) conversions: String,
    pub(super) created: String,
}

impl NetworkRow {
    pub(super) fn new(Listed { network, usage }: Listed) -> Self {
        Self {
            url: urls::network(network.id),
            id: network.id.to_string(),
            status: network.status.as_str(),
            seats: format!("{} of {}", usage.seats, network.limits.max_seats),
            links: format!(
                "{} of {}",
                format::count(usage.links),
                format::count(network.limits.max_links.into())
            ),
            clicks: format::count(usage.clicks),
            conversions: format::count(usage.conversions),
            created: network.created_at.format("%Y-%m-%d").to_string(),
            name: network.name,
        }
    }
}

#[derive(Template)]
#[template(path = "ops/networks/list.html")]
struct List {
    shell: Shell,
    fresh_link: Option<String>,
    tabs: Vec<Tab>,
    search: String,
    rows: Vec<NetworkRow>,
    older: Option<String>,
    form: NewForm,
    errors: FieldErrors,
}
