//! Guide to reports, from their definitions.

use askama::Template;
use reports::{Dimension, MAX_DEPTH, Metric};
use tenancy::memberships::RoleKind;

use crate::navigation::docs;
use crate::page::PageRequest;
use crate::shell::{PageResult, Shell, html};

/// `GET /docs/reports`: public, because programs are written by people who may have no account.
pub(super) async fn show(request: PageRequest) -> PageResult {
    html(&Guide {
        shell: Shell::of_docs(&request, docs::REPORTS).await?,
        max_depth: MAX_DEPTH,
        dimensions: Dimension::ALL
            .iter()
            .map(|dimension| DimensionRow {
                name: dimension.as_str(),
                label: dimension.label(),
                definition: dimension.definition(),
                roles: roles(&dimension.roles()),
            })
            .collect(),
        metrics: Metric::ALL
            .iter()
            .map(|metric| MetricRow {
                name: metric.as_str(),
                label: metric.label(),
                definition: metric.definition(),
                unit: metric.unit(),
                basis: metric.basis(),
                roles: roles(&metric.roles()),
            })
            .collect(),
    })
}

fn roles(roles: &[RoleKind]) -> String {
    let labels: Vec<_> = roles.iter().map(|role| role.label()).collect();
    labels.join(", ")
}

struct DimensionRow {
    name: &'static str,
    label: &'static str,
    definition: &'static str,
    roles: String,
}

struct MetricRow {
    name: &'static str,
    label: &'static str,
    definition: &'static str,
    unit: &'static str,
    basis: &'static str,
    roles: String,
}

#[derive(Template)]
#[template(path = "figures/guide/show.html")]
struct Guide {
    shell: Shell,
    max_depth: usize,
    dimensions: Vec<DimensionRow>,
    metrics: Vec<MetricRow>,
}
