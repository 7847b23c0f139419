//! Consistency check: everything acknowledged is in the tables, in the rollups and in the ledger, exactly once.
//!
//! The check relies on data only. Records that the journals on this machine still hold are looked up in the tables, and
//! the rows of the tables are summed again and compared with the rollups and the ledger, in both directions.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use journal::Reader;
use schema::{NetworkConn, NetworkId, clock, ingest_cursors, quarantine, verifications};
use serde::{Deserialize, Serialize};
use tenancy::networks::Network;
use uuid::Uuid;

use ::postbacks::{PostbackRecord, contradictions};
use tracking::{ClickRecord, blocks};

/// Maximum number of differing rows that a check stores as examples.
const MAX_EXAMPLES: i64 = 20;
/// Number of keys per look-up.
const LOOKUP_SIZE: usize = 5_000;

/// Period of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Start.
    pub from: DateTime<Utc>,
    /// End, exclusive.
    pub to: DateTime<Utc>,
}

impl Period {
    /// The last `days` days up to now, from a midnight on.
    #[must_use]
    pub fn last_days(days: i64, time_zone: Tz, now: DateTime<Utc>) -> Self {
        let day = (now - TimeDelta::days(days))
            .with_timezone(&time_zone)
            .date_naive();
        Self {
            from: clock::start_of_day(day, time_zone),
            to: now + TimeDelta::hours(1),
        }
    }
}

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Claim that was checked, as a sentence.
    pub claim: String,
    /// Number of expected rows.
    pub expected: i64,
    /// Number of rows found.
    pub found: i64,
    /// Number of differing rows.
    pub differing: i64,
    /// First differing rows.
    pub examples: Vec<String>,
}

impl Check {
    /// True if both sides are equal.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.differing == 0
    }
}

/// Result of a run of all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Time of the run.
    pub run_at: DateTime<Utc>,
    /// Period that was checked.
    pub period: Period,
    /// Results of the checks.
    pub checks: Vec<Check>,
}

impl Verification {
    /// True if every check holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }
}

/// Reason why the checks could not run.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    /// A journal cannot be read.
    #[error("{}: {error}", .folder.display())]
    Journal {
        /// Folder of the journal.
        folder: PathBuf,
        /// Error of the file system.
        error: std::io::Error,
    },
}

/// Claims about the events of a period, each with two queries whose rows must be equal: expected and found. `$1` is the
/// network, `$2` and `$3` the period. `clicks_kept.since` is the start of the oldest month of clicks; of months that
/// retention dropped only rollups remain.
const CLAIMS: [(&str, &str, &str); 3] = [
    (
        "The rollups of clicks equal the clicks, by quarters of an hour",
        "SELECT date_bin('15 minutes', clicked_at, 'epoch') AS quarter_hour, campaign_id, affiliate_id, link_id,
                count(*) AS clicks, count(*) FILTER (WHERE is_unique) AS unique_clicks,
                count(flag) AS invalid_clicks
         FROM clicks WHERE network_id = $1 AND clicked_at >= $2 AND clicked_at < $3
           AND clicked_at >= (SELECT since FROM clicks_kept)
           AND id >= click_key_floor($2 AT TIME ZONE 'UTC') AND id < click_key_floor($3 AT TIME ZONE 'UTC')
         GROUP BY 1, 2, 3, 4",
        "SELECT quarter_hour, campaign_id, affiliate_id, link_id, clicks, unique_clicks, invalid_clicks
         FROM click_rollups WHERE network_id = $1 AND quarter_hour >= $2 AND quarter_hour < $3
           AND quarter_hour >= (SELECT since FROM clicks_kept)",
    ),
    (
        "Every accepted postback has its conversion, and every conversion its postback",
        "SELECT id AS postback, conversion_id AS conversion FROM postbacks
         WHERE network_id = $1 AND received_at >= $2 AND received_at < $3 AND reason IN ('accepted', 'cap_reached', 'not_targeted',
                                                                                                  'held_for_review')",
        "SELECT postback_id, id FROM conversions
         WHERE network_id = $1 AND converted_at >= $2 AND converted_at < $3",
    ),
    (
        "Every duplicate postback refers to an existing conversion",
        "SELECT id AS postback FROM postbacks
         WHERE network_id = $1 AND received_at >= $2 AND received_at < $3 AND status = 'duplicate' AND NOT is_test
           AND reason NOT IN ('status_ignored', 'other_channel')",
        "SELECT p.id FROM postbacks p JOIN conversions c ON c.network_id = p.network_id AND c.id = p.conversion_id
         WHERE p.network_id = $1 AND received_at >= $2 AND received_at < $3 AND p.status = 'duplicate' AND NOT p.is_test
           AND p.reason NOT IN ('status_ignored', 'other_channel')",
    ),
];

/// Claims about all money of a network, whatever the period: a refund today changes an order of last year.
const MONEY: [(&str, &str, &str); 4] = [
    (
        "The rollups of conversions equal the conversions, by quarters of an hour",
        "SELECT date_bin('15 minutes', converted_at, 'epoch') AS quarter_hour, campaign_id, affiliate_id, link_id, goal_id,
                currency, status,
                count(*) AS conversions,
                count(*) FILTER (WHERE status IN ('pending', 'approved') AND unpaid_because IS NULL) AS paid,
                sum(coalesce(amount_micros, 0)) AS amount, sum(commission_micros) AS commission,
                sum(revenue_micros) AS revenue
         FROM conversions WHERE network_id = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7",
        "SELECT quarter_hour, campaign_id, affiliate_id, link_id, goal_id, currency, status, conversions, paid, amount_micros,
                commission_micros, revenue_micros
         FROM conversion_rollups WHERE network_id = $1
           AND (conversions, amount_micros, commission_micros, revenue_micros) <> (0, 0, 0, 0)",
    ),
    (
        "The ledger equals commission and revenue of the conversions, pending and payable, to the micro-unit",
        "SELECT id AS conversion, advertiser_id, affiliate_id, currency,
                CASE status WHEN 'pending' THEN commission_micros ELSE 0 END::numeric AS commission_pending,
                CASE status WHEN 'approved' THEN commission_micros ELSE 0 END::numeric AS commission_payable,
                CASE status WHEN 'pending' THEN revenue_micros ELSE 0 END::numeric AS revenue_pending,
                CASE status WHEN 'approved' THEN revenue_micros ELSE 0 END::numeric AS revenue_payable
         FROM conversions WHERE network_id = $1 AND status IN ('pending', 'approved')
           AND (commission_micros, revenue_micros) <> (0, 0)",
        "SELECT conversion_id, advertiser_id, affiliate_id, currency, sum(commission_pending_micros),
                sum(commission_payable_micros), sum(revenue_pending_micros), sum(revenue_payable_micros)
         FROM ledger_entries WHERE network_id = $1 AND conversion_id IS NOT NULL GROUP BY 1, 2, 3, 4
         HAVING (sum(commission_pending_micros), sum(commission_payable_micros), sum(revenue_pending_micros),
                 sum(revenue_payable_micros)) <> (0, 0, 0, 0)",
    ),
    (
        "Every ledger entry has its cause: a statement about a conversion",
        "SELECT id AS entry FROM ledger_entries WHERE network_id = $1 AND conversion_id IS NOT NULL",
        "SELECT l.id FROM ledger_entries l
         WHERE l.network_id = $1 AND (l.change_id = l.conversion_id
               AND EXISTS (SELECT FROM conversions c WHERE c.network_id = l.network_id AND c.id = l.conversion_id)
            OR EXISTS (SELECT FROM conversion_changes h WHERE h.network_id = l.network_id
                       AND h.conversion_id = l.conversion_id AND h.id = l.change_id))",
    ),
    // No foreign keys check these references, because they would slow down inserts.
    (
        "Every conversion belongs to a link, a goal and an advertiser of one campaign",
        "SELECT id AS conversion FROM conversions WHERE network_id = $1",
        "SELECT c.id FROM conversions c
         JOIN campaigns k ON (k.network_id, k.id, k.advertiser_id) = (c.network_id, c.campaign_id, c.advertiser_id)
         JOIN goals g ON (g.network_id, g.id, g.campaign_id) = (c.network_id, c.goal_id, c.campaign_id)
         JOIN tracking_links l ON (l.network_id, l.id, l.campaign_id, l.affiliate_id)
                                = (c.network_id, c.link_id, c.campaign_id, c.affiliate_id)
         WHERE c.network_id = $1",
    ),
];

/// Runs every check on one network and stores the result. `journals` is the folder of the journals on this machine; of
/// their records, only applied ones are expected in the tables.
///
/// # Errors
/// Returns an error if the database fails or a journal cannot be read.
#[tracing::instrument(skip_all, fields(network = %network.id))]
pub async fn verify(
    conn: &mut NetworkConn,
    network: &Network,
    journals: &Path,
    period: Period,
    now: DateTime<Utc>,
) -> Result<Verification, VerifyError> {
    let mut checks = Vec::new();
    let mut readable = Check {
        claim: "Every record of the journals on this machine can be read".to_owned(),
        expected: 0,
        found: 0,
        differing: 0,
        examples: Vec::new(),
    };
    for stream in [Stream::Clicks, Stream::Postbacks] {
        checks.push(compare_journals(conn, journals, stream, period, &mut readable).await?);
    }
    checks.push(readable);
    checks.push(check_quarantine(conn).await?);
    checks.push(check_verdicts(conn).await?);
    checks.push(check_conversions(conn).await?);
    checks.push(check_blocks(conn, period).await?);
    for (claim, expected, found) in CLAIMS.into_iter().chain(MONEY) {
        checks.push(compare(conn, period, claim, expected, found).await?);
    }
    let verification = Verification {
        run_at: now,
        period,
        checks,
    };
    store(conn, &verification).await?;
    Ok(verification)
}

/// Result of the last run on this network.
///
/// # Errors
/// Returns an error if the database fails, or the stored result cannot be read.
pub async fn last(conn: &mut NetworkConn) -> QueryResult<Option<Verification>> {
    type Row = (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>, serde_json::Value);
    let network_id = conn.network_id();
    let found: Option<Row> = verifications::table
        .filter(verifications::network_id.eq(network_id))
        .order(verifications::id.desc())
        .select((
            verifications::run_at,
            verifications::period_from,
            verifications::period_to,
            verifications::checks,
        ))
        .first(&mut **conn)
        .await
        .optional()?;
    let Some((run_at, from, to, checks)) = found else {
        return Ok(None);
    };
    Ok(Some(Verification {
        run_at,
        period: Period { from, to },
        checks: serde_json::from_value(checks)
            .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?,
    }))
}

async fn store(conn: &mut NetworkConn, verification: &Verification) -> QueryResult<()> {
    let network_id = conn.network_id();
    #[expect(clippy::expect_used, reason = "strings and numbers always serialize")]
    let checks = serde_json::to_value(&verification.checks).expect("strings and numbers serialize");
    diesel::insert_into(verifications::table)
        .values((
            verifications::network_id.eq(network_id),
            verifications::id.eq(schema::AuditId::fresh(verification.run_at).0),
            verifications::run_at.eq(verification.run_at),
            verifications::period_from.eq(verification.period.from),
            verifications::period_to.eq(verification.period.to),
            verifications::holds.eq(verification.holds()),
            verifications::checks.eq(checks),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Checks that every conversion follows from its statements and terms.
async fn check_conversions(conn: &mut NetworkConn) -> QueryResult<Check> {
    let proof = conversions::prove(conn).await?;
    let differing = count(proof.differing.len());
    let examples = usize::try_from(MAX_EXAMPLES).unwrap_or(0);
    Ok(Check {
        claim: "Status and money of every conversion follow from its statements and terms".to_owned(),
        expected: proof.conversions,
        found: proof.conversions - differing,
        differing,
        examples: proof.differing.into_iter().take(examples).collect(),
    })
}

/// Checks that the blocks from which reports are computed contain their clicks.
async fn check_blocks(conn: &mut NetworkConn, period: Period) -> QueryResult<Check> {
    let proof = blocks::prove(conn, period.from, period.to).await?;
    let differing = count(proof.differing.len());
    let examples = usize::try_from(MAX_EXAMPLES).unwrap_or(0);
    Ok(Check {
        claim: "The blocks of clicks, from which reports are computed, contain their clicks".to_owned(),
        expected: proof.blocks,
        found: proof.blocks - differing,
        differing,
        examples: proof.differing.into_iter().take(examples).collect(),
    })
}

/// Checks that no record of the network was quarantined: it was acknowledged, and is in no table.
async fn check_quarantine(conn: &mut NetworkConn) -> QueryResult<Check> {
    let of_network = || quarantine::table.filter(quarantine::network_id.eq(conn.network_id()));
    let (all, some) = (of_network(), of_network());
    let differing: i64 = all.count().get_result(&mut **conn).await?;
    let records: Vec<(i64, String)> = some
        .order((quarantine::quarantined_at.desc(), quarantine::seq.desc()))
        .limit(MAX_EXAMPLES)
        .select((quarantine::seq, quarantine::reason))
        .load(&mut **conn)
        .await?;
    let example = |(seq, reason): (i64, String)| format!("record {seq}: {reason}");
    Ok(Check {
        claim: "No record is quarantined".to_owned(),
        expected: 0,
        found: differing,
        differing,
        examples: records.into_iter().map(example).collect(),
    })
}

/// Checks that no decision after a restore differs from the verdict that its sender received.
async fn check_verdicts(conn: &mut NetworkConn) -> QueryResult<Check> {
    let open = contradictions::open(conn, MAX_EXAMPLES).await?;
    let differing = open.as_slice().first().map_or(0, |first| first.total);
    let example = |found: &contradictions::Contradiction| {
        format!(
            "{}: its sender was answered {}, it is {} since a restore",
            found.postback_id, found.answered_reason, found.decided_reason
        )
    };
    Ok(Check {
        claim: "Every verdict that the sender of a postback received still stands".to_owned(),
        expected: 0,
        found: differing,
        differing,
        examples: open.iter().map(example).collect(),
    })
}

/// Compares the rows of two queries, in both directions and including the number of equal rows.
async fn compare(
    conn: &mut NetworkConn,
    period: Period,
    claim: &str,
    expected: &str,
    found: &str,
) -> QueryResult<Check> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        expected: i64,
        #[diesel(sql_type = BigInt)]
        found: i64,
        #[diesel(sql_type = BigInt)]
        differing: i64,
        #[diesel(sql_type = Array<Text>)]
        examples: Vec<String>,
    }
    let sql = format!(
        "WITH clicks_kept AS (SELECT min(to_date(relname, '\"y\"YYYY\"m\"MM')) AT TIME ZONE 'UTC' AS since FROM pg_class
                              WHERE relnamespace = 'clicks_by_month'::regnamespace AND relkind = 'r'),
              expected AS ({expected}), found AS ({found}),
              difference AS (SELECT 'expected, not found' AS side, lost.* FROM (TABLE expected EXCEPT ALL TABLE found) lost
                             UNION ALL
                             SELECT 'found, not expected', surplus.* FROM (TABLE found EXCEPT ALL TABLE expected) surplus)
         SELECT (SELECT count(*) FROM expected) AS expected, (SELECT count(*) FROM found) AS found,
                (SELECT count(*) FROM difference) AS differing,
                ARRAY(SELECT to_jsonb(difference)::text FROM difference LIMIT {MAX_EXAMPLES}) AS examples"
    );
    let row: Row = diesel::sql_query(sql)
        .bind::<Integer, _>(conn.network_id())
        .bind::<Timestamptz, _>(period.from)
        .bind::<Timestamptz, _>(period.to)
        .get_result(&mut **conn)
        .await?;
    Ok(Check {
        claim: claim.to_owned(),
        expected: row.expected,
        found: row.found,
        differing: row.differing,
        examples: row.examples,
    })
}

/// Kind of a journal.
#[derive(Clone, Copy)]
enum Stream {
    Clicks,
    Postbacks,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::Postbacks => "postbacks",
        }
    }

    /// Network, arrival and key of a record; `None` if it is unreadable, because then it is quarantined without a
    /// network.
    fn read(self, record: &[u8]) -> Option<(NetworkId, DateTime<Utc>, Uuid)> {
        match self {
            Self::Clicks => {
                let click = ClickRecord::read(record)?;
                let at = DateTime::from_timestamp_micros(click.clicked_at)?;
                Some((click.network_id, at, click.key()?))
            }
            Self::Postbacks => {
                let postback = PostbackRecord::read(record).ok()?;
                Some((postback.network, postback.received_at, postback.id.0))
            }
        }
    }
}

/// Looks up all applied records that the journals on this machine still hold.
async fn compare_journals(
    conn: &mut NetworkConn,
    journals: &Path,
    stream: Stream,
    period: Period,
    readable: &mut Check,
) -> Result<Check, VerifyError> {
    let mut check = Check {
        claim: format!(
            "All {} of the journals on this machine are in the database, once",
            stream.name()
        ),
        expected: 0,
        found: 0,
        differing: 0,
        examples: Vec::new(),
    };
    let mut seen = HashSet::new();
    for slot in 0.. {
        let folder = journals.join(slot.to_string()).join(stream.name());
        if !folder.exists() {
            break;
        }
        let (applied, quarantined) = applied(conn, &folder).await?;
        let failed = |error| VerifyError::Journal {
            folder: folder.clone(),
            error,
        };
        let mut reader = Reader::open(&folder, 0).map_err(failed)?;
        loop {
            let read = reader
                .read(LOOKUP_SIZE, 4 * 1024 * 1024)
                .map_err(|error| failed(std::io::Error::other(error)))?;
            readable.found += count(read.len());
            readable.expected += count(read.len());
            for damage in &read.damage {
                let lost = i64::try_from(damage.to - damage.from).unwrap_or(i64::MAX);
                readable.expected += lost;
                readable.differing += lost;
                if count(readable.examples.len()) < MAX_EXAMPLES {
                    readable.examples.push(format!(
                        "records {} to {} of the {} in slot {slot} are damaged, from byte {} of segment {} on",
                        damage.from,
                        damage.to - 1,
                        stream.name(),
                        damage.offset,
                        damage.segment
                    ));
                }
            }
            let network_id = conn.network_id();
            let keys: Vec<Uuid> = read
                .iter()
                .filter(|(seq, _)| *seq < applied && !quarantined.contains(seq))
                .filter_map(|(_, record)| stream.read(record))
                .filter(|(owner, at, _)| *owner == network_id && (period.from..period.to).contains(at))
                .map(|(_, _, key)| key)
                .collect();
            let is_last = read.is_empty() && read.damage.is_empty() || read.next >= applied;
            let repeated = keys.iter().filter(|key| !seen.insert(**key)).count();
            check.expected += count(keys.len());
            if repeated > 0 {
                check.differing += count(repeated);
                check
                    .examples
                    .push(format!("{repeated} keys are in the journals more than once"));
            }
            let missing = missing(conn, stream, &keys).await?;
            check.found += count(keys.len() - missing.len());
            check.differing += count(missing.len());
            let room = usize::try_from(MAX_EXAMPLES)
                .unwrap_or(0)
                .saturating_sub(check.examples.len());
            check
                .examples
                .extend(missing.iter().take(room).map(|key| format!("{key} is missing")));
            if is_last {
                break;
            }
        }
    }
    Ok(check)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Cursor of the journal in this folder, and the network's quarantined records.
async fn applied(conn: &mut NetworkConn, folder: &Path) -> Result<(u64, HashSet<u64>), VerifyError> {
    let identity = journal::identity_of(folder).map_err(|error| VerifyError::Journal {
        folder: folder.to_owned(),
        error,
    })?;
    let next: Option<i64> = ingest_cursors::table
        .find(Uuid::from_bytes(identity))
        .select(ingest_cursors::next_seq)
        .first(&mut **conn)
        .await
        .optional()?;
    let quarantined: Vec<i64> = quarantine::table
        .filter(quarantine::journal.eq(Uuid::from_bytes(identity)))
        .filter(quarantine::network_id.eq(conn.network_id()))
        .select(quarantine::seq)
        .load(&mut **conn)
        .await?;
    let number = |seq: i64| u64::try_from(seq).ok();
    Ok((
        next.and_then(number).unwrap_or(0),
        quarantined.into_iter().filter_map(number).collect(),
    ))
}

/// Keys among these that are not in the database.
async fn missing(conn: &mut NetworkConn, stream: Stream, keys: &[Uuid]) -> QueryResult<Vec<Uuid>> {
    #[derive(QueryableByName)]
    struct Missing {
        #[diesel(sql_type = SqlUuid)]
        key: Uuid,
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT key FROM unnest($2) AS keys (key)
         WHERE NOT EXISTS (SELECT FROM {} t WHERE t.network_id = $1 AND t.id = keys.key)",
        stream.name()
    );
    let missing: Vec<Missing> = diesel::sql_query(sql)
        .bind::<Integer, _>(conn.network_id())
        .bind::<Array<Nullable<SqlUuid>>, _>(keys.to_vec())
        .load(&mut **conn)
        .await?;
    Ok(missing.into_iter().map(|missing| missing.key).collect())
}
