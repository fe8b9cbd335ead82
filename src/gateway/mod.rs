//! The gateway: the upstream's API behind our tokens. An app shows an access token of ours; the call goes on with the
//! upstream's token of the person (or of the service account), if a rule of the administrator names the call, the token
//! was given with the rule's scope, and the client may use the upstream's API at all (T62). Neither token reaches the
//! other side.

pub mod path;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::api_rule::{ActsAs, ApiRule};
use crate::model::client::Client;
use crate::model::vault_entry::VaultPlace;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{AccountId, SessionId, UpstreamId};
use crate::protocol::scope::Scope;
use crate::protocol::secret::Secret;
use crate::upstream::{Api, ApiAnswer, ApiCall, LoginError, Upstream, UpstreamTokens, Upstreams};
use crate::vault::{Vault, VaultError};

/// Seconds that a token should have left, so that it does not end on the way.
const MIN_LIFE: i64 = 30;

/// Calls APIs for clients. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    vault: Vault,
    upstreams: Upstreams,
    rules: Arc<BTreeMap<UpstreamId, Vec<ApiRule>>>,
}

/// Who calls, proven.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The client that the access token was given to.
    pub client: &'a Client,
    /// What it was given with, as far as the client may still have it.
    pub scope: &'a Scope,
    /// The person behind it, and the session that they logged in with; `None`: the client itself.
    pub person: Option<(&'a AccountId, &'a SessionId)>,
}

/// Why a call was not made, or gave nothing.
#[derive(Debug)]
pub enum GatewayError {
    /// No access token came.
    NoToken,
    /// There is no such API.
    NotFound,
    /// The caller may not.
    Refused(OAuthError),
    /// The token would have to be given with one of these scopes (RFC 6750 section 3.1).
    Scope(Vec<String>),
    /// The upstream has done its part, badly.
    Upstream(LoginError),
}

impl Gateway {
    /// A gateway to the APIs that `rules` name.
    pub fn new(
        vault: Vault,
        upstreams: Upstreams,
        rules: BTreeMap<UpstreamId, Vec<ApiRule>>,
    ) -> Self {
        Self {
            vault,
            upstreams,
            rules: Arc::new(rules),
        }
    }

    /// Makes a call at the API of the upstream called `id`.
    pub async fn call(
        &self,
        id: &str,
        caller: Caller<'_>,
        call: &ApiCall,
    ) -> Result<ApiAnswer, GatewayError> {
        let (upstream, api, rules) = self.find(id).ok_or(GatewayError::NotFound)?;
        if !caller.client.upstream_apis.contains(&upstream.id)
            || !caller.client.allows_upstream(&upstream.id)
        {
            return Err(refused("this client may not call the API of this upstream"));
        }
        let rule = choose(rules, caller, call)?;
        let first = self.tokens(upstream, caller, rule.acts_as, None).await?;
        let mut answer = api
            .call(call, &first)
            .await
            .map_err(GatewayError::Upstream)?;
        if answer.token_refused {
            // A token may be refused before its end; what was refused was not carried out, whatever the method.
            let stale = Some(&first.access);
            let second = self.tokens(upstream, caller, rule.acts_as, stale).await?;
            answer = api
                .call(call, &second)
                .await
                .map_err(GatewayError::Upstream)?;
            if answer.token_refused {
                return Err(useless_token(rule.acts_as));
            }
        }
        tracing::info!(
            target: "portico::audit", event = "upstream_api_called", upstream = %upstream.id,
            client_id = %caller.client.client_id, scope = rule.scope,
            account = caller.person.map(|(account, _)| account.as_str()),
            session = caller.person.map(|(_, session)| session.as_str()),
            method = call.method, status = answer.status, "called an upstream's API"
        );
        Ok(answer)
    }

    fn find(&self, id: &str) -> Option<(&Upstream, &dyn Api, &[ApiRule])> {
        let upstream = self.upstreams.find(id)?;
        let rules = self.rules.get(&upstream.id)?;
        Some((upstream, upstream.api.as_deref()?, rules))
    }

    async fn tokens(
        &self,
        upstream: &Upstream,
        caller: Caller<'_>,
        acts_as: ActsAs,
        stale: Option<&Secret>,
    ) -> Result<UpstreamTokens, GatewayError> {
        match (acts_as, caller.person) {
            (ActsAs::Person, Some((account_id, session_id))) => {
                let place = VaultPlace::Person {
                    account_id: account_id.clone(),
                    session_id: session_id.clone(),
                    upstream: upstream.id.clone(),
                };
                let tokens = self.vault.person_tokens(&place, MIN_LIFE, stale).await;
                tokens.map_err(|error| match error {
                    VaultError::Nothing | VaultError::NeedsLogin => log_in_again(error),
                    other => GatewayError::Refused(other.into()),
                })
            }
            // T61: the service account's token never serves a person's call.
            (ActsAs::Service, None) => match &upstream.service {
                Some(service) => service.token(stale).await.map_err(GatewayError::Upstream),
                None => Err(refused("this upstream has no service account")),
            },
            (ActsAs::Person, None) | (ActsAs::Service, Some(_)) => Err(wrong_kind(acts_as)),
        }
    }
}

/// The rule that lets `caller` make `call`.
fn choose<'a>(
    rules: &'a [ApiRule],
    caller: Caller<'_>,
    call: &ApiCall,
) -> Result<&'a ApiRule, GatewayError> {
    let naming: Vec<&ApiRule> = rules
        .iter()
        .filter(|rule| rule.names(&call.method, &call.path, &call.query))
        .collect();
    let Some(first) = naming.first() else {
        return Err(refused("no rule of this server opens this call to clients"));
    };
    let kind = match caller.person {
        Some(_) => ActsAs::Person,
        None => ActsAs::Service,
    };
    let fitting: Vec<&ApiRule> = naming
        .iter()
        .copied()
        .filter(|rule| rule.acts_as == kind)
        .collect();
    if fitting.is_empty() {
        return Err(wrong_kind(first.acts_as));
    }
    let granted = fitting
        .iter()
        .find(|rule| caller.scope.contains(&rule.scope));
    granted.copied().ok_or_else(|| {
        let scopes = fitting.iter().map(|rule| rule.scope.clone());
        GatewayError::Scope(scopes.collect())
    })
}

fn refused(why: &'static str) -> GatewayError {
    GatewayError::Refused(OAuthError::new(ErrorCode::AccessDenied, why))
}

fn wrong_kind(wanted: ActsAs) -> GatewayError {
    refused(match wanted {
        ActsAs::Person => "this call needs the access token of a person who is logged in",
        ActsAs::Service => "this call is for clients that act for no person",
    })
}

/// RFC 9470 section 3: what is wrong is the login behind the token and not the token, and a client that knows this
/// sends the person to log in.
fn log_in_again(error: VaultError) -> GatewayError {
    GatewayError::Refused(
        OAuthError::new(
            ErrorCode::InsufficientUserAuthentication,
            "no current token of this upstream is kept for this login; the person has to log in again, at this upstream",
        )
        .because(error),
    )
}

fn useless_token(acts_as: ActsAs) -> GatewayError {
    match acts_as {
        ActsAs::Person => log_in_again(VaultError::NeedsLogin),
        ActsAs::Service => GatewayError::Upstream(LoginError::Protocol(
            "the API refuses the service account's token; look at the account's rights".into(),
        )),
    }
}
