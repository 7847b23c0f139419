//! Definition of a metric.

use std::fmt;

/// Subject of a metric, a heading of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Clicks and their redirects.
    Clicks,
    /// Postbacks, from their arrival to their verdicts.
    Postbacks,
    /// Journals, and the appliers that bring them into Postgres.
    Journals,
    /// Connections to Postgres and statements.
    Database,
    /// Pages, API and reports.
    Requests,
    /// Mail, and work without a request.
    Background,
    /// The node and its process.
    Node,
}

impl Subject {
    /// All subjects, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Clicks,
        Self::Postbacks,
        Self::Journals,
        Self::Database,
        Self::Requests,
        Self::Background,
        Self::Node,
    ];

    /// Heading.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Clicks => "Clicks",
            Self::Postbacks => "Postbacks",
            Self::Journals => "Journals",
            Self::Database => "Database",
            Self::Requests => "Pages, API and reports",
            Self::Background => "Mail and background work",
            Self::Node => "Node and process",
        }
    }
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Number that only grows while the process runs.
    Counter,
    /// Number that grows and falls.
    Gauge,
    /// Distribution of durations.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// Label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Name.
    pub name: &'static str,
    /// Description of its values, which are a fixed set.
    pub values: &'static str,
}

/// Definition of a metric, as a line of the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Name, with the unit.
    pub name: &'static str,
    /// Subject.
    pub subject: Subject,
    /// Labels.
    pub labels: &'static [Label],
    /// Meaning, in sentences on one line.
    pub meaning: &'static str,
    /// Condition under which the shipped rules alert; `None` if none of them uses the metric for that.
    pub alarm: Option<&'static str>,
}
