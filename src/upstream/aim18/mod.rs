//! Multiable aiM18. A person logs in at aiM18's own page and comes back with a code, or types the password into our
//! form; either way aiM18 names them by a number and nothing else.
//!
//! The implicit grant is not offered: its token arrives in an address (history, logs, referrers), cannot be tied to
//! this client or this login, and could be another application's (RFC 9700 section 2.1.2).

mod check_message;
mod probe;
mod profile;
mod settings;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

pub use self::settings::{LookupBy, ProfileFields, ProfileLookup, Settings, TokenMethod};
use self::token::{Grant, Token, TokenEndpoint};
use super::outbound::{Http, excerpt, query};
use super::settings::{OpenError, below, check_open};
use super::{
    CallbackLogin, Credentials, Departure, Identity, LoginError, LoginMethod, PasswordLogin,
    RedirectLogin, Return, Site, Surroundings, Trip, Upstream,
};
use crate::protocol::claims::Profile;
use crate::protocol::ids::UpstreamId;

/// The ways to log in that this adapter has.
pub const METHODS: &[LoginMethod] = &[LoginMethod::Redirect, LoginMethod::Password];

/// Codes are some 50 characters; nothing that much longer is one.
const MAX_CODE_BYTES: usize = 2048;

/// Opens an aiM18. `login` is what the administrator offers.
pub fn open(
    id: UpstreamId,
    label: String,
    login: Vec<LoginMethod>,
    settings: Settings,
    surroundings: &Surroundings,
) -> Result<Upstream, OpenError> {
    check_open("aim18", METHODS, &login, settings.problems())?;
    let offers_redirect = login.contains(&LoginMethod::Redirect);
    let site = Site::of([&settings.base_url]);
    let aim18 = Arc::new(Aim18 {
        tokens: TokenEndpoint::new(&settings, surroundings.http.clone()),
        settings,
        http: surroundings.http.clone(),
    });
    let password = login
        .contains(&LoginMethod::Password)
        .then(|| Box::new(Login(Arc::clone(&aim18))) as Box<dyn PasswordLogin>);
    let redirect =
        offers_redirect.then(|| Box::new(Login(Arc::clone(&aim18))) as Box<dyn RedirectLogin>);
    let callback =
        offers_redirect.then(|| Box::new(Login(Arc::clone(&aim18))) as Box<dyn CallbackLogin>);
    let probe = probe::Aim18Probe {
        aim18,
        offers_redirect,
    };
    Ok(Upstream {
        password,
        redirect,
        callback,
        site: Some(site),
        ..Upstream::new(id, label, login, Box::new(probe))
    })
}

/// One aiM18 and how to talk to it.
struct Aim18 {
    settings: Settings,
    tokens: TokenEndpoint,
    http: Http,
}

impl Aim18 {
    fn entry(&self) -> Url {
        below(&self.settings.base_url, ["jsf", "rfws", "oauth", "entry"])
    }

    /// The person a token was given to. `typed` is the login name, where it is known.
    async fn identity(
        &self,
        token: &Token,
        typed: Option<&str>,
        amr: Vec<String>,
    ) -> Result<Identity, LoginError> {
        let mut profile = match &self.settings.profile {
            Some(lookup) => profile::look_up(self, lookup, token, typed).await?,
            None => Profile::default(),
        };
        if profile.preferred_username.is_none() {
            profile.preferred_username = typed.map(str::to_owned);
        }
        Ok(Identity {
            subject: format!("uid:{}", token.uid),
            profile,
            amr,
            tokens: None,
        })
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
        self.0.identity(&token, Some(username), amr).await
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
            .get_capped("code", MAX_CODE_BYTES)
            .map_err(unreadable)?
            .ok_or_else(|| LoginError::Protocol("the login page sent no code".into()))?;
        let grant = Grant::Code {
            code,
            callback: callback.as_str(),
        };
        let token = self.0.tokens.ask(&grant).await?;
        self.0.identity(&token, None, Vec::new()).await
    }
}
