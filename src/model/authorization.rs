//! An authorization on its way: pending while the person logs in and consents, then proven by a grant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::UnixTime;
use crate::protocol::authorize::AuthorizationRequest;
use crate::protocol::claims::{Actor, Profile, SUBJECT};
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::device::UserCode;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{AccountId, ClientId, FamilyId, SessionId, Subject};
use crate::protocol::scope::{self, Scope};

use super::account::UpstreamSubject;
use super::client::{Client, ReturnTo};
use super::pushed_request::TakenUp;
use super::resource::Aim;
use super::session::Authentication;

/// A request held against its client and found good. It travels sealed in this tab's cookie; nothing of it is
/// stored (design, section 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingAuthorization {
    /// The client.
    pub client_id: ClientId,
    /// Where the answer goes.
    pub return_to: ReturnTo,
    /// Whether the request named its redirect URI, for then the token request must too (RFC 6749 section 4.1.3).
    pub redirect_uri_was_sent: bool,
    /// The request, its scope narrowed to the client's.
    pub request: AuthorizationRequest,
    /// The `sub` that a verified `id_token_hint` names.
    pub expected_subject: Option<Subject>,
    /// When it began.
    pub started_at: UnixTime,
    /// The session that a login in this very flow made; proof that `prompt=login` and `max_age` were obeyed (T28).
    pub logged_in: Option<SessionId>,
    /// The session that the person chose where several accounts are signed in, or kept in answer to
    /// `prompt=select_account`.
    pub selected: Option<SessionId>,
    /// The session that consented in this flow.
    pub consented: Option<SessionId>,
    /// Whether the person wants to be kept signed in; `None` until a form has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_signed_in: Option<bool>,
    /// A session that does not count here until its person logs in again: the upstream could not be asked about them.
    #[serde(default)]
    pub unconfirmed: Option<SessionId>,
    /// What a flow that no client asked for is to lead to: a page of ours, and never a code.
    #[serde(default)]
    pub errand: Option<Errand>,
    /// The pushed request that it began with, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<TakenUp>,
}

/// What a login that no client asked for is to lead to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// The account page.
    Account,
    /// One more login for the account.
    Link {
        /// Whether the login page asks for that login now, and not for one that the account has.
        asked: bool,
        /// Whom that login turned out to be.
        proven: Option<Box<ProvenLogin>>,
    },
    /// A yes or no to a device (RFC 8628 section 3.3).
    Device {
        /// The code that it shows; `None` until somebody has typed it.
        user_code: Option<UserCode>,
    },
    /// One login less.
    Unlink {
        /// The login.
        login: UpstreamSubject,
    },
}

/// Somebody who has logged in without becoming this browser's person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvenLogin {
    /// What the upstream calls them.
    pub login: UpstreamSubject,
    /// What it says about them.
    pub profile: Profile,
    /// When.
    pub at: UnixTime,
    /// What it gave to act for them.
    #[serde(default)]
    pub tokens: Option<ProvenTokens>,
}

/// What a login gave that is to be linked. Sealed for the vault already, so that it opens in no other session (T63).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvenTokens {
    /// The session that is to have it.
    pub session: SessionId,
    /// The sealed text.
    pub sealed: String,
}

impl PendingAuthorization {
    /// Holds `request` against the client's registration.
    pub fn new(
        client: &Client,
        return_to: ReturnTo,
        redirect_uri_was_sent: bool,
        mut request: AuthorizationRequest,
        now: UnixTime,
    ) -> Result<Self, OAuthError> {
        let wants_code = request.response_type.returns_code();
        let must_prove = client.is_public() || client.require_pkce;
        if wants_code && must_prove && request.code_challenge.is_none() {
            return Err(OAuthError::invalid_request(
                "code_challenge is missing: this client must use PKCE (RFC 7636)",
            ));
        }
        let mut granted = client.grant_scope(&request.scope)?;
        if !wants_code {
            // No refresh token can follow (OpenID Connect Core section 11).
            granted = granted.without(scope::OFFLINE_ACCESS);
        }
        client.require_response_type(request.response_type, &granted)?;
        client.require_resources(&request.resources, return_to.issuer())?;
        if !granted.contains(scope::OPENID) {
            // OpenID Connect's (Core section 5.5); `acr_values` are plain OAuth's, too (RFC 9470 section 4).
            request.claims = ClaimsRequest::default();
        }
        if request.acr_values.is_empty() && !request.claims.id_token.contains_key("acr") {
            // What the client registered; a request's own wish takes its place (Dynamic Registration section 2).
            request
                .acr_values
                .clone_from(&client.about.default_acr_values);
        }
        request.scope = granted;
        request.max_age = match (request.max_age, client.default_max_age) {
            (Some(asked), Some(default)) => Some(asked.min(default)),
            (asked, default) => asked.or(default),
        };
        Ok(Self {
            client_id: client.client_id.clone(),
            return_to,
            redirect_uri_was_sent,
            request,
            expected_subject: None,
            started_at: now,
            logged_in: None,
            selected: None,
            consented: None,
            keep_signed_in: None,
            errand: None,
            unconfirmed: None,
            pushed: None,
        })
    }

    /// Whether the answer may be about this person: whom a hint names, and whom the claim `sub` names if the request asks for
    /// it by value (Core sections 3.1.2.2 and 5.5.1).
    pub fn expects(&self, subject: &Subject) -> bool {
        let hinted = self.expected_subject.as_ref();
        let claims = &self.request.claims;
        let asked = [&claims.id_token, &claims.userinfo];
        let name = Value::from(subject.as_str());
        hinted.is_none_or(|expected| expected == subject)
            && asked
                .into_iter()
                .filter_map(|claims| claims.get(SUBJECT))
                .all(|wanted| wanted.admits(&name))
    }

    /// Whether the request is about certain people only.
    pub fn names_somebody(&self) -> bool {
        let claims = &self.request.claims;
        let asked = [&claims.id_token, &claims.userinfo];
        self.expected_subject.is_some()
            || asked
                .into_iter()
                .filter_map(|claims| claims.get(SUBJECT))
                .any(|wanted| !wanted.values.is_empty())
    }

    /// Whether the request must be answered without showing anything.
    pub const fn is_silent(&self) -> bool {
        self.request.prompt.none
    }
}

/// What a grant proved; `tokens` mints from it and decides nothing.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Who gets the tokens.
    pub client_id: ClientId,
    /// For whom; a client of its own where there is nobody.
    pub person: Option<Person>,
    /// What was granted.
    pub scope: Scope,
    /// Which APIs the access token is for.
    pub aim: Aim,
    /// Whether the access token ends with the session, also where its family outlives that.
    pub within_session: bool,
    /// Where another access token stands behind it (RFC 8693).
    pub exchanged: Option<Exchanged>,
}

/// What an exchanged access token has in place of its client's usual.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// When it ends at the latest.
    pub ends: UnixTime,
    /// Who acts for the person.
    pub actor: Option<Actor>,
    /// The client whose family it lives and dies with.
    pub family_client: ClientId,
}

/// The person behind an authorization, and the login it comes from.
#[derive(Clone, Debug)]
pub struct Person {
    /// The account.
    pub account_id: AccountId,
    /// The `sub` claim for this client.
    pub subject: Subject,
    /// The login.
    pub authentication: Authentication,
    /// The nonce for the ID token.
    pub nonce: Option<String>,
    /// What this client is told in its ID tokens besides, by its configuration.
    pub claims: BTreeMap<String, Value>,
    /// The family that the tokens belong to.
    pub family_id: FamilyId,
    /// The refresh token's generation, when there is to be one.
    pub refresh_generation: Option<i64>,
}

/// `access_denied`: the person said no.
pub fn denied() -> OAuthError {
    OAuthError::new(ErrorCode::AccessDenied, "the person did not agree")
}
