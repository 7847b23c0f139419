//! Options of logs and traces.

use clap::{Args, ValueEnum};
use url::Url;

use crate::traces::TraceSettings;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people, in colours on a terminal.
    Text,
    /// A JSON object per line, with timestamp, level, target, message, request_id, fields and spans.
    Json,
}

/// Traces of requests and background work.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traces")]
pub struct TraceOptions {
    /// Base URL of an OpenTelemetry collector, such as `http://127.0.0.1:4318`: traces are sent to /v1/traces below it
    /// (OTLP over HTTP). They hold ids, routes and times, and no query strings, tokens or personal data. Without it,
    /// nothing is traced.
    #[arg(long, env = "CLICKLEDGER_OTLP_ENDPOINT", value_name = "URL", value_parser = parse_collector)]
    pub otlp_endpoint: Option<Url>,
    /// Share of requests, batches and background runs that are traced, from 0 to 1. Clicks are requests, too.
    #[arg(long, env = "CLICKLEDGER_OTLP_SAMPLE_RATIO", value_name = "RATIO", default_value = "0.01", value_parser = parse_ratio)]
    pub otlp_sample_ratio: f64,
}

impl TraceOptions {
    /// Settings of the traces; None if none are exported.
    #[must_use]
    pub fn settings(&self) -> Option<TraceSettings> {
        let endpoint = self.otlp_endpoint.clone()?;
        Some(TraceSettings {
            endpoint,
            ratio: self.otlp_sample_ratio,
        })
    }
}

/// Parses the base URL of a collector.
fn parse_collector(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    url.filter(|url| {
        let has_login = !url.username().is_empty() || url.password().is_some();
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        is_web && !has_login && url.query().is_none() && url.fragment().is_none()
    })
    .ok_or_else(|| "write the base URL of a collector, such as http://127.0.0.1:4318".to_owned())
}

/// Parses a share.
fn parse_ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "write a number from 0 to 1, such as 0.05".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base_urls_and_shares_are_accepted() {
        for fine in ["http://127.0.0.1:4318", "https://otel.example/clickledger/"] {
            assert!(parse_collector(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "127.0.0.1:4318",
            "grpc://127.0.0.1:4317",
            "http://user:password@collector.example",
            "http://collector.example/?a=b",
        ] {
            assert!(parse_collector(wrong).is_err(), "{wrong}");
        }
        for fine in ["0", "0.05", "1"] {
            assert!(parse_ratio(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "1.1", "-0.1", "NaN", "5%"] {
            assert!(parse_ratio(wrong).is_err(), "{wrong}");
        }
    }
}
