//! Log lines on standard error, as text or JSON, and the layer of traces beside them.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::config::{Cli, Command, LogFormat};
use crate::traces::{self, Exporter};

mod json;

/// Starts logging for the rest of the process. Returns the exporter of traces, if the options name a collector.
#[must_use]
pub fn start(cli: &Cli) -> Option<Exporter> {
    let filter = EnvFilter::try_new(&cli.log).unwrap_or_else(|error| {
        eprintln!("clickledger: --log {}: {error}; logging at level info", cli.log);
        EnvFilter::new("info")
    });
    let settings = match &cli.command {
        Command::Serve(options) => options.traces.settings(),
        _ => None,
    };
    match settings {
        None => {
            registry().with(filter).with(lines(cli.log_format)).init();
            None
        }
        Some(settings) => {
            let (layer, exporter) = traces::start(settings);
            // The filter of the lines must not hide spans from the traces.
            let lines = lines(cli.log_format).with_filter(filter);
            registry().with(lines).with(layer).init();
            Some(exporter)
        }
    }
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let stderr = fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => stderr.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => stderr
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(json::JsonLine)
            .boxed(),
    }
}
