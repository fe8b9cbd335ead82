//! Client metadata as a client sends it to register (RFC 7591 section 2, OpenID Connect Dynamic Registration section 2).
//! What Portico does not know is ignored, as both say; there is no field here for anything that is not the client's own
//! to choose, so that none can be set from outside (T18).

pub mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::client_assertion::AssertionAlgorithm;
use super::client_auth::ClientAuthMethod;
use super::jwk::JwkSet;
use super::jws::SigningAlgorithm;
use super::request_object::RequestObjectAlgorithm;
use super::response::ResponseType;
use super::token::GrantType;
use rules::{ApplicationType, Fault, Rule};

/// The most bytes of a text (T48).
const MAX_TEXT: usize = 2048;
/// The most elements of a list.
const MAX_ELEMENTS: usize = 32;
/// The most variants in other languages.
const MAX_VARIANTS: usize = 64;

/// What people read, and what may stand in several languages (RFC 7591 section 2.2).
pub const LOCALIZED: [&str; 5] = [
    "client_name",
    "client_uri",
    "logo_uri",
    "policy_uri",
    "tos_uri",
];

/// What is wished for that would change how a client is to be treated, and is not done here. A client that relies on it
/// must not be told yes.
const NOT_SUPPORTED: [&str; 8] = [
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "authorization_encrypted_response_alg",
    "introspection_encrypted_response_alg",
];
/// The same of flags, where they are true.
const NOT_SUPPORTED_FLAGS: [&str; 1] = ["tls_client_certificate_bound_access_tokens"];

/// What a client says of itself, as far as it could be read. Unproven: the rules and the policy have not seen it.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    missing_docs,
    clippy::struct_excessive_bools,
    reason = "the names and types are the specifications'"
)]
pub struct ClientMetadata {
    pub application_type: Option<ApplicationType>,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub token_endpoint_auth_method: Option<ClientAuthMethod>,
    pub grant_types: Option<BTreeSet<GrantType>>,
    pub response_types: Option<Vec<ResponseType>>,
    pub scope: Option<String>,
    /// Name, addresses of pages, and their variants in other languages: `client_name`, `client_name#fr`.
    pub texts: BTreeMap<String, String>,
    pub contacts: Vec<String>,
    pub initiate_login_uri: Option<String>,
    pub default_max_age: Option<i64>,
    pub require_auth_time: bool,
    pub default_acr_values: Vec<String>,
    pub id_token_signed_response_alg: Option<SigningAlgorithm>,
    pub userinfo_signed_response_alg: Option<SigningAlgorithm>,
    pub introspection_signed_response_alg: Option<SigningAlgorithm>,
    /// Whether its subjects are to be pairwise.
    pub pairwise: bool,
    pub sector_identifier_uri: Option<String>,
    pub software_id: Option<String>,
    pub software_version: Option<String>,
    pub token_endpoint_auth_signing_alg: Option<AssertionAlgorithm>,
    /// Its public keys, if they can be registered.
    pub jwks: Option<JwkSet>,
    /// Whether any were written out.
    pub has_jwks: bool,
    pub jwks_uri: Option<String>,
    pub request_object_signing_alg: Option<RequestObjectAlgorithm>,
    pub require_signed_request_object: bool,
    pub request_uris: Vec<String>,
    pub backchannel_logout_uri: Option<String>,
    pub backchannel_logout_session_required: bool,
    pub frontchannel_logout_uri: Option<String>,
    pub frontchannel_logout_session_required: bool,
    pub dpop_bound_access_tokens: bool,
    pub require_pushed_authorization_requests: bool,
}

impl ClientMetadata {
    /// Reads what was sent. What cannot be read is a fault, and left out.
    pub fn read(sent: &Map<String, Value>, faults: &mut Vec<Fault>) -> Self {
        let mut reader = Reader { sent, faults };
        let read = Self {
            application_type: reader.one_of(
                "application_type",
                [ApplicationType::Web, ApplicationType::Native],
                ApplicationType::as_str,
            ),
            redirect_uris: reader.list("redirect_uris").unwrap_or_default(),
            post_logout_redirect_uris: reader.list("post_logout_redirect_uris").unwrap_or_default(),
            token_endpoint_auth_method: reader.one_of(
                "token_endpoint_auth_method",
                ClientAuthMethod::ALL,
                ClientAuthMethod::as_str,
            ),
            grant_types: reader
                .all_of("grant_types", grant, &grants().map(GrantType::as_str))
                .map(BTreeSet::from_iter),
            response_types: reader.all_of(
                "response_types",
                |text| ResponseType::parse(text).ok(),
                &ResponseType::ALL.map(ResponseType::as_str),
            ),
            scope: reader.text("scope"),
            texts: reader.localized(),
            contacts: reader.list("contacts").unwrap_or_default(),
            initiate_login_uri: reader.text("initiate_login_uri"),
            default_max_age: reader.number("default_max_age"),
            require_auth_time: reader.flag("require_auth_time"),
            default_acr_values: reader.list("default_acr_values").unwrap_or_default(),
            id_token_signed_response_alg: reader.one_of(
                "id_token_signed_response_alg",
                SigningAlgorithm::ALL,
                SigningAlgorithm::as_str,
            ),
            userinfo_signed_response_alg: reader.one_of(
                "userinfo_signed_response_alg",
                SigningAlgorithm::ALL,
                SigningAlgorithm::as_str,
            ),
            introspection_signed_response_alg: reader.one_of(
                "introspection_signed_response_alg",
                SigningAlgorithm::ALL,
                SigningAlgorithm::as_str,
            ),
            pairwise: reader
                .one_of("subject_type", [false, true], |pairwise| {
                    if pairwise { "pairwise" } else { "public" }
                })
                .unwrap_or_default(),
            sector_identifier_uri: reader.text("sector_identifier_uri"),
            software_id: reader.text("software_id"),
            software_version: reader.text("software_version"),
            token_endpoint_auth_signing_alg: reader.foreign_algorithm(
                "token_endpoint_auth_signing_alg",
                &AssertionAlgorithm::ALL,
                AssertionAlgorithm::as_str,
            ),
            jwks: reader.jwks(),
            has_jwks: reader.value("jwks").is_some(),
            jwks_uri: reader.text("jwks_uri"),
            request_object_signing_alg: reader.foreign_algorithm(
                "request_object_signing_alg",
                &RequestObjectAlgorithm::ALL,
                RequestObjectAlgorithm::as_str,
            ),
            require_signed_request_object: reader.flag("require_signed_request_object"),
            request_uris: reader.list("request_uris").unwrap_or_default(),
            backchannel_logout_uri: reader.text("backchannel_logout_uri"),
            backchannel_logout_session_required: reader.flag("backchannel_logout_session_required"),
            frontchannel_logout_uri: reader.text("frontchannel_logout_uri"),
            frontchannel_logout_session_required: reader
                .flag("frontchannel_logout_session_required"),
            dpop_bound_access_tokens: reader.flag("dpop_bound_access_tokens"),
            require_pushed_authorization_requests: reader
                .flag("require_pushed_authorization_requests"),
        };
        reader.refuse_unsupported();
        read
    }
}

/// Takes what was sent apart.
struct Reader<'a> {
    sent: &'a Map<String, Value>,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// What stands under `name`; null is as good as nothing (RFC 7592 section 2.2).
    fn value(&self, name: &str) -> Option<&'a Value> {
        self.sent.get(name).filter(|value| !value.is_null())
    }

    fn fault(&mut self, name: &str, rule: Rule) {
        self.faults.push(Fault::new(name, rule));
    }

    fn wrong_type(&mut self, name: &str, wanted: &'static str) {
        self.fault(name, Rule::Type(wanted));
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) if is_text(text) => Some(text.clone()),
            _ => {
                self.wrong_type(name, TEXT);
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.value(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.wrong_type(name, "true or false");
                false
            }
        }
    }

    fn number(&mut self, name: &str) -> Option<i64> {
        let number = self.value(name)?.as_i64();
        if number.is_none() {
            self.wrong_type(name, "a whole number");
        }
        number
    }

    fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let Value::Array(values) = self.value(name)? else {
            self.wrong_type(name, "an array of texts");
            return None;
        };
        if values.len() > MAX_ELEMENTS {
            self.fault(name, Rule::TooMany("32 elements"));
            return None;
        }
        let mut list = Vec::new();
        for (index, value) in values.iter().enumerate() {
            match value.as_str() {
                Some(text) if is_text(text) => list.push(text.to_owned()),
                // In its place, so that the others keep their numbers.
                _ => {
                    self.faults.push(Fault::at(name, index, Rule::Type(TEXT)));
                    return None;
                }
            }
        }
        Some(list)
    }

    fn jwks(&mut self) -> Option<JwkSet> {
        let read = JwkSet::register(self.value("jwks")?);
        read.map_err(|problem| self.fault("jwks", problem.into()))
            .ok()
    }

    fn one_of<T: Copy>(
        &mut self,
        name: &str,
        all: impl IntoIterator<Item = T>,
        word: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.text(name)?;
        let all: Vec<T> = all.into_iter().collect();
        let found = all.iter().copied().find(|each| word(*each) == text);
        if found.is_none() {
            let words: Vec<&str> = all.into_iter().map(word).collect();
            self.fault(name, Rule::NotOneOf(words.join(", ")));
        }
        found
    }

    /// What the client signs with: `Ed25519` is `EdDSA` by its newer name (RFC 9864 section 2.2).
    fn foreign_algorithm<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        if self.value(name).and_then(Value::as_str) == Some("Ed25519") {
            return all.iter().copied().find(|each| word(*each) == "EdDSA");
        }
        self.one_of(name, all.iter().copied(), word)
    }

    fn all_of<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        words: &[&str],
    ) -> Option<Vec<T>> {
        let texts = self.list(name)?;
        let mut all = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match parse(text) {
                Some(one) => all.push(one),
                None => self
                    .faults
                    .push(Fault::at(name, index, Rule::NotOneOf(words.join(", ")))),
            }
        }
        Some(all)
    }

    /// What people read, in each language.
    fn localized(&mut self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let is_localized = |name: &&String| {
            let base = name.split('#').next().unwrap_or_default();
            LOCALIZED.contains(&base)
        };
        let names: Vec<&String> = self.sent.keys().filter(is_localized).collect();
        if names.len() > MAX_VARIANTS {
            self.fault(
                "client_name",
                Rule::TooMany("64 variants in other languages"),
            );
            return found;
        }
        for name in names {
            let language = name.split_once('#').map(|(_, language)| language);
            if language.is_some_and(|language| !is_language_tag(language)) {
                self.fault(name, Rule::Language);
            } else if let Some(text) = self.text(name) {
                found.insert(name.clone(), text);
            }
        }
        found
    }

    fn refuse_unsupported(&mut self) {
        for name in NOT_SUPPORTED {
            if self.value(name).is_some() {
                self.fault(name, Rule::NotSupported);
            }
        }
        for name in NOT_SUPPORTED_FLAGS {
            if self.flag(name) {
                self.fault(name, Rule::NotSupported);
            }
        }
    }
}

/// Every grant that there is: those of the token endpoint, and `implicit`.
fn grants() -> [GrantType; GrantType::ALL.len() + 1] {
    let mut all = [GrantType::Implicit; GrantType::ALL.len() + 1];
    for (place, grant) in all.iter_mut().zip(GrantType::ALL) {
        *place = grant;
    }
    all
}

fn grant(text: &str) -> Option<GrantType> {
    grants().into_iter().find(|grant| grant.as_str() == text)
}

const TEXT: &str = "a text of 1 to 2048 bytes without control characters";

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// `zh-Hant-HK` (RFC 5646 section 2.1), by its form.
fn is_language_tag(tag: &str) -> bool {
    let is_subtag = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    tag.len() <= 35 && tag.split('-').all(is_subtag)
}

#[cfg(test)]
mod tests;
