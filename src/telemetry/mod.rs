//! The log: to standard error, as text for people or as JSON lines for machines. What happened to whom has the target
//! `portico::audit`, so that it can be told apart by a filter; [`Audit`] writes it, and a filter that does not name that target
//! leaves it in. And the metrics, in [`Metrics`].

mod audit;
mod metrics;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::model::audit::LOG_TARGET;

pub use audit::{
    Audit, AuditQueue, AuditedRequest, Entry, UNKNOWN_ADDRESS, device, in_this_request,
    note_client, note_flow, note_session, note_tokens, note_upstream, recipient,
};
pub use metrics::{CONTENT_TYPE, Metrics};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Starts the log. A second start in one process changes nothing.
pub fn start(format: Format, filter: &str) {
    let filter = if filter.contains(LOG_TARGET) {
        filter.to_owned()
    } else {
        format!("{filter},{LOG_TARGET}=info")
    };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where nothing can be written (the reader has gone, the disk is full), it would say so at the same place, and panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        Format::Text => log.finish().try_init(),
        Format::Json => log.json().finish().try_init(),
    };
    // Only tests start it twice.
    let _ = started;
}
