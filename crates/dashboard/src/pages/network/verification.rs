//! The proof: what the last verification of the network found, and a button that runs the next one.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use chrono_tz::Tz;
use schema::{DbError, NetworkConn, clock};
use tenancy::networks::Network;
use tenancy::{Access, Permission, needs, networks};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracking::verify::{self, Check, Period, Verification, VerifyError};

use super::settings;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, Shell, TimeCell, page_with, see_other};
use crate::{Dashboard, format};

const HOME: &str = "/settings/proof";
/// How many days the button looks back.
const DAYS: i64 = 7;
/// How long a run may take: whoever pressed the button is waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// `GET /settings/proof`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeNetwork>,
) -> PageResult {
    render(&request, &dashboard, &actor, None).await
}

/// `POST /settings/proof`: verifies the last days.
pub(super) async fn run(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageNetwork>,
    _form: PostedForm,
) -> PageResult {
    let Ok(turn) = dashboard.proof_turns.clone().try_acquire_owned() else {
        let sentence = "Another run is under way on this server. Try again in half a minute.";
        return Err(PageError::Conflict(sentence.to_owned()));
    };
    let conn = actor.network(&dashboard.db).await?;
    let (journals, runtime) = (dashboard.journals.clone(), Handle::current());
    // Reading journals waits for the disk: not on the thread that serves others. Whoever leaves meanwhile stops
    // nothing, so the turn goes along.
    let ran = web::block(move || {
        let _turn = turn;
        runtime.block_on(prove(conn, &journals))
    });
    let failed = match ran.await {
        Ok(Ok(())) => return see_other(HOME),
        Ok(Err(failed)) => failed,
        Err(error) => Failed::Other(error.to_string()),
    };
    render(&request, &dashboard, &actor, Some(failed)).await
}

async fn prove(mut conn: NetworkConn, journals: &std::path::Path) -> Result<(), Failed> {
    let now = clock::now();
    let network = networks::current(&mut conn).await?;
    let period = Period::last_days(DAYS, network.time_zone(), now);
    timeout(
        PATIENCE,
        verify::verify(&mut conn, &network, journals, period, now),
    )
    .await
    .map_err(|_| Failed::TooLong)??;
    Ok(conn.commit().await?)
}

/// Why a run proved nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it took too long")]
    TooLong,
    #[error("{0}")]
    Other(String),
}

impl From<diesel::result::Error> for Failed {
    fn from(error: diesel::result::Error) -> Self {
        // The kind has no name of its own: Postgres gives up what takes longer than the pool allows.
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
    /// What the page says. The cause may name the server's folders: it is in the log.
    fn sentence(&self, network: &Network) -> String {
        let what = match self {
            Self::TooLong => "There is more to compare than a page has time for.",
            Self::Other(_) => "Something failed on our side; the cause is in the server's log.",
        };
        let id = network.id;
        format!(
            "Nothing was proved. {what} Whoever runs this installation can take all the time it needs: clickledger verify --network {id}"
        )
    }
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    failed: Option<Failed>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let last = verify::last(&mut conn).await?;
    conn.commit().await?;
    if let Some(failed) = &failed {
        tracing::error!(network = %network.id, cause = %failed, "not verified");
    }
    let status = match failed {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, "Settings", "Proof"),
            tabs: settings::tabs(actor, HOME),
            failure: failed.map(|failed| failed.sentence(&network)),
            may_run: actor.may(Permission::ManageNetwork),
            last: last.map(|last| Run::new(last, &network)),
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
    fn new(run: Verification, network: &Network) -> Self {
        let differing: i64 = run.checks.iter().map(|check| check.differing).sum();
        let (badge, verdict) = match differing {
            0 => ("ok", "holds".to_owned()),
            1 => ("rejected", "1 difference".to_owned()),
            many => ("rejected", format!("{} differences", format::count(many))),
        };
        Self {
            badge,
            verdict,
            run_at: TimeCell::new(run.run_at, clock::now(), network),
            period: period(run.period, network.time_zone()),
            checks: run.checks.into_iter().map(CheckRow::new).collect(),
        }
    }
}

/// From when to when, on the network's clock.
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
