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
mod sign_off;
mod token;

use std::sync::Arc;

use async_trait::async_trait;

use self::api::{Api, ApiError};
use self::landing::{SsoLanding, SsoRedirect};
use self::service::Service;
pub use self::settings::{ServiceAccount, Settings, SsoPage, SubjectFrom};
use self::sign_off::WebSignOff;
use self::token::TokenEndpoint;
use super::settings::{OpenError, check_open};
use super::{
    Credentials, Identity, Landing, LoginError, LoginMethod, PasswordLogin, RedirectLogin, SignOff,
    Surroundings, Upstream,
};
use crate::protocol::ids::UpstreamId;

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
    let site = settings.site();
    let sign_off = settings
        .logout_url
        .clone()
        .map(|logout_url| Box::new(WebSignOff { logout_url }) as Box<dyn SignOff>);
    let imis = Arc::new(Imis::new(id.clone(), settings, surroundings));
    let password = login
        .contains(&LoginMethod::Password)
        .then(|| Box::new(Login(Arc::clone(&imis))) as Box<dyn PasswordLogin>);
    let landing = has_pages.then(|| Box::new(SsoLanding(Arc::clone(&imis))) as Box<dyn Landing>);
    Ok(Upstream {
        password,
        redirect,
        landing,
        sign_off,
        site: Some(site),
        ..Upstream::new(id, label, login, Box::new(probe::ImisProbe(imis)))
    })
}

/// One iMIS and how to talk to it.
struct Imis {
    tokens: TokenEndpoint,
    api: Api,
    service: Option<Service>,
}

impl Imis {
    fn new(id: UpstreamId, settings: Settings, surroundings: &Surroundings) -> Self {
        let account = settings.service_account.clone();
        Self {
            tokens: TokenEndpoint::new(&settings, surroundings.http.clone()),
            service: account.map(|account| Service::new(id, account, &settings, surroundings)),
            api: Api::new(settings, surroundings.http.clone()),
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
        let Imis { tokens, api, .. } = &*self.0;
        let Credentials { username, password } = credentials;
        let token = tokens.password(username, password).await?;
        // What iMIS calls the person comes before what they typed: sites may let people log in by email.
        let name = token.user_name.as_deref().unwrap_or(username).trim();
        person::refuse_guest(name)?;
        let denied = match api.identify(name, &token.access).await {
            // Fresh tokens are refused now and then; a second one is taken (research, section 1).
            Err(ApiError::Unauthorized) => {
                let token = tokens.password(username, password).await?;
                api.identify(name, &token.access).await
            }
            other => other,
        };
        match denied {
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
        }
    }
}
