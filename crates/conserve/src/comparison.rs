//! Comparison of the tables, read as a plain client, with the events and acknowledgements that the oracle recorded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tokio_postgres::{Client, Row};

use crate::Outcome;
use crate::events::{Kind, Order, Run};
use crate::findings::{Findings, Rule};
use crate::money::{self, Change, State};
use crate::oracle::{Testimony, Verdict};
use crate::scene::{COMMISSION, Link, REVENUE, Scene};

/// Rows fetched at a time.
const CHUNK: usize = 10_000;

/// Compares the rows that this client reads, which must be in a transaction and not subject to row-level security.
pub(crate) async fn compare(client: &Client, testimony: &Testimony, scene: &Scene) -> Outcome<Findings> {
    let mut comparison = Comparison {
        testimony,
        scene,
        findings: Findings::default(),
        clicks: HashMap::new(),
        clicks_of_link: BTreeMap::new(),
        calls: HashMap::new(),
        accepted: HashMap::new(),
        orders: HashSet::new(),
        changes: HashMap::new(),
        sums: BTreeMap::new(),
        balances: BTreeMap::new(),
    };
    read(client, CLICKS, |row| comparison.click(row)).await?;
    read(client, POSTBACKS, |row| comparison.postback(row)).await?;
    read(client, CONVERSIONS, |row| comparison.conversion(row)).await?;
    let quarantined = read_quarantine(client, &testimony.run).await?;
    comparison.findings.quarantined = quarantined.records;
    comparison.check_acknowledgements(&quarantined);
    comparison.check_rollups(client).await?;
    comparison.check_ledger(client).await?;
    Ok(comparison.findings)
}

const CLICKS: &str =
    "SELECT network_id, uuid_send(id), link_id, affiliate_id, sub1, sub2, sub3, sub4, sub5 FROM clicks";
const POSTBACKS: &str = "SELECT network_id, uuid_send(id), status, order_id, amount_micros, currency, \
    uuid_send(click_id), extra ->> 'call' FROM postbacks";
const CONVERSIONS: &str = "SELECT network_id, uuid_send(postback_id), order_id, amount_micros, currency, \
    commission_micros, revenue_micros, uuid_send(click_id), link_id, affiliate_id, advertiser_id, status FROM conversions";

async fn read(client: &Client, select: &str, mut take: impl FnMut(&Row) -> Outcome) -> Outcome {
    client
        .batch_execute(&format!("DECLARE rows NO SCROLL CURSOR FOR {select}"))
        .await?;
    let fetch = client.prepare(&format!("FETCH {CHUNK} FROM rows")).await?;
    loop {
        let rows = client.query(&fetch, &[]).await?;
        for row in &rows {
            take(row)?;
        }
        if rows.len() < CHUNK {
            break;
        }
    }
    Ok(client.batch_execute("CLOSE rows").await?)
}

fn key(row: &Row, column: usize) -> Outcome<Option<u128>> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    Ok(bytes
        .map(<[u8; 16]>::try_from)
        .transpose()?
        .map(u128::from_be_bytes))
}

/// Sums of conversions by network, link and currency: count, amount, commission, revenue.
type Sums = BTreeMap<(i32, i32, String), [i64; 4]>;
/// Expected balance by network, account, party and currency.
type Balances = BTreeMap<(i32, String, i32, String), i64>;

struct Comparison<'a> {
    testimony: &'a Testimony,
    scene: &'a Scene,
    findings: Findings,
    /// Keys of clicks, by number.
    clicks: HashMap<u64, u128>,
    clicks_of_link: BTreeMap<(i32, i32), i64>,
    /// Receipt and status of calls, by number.
    calls: HashMap<u64, (u128, String)>,
    /// Calls that created a conversion, by receipt.
    accepted: HashMap<u128, u64>,
    /// Orders that have a conversion.
    orders: HashSet<u64>,
    /// Stored changes, by the number of their order.
    changes: HashMap<u64, Vec<Change>>,
    sums: Sums,
    balances: Balances,
}

impl Comparison<'_> {
    fn click(&mut self, row: &Row) -> Outcome {
        let run = &self.testimony.run;
        let (network, link): (i32, i32) = (row.try_get(0)?, row.try_get(2)?);
        self.findings.stored.0 += 1;
        *self.clicks_of_link.entry((network, link)).or_default() += 1;
        let name: Option<String> = row.try_get(4)?;
        let number = name.as_deref().and_then(|name| run.number(Kind::Click, name));
        let Some(n) = number.filter(|n| self.testimony.issued(*n)) else {
            self.findings
                .violated(Rule::Phantoms, 1, || format!("click {name:?}"));
            return Ok(());
        };
        let key = key(row, 1)?.ok_or("a click without an id")?;
        if let Some(other) = self.clicks.insert(n, key) {
            self.findings.violated(Rule::Duplicates, 1, || {
                format!("click {n}: {other:032x} and {key:032x}")
            });
        }
        let sent = run.click(n);
        let expected = self.scene.link(&sent).ok_or("a click without a link")?;
        if network != expected.network {
            self.findings
                .violated(Rule::Leaks, 1, || format!("click {n} in network {network}"));
        }
        let subs: [Option<String>; 5] = [
            row.try_get(4)?,
            row.try_get(5)?,
            row.try_get(6)?,
            row.try_get(7)?,
            row.try_get(8)?,
        ];
        let affiliate: i32 = row.try_get(3)?;
        if subs != sent.subs || (link, affiliate) != (expected.id, expected.affiliate) {
            self.findings.violated(Rule::Altered, 1, || {
                format!("click {n}: {subs:?}, sent {:?}", sent.subs)
            });
        }
        Ok(())
    }

    fn postback(&mut self, row: &Row) -> Outcome {
        let run = &self.testimony.run;
        self.findings.stored.1 += 1;
        let name: Option<String> = row.try_get(7)?;
        let number = name.as_deref().and_then(|name| run.number(Kind::Call, name));
        let found = number.and_then(|n| Some((n, *self.testimony.calls.get(usize::try_from(n).ok()?)?)));
        let Some((n, call)) = found else {
            self.findings
                .violated(Rule::Phantoms, 1, || format!("postback {name:?}"));
            return Ok(());
        };
        let (status, receipt) = (
            row.try_get::<_, String>(2)?,
            key(row, 1)?.ok_or("a postback without an id")?,
        );
        if status == "accepted" {
            self.accepted.insert(receipt, n);
        }
        if let Some((other, _)) = self.calls.insert(n, (receipt, status)) {
            self.findings.violated(Rule::Duplicates, 1, || {
                format!("call {n}: {other:032x} and {receipt:032x}")
            });
        }
        let order = run.order(call.order);
        let click = usize::try_from(call.order)
            .ok()
            .and_then(|order| self.testimony.orders.get(order));
        let click = click.ok_or("a call without an order")?;
        let expected = self
            .scene
            .link(&run.click(click.n))
            .ok_or("a click without a link")?;
        let network: i32 = row.try_get(0)?;
        if network != expected.network {
            self.findings
                .violated(Rule::Leaks, 1, || format!("call {n} in network {network}"));
        }
        let change = call.change().map(|n| run.change(n, &order));
        let amount = match change {
            Some(change) => change.statement.amount(),
            None => call.reported(&order),
        };
        self.changes.entry(call.order).or_default().extend(change);
        let stored: (Option<String>, Option<i64>, Option<String>, Option<u128>) =
            (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?, key(row, 6)?);
        let sent = (
            Some(order.id),
            amount,
            Some(order.currency.to_owned()),
            Some(click.key),
        );
        if stored != sent {
            self.findings.violated(Rule::Altered, 1, || {
                format!("call {n}: {stored:?}, sent {sent:?}")
            });
        }
        Ok(())
    }

    /// Checks a conversion. Runs after all postbacks were read.
    fn conversion(&mut self, row: &Row) -> Outcome {
        let testimony = self.testimony;
        self.findings.conversions += 1;
        let stored = Conversion::stored(row)?;
        let number = stored
            .order
            .as_deref()
            .and_then(|id| testimony.run.number(Kind::Order, id));
        let found = number.and_then(|n| Some((n, testimony.orders.get(usize::try_from(n).ok()?)?)));
        let Some((n, click)) = found else {
            self.findings.violated(Rule::Phantoms, 1, || {
                format!("conversion of order {:?}", stored.order)
            });
            return Ok(());
        };
        if !self.orders.insert(n) {
            self.findings
                .violated(Rule::Duplicates, 1, || format!("conversions of order {n}"));
        }
        // The first report decides the amount; it must be the one that the conversion names.
        let receipt = key(row, 1)?.ok_or("a conversion without a postback")?;
        let call = self
            .accepted
            .get(&receipt)
            .and_then(|call| testimony.calls.get(usize::try_from(*call).ok()?));
        let call = call.filter(|call| call.order == n);
        let link = self
            .scene
            .link(&testimony.run.click(click.n))
            .ok_or("a click without a link")?;
        let order = testimony.run.order(n);
        let reported = call.and_then(|call| call.reported(&order));
        let changes = self.changes.get(&n).map_or(&[][..], Vec::as_slice);
        let state = money::state(reported.unwrap_or(order.amount), changes);
        let expected = Conversion::expected(order, state, click.key, link);
        if stored.network != expected.network {
            let network = stored.network;
            self.findings.violated(Rule::Leaks, 1, || {
                format!("conversion of order {n} in network {network}")
            });
        }
        if stored != expected || reported.is_none() {
            self.findings.violated(Rule::Altered, 1, || {
                format!("order {n}: {stored:?}, should be {expected:?}")
            });
        }
        stored.count(&mut self.sums);
        if state.status.earns() {
            expected.add_balances(&mut self.balances);
        }
        Ok(())
    }

    /// Checks that every acknowledged event is stored. Runs after all rows were read.
    fn check_acknowledgements(&mut self, quarantined: &Quarantined) {
        let testimony = self.testimony;
        for (n, key) in &testimony.acked_clicks {
            let stored = self.clicks.get(n);
            let is_stored = stored == Some(key) || quarantined.clicks.contains(n);
            self.findings.violated(Rule::LostClicks, (!is_stored).into(), || {
                format!("click {n}, {key:032x}; stored under that number: {stored:032x?}")
            });
        }
        for ack in &testimony.acked_calls {
            if quarantined.calls.contains(&ack.call) {
                continue;
            }
            let stored = self
                .calls
                .get(&ack.call)
                .filter(|(receipt, _)| *receipt == ack.receipt);
            let status = stored.map(|(_, status)| status.as_str());
            let has_verdict = matches!(status, Some("accepted" | "duplicate"));
            self.findings
                .violated(Rule::LostPostbacks, (!has_verdict).into(), || {
                    format!(
                        "call {}, {:032x}, answered {:?}, is {status:?}",
                        ack.call, ack.receipt, ack.verdict
                    )
                });
            let matches_response = match ack.verdict {
                Verdict::Accepted => status == Some("accepted"),
                Verdict::Duplicate => status == Some("duplicate"),
                Verdict::Queued => true,
            };
            self.findings
                .violated(Rule::Altered, (has_verdict && !matches_response).into(), || {
                    format!(
                        "call {} was answered {:?} and is {status:?}",
                        ack.call, ack.verdict
                    )
                });
            let call = usize::try_from(ack.call)
                .ok()
                .and_then(|call| testimony.calls.get(call));
            let converted = call.is_some_and(|call| self.orders.contains(&call.order));
            self.findings
                .violated(Rule::LostConversions, (!converted).into(), || {
                    format!("order of call {}", ack.call)
                });
        }
        let acked: HashSet<_> = testimony.acked_clicks.iter().map(|(n, _)| n).collect();
        self.findings.unacknowledged.0 = self.clicks.keys().filter(|n| !acked.contains(n)).count() as u64;
        let acked: HashSet<_> = testimony.acked_calls.iter().map(|ack| ack.call).collect();
        self.findings.unacknowledged.1 = self.calls.keys().filter(|n| !acked.contains(n)).count() as u64;
    }

    async fn check_rollups(&mut self, client: &Client) -> Outcome {
        let rows = client
            .query(
                "SELECT network_id, link_id, sum(clicks)::bigint FROM click_rollups GROUP BY 1, 2 \
                 HAVING sum(clicks) <> 0",
                &[],
            )
            .await?;
        let sums: BTreeMap<(i32, i32), i64> = rows
            .iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)))
            .collect();
        self.compare_sums("clicks", &self.clicks_of_link.clone(), &sums);
        let rows = client
            .query(
                "SELECT network_id, link_id, currency, sum(conversions)::bigint, sum(amount_micros)::bigint, \
                        sum(commission_micros)::bigint, sum(revenue_micros)::bigint \
                 FROM conversion_rollups GROUP BY 1, 2, 3 HAVING sum(conversions) <> 0 OR sum(amount_micros) <> 0",
                &[],
            )
            .await?;
        let sums: Sums = rows
            .iter()
            .map(|row| {
                (
                    (row.get(0), row.get(1), row.get(2)),
                    [row.get(3), row.get(4), row.get(5), row.get(6)],
                )
            })
            .collect();
        self.compare_sums("conversions", &self.sums.clone(), &sums);
        Ok(())
    }

    fn compare_sums<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        rows: &BTreeMap<K, V>,
        sums: &BTreeMap<K, V>,
    ) {
        let keys: BTreeSet<_> = rows.keys().chain(sums.keys()).collect();
        for key in keys {
            let (row, sum) = (rows.get(key), sums.get(key));
            self.findings.violated(Rule::Sums, (row != sum).into(), || {
                format!("{what} of {key:?}: rows {row:?}, rollups {sum:?}")
            });
        }
    }

    async fn check_ledger(&mut self, client: &Client) -> Outcome {
        let rows = client
            .query(
                "WITH moved AS (SELECT network_id, advertiser_id, affiliate_id, currency, \
                            sum(commission_pending_micros + commission_payable_micros)::bigint AS commission, \
                            sum(revenue_pending_micros + revenue_payable_micros)::bigint AS revenue \
                     FROM ledger_entries GROUP BY 1, 2, 3, 4) \
                 SELECT network_id, account, party, currency, sum(micros)::bigint FROM moved, LATERAL (VALUES \
                     ('affiliate', affiliate_id, commission), ('advertiser', advertiser_id, -revenue), \
                     ('network', 0, revenue - commission)) AS held (account, party, micros) GROUP BY 1, 2, 3, 4",
                &[],
            )
            .await?;
        let held: Balances = rows
            .iter()
            .map(|row| ((row.get(0), row.get(1), row.get(2), row.get(3)), row.get(4)))
            .collect();
        let accounts: BTreeSet<_> = held.keys().chain(self.balances.keys()).cloned().collect();
        for account in accounts {
            let [holds, owes] = [&held, &self.balances].map(|side| side.get(&account).copied().unwrap_or(0));
            self.findings.violated(Rule::Money, holds.abs_diff(owes), || {
                format!("{account:?} holds {holds}, should hold {owes}")
            });
        }
        let row = client
            .query_one(
                "SELECT count(*) FROM conversions c FULL JOIN (SELECT network_id, conversion_id, \
                     sum(commission_pending_micros + commission_payable_micros) AS commission, \
                     sum(revenue_pending_micros + revenue_payable_micros) AS revenue \
                     FROM ledger_entries GROUP BY 1, 2) l ON l.network_id = c.network_id AND l.conversion_id = c.id \
                 WHERE (coalesce(l.commission, 0), coalesce(l.revenue, 0)) IS DISTINCT FROM (\
                     CASE WHEN c.status IN ('pending', 'approved') THEN c.commission_micros ELSE 0 END, \
                     CASE WHEN c.status IN ('pending', 'approved') THEN c.revenue_micros ELSE 0 END)",
                &[],
            )
            .await?;
        let unbalanced: i64 = row.get(0);
        self.findings
            .violated(Rule::Unbalanced, unbalanced.unsigned_abs(), || {
                "see ledger_entries".to_owned()
            });
        Ok(())
    }
}

/// Conversion as stored, or as expected.
#[derive(Debug, PartialEq, Eq)]
struct Conversion {
    network: i32,
    order: Option<String>,
    amount: Option<i64>,
    currency: String,
    commission: i64,
    revenue: i64,
    click: Option<u128>,
    link: i32,
    affiliate: i32,
    advertiser: i32,
    status: String,
}

impl Conversion {
    fn stored(row: &Row) -> Outcome<Self> {
        Ok(Self {
            network: row.try_get(0)?,
            order: row.try_get(2)?,
            amount: row.try_get(3)?,
            currency: row.try_get(4)?,
            commission: row.try_get(5)?,
            revenue: row.try_get(6)?,
            click: key(row, 7)?,
            link: row.try_get(8)?,
            affiliate: row.try_get(9)?,
            advertiser: row.try_get(10)?,
            status: row.try_get(11)?,
        })
    }

    fn expected(order: Order, state: State, click: u128, link: &Link) -> Self {
        Self {
            network: link.network,
            amount: Some(state.net),
            currency: order.currency.to_owned(),
            commission: order.share(state.net, COMMISSION),
            revenue: order.share(state.net, REVENUE),
            order: Some(order.id),
            click: Some(click),
            link: link.id,
            affiliate: link.affiliate,
            advertiser: link.advertiser,
            status: state.status.name().to_owned(),
        }
    }

    /// Adds the conversion to the expected sums of the rollups.
    fn count(&self, sums: &mut Sums) {
        let sum = sums
            .entry((self.network, self.link, self.currency.clone()))
            .or_default();
        let more = [1, self.amount.unwrap_or(0), self.commission, self.revenue];
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }

    /// Adds the conversion to the expected balances of the ledger.
    fn add_balances(&self, balances: &mut Balances) {
        for (account, party, micros) in [
            ("affiliate", self.affiliate, self.commission),
            ("advertiser", self.advertiser, -self.revenue),
            ("network", 0, self.revenue - self.commission),
        ] {
            *balances
                .entry((self.network, account.to_owned(), party, self.currency.clone()))
                .or_default() += micros;
        }
    }
}

/// Events found in quarantine instead of the tables.
#[derive(Default)]
struct Quarantined {
    records: u64,
    clicks: HashSet<u64>,
    calls: HashSet<u64>,
}

/// Finds the names of events in the quarantined records, whatever their format.
async fn read_quarantine(client: &Client, run: &Run) -> Outcome<Quarantined> {
    let mut quarantined = Quarantined::default();
    for row in client.query("SELECT record FROM quarantine", &[]).await? {
        let record: &[u8] = row.try_get(0)?;
        quarantined.records += 1;
        quarantined.clicks.extend(named(record, run, Kind::Click));
        quarantined.calls.extend(named(record, run, Kind::Call));
    }
    Ok(quarantined)
}

/// Returns the number of the first event of this kind that some bytes name.
fn named(record: &[u8], run: &Run, kind: Kind) -> Option<u64> {
    let text = String::from_utf8_lossy(record);
    let (_, rest) = text.split_once(&run.prefix(kind))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_found_in_a_record_of_unknown_format() {
        let run = Run { seed: 10, links: 1 };
        let record = b"\x00\xff\x07ka-123\x00ca-9&x";
        assert_eq!(named(record, &run, Kind::Click), Some(123));
        assert_eq!(named(record, &run, Kind::Call), Some(9));
        assert_eq!(named(record, &run, Kind::Order), None);
    }
}
