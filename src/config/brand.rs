//! `[brand]`: what people see on every page.

use serde::Deserialize;

use super::place::{Place, Report};
use super::text;

/// What people see on every page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    /// The organization's name.
    pub name: String,
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            name: "Portico".to_owned(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    name: Option<String>,
}

impl Brand {
    pub(super) fn check(raw: Raw, at: &Place, report: &mut Report) -> Self {
        let Some(name) = raw.name else {
            return Self::default();
        };
        text::check_label(&name, &at.key("name"), report);
        Self { name }
    }
}
