//! What a client says of itself, to people and to those who look after it (RFC 7591 section 2). Nothing here opens anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::protocol::client_metadata::rules::ApplicationType;
use crate::protocol::locale::Locale;

/// What a client says of itself besides its name and home page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientAbout {
    /// On the web, or on a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<ApplicationType>,
    /// How to reach who is responsible for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// A picture, which we fetch and show from our own origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// What it does with people's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Its terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Names and addresses in other languages, as they were sent: `client_name#fr`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub localized: BTreeMap<String, String>,
    /// The software that it is a copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// The version of that software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// What proves that its addresses belong together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<String>,
    /// Whether it wants `auth_time`, which every ID token has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub require_auth_time: bool,
    /// The classes of login that it would like where a request names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_acr_values: Vec<String>,
}

impl ClientAbout {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The variant of `field` in the language of a page.
    pub fn variant(&self, field: &str, locale: Locale) -> Option<&str> {
        let of_language = |(name, _): &(&String, &String)| {
            let language = name
                .strip_prefix(field)
                .and_then(|rest| rest.strip_prefix('#'));
            language.and_then(Locale::from_ui_locales) == Some(locale)
        };
        self.localized
            .iter()
            .find(of_language)
            .map(|(_, text)| text.as_str())
    }
}

/// A page of the client's, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPage {
    /// Its address.
    pub href: String,
    /// Its host, which people are to see before they go there: the rest is the client's own word.
    pub host: String,
}

impl AppPage {
    /// A page at an address that was registered.
    pub fn new(href: &str) -> Option<Self> {
        let host = Url::parse(href).ok()?.host_str()?.to_owned();
        let href = href.to_owned();
        Some(Self { href, host })
    }
}
