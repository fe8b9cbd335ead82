//! Multiable aiM18. A person logs in at aiM18's own page and comes back with a code, or types the password into our
//! form; either way aiM18 names them by a number and nothing else.
//!
//! The implicit grant is not offered: its token arrives in an address (history, logs, referrers), cannot be tied to
//! this client or this login, and could be another application's (RFC 9700 section 2.1.2).

mod call;
mod check_message;
mod gateway;
mod probe;
mod profile;
mod renew;
mod service;
mod settings;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

pub use self::settings::{
    Active, Groups, LookupBy, ProfileFields, ProfileLookup, ReadWith, ServiceAccount, Settings,
    TokenMethod,
};
use self::token::{Grant, Token, TokenEndpoint};
use super::outbound::{Http, excerpt, query};
use super::settings::{OpenError, check_open};
use super::{
    Api, CallbackLogin, Credentials, Departure, Identity, LoginError, LoginMethod, PasswordLogin,
    Recheck, RedirectLogin, Renewal, Return, ServiceLogin, Shelf, Site, Surroundings, Trip,
    Upstream, UpstreamTokens,
};
use crate::clock::Clock;
use crate::protocol::claims::Profile;
use crate::protocol::ids::UpstreamId;
use crate::protocol::locale::Label;

/// The ways to log in that this adapter has.
pub const METHODS: &[LoginMethod] = &[LoginMethod::Redirect, LoginMethod::Password];

/// Codes are some 50 characters; nothing that much longer is one.
const MAX_CODE_BYTES: usize = 2048;

/// Opens an aiM18. `login` is what the administrator offers.
pub fn open(
    id: UpstreamId,
    label: Label,
    login: Vec<LoginMethod>,
    settings: Settings,
    surroundings: &Surroundings,
) -> Result<Upstream, OpenError> {
    check_open("aim18", METHODS, &login, settings.problems())?;
    let offers_redirect = login.contains(&LoginMethod::Redirect);
    let rechecks = settings.profile.is_some() || settings.try_tokens;
    let has_service_account = settings.service_account.is_some();
    let claims = settings
        .profile
        .as_ref()
        .map(ProfileLookup::more_claims)
        .unwrap_or_default();
    let site = Site::of([&settings.base_url]);
    let aim18 = Arc::new(Aim18 {
        callback: surroundings.issuer.callback(&id),
        tokens: TokenEndpoint::new(&settings, surroundings.http.clone()),
        id: id.clone(),
        settings,
        http: surroundings.http.clone(),
        clock: surroundings.clock.clone(),
        shelf: Arc::clone(&surroundings.shelf),
    });
    let own = || Arc::clone(&aim18);
    Ok(Upstream {
        password: login
            .contains(&LoginMethod::Password)
            .then(|| Box::new(Login(own())) as Box<dyn PasswordLogin>),
        redirect: offers_redirect.then(|| Box::new(Login(own())) as Box<dyn RedirectLogin>),
        callback: offers_redirect.then(|| Box::new(Login(own())) as Box<dyn CallbackLogin>),
        renewal: Some(Box::new(renew::Renew(own())) as Box<dyn Renewal>),
        recheck: rechecks.then(|| Box::new(renew::Look(own())) as Box<dyn Recheck>),
        service: has_service_account
            .then(|| Box::new(service::Service(own())) as Box<dyn ServiceLogin>),
        api: Some(Box::new(gateway::Gateway(own())) as Box<dyn Api>),
        claims,
        site: Some(site),
        ..Upstream::new(
            id,
            label,
            login,
            Box::new(probe::Aim18Probe {
                aim18,
                offers_redirect,
            }),
        )
    })
}

/// One aiM18 and how to talk to it.
struct Aim18 {
    id: UpstreamId,
    /// Where its login page sends people back to; renewals name it, too.
    callback: String,
    settings: Settings,
    tokens: TokenEndpoint,
    http: Http,
    clock: Clock,
    shelf: Arc<dyn Shelf>,
}

/// The subject of a user. Its number is all that aiM18 tells, and login names change.
fn subject(uid: u64) -> String {
    format!("uid:{uid}")
}

/// The number in such a subject.
fn uid_of(subject: &str) -> Option<u64> {
    subject.strip_prefix("uid:")?.parse().ok()
}

impl Aim18 {
    fn entry(&self) -> Url {
        self.service_url(["oauth", "entry"])
    }

    /// The person a token was given to. `typed` is the login name, where it is known.
    async fn identity(
        self: &Arc<Self>,
        token: Token,
        typed: Option<&str>,
        amr: Vec<String>,
    ) -> Result<Identity, LoginError> {
        let uid = token
            .uid
            .ok_or_else(|| LoginError::Protocol("nobody's token".into()))?;
        let asked = profile::Asked {
            uid,
            name: typed,
            own: Some(&token.access),
        };
        let mut profile = match &self.settings.profile {
            Some(lookup) => profile::look_up(self, lookup, &asked).await?,
            None => Profile::default(),
        };
        if profile.preferred_username.is_none() {
            profile.preferred_username = typed.map(str::to_owned);
        }
        Ok(Identity {
            subject: subject(uid),
            profile,
            amr,
            acr: None,
            tokens: Some(self.upstream_tokens(token)),
        })
    }

    /// The tokens of an answer that has just come.
    fn upstream_tokens(&self, token: Token) -> UpstreamTokens {
        let configured = i64::try_from(self.settings.token_lifetime.as_secs()).unwrap_or(i64::MAX);
        let life = token.expires_in.unwrap_or(configured);
        UpstreamTokens {
            access: token.access,
            refresh: token.refresh,
            expires_at: self.clock.now().saturating_add(life),
            application: Some(self.settings.client_id.clone()),
            subject: token.uid.map(subject),
            sign_off_hint: None,
        }
    }
}

/// Logs people in.
struct Login(Arc<Aim18>);

#[async_trait]
impl PasswordLogin for Login {
    async fn log_in(&self, credentials: &Credentials) -> Result<Identity, LoginError> {
        if !credentials.are_sensible() {
            return Err(LoginError::BadCredentials(None));
        }
        let Credentials { username, password } = credentials;
        let grant = Grant::Password { username, password };
        let token = self.0.tokens.ask(&grant).await?;
        let amr = vec!["pwd".to_owned()];
        self.0.identity(token, Some(username), amr).await
    }
}

#[async_trait]
impl RedirectLogin for Login {
    fn site(&self) -> &Url {
        &self.0.settings.base_url
    }

    async fn start(&self, trip: &Trip<'_>) -> Result<Departure, LoginError> {
        let Settings {
            client_id,
            send_state,
            ..
        } = &self.0.settings;
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", trip.callback.as_str()),
        ];
        if *send_state {
            pairs.push(("state", trip.state));
        }
        let mut url = self.0.entry();
        url.set_query(Some(&query(&pairs)));
        Ok(Departure::to(url))
    }
}

#[async_trait]
impl CallbackLogin for Login {
    fn always_returns_state(&self) -> bool {
        self.0.settings.requires_state
    }

    fn code_parameter(&self) -> &str {
        &self.0.settings.code_parameter
    }

    fn may_answer_in_fragment(&self) -> bool {
        true
    }

    async fn finish(&self, back: &Return<'_>) -> Result<Identity, LoginError> {
        let Return {
            callback, answer, ..
        } = back;
        let unreadable = |error| LoginError::Protocol(Box::new(error));
        match answer.get("error").map_err(unreadable)? {
            None => {}
            Some("access_denied") => return Err(LoginError::Cancelled),
            Some(error) => {
                let told = format!("the login page answers error={}", excerpt(error, &[]));
                return Err(LoginError::Protocol(told.into()));
            }
        }
        let code = answer
            .get_capped(self.code_parameter(), MAX_CODE_BYTES)
            .map_err(unreadable)?
            .ok_or_else(|| LoginError::Protocol("the login page sent no code".into()))?;
        let grant = Grant::Code {
            code,
            callback: callback.as_str(),
        };
        let token = self.0.tokens.ask(&grant).await?;
        self.0.identity(token, None, Vec::new()).await
    }
}
