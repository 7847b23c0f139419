//! Applications: somebody who asks to become an affiliate.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, ApplicationId, NetworkConn, applications, text_enum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actor::Author;
use crate::affiliates::{self, AffiliateSettings};
use crate::audit::{self, Change};
use crate::error::{ChangeError, FieldErrors, check_email, check_name, check_text};
use crate::networks::Joining;
use crate::one_time::OneTimeToken;
use crate::{Role, invitations};

/// How many may wait for a decision; more must wait until somebody decides some.
const MOST_PENDING: i64 = 1_000;

text_enum! {
    /// What became of an application.
    pub enum ApplicationStatus {
        /// Nobody has decided yet.
        Pending = "pending",
        /// It made an affiliate.
        Approved = "approved",
        /// It did not.
        Declined = "declined",
    }
}

/// A question of the network's, and what the applicant answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The question as it was.
    pub question: String,
    /// The answer; may be empty where none was demanded.
    pub answer: String,
}

/// An application as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = applications)]
pub struct Application {
    /// The application.
    pub id: ApplicationId,
    /// What the affiliate will be called.
    pub name: String,
    /// Who will be invited.
    pub email: String,
    /// Where the visitors will come from, as typed.
    pub website: String,
    answers: Value,
    /// What became of it.
    pub status: ApplicationStatus,
    /// Why it was declined, as the applicant is told.
    pub reason: String,
    /// What became of an approved one.
    pub affiliate_id: Option<AffiliateId>,
    /// When it was sent.
    pub created_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
}

impl Application {
    /// What was asked and answered.
    #[must_use]
    pub fn answers(&self) -> Vec<Answered> {
        serde_json::from_value(self.answers.clone()).unwrap_or_default()
    }
}

/// An application as typed or sent.
#[derive(Debug, Clone, Default)]
pub struct ApplicationDraft {
    /// What the affiliate will be called.
    pub name: String,
    /// Who will be invited.
    pub email: String,
    /// Where the visitors will come from.
    pub website: String,
    /// An answer to each of the network's questions, in their order.
    pub answers: Vec<String>,
}

/// The fields of the answers, for saying what is wrong with which.
const ANSWER_FIELDS: [&str; 20] = [
    "answer1", "answer2", "answer3", "answer4", "answer5", "answer6", "answer7", "answer8", "answer9",
    "answer10", "answer11", "answer12", "answer13", "answer14", "answer15", "answer16", "answer17",
    "answer18", "answer19", "answer20",
];

/// What was made of an application.
pub struct Applied {
    /// The application.
    pub application: Application,
    /// The token in the address of its status page.
    pub token: OneTimeToken,
    /// The invitation, if a rule approved it at once.
    pub invitation: Option<OneTimeToken>,
}

/// Takes an application in; a rule of the network's may approve it at once. The same address applying again while the
/// first waits replaces nothing and tells nobody: both are listed.
///
/// # Errors
/// [`ChangeError::NotFound`] where nobody may apply, [`ChangeError::Fields`], [`ChangeError::Limit`].
pub async fn apply(
    conn: &mut NetworkConn,
    joining: &Joining,
    draft: &ApplicationDraft,
    now: DateTime<Utc>,
) -> Result<Applied, ChangeError> {
    if !joining.join_open {
        return Err(ChangeError::NotFound);
    }
    let (name, email, website, answers) = check(joining, draft)?;
    let network_id = conn.network_id();
    let pending: i64 = applications::table
        .filter(applications::network_id.eq(network_id))
        .filter(applications::status.eq(ApplicationStatus::Pending))
        .count()
        .get_result(&mut **conn)
        .await?;
    if pending >= MOST_PENDING {
        return Err(ChangeError::Limit(
            "The network has more applications than it can read now. Try again in a few days.".to_owned(),
        ));
    }
    let token = OneTimeToken::fresh();
    let application: Application = diesel::insert_into(applications::table)
        .values((
            applications::network_id.eq(network_id),
            applications::token_hash.eq(token.hash()),
            applications::name.eq(name),
            applications::email.eq(&email),
            applications::website.eq(website),
            applications::answers.eq(json!(answers)),
            applications::status.eq(ApplicationStatus::Pending),
            applications::reason.eq(""),
            applications::created_at.eq(now),
        ))
        .returning(Application::as_select())
        .get_result(&mut **conn)
        .await?;
    if !joining.approves(&email) {
        return Ok(Applied {
            application,
            token,
            invitation: None,
        });
    }
    let (application, invitation) = approve(conn, &Author::system(), application.id, now).await?;
    Ok(Applied {
        application,
        token,
        invitation: Some(invitation),
    })
}

type Checked = (String, String, String, Vec<Answered>);

fn check(joining: &Joining, draft: &ApplicationDraft) -> Result<Checked, ChangeError> {
    let mut errors = FieldErrors::default();
    let name = errors.take("name", check_name(&draft.name));
    let email = errors.take("email", check_email(&draft.email));
    let website = errors.take("website", check_text(&draft.website));
    if draft.website.trim().is_empty() {
        errors.add("website", "Say where your visitors will come from.");
    }
    let mut answers = Vec::new();
    for (index, (question, field)) in joining.join_questions.0.iter().zip(ANSWER_FIELDS).enumerate() {
        let typed = draft.answers.get(index).map_or("", String::as_str);
        let Some(answer) = errors.take(field, check_text(typed)) else {
            continue;
        };
        if answer.is_empty() && question.ends_with('*') {
            errors.add(field, "Answer this question.");
        }
        answers.push(Answered {
            question: question.trim_end_matches('*').trim().to_owned(),
            answer,
        });
    }
    let checked = match (name, email, website) {
        (Some(name), Some(email), Some(website)) => Some((name, email, website, answers)),
        _ => None,
    };
    errors.or(checked)
}

/// Approves a pending application: makes the affiliate and an invitation for the applicant.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Conflict`] when it is decided already.
pub async fn approve(
    conn: &mut NetworkConn,
    author: &Author,
    id: ApplicationId,
    now: DateTime<Utc>,
) -> Result<(Application, OneTimeToken), ChangeError> {
    let pending = pending(conn, id).await?;
    let mut settings = AffiliateSettings::named(&pending.name);
    settings.notes = std::iter::once(format!("Website: {}", pending.website))
        .chain(
            pending
                .answers()
                .iter()
                .map(|it| format!("{}: {}", it.question, it.answer)),
        )
        .collect::<Vec<_>>()
        .join("\n")
        .chars()
        .take(4_000)
        .collect();
    let affiliate = affiliates::create(conn, author, &settings, now).await?;
    let (_, token) =
        invitations::offer(conn, author, &pending.email, Role::Affiliate(affiliate.id), now).await?;
    let decided = decide(conn, id, ApplicationStatus::Approved, "", Some(affiliate.id), now).await?;
    let after = json!({ "status": "approved", "affiliate": affiliate.id.to_string() });
    let change = Change::created("application.approve", id, &decided.name, after);
    audit::record(conn, author, change, now).await?;
    Ok((decided, token))
}

/// Declines a pending application, with a reason that the applicant reads.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Conflict`] when it is decided already, [`ChangeError::Fields`].
pub async fn decline(
    conn: &mut NetworkConn,
    author: &Author,
    id: ApplicationId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Application, ChangeError> {
    let reason = check_text(reason).map_err(|message| ChangeError::field("reason", message))?;
    pending(conn, id).await?;
    let decided = decide(conn, id, ApplicationStatus::Declined, &reason, None, now).await?;
    let after = json!({ "status": "declined", "reason": reason });
    let change = Change::created("application.decline", id, &decided.name, after);
    audit::record(conn, author, change, now).await?;
    Ok(decided)
}

/// The pending application, locked: two who decide it at once decide it once.
async fn pending(conn: &mut NetworkConn, id: ApplicationId) -> Result<Application, ChangeError> {
    let network_id = conn.network_id();
    let found: Option<Application> = applications::table
        .filter(applications::network_id.eq(network_id))
        .filter(applications::id.eq(id))
        .select(Application::as_select())
        .for_update()
        .first(&mut **conn)
        .await
        .optional()?;
    let found = found.ok_or(ChangeError::NotFound)?;
    match found.status {
        ApplicationStatus::Pending => Ok(found),
        decided => Err(ChangeError::Conflict(format!(
            "This application is {decided} already; somebody decided it."
        ))),
    }
}

async fn decide(
    conn: &mut NetworkConn,
    id: ApplicationId,
    status: ApplicationStatus,
    reason: &str,
    affiliate_id: Option<AffiliateId>,
    now: DateTime<Utc>,
) -> QueryResult<Application> {
    let network_id = conn.network_id();
    diesel::update(applications::table.find((network_id, id)))
        .set((
            applications::status.eq(status),
            applications::reason.eq(reason),
            applications::affiliate_id.eq(affiliate_id),
            applications::decided_at.eq(Some(now)),
        ))
        .returning(Application::as_select())
        .get_result(&mut **conn)
        .await
}

/// Applications with this status, or any, the newest first, older than this one if one is given; at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    status: Option<ApplicationStatus>,
    before: Option<ApplicationId>,
    limit: i64,
) -> QueryResult<Vec<Application>> {
    let last = match before {
        Some(id) => find(conn, id).await?,
        None => None,
    };
    let network_id = conn.network_id();
    let mut query = Application::query()
        .filter(applications::network_id.eq(network_id))
        .order((applications::created_at.desc(), applications::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some(status) = status {
        query = query.filter(applications::status.eq(status));
    }
    if let Some(last) = last {
        query = query.filter(
            applications::created_at
                .lt(last.created_at)
                .or(applications::created_at
                    .eq(last.created_at)
                    .and(applications::id.lt(last.id))),
        );
    }
    query.load(&mut **conn).await
}

/// The application with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: ApplicationId) -> QueryResult<Option<Application>> {
    let network_id = conn.network_id();
    Application::query()
        .filter(applications::network_id.eq(network_id))
        .filter(applications::id.eq(id))
        .first(&mut **conn)
        .await
        .optional()
}

/// The application whose status page this token opens.
///
/// # Errors
/// When the database fails.
pub async fn by_token(conn: &mut NetworkConn, token: &OneTimeToken) -> QueryResult<Option<Application>> {
    let network_id = conn.network_id();
    Application::query()
        .filter(applications::network_id.eq(network_id))
        .filter(applications::token_hash.eq(token.hash()))
        .first(&mut **conn)
        .await
        .optional()
}
