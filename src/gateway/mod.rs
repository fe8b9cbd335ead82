//! The gateway: the upstream's API behind our tokens. An app shows an access token of ours; the call goes on with the
//! upstream's token of the person (or of the service account), if a rule of the administrator names the call, the token
//! was given with the rule's scope, and the client may use the upstream's API at all (T62). Neither token reaches the
//! other side.

pub mod path;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Clock;
use crate::model::api_rule::{ActsAs, ApiRule};
use crate::model::audit::Event;
use crate::model::client::Client;
use crate::model::vault_entry::VaultPlace;
use crate::protocol::error::{BoxError, ErrorCode, OAuthError, chain};
use crate::protocol::ids::UpstreamId;
use crate::protocol::scope::Scope;
use crate::protocol::secret::Secret;
use crate::recheck::{NotStanding, Rechecks};
use crate::store::Store;
use crate::telemetry::{Audit, Entry, Metrics};
use crate::tokens::standing::Person;
use crate::upstream::{Api, ApiAnswer, ApiCall, LoginError, Upstream, UpstreamTokens, Upstreams};
use crate::vault::{Vault, VaultError};

/// Seconds that a token should have left, so that it does not end on the way.
const MIN_LIFE: i64 = 30;

/// Calls APIs for clients. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<GatewayParts>);

/// What [`Gateway::new`] is made of.
pub struct GatewayParts {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Whose APIs there are.
    pub upstreams: Upstreams,
    /// The tokens of people.
    pub vault: Vault,
    /// Whether people are still who they were.
    pub rechecks: Rechecks,
    /// What is counted.
    pub metrics: Metrics,
    /// What is recorded.
    pub audit: Audit,
    /// What clients may do where.
    pub rules: BTreeMap<UpstreamId, Vec<ApiRule>>,
}

/// Who calls, proven.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The client that the access token was given to.
    pub client: &'a Client,
    /// What it was given with, as far as the client may still have it.
    pub scope: &'a Scope,
    /// The person behind it; `None`: the client itself.
    pub person: Option<&'a Person>,
}

impl Caller<'_> {
    /// What is recorded of a call at `upstream`.
    fn entry(&self, event: Event, upstream: &Upstream) -> Entry {
        let family = self.person.map(|person| &person.family);
        Entry::new(event)
            .upstream(&upstream.id)
            .client(&self.client.client_id)
            .account(self.person.map(|person| &person.account.id))
            .session(family.map(|family| &family.authentication.session_id))
            .family(family.map(|family| &family.id))
    }
}

/// Why a call was not made, or gave nothing.
#[derive(Debug)]
pub enum GatewayError {
    /// No access token came.
    NoToken,
    /// There is no such API.
    NotFound,
    /// No upstream is asked by this method.
    Method,
    /// The body is too large.
    TooLarge,
    /// The caller may not.
    Refused(OAuthError),
    /// The token would have to be given with one of these scopes (RFC 6750 section 3.1).
    Scope(Vec<String>),
    /// The upstream has done its part, badly.
    Upstream(LoginError),
}

impl GatewayError {
    /// As it is recorded.
    fn reason(&self) -> String {
        match self {
            Self::NoToken => "no access token came".to_owned(),
            Self::NotFound => "there is no such API".to_owned(),
            Self::Method => "no upstream is asked by this method".to_owned(),
            Self::TooLarge => "the body is too large".to_owned(),
            Self::Refused(error) => error.to_string(),
            Self::Scope(scopes) => {
                format!("the access token lacks the scope {}", scopes.join(" or "))
            }
            Self::Upstream(error) => chain(error),
        }
    }

    /// As it is counted.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Refused(error) => match error.code {
                ErrorCode::InsufficientUserAuthentication => "login_needed",
                ErrorCode::TemporarilyUnavailable => "unavailable",
                ErrorCode::ServerError => "invalid",
                _ => "denied",
            },
            Self::Upstream(LoginError::Unavailable(_)) => "unavailable",
            Self::Upstream(_) => "invalid",
            _ => "denied",
        }
    }
}

impl Gateway {
    /// A gateway to the APIs that the rules name.
    pub fn new(parts: GatewayParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Makes a call at the API of the upstream called `id`.
    pub async fn call(
        &self,
        id: &str,
        caller: Caller<'_>,
        call: &ApiCall,
    ) -> Result<ApiAnswer, GatewayError> {
        let (upstream, api, rules) = self.find(id).ok_or(GatewayError::NotFound)?;
        let outcome = self.pass_on(upstream, api, rules, caller, call).await;
        let counted = match &outcome {
            Ok(answer) => match answer.status {
                500.. => "failed",
                400.. => "refused",
                _ => "answered",
            },
            Err(error) => error.outcome(),
        };
        self.0.metrics.gateway_called(&upstream.id, counted);
        if let Err(error) = &outcome {
            let entry = caller.entry(Event::UpstreamApiRefused, upstream);
            let entry = entry.with("method", call.method.as_str());
            self.0.audit.record(entry.with("reason", error.reason()));
        }
        outcome
    }

    async fn pass_on(
        &self,
        upstream: &Upstream,
        api: &dyn Api,
        rules: &[ApiRule],
        caller: Caller<'_>,
        call: &ApiCall,
    ) -> Result<ApiAnswer, GatewayError> {
        if !caller.client.upstream_apis.contains(&upstream.id)
            || !caller.client.allows_upstream(&upstream.id)
        {
            return Err(refused("this client may not call the API of this upstream"));
        }
        let rule = choose(rules, caller, call)?;
        let source = self.source(upstream, caller, rule.acts_as).await?;
        let first = self.tokens(&source, None).await?;
        let mut answer = ask(api, call, &first).await?;
        if answer.token_refused {
            // A token may be refused before its end; what was refused was not carried out, whatever the method.
            let second = self.tokens(&source, Some(&first.access)).await?;
            answer = ask(api, call, &second).await?;
            if answer.token_refused {
                return Err(useless_token(rule.acts_as));
            }
        }
        let entry = caller.entry(Event::UpstreamApiCalled, upstream);
        let entry = entry.with("scope", rule.scope.as_str());
        let entry = entry.with("method", call.method.as_str());
        self.0.audit.record(entry.with("status", answer.status));
        Ok(answer)
    }

    fn find(&self, id: &str) -> Option<(&Upstream, &dyn Api, &[ApiRule])> {
        let upstream = self.0.upstreams.find(id)?;
        let rules = self.0.rules.get(&upstream.id)?;
        Some((upstream, upstream.api.as_deref()?, rules))
    }

    /// Whose tokens the call is made with.
    async fn source<'a>(
        &self,
        upstream: &'a Upstream,
        caller: Caller<'_>,
        acts_as: ActsAs,
    ) -> Result<Source<'a>, GatewayError> {
        match (acts_as, caller.person) {
            (ActsAs::Person, Some(person)) => {
                self.require_standing(caller.client, person).await?;
                Ok(Source::Person(VaultPlace::Person {
                    account_id: person.account.id.clone(),
                    session_id: person.family.authentication.session_id.clone(),
                    upstream: upstream.id.clone(),
                }))
            }
            // T61: the service account's token never serves a person's call.
            (ActsAs::Service, None) => Ok(Source::Service(upstream)),
            (ActsAs::Person, None) | (ActsAs::Service, Some(_)) => Err(wrong_kind(acts_as)),
        }
    }

    /// The person may use the client now as at any grant (T15), and the session that the upstream's tokens belong to
    /// lives: a family with `offline_access` may outlive it, those tokens do not.
    async fn require_standing(&self, client: &Client, person: &Person) -> Result<(), GatewayError> {
        let login = &person.family.authentication;
        if !client.allows_upstream(&login.upstream) {
            return Err(may_not(
                "the client does not serve people of that upstream (any more)",
            ));
        }
        let parts = &self.0;
        let account = parts
            .rechecks
            .standing(client, &login.session_id, person.account.clone())
            .await
            .map_err(|why| match why {
                NotStanding::Refused => may_not(why),
                other => GatewayError::Refused(other.into()),
            })?;
        if let Some(lacking) = client.lacking(&account.profile) {
            return Err(may_not(lacking));
        }
        let Some(session) = &person.session else {
            return Err(log_in_again(VaultError::Nothing));
        };
        if !person.family.offline {
            let now = parts.clock.now();
            let touched = parts
                .store
                .touch_session(&login.session_id, session.last_seen_at, now);
            touched.await.map_err(OAuthError::from)?;
        }
        Ok(())
    }

    async fn tokens(
        &self,
        source: &Source<'_>,
        stale: Option<&Secret>,
    ) -> Result<UpstreamTokens, GatewayError> {
        match source {
            Source::Person(place) => {
                let tokens = self.0.vault.person_tokens(place, MIN_LIFE, stale).await;
                tokens.map_err(|error| match error {
                    VaultError::Nothing | VaultError::NeedsLogin => log_in_again(error),
                    other => GatewayError::Refused(other.into()),
                })
            }
            Source::Service(upstream) => match &upstream.service {
                Some(service) => service.token(stale).await.map_err(GatewayError::Upstream),
                None => Err(refused("this upstream has no service account")),
            },
        }
    }
}

/// Where the tokens of a call come from.
enum Source<'a> {
    Person(VaultPlace),
    Service(&'a Upstream),
}

/// Asks the API. An answer that tells the token that it was asked with is nobody's to read (T62).
async fn ask(
    api: &dyn Api,
    call: &ApiCall,
    tokens: &UpstreamTokens,
) -> Result<ApiAnswer, GatewayError> {
    let answer = api.call(call, tokens).await;
    let answer = answer.map_err(GatewayError::Upstream)?;
    let token = tokens.access.expose();
    let mut headers = answer.headers.iter();
    if holds(&answer.body, token) || headers.any(|(_, value)| holds(value, token)) {
        return Err(GatewayError::Upstream(LoginError::Protocol(
            "the answer holds the very token that was sent, and was not passed on".into(),
        )));
    }
    Ok(answer)
}

/// Whether `token` stands in `bytes`.
pub fn holds(bytes: &[u8], token: &str) -> bool {
    !token.is_empty() && String::from_utf8_lossy(bytes).contains(token)
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

/// The token is worth nothing any more, for whoever stands behind it may not use the client.
fn may_not(why: impl Into<BoxError>) -> GatewayError {
    let text = "the person behind the access token may not use this client any more";
    GatewayError::Refused(OAuthError::new(ErrorCode::InvalidToken, text).because(why))
}

impl From<OAuthError> for GatewayError {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error)
    }
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

/// A token that was given a moment ago is refused: a right lacks, which some upstreams tell by the same status, and no login
/// gives it.
fn useless_token(acts_as: ActsAs) -> GatewayError {
    match acts_as {
        ActsAs::Person => refused(
            "the upstream refuses a token that it has just given for this person; the person's rights there are to be looked at",
        ),
        ActsAs::Service => GatewayError::Upstream(LoginError::Protocol(
            "the API refuses the service account's token; look at the account's rights".into(),
        )),
    }
}
