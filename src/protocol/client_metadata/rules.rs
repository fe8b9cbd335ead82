//! What a good registration is (RFC 7591 section 2, OpenID Connect Dynamic Registration section 2), whoever wrote it: a
//! file of the administrator's, or a request. Each rule tells what is wrong and where; the words around it are its caller's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::error::ErrorCode;
use crate::protocol::issuer::is_loopback;
use crate::protocol::jwk::{JwkSet, JwkSetProblem};
use crate::protocol::printable::is_ignorable;
use crate::protocol::redirect_uri::{RedirectUri, RedirectUriError};
use crate::protocol::request_object::RequestObjectAlgorithm;
use crate::protocol::response::ResponseType;
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::GrantType;

/// Something wrong with a registration.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The metadata, by its name on the wire.
    pub field: String,
    /// Which element of a list.
    pub index: Option<usize>,
    /// What is wrong with it.
    pub rule: Rule,
}

/// A rule that a registration breaks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// JSON of another type.
    #[error("must be {0}")]
    Type(&'static str),
    /// A value that is none of those that are on.
    #[error("is not one of: {0}")]
    NotOneOf(String),
    /// More than anybody needs (T48).
    #[error("must have {0} at the most")]
    TooMany(&'static str),
    /// An element that is there already.
    #[error("stands here twice")]
    Twice,
    /// An address that cannot be registered.
    #[error(transparent)]
    Uri(#[from] RedirectUriError),
    /// An address that is no web page.
    #[error("must begin with https://")]
    NotWeb,
    /// No address for answers, and people log in.
    #[error("is missing: the answers to people's logins have to go somewhere")]
    NoRedirectUri,
    /// OpenID Connect Dynamic Registration section 2, `application_type`.
    #[error(
        "must be https, and not on this machine: with application_type web, tokens go there through the browser"
    )]
    NotForWeb,
    /// A private scheme is an app's.
    #[error("is an app's own scheme, which needs application_type native")]
    PrivateOfWeb,
    /// OpenID Connect Dynamic Registration section 2, `application_type`.
    #[error(
        "must be the app's own scheme, or http on localhost, 127.0.0.1 or [::1], with application_type native; an https address needs application_type web"
    )]
    NotForNative,
    /// No grant at all.
    #[error("is empty")]
    NoGrant,
    /// A refresh token comes from no other grant of the client's.
    #[error(
        "refresh_token alone leads nowhere: refresh tokens come from authorization_code, or another grant that begins with a login"
    )]
    RefreshAlone,
    /// RFC 6749 section 4.4.
    #[error("client_credentials needs a client that can keep a secret")]
    CredentialsOfPublic,
    /// RFC 9700 section 2.4.
    #[error("password needs a client that can keep a secret")]
    PasswordOfPublic,
    /// People log in, and no answer may be asked for.
    #[error("is empty, and people log in")]
    NoResponseType,
    /// Answers, and nobody logs in.
    #[error("is for clients that people log in to, with the grant authorization_code")]
    ResponseTypeWithoutPeople,
    /// The table of OpenID Connect Dynamic Registration section 2, `grant_types`.
    #[error("has {0}, which needs {1} in grant_types")]
    GrantMissing(&'static str, &'static str),
    /// The same table from its other side (RFC 7591 section 2.1).
    #[error("has implicit, and no type in response_types returns a token through the browser")]
    ImplicitUnused,
    /// RFC 9449 section 5: only the token endpoint sees a proof.
    #[error(
        "no access token through the browser can be bound to a key, and response_types has types with one"
    )]
    BoundInTheBrowser,
    /// OpenID Connect Dynamic Registration section 2, `jwks`.
    #[error("is missing: private_key_jwt needs the client's public keys, as jwks or jwks_uri")]
    NoKeys,
    /// OpenID Connect Dynamic Registration section 2, `jwks`.
    #[error("stands beside other keys")]
    KeysTwice,
    /// A set of keys that cannot be registered.
    #[error(transparent)]
    Keys(#[from] JwkSetProblem),
    /// An address that is not fetched (T36).
    #[error(
        "must be an https:// address without user name and fragment (http:// for localhost alone, if outbound.allow_hosts names it)"
    )]
    NotFetched,
    /// A client cannot make browsers load pages of others (OpenID Connect Front-Channel Logout 1.0 section 2).
    #[error("must have the scheme, host and port of one of the redirect_uris")]
    NotAtRedirectUri,
    /// An algorithm without a key.
    #[error("is an algorithm that none of the client's keys is for")]
    AlgorithmWithoutKey,
    /// Signed request objects, and no keys to verify them with.
    #[error("needs the client's public keys, as jwks or jwks_uri")]
    NeedsKeys,
    /// The same, where they are wanted always.
    #[error(
        "needs keys to sign with, as jwks or jwks_uri, and another request_object_signing_alg than none"
    )]
    NothingToSignWith,
    /// The same, where they are fetched.
    #[error(
        "leads to request objects, which are signed: the client's public keys are needed, as jwks or jwks_uri"
    )]
    UnsignedObjects,
    /// An algorithm of secrets for a client with keys.
    #[error("HS256 needs a secret: use RS256, PS256, ES256 or EdDSA")]
    AlgorithmOfSecret,
    /// An algorithm of keys for a client with a secret.
    #[error("must be HS256, or left out: client_secret_jwt signs with the secret")]
    AlgorithmOfKey,
    /// An algorithm for a client that signs nothing.
    #[error("is for clients that sign, by private_key_jwt or client_secret_jwt")]
    NotSigning,
    /// A negative age.
    #[error("must be seconds, 0 or more")]
    Negative,
    /// A scope that is not one.
    #[error("{0}")]
    Scope(String),
    /// OpenID Connect Core section 11.
    #[error("offline_access asks for refresh tokens, which need the grant refresh_token")]
    OfflineWithoutRefresh,
    /// An ID token needs `openid`.
    #[error("has no openid, which an ID token needs")]
    NoOpenId,
    /// A text that would show as nothing.
    #[error("is empty; people see it")]
    EmptyLabel,
    /// A text too long to show.
    #[error("must have {MAX_LABEL} characters at the most")]
    LongLabel,
    /// A text that would break a page, or turn the text around it.
    #[error("must not hold control characters")]
    LabelControls,
    /// RFC 5646 section 2.1.
    #[error("has no language tag after the #")]
    Language,
    /// OpenID Connect Core section 8.1.
    #[error(
        "is missing: pairwise subjects are made for one host, and redirect_uris have several, or one on this machine or in an app"
    )]
    NoSector,
    /// Nobody is told apart by it.
    #[error("is for pairwise subjects alone")]
    SectorOfPublic,
    /// OpenID Connect Dynamic Registration section 5. One answer, whatever stands there.
    #[error(
        "does not lead to a JSON array that holds every one of redirect_uris; only what is on the public internet is fetched"
    )]
    Unvouched,
    /// No address proves the sector.
    #[error("{0}")]
    Sector(String),
    /// What Portico does not do, and the client would rely on.
    #[error("is not supported here; leave it out")]
    NotSupported,
    /// What this server allows no client that registers itself.
    #[error("{0} is not allowed for clients that register themselves here")]
    NotAllowed(String),
}

impl Fault {
    /// About a whole field.
    pub fn new(field: impl Into<String>, rule: Rule) -> Self {
        Self {
            field: field.into(),
            index: None,
            rule,
        }
    }

    /// About an element of a list.
    pub fn at(field: impl Into<String>, index: usize, rule: Rule) -> Self {
        Self {
            index: Some(index),
            ..Self::new(field, rule)
        }
    }

    /// What RFC 7591 section 3.2.2 calls it.
    pub fn code(&self) -> ErrorCode {
        match self.field.as_str() {
            "redirect_uris" => ErrorCode::InvalidRedirectUri,
            _ => ErrorCode::InvalidClientMetadata,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.field)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        write!(f, " {}", self.rule)
    }
}

/// The kind of an application (OpenID Connect Dynamic Registration section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationType {
    /// On a web site.
    Web,
    /// On a person's device.
    Native,
}

impl ApplicationType {
    /// The type as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Native => "native",
        }
    }

    /// What a client is that does not say: an app, if it has addresses of apps alone; else `web`, the default of the
    /// specification. RFC 7591 section 3.2.1 lets the server choose, and the answer tells.
    pub fn settle(written: Option<Self>, redirect_uris: &[RedirectUri]) -> Self {
        let native = redirect_uris.iter().all(|uri| place(uri) != Place::Web);
        written.unwrap_or(if native && !redirect_uris.is_empty() {
            Self::Native
        } else {
            Self::Web
        })
    }
}

/// Where an address leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Web,
    /// `https` on this machine.
    LocalWeb,
    /// `http` on this machine.
    Loopback,
    /// A scheme of an app's own.
    App,
}

fn place(uri: &RedirectUri) -> Place {
    let Ok(url) = Url::parse(uri.as_str()) else {
        return Place::App;
    };
    let local = url.host().is_some_and(|host| is_loopback(&host));
    match url.scheme() {
        "http" => Place::Loopback,
        "https" if local => Place::LocalWeb,
        "https" => Place::Web,
        _ => Place::App,
    }
}

/// What the rules about grants and answers look at.
pub struct Grants<'a> {
    /// How it proves who it is.
    pub method: ClientAuthMethod,
    /// What it may use.
    pub grant_types: &'a BTreeSet<GrantType>,
    /// What it may ask for, if that was written.
    pub response_types: Option<&'a [ResponseType]>,
    /// Whether any address for answers was written.
    pub has_redirect_uris: bool,
    /// Whether its access tokens are to be bound to keys.
    pub dpop_bound: bool,
}

impl Grants<'_> {
    /// What it may ask for: `code` if nothing was written and it has the grant, nothing if nobody logs in.
    pub fn answers(&self) -> BTreeSet<ResponseType> {
        match self.response_types {
            _ if !is_redirected(self.grant_types) => BTreeSet::new(),
            Some(types) => types.iter().copied().collect(),
            None => {
                let has_code = self.grant_types.contains(&GrantType::AuthorizationCode);
                has_code.then_some(ResponseType::Code).into_iter().collect()
            }
        }
    }

    /// What is wrong.
    pub fn faults(&self) -> Vec<Fault> {
        let has = |grant| self.grant_types.contains(&grant);
        let mut faults = Vec::new();
        let mut fault = |field: &str, rule| faults.push(Fault::new(field, rule));
        if self.grant_types.is_empty() {
            fault("grant_types", Rule::NoGrant);
        }
        if is_redirected(self.grant_types) && !self.has_redirect_uris {
            fault("redirect_uris", Rule::NoRedirectUri);
        }
        let begins =
            |grant: &GrantType| grant.begins_with_a_login() && *grant != GrantType::Implicit;
        if has(GrantType::RefreshToken) && !self.grant_types.iter().any(begins) {
            fault("grant_types", Rule::RefreshAlone);
        }
        if has(GrantType::ClientCredentials) && self.method == ClientAuthMethod::None {
            fault("grant_types", Rule::CredentialsOfPublic);
        }
        if has(GrantType::Password) && self.method == ClientAuthMethod::None {
            fault("grant_types", Rule::PasswordOfPublic);
        }
        faults.extend(self.correspondence());
        faults
    }

    /// Each type with the grants that it takes (OpenID Connect Dynamic Registration section 2), and `implicit` with a type.
    fn correspondence(&self) -> Vec<Fault> {
        let types = self.response_types;
        match types {
            Some([]) if is_redirected(self.grant_types) => {
                return vec![Fault::new("response_types", Rule::NoResponseType)];
            }
            Some([_, ..]) if !is_redirected(self.grant_types) => {
                return vec![Fault::new(
                    "response_types",
                    Rule::ResponseTypeWithoutPeople,
                )];
            }
            _ => {}
        }
        let mut faults = Vec::new();
        for each in types.unwrap_or_default() {
            let mut needed = each.grants().iter();
            if let Some(grant) = needed.find(|grant| !self.grant_types.contains(grant)) {
                let rule = Rule::GrantMissing(each.as_str(), grant.as_str());
                faults.push(Fault::new("response_types", rule));
            }
        }
        let token = |each: &ResponseType| each.returns_access_token();
        if self.dpop_bound && self.answers().iter().any(token) {
            faults.push(Fault::new(
                "dpop_bound_access_tokens",
                Rule::BoundInTheBrowser,
            ));
        }
        // What Dynamic Registration pairs with `implicit`, the type that does not need it here included.
        let implicit = self.grant_types.contains(&GrantType::Implicit);
        if implicit
            && !self
                .answers()
                .iter()
                .any(|each| comes_by_the_browser(*each))
        {
            faults.push(Fault::new("grant_types", Rule::ImplicitUnused));
        }
        faults
    }
}

/// Whether people log in for it at the authorization endpoint.
pub fn is_redirected(grants: &BTreeSet<GrantType>) -> bool {
    grants.contains(&GrantType::AuthorizationCode) || grants.contains(&GrantType::Implicit)
}

/// Whether the browser carries a token to the client.
pub const fn comes_by_the_browser(answer: ResponseType) -> bool {
    answer.returns_id_token() || answer.returns_access_token()
}

/// A client's keys, and what it signs with them.
pub struct Keys<'a> {
    /// How it proves who it is.
    pub method: ClientAuthMethod,
    /// The algorithm of its assertions.
    pub algorithm: Option<AssertionAlgorithm>,
    /// In how many places keys were written.
    pub places: usize,
    /// Those that were written out, if they could be read.
    pub jwks: Option<&'a JwkSet>,
    /// Where others are.
    pub jwks_uri: Option<&'a str>,
}

impl Keys<'_> {
    /// What is wrong.
    pub fn faults(&self) -> Vec<Fault> {
        use ClientAuthMethod::{ClientSecretJwt, PrivateKeyJwt};
        let mut faults = Vec::new();
        let mut fault = |field: &str, rule| faults.push(Fault::new(field, rule));
        match self.places {
            0 if self.method == PrivateKeyJwt => fault("jwks", Rule::NoKeys),
            0 | 1 => {}
            _ => fault("jwks", Rule::KeysTwice),
        }
        if self.jwks_uri.is_some_and(|uri| !is_fetched(uri)) {
            fault("jwks_uri", Rule::NotFetched);
        }
        let by_key = self.algorithm.map(AssertionAlgorithm::of_key);
        let rule = match (self.method, by_key) {
            (_, None) | (ClientSecretJwt, Some(None)) => None,
            (PrivateKeyJwt, Some(Some(algorithm))) => self
                .jwks
                .is_some_and(|set| !set.fits(algorithm))
                .then_some(Rule::AlgorithmWithoutKey),
            (PrivateKeyJwt, Some(None)) => Some(Rule::AlgorithmOfSecret),
            (ClientSecretJwt, Some(Some(_))) => Some(Rule::AlgorithmOfKey),
            _ => Some(Rule::NotSigning),
        };
        if let Some(rule) = rule {
            fault("token_endpoint_auth_signing_alg", rule);
        }
        faults
    }
}

/// What a client says of its request objects (RFC 9101, OpenID Connect Core section 6).
pub struct Objects<'a> {
    /// What they are signed with.
    pub algorithm: Option<RequestObjectAlgorithm>,
    /// Whether no request is taken without one.
    pub required: bool,
    /// Where some of them are.
    pub request_uris: &'a [String],
    /// Whether the client has keys, wherever they are.
    pub has_keys: bool,
    /// Those that were written out, if they could be read.
    pub jwks: Option<&'a JwkSet>,
}

impl Objects<'_> {
    /// What is wrong.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, rule| faults.push(Fault::new(field, rule));
        let unsigned = self.algorithm == Some(RequestObjectAlgorithm::Unsigned);
        let by_key = self.algorithm.and_then(RequestObjectAlgorithm::of_key);
        if let Some(algorithm) = by_key {
            if !self.has_keys {
                fault("request_object_signing_alg", Rule::NeedsKeys);
            } else if self.jwks.is_some_and(|set| !set.fits(algorithm)) {
                fault("request_object_signing_alg", Rule::AlgorithmWithoutKey);
            }
        }
        if self.required && (unsigned || !self.has_keys) {
            fault("require_signed_request_object", Rule::NothingToSignWith);
        }
        if !self.request_uris.is_empty() && !unsigned && !self.has_keys {
            fault("request_uris", Rule::UnsignedObjects);
        }
        for (index, uri) in self.request_uris.iter().enumerate() {
            // A fragment is the hash of what stands there (Core section 6.2).
            let place = uri.split('#').next().unwrap_or_default();
            let rule = if uri.len() > 512 {
                Rule::TooMany("512 characters")
            } else if is_fetched(place) {
                continue;
            } else {
                Rule::NotFetched
            };
            faults.push(Fault::at("request_uris", index, rule));
        }
        faults
    }
}

/// Whether an address may be one that is fetched for a client (T36); which of them is, the fetcher says when it comes to it.
pub fn is_fetched(uri: &str) -> bool {
    let good = |url: &Url| {
        let has_user = !url.username().is_empty() || url.password().is_some();
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        (url.scheme() == "https" || url.scheme() == "http" && local)
            && url.host().is_some()
            && !has_user
            && url.fragment().is_none()
    };
    uri.len() <= 2048 && Url::parse(uri).is_ok_and(|url| good(&url))
}

/// What is wrong with the addresses of a client's logouts: the one that we post to (OpenID Connect Back-Channel Logout 1.0
/// section 2.2), and the one that browsers load (Front-Channel Logout 1.0 section 2).
pub fn logout(
    backchannel: Option<&str>,
    frontchannel: Option<&str>,
    redirect_uris: &[RedirectUri],
    faults: &mut Vec<Fault>,
) {
    if backchannel.is_some_and(|uri| !is_fetched(uri)) {
        faults.push(Fault::new("backchannel_logout_uri", Rule::NotFetched));
    }
    if let Some(uri) = frontchannel {
        let before = faults.len();
        page("frontchannel_logout_uri", uri, faults);
        let origin = RedirectUri::register(uri)
            .ok()
            .and_then(|uri| uri.web_origin());
        let mut origins = redirect_uris.iter().map(RedirectUri::web_origin);
        if faults.len() == before && !origins.any(|each| each == origin) {
            faults.push(Fault::new(
                "frontchannel_logout_uri",
                Rule::NotAtRedirectUri,
            ));
        }
    }
}

/// The addresses of `field` that may be registered, each once.
pub fn uris(field: &str, written: &[String], faults: &mut Vec<Fault>) -> Vec<RedirectUri> {
    let mut good: Vec<RedirectUri> = Vec::new();
    for (index, uri) in written.iter().enumerate() {
        match RedirectUri::register(uri) {
            Ok(uri) if good.contains(&uri) => faults.push(Fault::at(field, index, Rule::Twice)),
            Ok(uri) => good.push(uri),
            Err(error) => faults.push(Fault::at(field, index, error.into())),
        }
    }
    good
}

/// Whether each of `redirect_uris`, as they were written, fits the type of the application (OpenID Connect Dynamic
/// Registration section 2). `in_the_browser`: tokens come there from the authorization endpoint.
pub fn application_type(
    kind: ApplicationType,
    in_the_browser: bool,
    written: &[String],
    faults: &mut Vec<Fault>,
) {
    for (index, uri) in written.iter().enumerate() {
        let Ok(uri) = RedirectUri::register(uri) else {
            continue;
        };
        let rule = match (kind, place(&uri)) {
            (ApplicationType::Web, Place::App) => Rule::PrivateOfWeb,
            (ApplicationType::Web, Place::Loopback | Place::LocalWeb) if in_the_browser => {
                Rule::NotForWeb
            }
            (ApplicationType::Native, Place::Web | Place::LocalWeb) => Rule::NotForNative,
            _ => continue,
        };
        faults.push(Fault::at("redirect_uris", index, rule));
    }
}

/// A page that people may be sent to (T4).
pub fn page(field: &str, uri: &str, faults: &mut Vec<Fault>) {
    match RedirectUri::register(uri) {
        Ok(uri) if uri.web_origin().is_some() => {}
        Ok(_) => faults.push(Fault::new(field, Rule::NotWeb)),
        Err(error) => faults.push(Fault::new(field, error.into())),
    }
}

/// The same where nothing but https will do, though it be this machine.
pub fn https_page(field: &str, uri: &str, faults: &mut Vec<Fault>) {
    if uri.starts_with("https://") {
        page(field, uri, faults);
    } else {
        faults.push(Fault::new(field, Rule::NotWeb));
    }
}

/// The most characters of a name on a page.
const MAX_LABEL: usize = 80;

/// What keeps a text from being shown: as nothing, breaking a page, or turning the text around it.
pub fn label(text: &str) -> Option<Rule> {
    let direction = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().all(|c| c.is_whitespace() || is_ignorable(c)) {
        Some(Rule::EmptyLabel)
    } else if text.chars().count() > MAX_LABEL {
        Some(Rule::LongLabel)
    } else if text.chars().any(|c| c.is_control() || direction(c)) {
        Some(Rule::LabelControls)
    } else {
        None
    }
}

/// `scope`, of a client with these grants and answers.
pub fn scope(
    text: &str,
    grants: &BTreeSet<GrantType>,
    answers: &BTreeSet<ResponseType>,
    faults: &mut Vec<Fault>,
) -> Scope {
    let scope = Scope::parse(text).unwrap_or_else(|error| {
        faults.push(Fault::new("scope", Rule::Scope(error.to_string())));
        Scope::default()
    });
    if scope.contains(scope::OFFLINE_ACCESS) && !grants.contains(&GrantType::RefreshToken) {
        faults.push(Fault::new("scope", Rule::OfflineWithoutRefresh));
    }
    let id_token = |answer: &ResponseType| answer.returns_id_token();
    if answers.iter().any(id_token) && !scope.contains(scope::OPENID) {
        faults.push(Fault::new("scope", Rule::NoOpenId));
    }
    scope
}

/// The sector of pairwise subjects that `redirect_uris` give by themselves: the one host of all (OpenID Connect Core
/// section 8.1). `None` where there is nobody to have a subject, or a fault already.
pub fn sector(
    redirect_uris: &[RedirectUri],
    grants: &BTreeSet<GrantType>,
) -> Result<Option<String>, Rule> {
    let hosts: BTreeSet<Option<String>> = redirect_uris
        .iter()
        .map(|uri| web_host(uri.as_str()))
        .collect();
    // Without any address there is a fault already, or nobody to have a subject; a device code needs none.
    let nobody = grants
        .iter()
        .all(|grant| *grant == GrantType::AuthorizationCode || !grant.begins_with_a_login());
    let mut hosts = hosts.into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(Some(host)), None) => Ok(Some(host)),
        (None, _) if nobody => Ok(None),
        _ => Err(Rule::NoSector),
    }
}

/// The host of an address.
pub fn host(uri: &str) -> Option<String> {
    Some(Url::parse(uri).ok()?.host_str()?.to_owned())
}

/// The host of a web address: what a sector can be named by (OpenID Connect Core section 8.1). Not this machine, by whatever
/// scheme: all apps that run on one would be of the same sector, and tell each other whom they know.
pub fn web_host(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let host = url.host_str()?;
    let is_elsewhere = !is_loopback(&url.host()?);
    (url.scheme() == "https" && is_elsewhere).then(|| host.to_owned())
}

/// The host that an address belongs to: its own, or the one that an app's scheme is turned around from (RFC 8252 section
/// 7.1: `com.example.app` is of `app.example.com`).
pub fn owner(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    match url.scheme() {
        "http" | "https" => match url.host()? {
            Host::Domain(name) => Some(name.to_owned()),
            Host::Ipv4(address) => Some(address.to_string()),
            Host::Ipv6(address) => Some(format!("[{address}]")),
        },
        scheme => {
            let mut words: Vec<&str> = scheme.split('.').collect();
            words.reverse();
            Some(words.join("."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenID Connect Back-Channel Logout 1.0 section 2.2, Front-Channel Logout 1.0 section 2 (T4, T36).
    #[test]
    fn logout_addresses_are_ones_that_can_be_told() {
        let redirect_uris = ["https://app.example.org/cb", "com.example.app:/cb"]
            .map(|uri| RedirectUri::register(uri).unwrap());
        let told = |backchannel, frontchannel| {
            let mut faults = Vec::new();
            logout(backchannel, frontchannel, &redirect_uris, &mut faults);
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(told(None, None), "");
        assert_eq!(
            told(
                Some("https://server.example.org/out?x=1"),
                Some("https://app.example.org/out?x=1")
            ),
            ""
        );
        for uri in [
            "http://app.example.org/out",
            "https://app.example.org/out#x",
            "https://jo@app.example.org/out",
            "com.example.app:/out",
            "/out",
            "",
        ] {
            assert!(
                told(Some(uri), None).starts_with("backchannel_logout_uri "),
                "{uri}"
            );
        }
        for uri in [
            "https://other.example.org/out",
            "https://app.example.org:8443/out",
            "http://app.example.org/out",
            "https://app.example.org/out#x",
            "com.example.app:/out",
            "javascript:alert(1)",
            "",
        ] {
            assert!(
                told(None, Some(uri)).starts_with("frontchannel_logout_uri "),
                "{uri}"
            );
        }
    }
}
