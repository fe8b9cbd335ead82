//! Text that people see.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::client_words::words;
use super::place::{Place, Report};
use crate::protocol::client_metadata::rules;
use crate::protocol::locale::{Label, Locale};

/// Refuses a name that would show as nothing, break a page, or turn the text around it.
fn check_label(text: &str, at: &Place, report: &mut Report) {
    if let Some(rule) = rules::label(text) {
        report.problem(at, words(&rule));
    }
}

/// One text for all languages of the pages, or one for each: `"Help"`, or `{ en = "Help", fr = "Aide" }`.
#[derive(Debug)]
pub(super) enum Translations {
    Plain(String),
    ByLanguage(ByLanguage),
}

impl Default for Translations {
    fn default() -> Self {
        Self::ByLanguage(ByLanguage::default())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ByLanguage {
    en: Option<String>,
    fr: Option<String>,
    #[serde(rename = "zh-Hant")]
    zh_hant: Option<String>,
    #[serde(rename = "zh-Hans")]
    zh_hans: Option<String>,
}

impl<'de> Deserialize<'de> for Translations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A struct, so that whoever asks for the known keys hears of the languages.
        const TAGS: [&str; 4] = ["en", "fr", "zh-Hant", "zh-Hans"];
        deserializer.deserialize_struct("Translations", &TAGS, Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Translations;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .write_str("a text, or one for each language such as { en = \"Help\", fr = \"Aide\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Translations, E> {
        Ok(Translations::Plain(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, texts: A) -> Result<Translations, A::Error> {
        let texts = ByLanguage::deserialize(MapAccessDeserializer::new(texts))?;
        Ok(Translations::ByLanguage(texts))
    }
}

impl Translations {
    /// The texts by the tag of their language: none, or at least an English one.
    pub(super) fn check(self, at: &Place, report: &mut Report) -> BTreeMap<&'static str, String> {
        let texts = match self {
            Self::Plain(text) => {
                check_label(&text, at, report);
                return BTreeMap::from([(Locale::English.tag(), text)]);
            }
            Self::ByLanguage(texts) => texts,
        };
        let written = [
            (Locale::English, texts.en),
            (Locale::French, texts.fr),
            (Locale::TraditionalChinese, texts.zh_hant),
            (Locale::SimplifiedChinese, texts.zh_hans),
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

    /// A name; an empty table is none, and a problem.
    pub(super) fn check_name(self, at: &Place, report: &mut Report) -> Option<Label> {
        let texts = self.check(at, report);
        if texts.is_empty() {
            report.problem(
                at,
                "is empty; write a text, or { en = \"..\" } and other languages beside it",
            );
        }
        Label::translated(texts)
    }
}
