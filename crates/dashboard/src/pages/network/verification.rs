//! Verification of the network: the result of the last run, and a button that starts the next.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use chrono_tz::Tz;
use monitoring::verify::{self, Check, Period, Verification, VerifyError};
use schema::{DbError, NetworkConn, clock};
use tenancy::networks::Network;
use tenancy::{Permission, needs, networks};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::settings;
use crate::error::PageError;
use crate::format;
use crate::forms::PostedForm;
use crate::page::{Caller, Frame, Page};
use crate::shell::{PageResult, Shell, TimeCell, done, html_with};

const HOME: &str = "/settings/proof";
/// Number of days that the button verifies.
const DAYS: i64 = 7;
/// Timeout of a run, because the user waits for the response.
const VERIFICATION_TIMEOUT: Duration = Duration::from_secs(30);

/// `GET /settings/proof`
pub(super) async fn show(page: Page<needs::SeeNetwork>) -> PageResult {
    render(page, None).await
}

/// `POST /settings/proof`: verifies the last days. Opens its transaction only when a slot is free.
pub(super) async fn run(caller: Caller<needs::ManageNetwork>, _form: PostedForm) -> PageResult {
    let dashboard = &caller.request.dashboard;
    let Ok(slot) = dashboard.verification_slots.clone().try_acquire_owned() else {
        let sentence = "Another verification is running on this server. Try again in half a minute.";
        return Err(PageError::Conflict(sentence.to_owned()));
    };
    let conn = caller.actor.network(&dashboard.db).await?;
    let (journals, runtime) = (dashboard.journals.clone(), Handle::current());
    // Reading journals blocks on the disk, so not on an actix worker. A client that disconnects does not stop the
    // verification, so the blocking task owns the slot.
    let verified = web::block(move || {
        let _slot = slot;
        runtime.block_on(verify_last_days(conn, &journals))
    });
    let failed = match verified.await {
        Ok(Ok(())) => return done(HOME, "The verification is finished."),
        Ok(Err(failed)) => failed,
        Err(error) => Failed::Other(error.to_string()),
    };
    render(caller.open().await?, Some(failed)).await
}

async fn verify_last_days(mut conn: NetworkConn, journals: &std::path::Path) -> Result<(), Failed> {
    let now = clock::now();
    let network = networks::current(&mut conn).await?;
    let period = Period::last_days(DAYS, network.time_zone(), now);
    let verification = verify::verify(&mut conn, &network, journals, period, now);
    timeout(VERIFICATION_TIMEOUT, verification)
        .await
        .map_err(|_| Failed::TooLong)??;
    Ok(conn.commit().await?)
}

/// Reason why a run has no result.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it took too long")]
    TooLong,
    #[error("{0}")]
    Other(String),
}

impl From<diesel::result::Error> for Failed {
    fn from(error: diesel::result::Error) -> Self {
        // diesel has no error kind for the statement timeout of the pool.
        match error.to_string() {
            text if text.contains("statement timeout") => Self::TooLong,
            text => Self::Other(text),
        }
    }
}

impl From<DbError> for Failed {
    fn from(error: DbError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<VerifyError> for Failed {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Query(error) => error.into(),
            error @ VerifyError::Journal { .. } => Self::Other(error.to_string()),
        }
    }
}

impl Failed {
    /// Sentence for the page. The cause may contain paths of the server, so it is only logged.
    fn sentence(&self, network: &Network) -> String {
        let cause = match self {
            Self::TooLong => "The network has too much data to verify on a page.",
            Self::Other(_) => "An internal error occurred; the server's log has its cause.",
        };
        let id = network.id;
        format!(
            "Not verified. {cause} An operator can run it without a time limit: clickledger verify --network {id}"
        )
    }
}

async fn render<P>(mut page: Page<P>, failed: Option<Failed>) -> PageResult {
    let last = verify::last(&mut page.conn).await?;
    let frame = page.commit().await?;
    if let Some(failed) = &failed {
        tracing::error!(network = %frame.network.id, cause = %failed, "not verified");
    }
    let status = match failed {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    html_with(
        status,
        &Show {
            shell: frame.shell("Settings", "Verification"),
            tabs: settings::tabs(&frame.actor, HOME),
            failure: failed.map(|failed| failed.sentence(&frame.network)),
            may_run: frame.actor.may(Permission::ManageNetwork),
            last: last.map(|last| Run::new(last, &frame)),
        },
    )
}

struct Run {
    badge: &'static str,
    verdict: String,
    run_at: TimeCell,
    period: String,
    checks: Vec<CheckRow>,
}

impl Run {
    fn new<P>(run: Verification, frame: &Frame<P>) -> Self {
        let differing: i64 = run.checks.iter().map(|check| check.differing).sum();
        let (badge, verdict) = match differing {
            0 => ("ok", "holds".to_owned()),
            1 => ("rejected", "1 difference".to_owned()),
            many => ("rejected", format!("{} differences", format::count(many))),
        };
        Self {
            badge,
            verdict,
            run_at: frame.time(run.run_at),
            period: period(run.period, frame.network.time_zone()),
            checks: run.checks.into_iter().map(CheckRow::new).collect(),
        }
    }
}

/// Period as text, in the network's time zone.
fn period(period: Period, zone: Tz) -> String {
    let [from, to] = [period.from, period.to].map(|at| at.with_timezone(&zone).format("%Y-%m-%d %H:%M"));
    format!("{from} to {to} ({zone})")
}

struct CheckRow {
    claim: String,
    expected: String,
    found: String,
    differing: String,
    holds: bool,
    examples: Vec<String>,
}

impl CheckRow {
    fn new(check: Check) -> Self {
        Self {
            holds: check.holds(),
            expected: format::count(check.expected),
            found: format::count(check.found),
            differing: format::count(check.differing),
            examples: check.examples,
            claim: check.claim,
        }
    }
}

#[derive(Template)]
#[template(path = "network/verification/show.html")]
struct Show {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    failure: Option<String>,
    may_run: bool,
    last: Option<Run>,
}
