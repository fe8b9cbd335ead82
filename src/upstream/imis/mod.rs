//! ASI iMIS. A person proves the password at iMIS's token endpoint, or signs in at its web site and is sent to us; who they are is then asked at its REST API with
//! their own token, or, where that may not read, with the service account's.
//!
//! iMIS has no "who am I": the token's user name leads to a user, the user to a party, and at each step the answer
//! must be about the one that was asked for. Anonymous visitors ("Guest") get tokens like anybody, and are refused
//! at every step (T26).

mod api;
mod landing;
mod person;
mod probe;
mod profile;
mod service;
mod settings;
mod token;

use std::sync::Arc;

use async_trait::async_trait;

use self::api::{Api, ApiError};
use self::landing::{SsoLanding, SsoRedirect};
use self::service::Service;
pub use self::settings::{ServiceAccount, Settings, SsoPage, SubjectFrom};
use self::token::TokenEndpoint;
use super::settings::{OpenError, check_open};
use super::{
    Credentials, Identity, Landing, LoginError, LoginMethod, PasswordLogin, RedirectLogin, Renewal,
    ServiceLogin, Surroundings, Upstream, UpstreamTokens,
};
use crate::clock::Clock;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;

/// The ways to log in that this adapter has.
pub const METHODS: &[LoginMethod] = &[LoginMethod::Password, LoginMethod::Redirect];

/// Opens an iMIS. `login` is what the administrator offers.
pub fn open(
    id: UpstreamId,
    label: String,
    login: Vec<LoginMethod>,
    settings: Settings,
    surroundings: &Surroundings,
) -> Result<Upstream, OpenError> {
    let mut problems = settings.problems();
    problems.extend(settings.login_problems(&login));
    check_open("imis", METHODS, &login, problems)?;
    let redirect = settings
        .first_page()
        .filter(|_| login.contains(&LoginMethod::Redirect))
        .map(|page| Box::new(SsoRedirect { page: page.clone() }) as Box<dyn RedirectLogin>);
    let has_pages = !settings.sso_pages.is_empty();
    let imis = Arc::new(Imis::new(id.clone(), settings, surroundings));
    let password = login
        .contains(&LoginMethod::Password)
        .then(|| Box::new(Login(Arc::clone(&imis))) as Box<dyn PasswordLogin>);
    let renewal = has_pages.then(|| Box::new(Renew(Arc::clone(&imis))) as Box<dyn Renewal>);
    let service = imis
        .service
        .is_some()
        .then(|| Box::new(ServiceTokens(Arc::clone(&imis))) as Box<dyn ServiceLogin>);
    let landing = has_pages.then(|| Box::new(SsoLanding(Arc::clone(&imis))) as Box<dyn Landing>);
    Ok(Upstream {
        password,
        redirect,
        landing,
        renewal,
        service,
        ..Upstream::new(id, label, login, Box::new(probe::ImisProbe(imis)))
    })
}

/// One iMIS and how to talk to it.
struct Imis {
    tokens: TokenEndpoint,
    api: Api,
    service: Option<Service>,
    clock: Clock,
}

impl Imis {
    fn new(id: UpstreamId, settings: Settings, surroundings: &Surroundings) -> Self {
        let account = settings.service_account.clone();
        Self {
            tokens: TokenEndpoint::new(&settings, surroundings.http.clone()),
            service: account.map(|account| Service::new(id, account, &settings, surroundings)),
            api: Api::new(settings, surroundings.http.clone()),
            clock: surroundings.clock.clone(),
        }
    }
}

/// Logs people in with what they typed.
struct Login(Arc<Imis>);

#[async_trait]
impl PasswordLogin for Login {
    async fn log_in(&self, credentials: &Credentials) -> Result<Identity, LoginError> {
        if !credentials.are_sensible() {
            return Err(LoginError::BadCredentials(None));
        }
        let Imis {
            tokens, api, clock, ..
        } = &*self.0;
        let Credentials { username, password } = credentials;
        let asked = clock.now();
        let mut token = tokens.password(username, password).await?;
        // What iMIS calls the person comes before what they typed: sites may let people log in by email.
        let name = token
            .user_name
            .as_deref()
            .unwrap_or(username)
            .trim()
            .to_owned();
        let name = name.as_str();
        person::refuse_guest(name)?;
        let denied = match api.identify(name, &token.access).await {
            // Fresh tokens are refused now and then; a second one is taken (research, section 1).
            Err(ApiError::Unauthorized) => {
                token = tokens.password(username, password).await?;
                api.identify(name, &token.access).await
            }
            other => other,
        };
        let identified = match denied {
            Ok(identity) => Ok(identity),
            Err(ApiError::Login(error)) => Err(error),
            Err(refused @ (ApiError::Unauthorized | ApiError::Forbidden)) => {
                match &self.0.service {
                    Some(service) => service.identify(tokens, api, name).await,
                    None => Err(LoginError::Protocol(
                        format!(
                            "{refused} with the person's own token; configure a service_account \
                         with the role RemoteService, which reads the record for them"
                        )
                        .into(),
                    )),
                }
            }
        };
        // The refresh token of a password login belongs to no client application that we know.
        Ok(Identity {
            tokens: Some(token.into_tokens(asked, None)),
            ..identified?
        })
    }
}

/// Renews what a login gave.
struct Renew(Arc<Imis>);

#[async_trait]
impl Renewal for Renew {
    /// Asks once: some versions take a refresh token once only, and whether a lost answer spent it nobody knows.
    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, LoginError> {
        let spent = |why: &str| LoginError::BadCredentials(Some(why.into()));
        let refresh = tokens
            .refresh
            .as_ref()
            .ok_or_else(|| spent("iMIS gave no refresh token"))?;
        let name = tokens.application.as_deref();
        let application = name
            .and_then(|name| self.0.application(name))
            .ok_or_else(|| spent("no client application could renew the tokens"))?;
        let asked = self.0.clock.now();
        let token = self.0.tokens.refresh(application, refresh).await?;
        if let Some(name) = &token.user_name {
            person::refuse_guest(name.trim())?;
        }
        Ok(token.into_tokens(asked, tokens.application.clone()))
    }
}

/// Gives the service account's token to whoever may have it.
struct ServiceTokens(Arc<Imis>);

#[async_trait]
impl ServiceLogin for ServiceTokens {
    async fn token(&self, stale: Option<&Secret>) -> Result<UpstreamTokens, LoginError> {
        match &self.0.service {
            Some(service) => service.token(&self.0.tokens, stale).await,
            None => Err(LoginError::Protocol("there is no service account".into())),
        }
    }
}
