//! Rows of a report that open: each outer value has its sums, and below it the rows of the next dimension.

use chrono::NaiveDate;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use reports::{Metric, ReportError, ReportQuery};
use schema::Currency;

use super::ROWS;
use super::layout::{Links, Path};
use crate::format;
use crate::page::Page;
use crate::pages::figures::report_rows::{KeyCell, ReportRow, Toggle, cells, key_cell};

/// Maximum number of rows below an open row.
const MAX_INSIDE: usize = 50;

/// True if the rows of a query can be shown as a tree: every dimension but the last can be narrowed to a value. Bounds are
/// for whole rows, whose sums are no sums of the rows inside.
pub(super) fn can_open(query: &ReportQuery) -> bool {
    let outer = query.group.split_last().map_or(&[][..], |(_, outer)| outer);
    !outer.is_empty() && query.thresholds.is_empty() && outer.iter().all(|dimension| dimension.can_narrow())
}

/// Question of the rows of a tree.
pub(super) struct Tree<'a> {
    pub(super) query: &'a ReportQuery,
    pub(super) links: &'a Links,
    pub(super) metrics: &'a [Metric],
    pub(super) currency: Option<Currency>,
    pub(super) leading: Currency,
    pub(super) today: NaiveDate,
}

/// Rows of a tree, and the number of outer rows that are not shown.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<ReportRow>,
    pub(super) hidden: usize,
    /// Keys of the rows that are open.
    open: Vec<Path>,
}

impl Tree<'_> {
    /// Loads the rows.
    pub(super) async fn load<P>(&self, page: &mut Page<P>) -> Result<Rows, ReportError> {
        let mut rows = Rows::default();
        self.add(page, self.query.clone(), &Path::new(), &mut rows)
            .await?;
        // The link of a row depends on all that are open.
        for row in &mut rows.rows {
            if let Some(toggle) = &mut row.toggle {
                let layout = self.links.layout.toggled(&rows.open, &toggle.path);
                toggle.url = self.links.with(self.query, &layout);
            }
        }
        Ok(rows)
    }

    /// Adds the rows with these outer keys. `query` is narrowed to them.
    fn add<'a, P>(
        &'a self,
        page: &'a mut Page<P>,
        query: ReportQuery,
        path: &'a Path,
        rows: &'a mut Rows,
    ) -> LocalBoxFuture<'a, Result<(), ReportError>> {
        let level = path.len();
        async move {
            let Some(dimension) = self.query.group.get(level).copied() else {
                return Ok(());
            };
            let wanted = if level == 0 { ROWS } else { MAX_INSIDE };
            let of_level = ReportQuery {
                group: vec![dimension],
                ..query.clone()
            };
            let engine = page.request.dashboard.reports.clone();
            let scope = page.actor.scope();
            let report = engine
                .run(&mut page.conn, &page.network, scope, &of_level, wanted)
                .await?;
            let hidden = report.row_count().saturating_sub(wanted);
            for (index, row) in report.rows(0..wanted).enumerate() {
                let Some(key) = row.keys.first() else { continue };
                let inside: Path = path.iter().chain([&key.value]).cloned().collect();
                let has_inside = level + 1 < self.query.group.len();
                let is_open = has_inside && self.links.layout.is_open(&inside, index);
                rows.rows.push(ReportRow {
                    keys: vec![key_cell(&query, self.links, dimension, key, self.today)],
                    level,
                    toggle: has_inside.then(|| Toggle {
                        id: id(&inside),
                        url: String::new(),
                        is_open,
                        path: inside.clone(),
                    }),
                    cells: cells(
                        self.metrics,
                        (&row.figures, row.before.as_ref()),
                        self.currency,
                        self.leading,
                    ),
                });
                if is_open {
                    rows.open.push(inside.clone());
                    let mut narrowed = query.narrowed(dimension, &key.value);
                    if dimension.is_time() {
                        // Spans of time have no counterparts.
                        narrowed.compare = None;
                    }
                    self.add(page, narrowed, &inside, rows).await?;
                }
            }
            match level {
                0 => rows.hidden = hidden,
                _ if hidden > 0 => rows.rows.push(ReportRow {
                    keys: vec![KeyCell {
                        text: format!(
                            "{} more",
                            format::count(i64::try_from(hidden).unwrap_or(i64::MAX))
                        ),
                        narrowed: Some(self.links.narrowed(&query)),
                        is_repeated: true,
                    }],
                    level,
                    toggle: None,
                    cells: Vec::new(),
                }),
                _ => {}
            }
            Ok(())
        }
        .boxed_local()
    }
}

/// Identifier of the link that opens a row, so that the focus stays on it.
fn id(path: &Path) -> String {
    let encoded = path
        .iter()
        .map(|key| form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>());
    format!("row-{}", encoded.collect::<Vec<_>>().join("/"))
}
