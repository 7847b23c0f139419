//! Applications of prospective affiliates.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Jsonb;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, ApplicationId, NetworkConn, applications, text_enum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::affiliates::{self, AffiliateSettings};
use crate::audit::{self, Change};
use crate::author::Author;
use crate::error::{ChangeError, FieldErrors, check_email, check_name, check_text};
use crate::network_events::{self, NetworkEventKind};
use crate::networks::Joining;
use crate::one_time::OneTimeToken;
use crate::{Role, invitations};

/// Maximum number of pending applications per network; more are rejected until some are decided.
const MAX_PENDING: i64 = 1_000;

text_enum! {
    /// Decision on an application.
    pub enum ApplicationStatus {
        /// Not decided yet.
        Pending = "pending",
        /// Approved; an affiliate was created.
        Approved = "approved",
        /// Declined.
        Declined = "declined",
    }
}

/// One of the network's questions, with the applicant's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Question as shown to the applicant.
    pub question: String,
    /// Answer; may be empty if optional.
    pub answer: String,
}

/// Answers as stored; JSON of another shape is reported as a database error.
#[derive(Debug, Clone, AsExpression, FromSqlRow)]
#[diesel(sql_type = Jsonb)]
pub struct AnswerList(Vec<Answered>);

impl ToSql<Jsonb, Pg> for AnswerList {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let value = serde_json::to_value(&self.0)?;
        <Value as ToSql<Jsonb, Pg>>::to_sql(&value, &mut out.reborrow())
    }
}

impl FromSql<Jsonb, Pg> for AnswerList {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let value = <Value as FromSql<Jsonb, Pg>>::from_sql(value)?;
        Ok(Self(serde_json::from_value(value)?))
    }
}

/// An application as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = applications)]
pub struct Application {
    /// Application ID.
    pub id: ApplicationId,
    /// Name for the new affiliate.
    pub name: String,
    /// E-mail address to invite.
    pub email: String,
    /// Traffic source as entered, usually a website.
    pub website: String,
    answers: AnswerList,
    /// Decision.
    pub status: ApplicationStatus,
    /// Reason for declining, shown to the applicant; empty if not declined.
    pub reason: String,
    /// Affiliate created on approval; None otherwise.
    pub affiliate_id: Option<AffiliateId>,
    /// Time of submission.
    pub created_at: DateTime<Utc>,
    /// Time of the decision; None while pending.
    pub decided_at: Option<DateTime<Utc>>,
}

impl Application {
    /// Questions and answers.
    #[must_use]
    pub fn answers(&self) -> Vec<Answered> {
        self.answers.0.clone()
    }
}

/// Input of an application, unchecked.
#[derive(Debug, Clone, Default)]
pub struct ApplicationDraft {
    /// Name for the new affiliate.
    pub name: String,
    /// E-mail address to invite.
    pub email: String,
    /// Traffic source, usually a website.
    pub website: String,
    /// Answers to the network's questions, in their order.
    pub answers: Vec<String>,
}

/// Field names of the answers, for field errors.
const ANSWER_FIELDS: [&str; 20] = [
    "answer1", "answer2", "answer3", "answer4", "answer5", "answer6", "answer7", "answer8", "answer9",
    "answer10", "answer11", "answer12", "answer13", "answer14", "answer15", "answer16", "answer17",
    "answer18", "answer19", "answer20",
];

/// Result of submitting an application.
pub struct Applied {
    /// The stored application.
    pub application: Application,
    /// Token in the URL of its status page.
    pub token: OneTimeToken,
    /// Invitation token, if the network's rules approved the application automatically.
    pub invitation: Option<OneTimeToken>,
}

/// Submits an application; the network's auto-approve rules may approve it at once. A second application from the same
/// address is stored beside the first, and the response does not reveal the first.
///
/// # Errors
/// [`ChangeError::NotFound`] if applications are closed, [`ChangeError::Fields`], [`ChangeError::Limit`].
#[tracing::instrument(skip_all, fields(network = %conn.network_id()))]
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
    if pending >= MAX_PENDING {
        return Err(ChangeError::Limit(
            "This network has too many pending applications. Try again in a few days.".to_owned(),
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
            applications::answers.eq(AnswerList(answers)),
            applications::status.eq(ApplicationStatus::Pending),
            applications::reason.eq(""),
            applications::created_at.eq(now),
        ))
        .returning(Application::as_select())
        .get_result(&mut **conn)
        .await?;
    let (application, invitation) = if joining.approves(&email) {
        let (approved, invitation) = approve(conn, &Author::system(), application.id, now).await?;
        (approved, Some(invitation))
    } else {
        (application, None)
    };
    let kind = NetworkEventKind::AffiliateApplied;
    network_events::store(conn, kind, content_of(&application), now).await?;
    Ok(Applied {
        application,
        token,
        invitation,
    })
}

/// Content of the event `affiliate.applied`.
fn content_of(application: &Application) -> Value {
    json!({
        "application": application.id,
        "name": application.name,
        "email": application.email,
        "website": application.website,
        "answers": application.answers.0,
        "status": application.status,
        "affiliate": application.affiliate_id,
    })
}

type Checked = (String, String, String, Vec<Answered>);

fn check(joining: &Joining, draft: &ApplicationDraft) -> Result<Checked, ChangeError> {
    let mut errors = FieldErrors::default();
    let name = errors.take("name", check_name(&draft.name));
    let email = errors.take("email", check_email(&draft.email));
    let website = errors.take("website", check_text(&draft.website));
    if draft.website.trim().is_empty() {
        errors.add("website", "Enter your website or traffic source.");
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

/// Approves a pending application: creates the affiliate, and an invitation for the applicant.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Conflict`] if already decided.
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), application = %id))]
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
                .map(|answered| format!("{}: {}", answered.question, answered.answer)),
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

/// Declines a pending application with a reason for the applicant.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::Conflict`] if already decided, [`ChangeError::Fields`].
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), application = %id))]
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

/// Reads a pending application and locks the row, so that of two concurrent decisions only one succeeds.
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
            "This application is already {decided}."
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

/// Applications with this status, or all if None; newest first, at most `limit`; with `before`, only older ones.
///
/// # Errors
/// Returns an error if the database fails.
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

/// Application with this ID.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(conn: &mut NetworkConn, id: ApplicationId) -> QueryResult<Option<Application>> {
    let network_id = conn.network_id();
    Application::query()
        .filter(applications::network_id.eq(network_id))
        .filter(applications::id.eq(id))
        .first(&mut **conn)
        .await
        .optional()
}

/// Application whose status page has this token in its URL.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn by_token(conn: &mut NetworkConn, token: &OneTimeToken) -> QueryResult<Option<Application>> {
    let network_id = conn.network_id();
    Application::query()
        .filter(applications::network_id.eq(network_id))
        .filter(applications::token_hash.eq(token.hash()))
        .first(&mut **conn)
        .await
        .optional()
}
