//! Guide to monitoring, with the table of all metrics.

use askama::Template;
use telemetry::{Definition, Kind, Label, Subject, catalog};

use crate::navigation::docs;
use crate::page::PageRequest;
use crate::shell::{PageResult, Shell, html};

/// `GET /docs/monitoring`: public, because the monitoring system is configured by people who may have no account.
pub(super) async fn show(request: PageRequest) -> PageResult {
    html(&Guide {
        shell: Shell::of_docs(&request, docs::MONITORING).await?,
        subjects: Subject::ALL.map(SubjectView::of),
    })
}

/// Metrics of a subject.
struct SubjectView {
    label: &'static str,
    metrics: Vec<MetricRow>,
}

impl SubjectView {
    fn of(subject: Subject) -> Self {
        let metrics = catalog::ALL
            .iter()
            .map(|metric| (metric.definition(), metric.kind()))
            .filter(|(definition, _)| definition.subject == subject);
        Self {
            label: subject.label(),
            metrics: metrics
                .map(|(definition, kind)| MetricRow::new(definition, kind))
                .collect(),
        }
    }
}

struct MetricRow {
    name: &'static str,
    kind: String,
    labels: &'static [Label],
    meaning: &'static str,
    alarm: &'static str,
}

impl MetricRow {
    fn new(definition: &'static Definition, kind: Kind) -> Self {
        Self {
            name: definition.name,
            kind: kind.to_string(),
            labels: definition.labels,
            meaning: definition.meaning,
            alarm: definition.alarm.unwrap_or("—"),
        }
    }
}

#[derive(Template)]
#[template(path = "ops/monitoring/show.html")]
struct Guide {
    shell: Shell,
    subjects: [SubjectView; Subject::ALL.len()],
}
