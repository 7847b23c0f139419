//! Application of an affiliate: the public form, and the status page of the application.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use schema::clock;
use tenancy::applications::{self, ApplicationDraft, ApplicationStatus};
use tenancy::networks::{Network, NetworkStatus, check_slug};
use tenancy::{ChangeError, FieldErrors, OneTimeToken, mail_templates, unscoped};

use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::PageRequest;
use crate::shell::{PageResult, html, html_with, see_other};

/// `GET /join/{slug}`
pub(super) async fn show(request: PageRequest, slug: web::Path<String>) -> PageResult {
    let network = find(&request, &slug).await?;
    let typed = (ApplicationDraft::default(), FieldErrors::default());
    html(&Join::new(&request, &slug, &network, typed))
}

/// `POST /join/{slug}`: stores the application and redirects to its status page.
pub(super) async fn apply(request: PageRequest, slug: web::Path<String>, form: PostedForm) -> PageResult {
    let network = find(&request, &slug).await?;
    let address = request.address();
    let draft = ApplicationDraft {
        name: form.get("name").to_owned(),
        email: form.get("email").to_owned(),
        website: form.get("website").to_owned(),
        answers: (1..=network.joining.join_questions.0.len())
            .map(|number| form.get(&format!("answer{number}")).to_owned())
            .collect(),
    };
    let account = format!("join {} {}", network.id, draft.email.to_lowercase());
    if request.dashboard.throttle.count(&account, address).await.is_err() {
        return Err(PageError::Refused(
            "Too many applications from your address. Try again in 15 minutes.".to_owned(),
        ));
    }
    let mut conn = request.dashboard.db.network(network.id).await?;
    let applied = match applications::apply(&mut conn, &network.joining, &draft, clock::now()).await {
        Ok(applied) => applied,
        Err(ChangeError::Fields(errors)) => {
            let again = Join::new(&request, &slug, &network, (draft, errors));
            return html_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
        }
        Err(error) => return Err(error.into()),
    };
    conn.commit().await?;
    if let Some(invitation) = &applied.invitation {
        let email = &applied.application.email;
        let url = &request.dashboard.dashboard_url;
        let mail =
            mail_templates::application_decided(url, &network.name, &slug, email, Some(invitation), "");
        request.dashboard.mailer.send(&mail).await;
    }
    see_other(&format!("/join/{slug}/{}", applied.token.as_str()))
}

/// `GET /join/{slug}/{token}`
pub(super) async fn status(request: PageRequest, path: web::Path<(String, String)>) -> PageResult {
    let (slug, token) = path.into_inner();
    let network = by_slug(&request, &slug).await?;
    let mut conn = request.dashboard.db.network(network.id).await?;
    let found = applications::by_token(&mut conn, &OneTimeToken::from_link(&token)).await?;
    let application = found.ok_or(PageError::NotFound)?;
    conn.commit().await?;
    html(&Status {
        theme: request.theme(),
        network: network.name,
        name: application.name,
        email: application.email,
        pending: application.status == ApplicationStatus::Pending,
        approved: application.status == ApplicationStatus::Approved,
        reason: application.reason,
    })
}

async fn by_slug(request: &PageRequest, slug: &str) -> Result<Network, PageError> {
    check_slug(slug).map_err(|_| PageError::NotFound)?;
    let network = unscoped::network_of_slug(&request.dashboard.db, slug).await?;
    network
        .filter(|network| network.status == NetworkStatus::Active)
        .ok_or(PageError::NotFound)
}

/// Network of a slug, if it accepts applications.
async fn find(request: &PageRequest, slug: &str) -> Result<Network, PageError> {
    let network = by_slug(request, slug).await?;
    if !network.joining.join_open {
        return Err(PageError::NotFound);
    }
    Ok(network)
}

struct Question {
    field: String,
    label: String,
    required: bool,
    value: String,
    error: String,
}

#[derive(Template)]
#[template(path = "account/join/show.html")]
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
        request: &PageRequest,
        slug: &str,
        network: &Network,
        (draft, errors): (ApplicationDraft, FieldErrors),
    ) -> Self {
        let questions = network.joining.join_questions.0.iter().enumerate();
        Self {
            theme: request.theme(),
            form_token: request.form_token(),
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
#[template(path = "account/join/status.html")]
struct Status {
    theme: &'static str,
    network: String,
    name: String,
    email: String,
    pending: bool,
    approved: bool,
    reason: String,
}
