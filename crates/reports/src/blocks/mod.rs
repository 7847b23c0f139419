//! Blocks of clicks: which of them cover a period, and their columns in memory.

mod sum;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use columns::Column;
use diesel::prelude::*;
use diesel::sql_types::{Array, Binary, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use schema::NetworkConn;
use uuid::Uuid;

pub(crate) use sum::{Partial, sum_blocks};

use crate::ReportError;

/// Column of the marks of a click: 1 if it is unique, 2 if it is flagged, added up.
const MARKS: &str = "marks";
const QUARTER_HOUR: &str = "quarter_hour";

/// Memory of all columns together, in bytes.
const COLUMNS_SIZE: u64 = 256 << 20;
/// Memory of the sums of blocks, in groups.
const PARTIALS_SIZE: u64 = 500_000;

/// Block with exact columns.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Block {
    #[diesel(sql_type = Timestamptz)]
    pub(crate) from_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) until_at: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    pub(crate) build: Uuid,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub(crate) is_sealed: bool,
}

impl Block {
    /// True if its whole span is in the period.
    pub(crate) fn is_inside(&self, (from, to): Interval) -> bool {
        from <= self.from_at && self.until_at <= to
    }
}

#[derive(QueryableByName)]
struct StoredColumn {
    #[diesel(sql_type = SqlUuid)]
    build: Uuid,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Binary)]
    data: Vec<u8>,
}

/// Interval of time, the end exclusive.
pub(crate) type Interval = (DateTime<Utc>, DateTime<Utc>);

/// Part of a period: blocks, and intervals whose clicks are read one by one.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) blocks: Vec<Block>,
    pub(crate) gaps: Vec<Interval>,
}

impl Coverage {
    /// Reads which blocks cover a period. Gaps inside of it begin and end at times for which `is_quarter` holds, so that sums
    /// per quarter of an hour fill them.
    pub(crate) async fn of(
        conn: &mut NetworkConn,
        (from, to): Interval,
        is_quarter: impl Fn(DateTime<Utc>) -> bool,
    ) -> QueryResult<Self> {
        let blocks: Vec<Block> = diesel::sql_query(
            "SELECT from_at, until_at, build, is_sealed FROM click_blocks
             WHERE network_id = $1 AND until_at > $2 AND from_at < $3 AND built_late = late ORDER BY from_at",
        )
        .bind::<Integer, _>(conn.network_id())
        .bind::<Timestamptz, _>(from)
        .bind::<Timestamptz, _>(to)
        .load(&mut **conn)
        .await?;
        Ok(Self::new(blocks, (from, to), is_quarter))
    }

    fn new(blocks: Vec<Block>, (from, to): Interval, is_quarter: impl Fn(DateTime<Utc>) -> bool) -> Self {
        let mut coverage = Self::default();
        let mut covered = from;
        let mut rest = blocks.into_iter().peekable();
        while let Some(block) = rest.next() {
            // A gap before or behind the block must consist of full quarters.
            let begins_well = block.from_at <= covered || is_quarter(block.from_at);
            let touches_next = rest.peek().is_some_and(|next| next.from_at == block.until_at);
            let ends_well = block.until_at >= to || touches_next || is_quarter(block.until_at);
            if !begins_well || !ends_well {
                continue;
            }
            if block.from_at > covered {
                coverage.gaps.push((covered, block.from_at));
            }
            if block.is_sealed {
                coverage
                    .gaps
                    .push((block.from_at.max(from), block.until_at.min(to)));
            }
            covered = block.until_at.min(to);
            coverage.blocks.push(block);
        }
        if covered < to {
            coverage.gaps.push((covered, to));
        }
        coverage
    }
}

/// Block with the columns that a report needs.
pub(crate) struct LoadedBlock {
    pub(crate) marks: Arc<Column>,
    /// Times of the clicks, if some are outside of the period.
    pub(crate) quarters: Option<Arc<Column>>,
    /// Columns in the order asked for.
    pub(crate) columns: Vec<Arc<Column>>,
}

#[derive(Clone)]
struct BytesOfColumn;

impl Weighter<(Uuid, &'static str), Arc<Column>> for BytesOfColumn {
    fn weight(&self, _: &(Uuid, &'static str), column: &Arc<Column>) -> u64 {
        column.size() as u64
    }
}

#[derive(Clone)]
struct GroupsOfPartial;

impl Weighter<(Uuid, Arc<str>), Arc<Partial>> for GroupsOfPartial {
    fn weight(&self, _: &(Uuid, Arc<str>), partial: &Arc<Partial>) -> u64 {
        partial.len() as u64 + 1
    }
}

/// Columns and sums of blocks in memory, in bounded space. A build never changes, so nothing here grows old.
pub(crate) struct BlockCache {
    columns: Cache<(Uuid, &'static str), Arc<Column>, BytesOfColumn>,
    partials: Cache<(Uuid, Arc<str>), Arc<Partial>, GroupsOfPartial>,
}

impl BlockCache {
    pub(crate) fn new() -> Self {
        Self {
            columns: Cache::with_weighter(4_000, COLUMNS_SIZE, BytesOfColumn),
            partials: Cache::with_weighter(20_000, PARTIALS_SIZE, GroupsOfPartial),
        }
    }

    /// Sums of a block for a question, if it was asked before.
    pub(crate) fn partial(&self, build: Uuid, question: &Arc<str>) -> Option<Arc<Partial>> {
        self.partials.get(&(build, question.clone()))
    }

    /// Keeps the sums of a block for a question.
    pub(crate) fn keep(&self, build: Uuid, question: &Arc<str>, partial: Partial) {
        self.partials.insert((build, question.clone()), Arc::new(partial));
    }

    /// Columns of blocks by name, besides those that every report of the period needs. `None` if a block was replaced
    /// meanwhile.
    pub(crate) async fn load(
        &self,
        conn: &mut NetworkConn,
        blocks: &[Block],
        names: &[&'static str],
        period: Interval,
    ) -> Result<Option<Vec<LoadedBlock>>, ReportError> {
        // The times of the clicks matter in blocks at the ends of the period only.
        let needed = |block: &Block| {
            let quarters = (!block.is_inside(period)).then_some(QUARTER_HOUR);
            names.iter().copied().chain([MARKS]).chain(quarters)
        };
        let (mut builds, mut missing) = (Vec::new(), Vec::new());
        for block in blocks {
            let unknown = needed(block).filter(|name| self.columns.peek(&(block.build, *name)).is_none());
            for name in unknown {
                builds.push(block.build);
                missing.push(name);
            }
        }
        let mut loaded = Vec::new();
        if !missing.is_empty() {
            let stored: Vec<StoredColumn> = diesel::sql_query(
                "SELECT build, name, data FROM unnest($2, $3) AS missing(build, name)
                 JOIN click_block_columns USING (build, name) WHERE network_id = $1",
            )
            .bind::<Integer, _>(conn.network_id())
            .bind::<Array<SqlUuid>, _>(&builds)
            .bind::<Array<Text>, _>(&missing)
            .load(&mut **conn)
            .await?;
            loaded = tokio::task::spawn_blocking(move || decoded(stored, &missing))
                .await
                .map_err(ReportError::failed)??;
        }
        for (build, name, column) in &loaded {
            self.columns.insert((*build, *name), column.clone());
        }
        let find = |build: Uuid, name: &'static str| {
            let found = loaded
                .iter()
                .find(|(of, known, _)| *of == build && *known == name);
            let found = found.map(|(.., column)| column.clone());
            found.or_else(|| self.columns.get(&(build, name)))
        };
        let mut complete = Vec::with_capacity(blocks.len());
        for block in blocks {
            let columns: Option<Vec<_>> = names.iter().map(|name| find(block.build, name)).collect();
            let (Some(columns), Some(marks)) = (columns, find(block.build, MARKS)) else {
                return Ok(None);
            };
            let is_inside = block.is_inside(period);
            let quarters = (!is_inside).then(|| find(block.build, QUARTER_HOUR)).flatten();
            if quarters.is_none() && !is_inside {
                return Ok(None);
            }
            complete.push(LoadedBlock {
                marks,
                quarters,
                columns,
            });
        }
        Ok(Some(complete))
    }
}

type Decoded = (Uuid, &'static str, Arc<Column>);

fn decoded(stored: Vec<StoredColumn>, names: &[&'static str]) -> Result<Vec<Decoded>, ReportError> {
    let mut columns = Vec::with_capacity(stored.len());
    for column in stored {
        let Some(name) = names.iter().find(|name| **name == column.name) else {
            continue;
        };
        let decoded = Column::decode(&column.data).map_err(ReportError::failed)?;
        columns.push((column.build, *name, Arc::new(decoded)));
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn block(from: &str, until: &str) -> Block {
        Block {
            from_at: at(from),
            until_at: at(until),
            build: Uuid::nil(),
            is_sealed: false,
        }
    }

    fn covered(blocks: Vec<Block>, is_quarter: fn(DateTime<Utc>) -> bool) -> (usize, Vec<Interval>) {
        let coverage = Coverage::new(blocks, (at("01T00:00"), at("05T00:00")), is_quarter);
        (coverage.blocks.len(), coverage.gaps)
    }

    #[test]
    fn blocks_and_gaps_cover_the_period() {
        let blocks = || vec![block("01T12:00", "02T00:00"), block("02T00:00", "03T10:41")];
        let (count, gaps) = covered(blocks(), |_| true);
        assert_eq!(count, 2);
        assert_eq!(
            gaps,
            [(at("01T00:00"), at("01T12:00")), (at("03T10:41"), at("05T00:00"))]
        );
        // Sums cannot go on in the middle of a quarter.
        let is_quarter = |at: DateTime<Utc>| at.timestamp() % 900 == 0;
        let (count, gaps) = covered(blocks(), is_quarter);
        assert_eq!(count, 1);
        assert_eq!(
            gaps,
            [(at("01T00:00"), at("01T12:00")), (at("02T00:00"), at("05T00:00"))]
        );
        assert_eq!(
            covered(vec![block("01T00:00", "09T00:30")], is_quarter),
            (1, vec![])
        );
        assert_eq!(
            covered(vec![], is_quarter),
            (0, vec![(at("01T00:00"), at("05T00:00"))])
        );
    }

    #[test]
    fn clicks_in_a_sealed_span_are_read_too() {
        let mut sealed = block("01T00:00", "05T00:00");
        sealed.is_sealed = true;
        assert_eq!(
            covered(vec![sealed], |_| true),
            (1, vec![(at("01T00:00"), at("05T00:00"))])
        );
    }
}
