//! A registered client (RFC 7591 section 2, OpenID Connect Dynamic Registration section 2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::protocol::authorize::ReturnRequest;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::response::{ResponseMode, ResponseType};
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::GrantType;

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
    /// Where answers may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// Where the browser may go after logout.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// The grants it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// The most it may ask for, and what it gets when it asks for nothing.
    pub scope: Scope,
    /// Login older than this is not good enough, whatever the request says; seconds.
    pub default_max_age: Option<i64>,
    /// The algorithm of its ID tokens.
    pub id_token_signed_response_alg: SigningAlgorithm,
    /// The APIs its access tokens are for; the issuer alone when empty. Ours.
    pub audience: Vec<String>,
    /// The upstreams whose people may use it; all when `None`. Ours.
    pub upstreams: Option<BTreeSet<UpstreamId>>,
    /// The upstreams whose API it may call through the gateway, as far as its scopes open it (T62). Ours.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub upstream_apis: BTreeSet<UpstreamId>,
    /// When to ask for consent. Ours.
    pub consent: ConsentPolicy,
    /// Whether a confidential client must use PKCE too; public ones always must. Ours.
    pub require_pkce: bool,
    /// The upstreams whose tokens of the logged-in person it may have (T62). Ours.
    #[serde(default)]
    pub upstream_tokens: BTreeSet<UpstreamId>,
    /// The upstreams whose service account's token it may have (T62). Ours.
    #[serde(default)]
    pub service_tokens: BTreeSet<UpstreamId>,
}

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

    /// The parameters of an answer: `outcome`, then `state`, then `iss` (RFC 9207 section 2).
    pub fn parameters(&self, outcome: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        let state = self.state.clone().map(|state| ("state", state));
        let iss = ("iss", self.issuer.to_string());
        outcome.into_iter().chain(state).chain([iss]).collect()
    }
}

impl Client {
    /// Whether the client can keep no secret.
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == ClientAuthMethod::None
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

    /// Proves where the answer goes. An error here is shown as a page (RFC 6749 section 3.1.2.4).
    pub fn return_to(
        &self,
        request: &ReturnRequest<'_>,
        response_type: ResponseType,
        issuer: &Issuer,
    ) -> Result<ReturnTo, OAuthError> {
        let redirect_uri = match (request.redirect_uri, self.redirect_uris.as_slice()) {
            (Some(requested), registered) => {
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
            response_mode: request
                .response_mode
                .unwrap_or_else(|| response_type.default_mode()),
            state: request.state.map(ToOwned::to_owned),
            issuer: issuer.clone(),
        })
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

    /// Where to go on to when somebody has logged in without the app having asked: the app begins a login of its own, at
    /// once answered by the session there is (OpenID Connect Core section 4); or its home page.
    pub fn go_on_url(&self, issuer: &Issuer) -> Option<String> {
        match &self.initiate_login_uri {
            Some(uri) => {
                let mut url = url::Url::parse(uri).ok()?;
                url.query_pairs_mut().append_pair("iss", issuer.as_str());
                Some(url.into())
            }
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
