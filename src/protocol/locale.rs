//! The languages our pages speak, and the choice among them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A language that every page is complete in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Locale {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// French.
    #[serde(rename = "fr")]
    French,
    /// Chinese in traditional characters.
    #[serde(rename = "zh-Hant")]
    TraditionalChinese,
    /// Chinese in simplified characters.
    #[serde(rename = "zh-Hans")]
    SimplifiedChinese,
}

impl Locale {
    /// Every language, in the order of discovery's `ui_locales_supported`.
    pub const ALL: [Self; 4] = [
        Self::English,
        Self::French,
        Self::TraditionalChinese,
        Self::SimplifiedChinese,
    ];

    /// The tag in canonical case (BCP 47, RFC 5646 section 2.1.1).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::TraditionalChinese => "zh-Hant",
            Self::SimplifiedChinese => "zh-Hans",
        }
    }

    /// The language that has exactly this tag.
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|locale| locale.tag() == tag)
    }

    /// The text of this language, or else the English one.
    pub fn choose<'a>(self, texts: &'a BTreeMap<&'static str, String>) -> Option<&'a str> {
        let text = texts.get(self.tag());
        let text = text.or_else(|| texts.get(Self::English.tag()));
        text.map(String::as_str)
    }

    /// The language that a BCP 47 tag such as `zh-HK` or `fr-CA` means, if we speak it.
    fn from_tag(tag: &str) -> Option<Self> {
        let tag = tag.to_ascii_lowercase();
        let mut subtags = tag.split(['-', '_']);
        match subtags.next()? {
            "en" => Some(Self::English),
            "fr" => Some(Self::French),
            "zh" => {
                let rest: Vec<&str> = subtags.collect();
                // The script decides; without one the region tells which script is read there.
                let has = |tag: &str| rest.contains(&tag);
                let traditional =
                    has("hant") || (!has("hans") && (has("tw") || has("hk") || has("mo")));
                Some(if traditional {
                    Self::TraditionalChinese
                } else {
                    Self::SimplifiedChinese
                })
            }
            _ => None,
        }
    }

    /// The first language of a `ui_locales` parameter that we speak (OpenID Connect Core section 3.1.2.1).
    pub fn from_ui_locales(ui_locales: &str) -> Option<Self> {
        ui_locales.split(' ').take(16).find_map(Self::from_tag)
    }

    /// The best language for an `Accept-Language` header (RFC 9110 section 12.5.4).
    pub fn from_accept_language(header: &str) -> Option<Self> {
        let mut ranges: Vec<(f32, Self)> = header
            .split(',')
            .take(16)
            .filter_map(|range| {
                let mut parts = range.split(';');
                let locale = Self::from_tag(parts.next()?.trim())?;
                let quality = parts
                    .find_map(|part| part.trim().strip_prefix("q="))
                    .map_or(1.0, |q| q.parse().unwrap_or(0.0));
                (quality > 0.0).then_some((quality, locale))
            })
            .collect();
        // The sort is stable, so equal weights keep the order of the header.
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranges.first().map(|(_, locale)| *locale)
    }
}

/// A name that people see: the same in all languages, or one for each that has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    english: String,
    others: BTreeMap<&'static str, String>,
}

impl Label {
    /// One name for all languages.
    pub const fn plain(name: String) -> Self {
        Self {
            english: name,
            others: BTreeMap::new(),
        }
    }

    /// Names by the tag of their language; `None` without an English one, which stands in for the languages that have none.
    pub fn translated(mut names: BTreeMap<&'static str, String>) -> Option<Self> {
        let english = names.remove(Locale::English.tag())?;
        Some(Self {
            english,
            others: names,
        })
    }

    /// What people who read `locale` see.
    pub fn text(&self, locale: Locale) -> &str {
        locale.choose(&self.others).unwrap_or(&self.english)
    }

    /// What stands in for languages that have no name of their own.
    pub fn english(&self) -> &str {
        &self.english
    }

    /// The other names, by the tag of their language.
    pub const fn others(&self) -> &BTreeMap<&'static str, String> {
        &self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_language_is_found() {
        assert_eq!(Locale::from_ui_locales("de fr-CA en"), Some(Locale::French));
        assert_eq!(
            Locale::from_ui_locales("zh-HK"),
            Some(Locale::TraditionalChinese)
        );
        assert_eq!(
            Locale::from_ui_locales("zh-CN"),
            Some(Locale::SimplifiedChinese)
        );
        assert_eq!(
            Locale::from_ui_locales("zh-Hans-HK"),
            Some(Locale::SimplifiedChinese)
        );
        assert_eq!(Locale::from_ui_locales("tlh"), None);
    }

    #[test]
    fn a_language_without_a_name_has_the_english_one() {
        let names =
            [("en", "Members"), ("fr", "Membres")].map(|(tag, name)| (tag, name.to_owned()));
        let label = Label::translated(names.into()).unwrap();
        assert_eq!(label.text(Locale::French), "Membres");
        for locale in [
            Locale::English,
            Locale::TraditionalChinese,
            Locale::SimplifiedChinese,
        ] {
            assert_eq!(label.text(locale), "Members");
        }
        let plain = Label::plain("Portico".to_owned());
        assert!(
            Locale::ALL
                .iter()
                .all(|each| plain.text(*each) == "Portico")
        );
        let french = BTreeMap::from([("fr", "Membres".to_owned())]);
        assert_eq!(Label::translated(french), None);
    }

    #[test]
    fn weights_count() {
        let header = "de, en;q=0.5, zh-TW;q=0.9, fr;q=0";
        assert_eq!(
            Locale::from_accept_language(header),
            Some(Locale::TraditionalChinese)
        );
        assert_eq!(Locale::from_accept_language("*"), None);
    }

    proptest! {
        /// Whatever a browser sends, what is chosen was named there, and not with the weight 0.
        #[test]
        fn a_language_that_is_chosen_was_asked_for(
            ranges in prop::collection::vec(("(en|fr|zh|zh-HK|zh-Hans|de|\\*|[ -~]{0,6})", "(;q=0|;q=0\\.[0-9]|;q=NaN|;q=[ -~]{0,4}|)"), 0..6),
            any in any::<String>(),
        ) {
            let _ = Locale::from_accept_language(&any);
            let _ = Locale::from_ui_locales(&any);
            let header: Vec<String> = ranges.iter().map(|(range, weight)| format!("{range}{weight}")).collect();
            if let Some(locale) = Locale::from_accept_language(&header.join(",")) {
                let primary = &locale.tag()[..2];
                let named = |part: &str| {
                    let (range, weight) = part.split_once(';').unwrap_or((part, ""));
                    range.trim().to_ascii_lowercase().starts_with(primary) && weight.trim() != "q=0"
                };
                prop_assert!(header.join(",").split(',').any(named), "{header:?}");
            }
        }
    }
}
