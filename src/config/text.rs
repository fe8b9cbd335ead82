//! Text that people see.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client_words::words;
use super::place::{Place, Report};
use crate::protocol::client_metadata::rules;
use crate::protocol::locale::Locale;

/// Refuses a name that would show as nothing, break a page, or turn the text around it.
pub(super) fn check_label(text: &str, at: &Place, report: &mut Report) {
    if let Some(rule) = rules::label(text) {
        report.problem(at, words(&rule));
    }
}

/// One text for each language of the pages.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Translations {
    en: Option<String>,
    fr: Option<String>,
    #[serde(rename = "zh-Hant")]
    zh_hant: Option<String>,
    #[serde(rename = "zh-Hans")]
    zh_hans: Option<String>,
}

impl Translations {
    /// The texts by the tag of their language: none, or at least an English one.
    pub(super) fn check(self, at: &Place, report: &mut Report) -> BTreeMap<&'static str, String> {
        let written = [
            (Locale::English, self.en),
            (Locale::French, self.fr),
            (Locale::TraditionalChinese, self.zh_hant),
            (Locale::SimplifiedChinese, self.zh_hans),
        ];
        let mut texts = BTreeMap::new();
        for (locale, written) in written {
            let Some(written) = written else { continue };
            check_label(&written, &at.key(locale.tag()), report);
            texts.insert(locale.tag(), written);
        }
        if !texts.is_empty() && !texts.contains_key(Locale::English.tag()) {
            report.problem(
                &at.key("en"),
                "is missing; it stands in for languages that have no text",
            );
        }
        texts
    }
}
