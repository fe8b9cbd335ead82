//! `[log]`: what the log tells, and in which form.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::model::audit::LOG_TARGET;

use super::place::{Place, Report};

/// What the log tells, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form.
    pub format: LogFormat,
    /// What is told, in the words of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

impl LogFormat {
    /// The word in the config.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            filter: "info".to_owned(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    format: Option<LogFormat>,
    filter: Option<String>,
}

impl Log {
    /// Whether it has what happened to whom: it does unless the filter names that target and says otherwise.
    pub(super) fn keeps_audit(&self) -> bool {
        let targets: Result<Targets, _> = self.filter.parse();
        let said = targets.map(|targets| {
            let mut own = targets.iter().filter(|(target, _)| *target == LOG_TARGET);
            own.next().map(|(_, level)| level)
        });
        !matches!(said, Ok(Some(level)) if level < LevelFilter::INFO)
    }

    pub(super) fn check(raw: Raw, at: &Place, report: &mut Report) -> Self {
        let filter = raw.filter.unwrap_or_else(|| Self::default().filter);
        if EnvFilter::try_new(&filter).is_err() {
            report.problem(
                &at.key("filter"),
                "must be a level (error, warn, info, debug, trace) or a list such as \"info,portico=debug\"",
            );
        }
        Self {
            format: raw.format.unwrap_or_default(),
            filter,
        }
    }
}
