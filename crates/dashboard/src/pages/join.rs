//! The page where affiliates apply, and the one that tells them what became of it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use schema::clock;
use tenancy::applications::{self, ApplicationDraft, ApplicationStatus};
use tenancy::networks::{Network, NetworkStatus, check_slug};
use tenancy::{ChangeError, FieldErrors, OneTimeToken, mail_templates, unscoped};
use tracking::intake::client_ip;

use crate::Dashboard;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, page, page_with, see_other, theme};

/// `GET /join/{slug}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    slug: web::Path<String>,
) -> PageResult {
    let network = find(&dashboard, &slug).await?;
    let typed = (ApplicationDraft::default(), FieldErrors::default());
    page(&Join::new(&request, &dashboard, &slug, &network, typed))
}

/// `POST /join/{slug}`: the application, and on to its status page, which the applicant keeps.
pub(super) async fn apply(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    slug: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let network = find(&dashboard, &slug).await?;
    let address = client_ip(request.head(), &dashboard.trusted_proxies);
    let draft = ApplicationDraft {
        name: form.get("name").to_owned(),
        email: form.get("email").to_owned(),
        website: form.get("website").to_owned(),
        answers: (1..=network.joining.join_questions.0.len())
            .map(|number| form.get(&format!("answer{number}")).to_owned())
            .collect(),
    };
    let account = format!("join {} {}", network.id, draft.email.to_lowercase());
    if dashboard.throttle.count(&account, address).await.is_err() {
        return Err(PageError::Refused(
            "Too many applications came from you. Try again in a quarter of an hour.".to_owned(),
        ));
    }
    let mut conn = dashboard.db.network(network.id).await?;
    let applied = match applications::apply(&mut conn, &network.joining, &draft, clock::now()).await {
        Ok(applied) => applied,
        Err(ChangeError::Fields(errors)) => {
            let again = Join::new(&request, &dashboard, &slug, &network, (draft, errors));
            return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
        }
        Err(error) => return Err(error.into()),
    };
    conn.commit().await?;
    if let Some(invitation) = &applied.invitation {
        let email = &applied.application.email;
        let url = &dashboard.dashboard_url;
        let mail =
            mail_templates::application_decided(url, &network.name, &slug, email, Some(invitation), "");
        dashboard.mailer.send(&mail).await;
    }
    see_other(&format!("/join/{slug}/{}", applied.token.as_str()))
}

/// `GET /join/{slug}/{token}`
pub(super) async fn status(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
) -> PageResult {
    let (slug, token) = path.into_inner();
    let network = by_slug(&dashboard, &slug).await?;
    let mut conn = dashboard.db.network(network.id).await?;
    let found = applications::by_token(&mut conn, &OneTimeToken::from_link(&token)).await?;
    let application = found.ok_or(PageError::NotFound)?;
    conn.commit().await?;
    page(&Status {
        theme: theme(&request),
        network: network.name,
        name: application.name,
        email: application.email,
        pending: application.status == ApplicationStatus::Pending,
        approved: application.status == ApplicationStatus::Approved,
        reason: application.reason,
    })
}

async fn by_slug(dashboard: &Dashboard, slug: &str) -> Result<Network, PageError> {
    check_slug(slug).map_err(|_| PageError::NotFound)?;
    let network = unscoped::network_of_slug(&dashboard.db, slug).await?;
    network
        .filter(|network| network.status == NetworkStatus::Active)
        .ok_or(PageError::NotFound)
}

/// The network, if affiliates may apply.
async fn find(dashboard: &Dashboard, slug: &str) -> Result<Network, PageError> {
    let network = by_slug(dashboard, slug).await?;
    match network.joining.join_open {
        true => Ok(network),
        false => Err(PageError::NotFound),
    }
}

struct Question {
    field: String,
    label: String,
    required: bool,
    value: String,
    error: String,
}

#[derive(Template)]
#[template(path = "join/show.html")]
struct Join {
    theme: &'static str,
    form_token: String,
    action: String,
    network: String,
    greeting: String,
    questions: Vec<Question>,
    draft: ApplicationDraft,
    errors: FieldErrors,
}

impl Join {
    fn new(
        request: &HttpRequest,
        dashboard: &Dashboard,
        slug: &str,
        network: &Network,
        (draft, errors): (ApplicationDraft, FieldErrors),
    ) -> Self {
        let questions = network.joining.join_questions.0.iter().enumerate();
        Self {
            theme: theme(request),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            action: format!("/join/{slug}"),
            network: network.name.clone(),
            greeting: network.joining.join_greeting.clone(),
            questions: questions
                .map(|(index, question)| {
                    let field = format!("answer{}", index + 1);
                    Question {
                        label: question.trim_end_matches('*').trim().to_owned(),
                        required: question.ends_with('*'),
                        value: draft.answers.get(index).cloned().unwrap_or_default(),
                        error: errors.of(&field).to_owned(),
                        field,
                    }
                })
                .collect(),
            draft,
            errors,
        }
    }
}

#[derive(Template)]
#[template(path = "join/status.html")]
struct Status {
    theme: &'static str,
    network: String,
    name: String,
    email: String,
    pending: bool,
    approved: bool,
    reason: String,
}
