//! A registered client (RFC 7591 section 2, OpenID Connect Dynamic Registration section 2).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::random_token;
use crate::protocol::authorize::ReturnRequest;
use crate::protocol::claims::Profile;
use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{ClientId, Subject, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::jwk::JwkSet;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::locale::Locale;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::request_object::RequestObjectAlgorithm;
use crate::protocol::resource;
use crate::protocol::response::{ResponseMode, ResponseType};
use crate::protocol::scope::{self, Scope};
use crate::protocol::secret::Secret;
use crate::protocol::token::{AccessTokenFormat, GrantType};

use super::account::Account;
use super::client_about::{AppPage, ClientAbout};
use super::client_claims::{About, ClientClaims};
use super::client_logout::ClientLogout;
use super::exchange::ExchangePolicy;
use super::session::Authentication;
use super::withheld::Withheld;

/// When a client's users are asked for consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentPolicy {
    /// Never, unless the client itself asks with `prompt=consent`: for the organization's own apps.
    #[default]
    None,
    /// Once for each scope; remembered.
    Once,
    /// At every authorization.
    Always,
}

/// A client as the store keeps it. Secrets are not here; see [`ClientSecretHash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names and types are the specifications'"
)]
pub struct Client {
    /// The identifier.
    pub client_id: ClientId,
    /// What people see on pages; the identifier when absent.
    pub client_name: Option<String>,
    /// The app's home page, offered where a sign-in cannot go on.
    pub client_uri: Option<String>,
    /// Where the app begins a login that it did not ask for itself (OpenID Connect Core section 4).
    pub initiate_login_uri: Option<String>,
    /// How it authenticates at the token endpoint.
    pub token_endpoint_auth_method: ClientAuthMethod,
    /// The one algorithm of its assertions; any that fits its keys when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<AssertionAlgorithm>,
    /// Whether its assertions may be meant for the token endpoint's address instead of the issuer. Ours.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_token_endpoint_audience: bool,
    /// Its public keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JwkSet>,
    /// What its request objects are signed with; any that fits its keys when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<RequestObjectAlgorithm>,
    /// Whether its authorization requests must be signed request objects (RFC 9101 section 10.5).
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_signed_request_object: bool,
    /// Where its request objects may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_uris: Vec<String>,
    /// Where its public keys are; never beside `jwks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Where answers may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// Where the browser may go after logout.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// The grants it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// The answers it may ask the authorization endpoint for. Rows of older nodes do not say: `code` alone.
    #[serde(default = "code_alone")]
    pub response_types: BTreeSet<ResponseType>,
    /// The most it may ask for, and what it gets when it asks for nothing.
    pub scope: Scope,
    /// Login older than this is not good enough, whatever the request says; seconds.
    pub default_max_age: Option<i64>,
    /// The algorithm of its ID tokens.
    pub id_token_signed_response_alg: SigningAlgorithm,
    /// The algorithm of what userinfo tells it, as a JWT; plain JSON when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<SigningAlgorithm>,
    /// The algorithm of what introspection tells it as a JWT (RFC 9701 section 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<SigningAlgorithm>,
    /// What its access tokens look like. Ours.
    #[serde(default)]
    pub access_token_format: AccessTokenFormat,
    /// The algorithm of its access tokens where they are JWTs. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_signed_response_alg: Option<SigningAlgorithm>,
    /// The APIs its access tokens are for; the issuer alone when empty. Ours.
    pub audience: Vec<String>,
    /// The APIs, besides those of `audience`, that it may ask for tokens for. Ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The upstreams whose people may use it; all when `None`. Ours.
    pub upstreams: Option<BTreeSet<UpstreamId>>,
    /// The upstreams whose API it may call through the gateway, as far as its scopes open it (T62). Ours.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub upstream_apis: BTreeSet<UpstreamId>,
    /// When to ask for consent. Ours.
    pub consent: ConsentPolicy,
    /// Whether a confidential client must use PKCE too; public ones always must. Ours.
    pub require_pkce: bool,
    /// Whether it gets access tokens that are bound to a key alone (RFC 9449 section 5.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
    /// Whether it must push its authorization requests (RFC 9126 section 6).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_pushed_authorization_requests: bool,
    /// More claims, in its ID tokens and at userinfo. Ours. Rows of older nodes have none.
    #[serde(default)]
    pub claims: ClientClaims,
    /// What its `sub` claims are.
    #[serde(default)]
    pub subject_type: SubjectType,
    /// The upstreams whose tokens of the logged-in person it may have (T62). Ours.
    #[serde(default)]
    pub upstream_tokens: BTreeSet<UpstreamId>,
    /// The upstreams whose service account's token it may have (T62). Ours.
    #[serde(default)]
    pub service_tokens: BTreeSet<UpstreamId>,
    /// What it may exchange access tokens of ours for. Ours.
    #[serde(default, skip_serializing_if = "ExchangePolicy::is_empty")]
    pub exchange: ExchangePolicy,
    /// Only people in one of these groups may use it, in any letter case; everybody when empty. Ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_groups: Vec<String>,
    /// Only people with all of these claims may use it. Ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub require_claims: BTreeMap<String, Value>,
    /// Whether people go on while their upstream cannot be asked about them. Ours.
    #[serde(default, skip_serializing_if = "OutagePolicy::is_default")]
    pub upstream_outage: OutagePolicy,
    /// Whether it registered itself: what it says of itself is nobody's word but its own. Ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registered: bool,
    /// What it registered and has no more, for the policy is stricter now. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Withheld>,
    /// How it hears that somebody has logged out.
    #[serde(default, skip_serializing_if = "ClientLogout::is_empty")]
    pub logout: ClientLogout,
    /// What else it says of itself.
    #[serde(default, skip_serializing_if = "ClientAbout::is_empty")]
    pub about: ClientAbout,
}

/// What happens to the people of an upstream that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutagePolicy {
    /// What was known of them has to be fresh.
    Refuse,
    /// What was known of them is good enough for so many seconds.
    Stale(i64),
}

impl OutagePolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Half a day: a night, or a long maintenance.
impl Default for OutagePolicy {
    fn default() -> Self {
        Self::Stale(12 * 60 * 60)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde wants"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

fn code_alone() -> BTreeSet<ResponseType> {
    BTreeSet::from([ResponseType::Code])
}

/// What a client's `sub` claims are (OpenID Connect Core section 8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// Each person's is the same for all public clients.
    #[default]
    Public,
    /// Each person's differs from sector to sector, so that clients cannot tell each other whom they know.
    Pairwise {
        /// The sector identifier: the host that the client shares with others of its sector (section 8.1).
        sector: String,
    },
}

/// What the pages of ours that log somebody in call themselves: no client can be registered by a name with a space.
pub const OWN_CLIENT_ID: &str = "account page";

/// One of a client's live secrets (two at the most, so that they can be changed without downtime).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClientSecretHash {
    /// A secret of full entropy, made by us: a keyed hash is enough.
    Keyed {
        /// HMAC-SHA-256, base64url.
        hash: String,
    },
    /// A secret that a human chose: Argon2id, as a PHC string.
    Argon2id {
        /// The PHC string.
        phc: String,
    },
    /// A secret that the client signs with (`client_secret_jwt`): to verify that, the secret itself is needed.
    Sealed {
        /// Sealed with the master key, for this client.
        sealed: String,
    },
}

/// A client secret of full entropy.
pub fn made_secret() -> Secret {
    Secret::new(format!("{MADE_SECRET_PREFIX}{}", random_token()))
}

/// What begins a client secret that we made: 256 random bits, for which a keyed hash is enough.
pub const MADE_SECRET_PREFIX: &str = "portico_secret_";
/// How long 256 bits are in base64url.
const MADE_SECRET_CHARACTERS: usize = 43;

/// Whether a secret has the form of those that we make, so that it is hashed as one.
pub fn is_made_secret(secret: &str) -> bool {
    let base64url = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    secret
        .strip_prefix(MADE_SECRET_PREFIX)
        .is_some_and(|random| {
            random.len() == MADE_SECRET_CHARACTERS && random.chars().all(base64url)
        })
}

/// Where the answer to an authorization request goes: proven to belong to the client. [`Client::return_to`] is
/// the one way to make it, and without it nothing redirects (T5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnTo {
    redirect_uri: String,
    response_mode: ResponseMode,
    state: Option<String>,
    issuer: Issuer,
}

impl ReturnTo {
    /// The proven redirect URI.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// How the parameters travel.
    pub const fn response_mode(&self) -> ResponseMode {
        self.response_mode
    }

    /// Who answers.
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The parameters of an answer: `outcome`, then `state`, then `iss` (RFC 9207 section 2).
    pub fn parameters(&self, outcome: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        let state = self.state.clone().map(|state| ("state", state));
        let iss = ("iss", self.issuer.to_string());
        outcome.into_iter().chain(state).chain([iss]).collect()
    }
}

impl Client {
    /// A client of this name that may do nothing yet, with every other key at its default.
    pub fn new(client_id: ClientId) -> Self {
        Self {
            client_id,
            client_name: None,
            client_uri: None,
            initiate_login_uri: None,
            token_endpoint_auth_method: ClientAuthMethod::default(),
            token_endpoint_auth_signing_alg: None,
            allow_token_endpoint_audience: false,
            jwks: None,
            request_object_signing_alg: None,
            require_signed_request_object: false,
            request_uris: Vec::new(),
            jwks_uri: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            grant_types: BTreeSet::new(),
            response_types: code_alone(),
            scope: Scope::default(),
            default_max_age: None,
            id_token_signed_response_alg: SigningAlgorithm::default(),
            userinfo_signed_response_alg: None,
            introspection_signed_response_alg: None,
            access_token_format: AccessTokenFormat::default(),
            access_token_signed_response_alg: None,
            audience: Vec::new(),
            resources: Vec::new(),
            upstreams: None,
            consent: ConsentPolicy::default(),
            require_pkce: false,
            dpop_bound_access_tokens: false,
            require_pushed_authorization_requests: false,
            claims: ClientClaims::default(),
            subject_type: SubjectType::default(),
            upstream_apis: BTreeSet::new(),
            upstream_tokens: BTreeSet::new(),
            service_tokens: BTreeSet::new(),
            exchange: ExchangePolicy::default(),
            require_groups: Vec::new(),
            require_claims: BTreeMap::new(),
            upstream_outage: OutagePolicy::default(),
            registered: false,
            withheld: None,
            logout: ClientLogout::default(),
            about: ClientAbout::default(),
        }
    }

    /// The account page, in the place where flows have a client: everybody may log in there. It can redeem nothing, for
    /// it is not registered, and its flows end at pages of ours.
    pub fn account_page(issuer: &Issuer) -> Result<Self, OAuthError> {
        let page = RedirectUri::register(&issuer.at("/account"));
        Ok(Self {
            redirect_uris: vec![page.map_err(OAuthError::server_error)?],
            grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
            scope: Scope::parse(scope::OPENID).map_err(OAuthError::server_error)?,
            ..Self::new(ClientId::new(OWN_CLIENT_ID))
        })
    }

    /// The client as the pages see it while somebody logs in for a device of its: the flow ends at a page of ours, and the
    /// answer goes where the device asks for it. Who may use it stays as it is.
    pub fn at_device_page(self, issuer: &Issuer) -> Result<Self, OAuthError> {
        self.require_grant(GrantType::DeviceCode)?;
        let page = RedirectUri::register(&issuer.at(path::DEVICE));
        Ok(Self {
            redirect_uris: vec![page.map_err(OAuthError::server_error)?],
            grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
            response_types: code_alone(),
            // There is no code that somebody could catch on the way, and so no PKCE.
            token_endpoint_auth_method: ClientAuthMethod::default(),
            require_pkce: false,
            ..self
        })
    }

    /// Whether the client can keep no secret.
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == ClientAuthMethod::None
    }

    /// Whether a request object may be fetched from `uri`: registered letter by letter, up to the fragment, which is no part
    /// of where it is (OpenID Connect Core section 6.2).
    pub fn has_request_uri(&self, uri: &str) -> bool {
        let place = |uri: &str| uri.split('#').next().map(ToOwned::to_owned);
        self.request_uris
            .iter()
            .any(|registered| place(registered) == place(uri))
    }

    /// What pages in `locale` call the client.
    pub fn display_name_in(&self, locale: Locale) -> &str {
        let variant = self.about.variant("client_name", locale);
        variant.unwrap_or_else(|| self.display_name())
    }

    /// A page that it says more on: the variant of `field` for people who read `locale`, or `plain`.
    fn page(&self, field: &str, plain: Option<&String>, locale: Locale) -> Option<AppPage> {
        let variant = self.about.variant(field, locale);
        AppPage::new(variant.or_else(|| plain.map(String::as_str))?)
    }

    /// What it does with people's data.
    pub fn policy_page(&self, locale: Locale) -> Option<AppPage> {
        self.page("policy_uri", self.about.policy_uri.as_ref(), locale)
    }

    /// Its terms.
    pub fn terms_page(&self, locale: Locale) -> Option<AppPage> {
        self.page("tos_uri", self.about.tos_uri.as_ref(), locale)
    }

    /// Where its logo is, for people who read `locale`.
    pub fn logo_uri(&self, locale: Locale) -> Option<&str> {
        let variant = self.about.variant("logo_uri", locale);
        variant.or(self.about.logo_uri.as_deref())
    }

    /// Where its logos are, in every language.
    pub fn logo_uris(&self) -> impl Iterator<Item = &str> {
        let variants = self.about.localized.iter();
        let variants = variants.filter(|(name, _)| name.split('#').next() == Some("logo_uri"));
        let variants = variants.map(|(_, uri)| uri.as_str());
        self.about.logo_uri.as_deref().into_iter().chain(variants)
    }

    /// Whether anybody can speak for it, or for another just like it: limits by address are for these.
    pub fn is_anybodys(&self) -> bool {
        self.is_public() || self.registered
    }

    /// Whether its refresh tokens belong to the key that it proves; those of others belong to their secret (RFC 9449
    /// section 5).
    pub fn binds_refresh_tokens(&self) -> bool {
        self.is_public()
    }

    /// Whether each refresh gives another refresh token. Not where a secret and a key stand for the client already: there
    /// a new one protects nothing, and may be lost on its way (FAPI 2.0 Security Profile section 5.3.2.1).
    pub fn rotates_refresh_tokens(&self) -> bool {
        self.is_public() || !self.dpop_bound_access_tokens
    }

    /// What pages call the client.
    pub fn display_name(&self) -> &str {
        self.client_name
            .as_deref()
            .unwrap_or(self.client_id.as_str())
    }

    /// Whether people of `upstream` may use this client, on every grant (T15).
    pub fn allows_upstream(&self, upstream: &UpstreamId) -> bool {
        self.upstreams
            .as_ref()
            .is_none_or(|allowed| allowed.contains(upstream))
    }

    /// What keeps a person with this profile out, if anything does. Asked on every grant (T15).
    pub fn lacking(&self, profile: &Profile) -> Option<String> {
        let is_one = |group: &String| {
            let mut wanted = self.require_groups.iter();
            wanted.any(|wanted| wanted.to_lowercase() == group.to_lowercase())
        };
        if !self.require_groups.is_empty() && !profile.groups.iter().any(is_one) {
            return Some("none of require_groups".to_owned());
        }
        let mut wanted = self.require_claims.iter();
        wanted
            .find(|(name, value)| profile.claim(name).as_ref() != Some(value))
            .map(|(name, _)| format!("the claim {name} of require_claims"))
    }

    /// Proves where the answer goes. An error here is shown as a page (RFC 6749 section 3.1.2.4).
    pub fn return_to(
        &self,
        request: &ReturnRequest<'_>,
        issuer: &Issuer,
    ) -> Result<ReturnTo, OAuthError> {
        let redirect_uri = match (request.redirect_uri, self.redirect_uris.as_slice()) {
            (Some(requested), registered) => {
                if self.is_withheld_redirect_uri(requested)
                    && !registered.iter().any(|uri| uri.matches(requested))
                {
                    return Err(OAuthError::invalid_request(
                        "redirect_uri is at a host that the administrator no longer allows for apps that register themselves",
                    ));
                }
                if !registered.iter().any(|uri| uri.matches(requested)) {
                    return Err(OAuthError::invalid_request(
                        "redirect_uri is not registered for this client",
                    ));
                }
                requested.to_owned()
            }
            (None, [only]) => only.as_str().to_owned(),
            (None, []) => {
                return Err(OAuthError::invalid_request(
                    "this client has no redirect_uris and cannot log people in",
                ));
            }
            (None, _) => {
                return Err(OAuthError::invalid_request(
                    "redirect_uri is missing, and this client has several",
                ));
            }
        };
        Ok(ReturnTo {
            redirect_uri,
            response_mode: request.response_mode,
            state: request.state.map(ToOwned::to_owned),
            issuer: issuer.clone(),
        })
    }

    /// What this client is told about the person besides the claims of its scopes. `subject` is the person's `sub` for it.
    pub fn claims_about(
        &self,
        subject: &Subject,
        account: &Account,
        authentication: &Authentication,
    ) -> BTreeMap<String, Value> {
        self.claims.about(About {
            subject,
            profile: &account.profile,
            upstream: &authentication.upstream,
        })
    }

    /// Refuses an answer that the client is not registered for, or whose ID token needs a scope that it does not get.
    /// Asked when a request comes in, and again when it is answered: the registration may have changed.
    pub fn require_response_type(
        &self,
        response_type: ResponseType,
        granted: &Scope,
    ) -> Result<(), OAuthError> {
        if self.lacks_auth_method() {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "this client's token_endpoint_auth_method is no longer allowed; what it asks for it could not redeem",
            ));
        }
        if !self.response_types.contains(&response_type) {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                format!(
                    "this client is not registered for the response_type {}",
                    response_type.as_str()
                ),
            ));
        }
        if response_type.returns_access_token() && self.dpop_bound_access_tokens {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "this client gets access tokens for a key alone, which the browser cannot prove",
            ));
        }
        for grant in response_type.grants() {
            self.require_grant(*grant)?;
        }
        if response_type.returns_id_token() && !granted.contains(scope::OPENID) {
            return Err(OAuthError::new(
                ErrorCode::InvalidScope,
                "this response_type asks for an ID token, which needs the scope openid",
            ));
        }
        Ok(())
    }

    /// Refuses a grant that the client is not registered for (T15).
    pub fn require_grant(&self, grant: GrantType) -> Result<(), OAuthError> {
        if self.grant_types.contains(&grant) {
            return Ok(());
        }
        Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            format!(
                "this client is not registered for the grant {}",
                grant.as_str()
            ),
        ))
    }

    /// Where the app begins a login of its own, at once answered by the session there is (OpenID Connect Core section 4). `iss`
    /// alone goes there: the app is to open as it does, and whose session it is the session says.
    pub fn initiate_login_url(&self, issuer: &Issuer) -> Option<String> {
        let mut url = url::Url::parse(self.initiate_login_uri.as_ref()?).ok()?;
        url.query_pairs_mut().append_pair("iss", issuer.as_str());
        Some(url.into())
    }

    /// Where to go on to when somebody has logged in without the app having asked: to where it begins a login, or its home
    /// page.
    pub fn go_on_url(&self, issuer: &Issuer) -> Option<String> {
        match &self.initiate_login_uri {
            Some(_) => self.initiate_login_url(issuer),
            None => self.client_uri.clone(),
        }
    }

    /// What is granted of what was asked for: all of it, or an error naming the first token too many.
    pub fn narrow_scope(&self, requested: &Scope) -> Result<Scope, OAuthError> {
        if requested.is_empty() {
            return Ok(self.scope.clone());
        }
        match requested.iter().find(|token| !self.scope.contains(token)) {
            None => Ok(requested.clone()),
            Some(token) => Err(OAuthError::new(
                ErrorCode::InvalidScope,
                format!("this client may not ask for the scope {token}"),
            )),
        }
    }

    /// The same where a person logs in. `offline_access` is ignored, not refused, where no refresh token can follow (OpenID
    /// Connect Core section 11), and never given to a client that did not ask.
    pub fn grant_scope(&self, requested: &Scope) -> Result<Scope, OAuthError> {
        let granted = self.narrow_scope(requested)?;
        if self.gets_refresh_token() && !requested.is_empty() {
            return Ok(granted);
        }
        Ok(granted.without(scope::OFFLINE_ACCESS))
    }

    /// Whether the client may ask for tokens for this API; for us it always may (RFC 8707 section 2).
    pub fn may_ask_for(&self, resource: &str, issuer: &Issuer) -> bool {
        let named = |list: &[String]| list.iter().any(|each| each == resource);
        resource == issuer.as_str() || named(&self.audience) || named(&self.resources)
    }

    /// Refuses a resource that the client may not ask for.
    pub fn require_resources(&self, named: &[String], issuer: &Issuer) -> Result<(), OAuthError> {
        if named.iter().all(|each| self.may_ask_for(each, issuer)) {
            return Ok(());
        }
        Err(resource::invalid_target(
            "this client may not ask for tokens for that resource; an administrator has to write it into its resources",
        ))
    }

    /// Whether a grant of `granted` comes with a refresh token.
    pub fn gets_refresh_token(&self) -> bool {
        self.grant_types.contains(&GrantType::RefreshToken)
    }

    /// Whether a family of `granted` outlives its session (design, section 4).
    pub fn is_offline(&self, granted: &Scope) -> bool {
        self.gets_refresh_token() && granted.contains(scope::OFFLINE_ACCESS)
    }

    /// The origins whose scripts may read our answers (T55).
    pub fn web_origins(&self) -> BTreeSet<String> {
        self.redirect_uris
            .iter()
            .filter_map(RedirectUri::web_origin)
            .collect()
    }

    /// The registered logout address that `requested` is, letter by letter (T6).
    pub fn post_logout_redirect_uri(&self, requested: &str) -> Option<&RedirectUri> {
        self.post_logout_redirect_uris
            .iter()
            .find(|uri| uri.as_str() == requested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requiring(groups: &[&str], claims: &[(&str, Value)]) -> Client {
        Client {
            require_groups: groups.iter().map(ToString::to_string).collect(),
            require_claims: claims
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            ..Client::new(ClientId::new("app"))
        }
    }

    /// T15: any of the groups in any letter case, and all of the claims, by value and type.
    #[test]
    fn a_client_is_for_those_in_a_group_of_its_and_with_all_of_its_claims() {
        let profile = Profile {
            groups: vec!["Émigrés".into(), "Members".into()],
            email_verified: Some(true),
            more: BTreeMap::from([
                ("is_member".to_owned(), Value::Bool(true)),
                ("level".to_owned(), Value::from(3)),
            ]),
            ..Profile::default()
        };
        let nobody = Profile::default();
        let admits = |groups: &[&str], claims: &[(&str, Value)]| {
            let client = requiring(groups, claims);
            let all = requiring(&[], &[]);
            assert!(all.lacking(&profile).is_none() && all.lacking(&nobody).is_none());
            if !groups.is_empty() || !claims.is_empty() {
                assert!(client.lacking(&nobody).is_some());
            }
            client.lacking(&profile).is_none()
        };
        assert!(admits(&["Board", "mEMBERS"], &[]));
        assert!(admits(&["ÉMIGRÉS"], &[]));
        assert!(!admits(&["Board", "Member"], &[]));
        assert!(admits(
            &[],
            &[("is_member", true.into()), ("level", 3.into())]
        ));
        assert!(admits(&["members"], &[("email_verified", true.into())]));
        assert!(!admits(&["board"], &[("email_verified", true.into())]));
        assert!(!admits(&["members"], &[("is_member", false.into())]));
        assert!(!admits(&[], &[("is_member", "true".into())]));
        assert!(!admits(
            &[],
            &[("is_member", true.into()), ("other", 1.into())]
        ));
    }
}
