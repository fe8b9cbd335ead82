//! ASI iMIS. A person proves the password at iMIS's token endpoint, or signs in at its web site and is sent to us; who they
//! are is then asked at its REST API with their own token, or, where that may not read, with the service account's.
//!
//! iMIS has no "who am I": the token's user name leads to a user, the user to a party, and at each step the answer
//! must be about the one that was asked for. Anonymous visitors ("Guest") get tokens like anybody, and are refused
//! at every step (T26).

mod api;
mod claim;
mod gaps;
mod gateway;
mod groups;
mod landing;
mod person;
mod probe;
mod profile;
mod query;
mod recheck;
mod renewal;
mod service;
mod settings;
mod sign_off;
mod token;

use std::sync::Arc;

use async_trait::async_trait;

use self::api::{Api, ApiError, By};
use self::gaps::Gaps;
use self::gateway::Gateway;
use self::landing::{SsoLanding, SsoRedirect};
use self::person::Records;
use self::recheck::Again;
use self::renewal::Renew;
use self::service::{Service, ServiceTokens};
pub use self::settings::{
    ProfileQuery, QueryBy, QueryService, QuerySubject, ServiceAccount, Settings, SsoPage,
    SubjectFrom,
};
use self::sign_off::WebSignOff;
use self::token::TokenEndpoint;
use super::outbound::Http;
use super::settings::{OpenError, check_open};
use super::{
    Credentials, Identity, Landing, LoginError, LoginMethod, PasswordLogin, RedirectLogin,
    ServiceLogin, SignOff, Surroundings, Upstream,
};
use crate::clock::Clock;
use crate::protocol::claims::Profile;
use crate::protocol::ids::UpstreamId;
use crate::protocol::locale::Label;
use crate::protocol::secret::Secret;

/// The ways to log in that this adapter has.
pub const METHODS: &[LoginMethod] = &[LoginMethod::Password, LoginMethod::Redirect];

/// Opens an iMIS. `login` is what the administrator offers.
pub fn open(
    id: UpstreamId,
    label: Label,
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
        .map(|page| SsoRedirect {
            page: page.clone(),
            logout_url: settings.logout_url.clone(),
        })
        .map(|redirect| Box::new(redirect) as Box<dyn RedirectLogin>);
    let has_pages = !settings.sso_pages.is_empty();
    let site = settings.site();
    let sign_off = settings
        .logout_url
        .clone()
        .map(|logout_url| Box::new(WebSignOff { logout_url }) as Box<dyn SignOff>);
    let claims = settings.claims();
    let imis = Arc::new(Imis::new(&id, settings, surroundings));
    let password = login
        .contains(&LoginMethod::Password)
        .then(|| Box::new(Login(Arc::clone(&imis))) as Box<dyn PasswordLogin>);
    let landing = has_pages.then(|| Box::new(SsoLanding(Arc::clone(&imis))) as Box<dyn Landing>);
    let service = imis.service.clone();
    let tokens = |service| ServiceTokens::new(Arc::clone(&imis), service);
    let service = service.map(|service| Box::new(tokens(service)) as Box<dyn ServiceLogin>);
    Ok(Upstream {
        password,
        redirect,
        landing,
        sign_off,
        site: Some(site),
        renewal: Some(Box::new(Renew(Arc::clone(&imis)))),
        recheck: Some(Box::new(Again(Arc::clone(&imis)))),
        service,
        api: Some(Box::new(Gateway(Arc::clone(&imis)))),
        claims,
        ..Upstream::new(id, label, login, Box::new(probe::ImisProbe(imis)))
    })
}

/// One iMIS and how to talk to it.
struct Imis {
    http: Http,
    clock: Clock,
    tokens: TokenEndpoint,
    api: Api,
    service: Option<Arc<Service>>,
    gaps: Gaps,
    /// The address of every landing, but for the name of its client application.
    landing: String,
}

impl Imis {
    fn new(id: &UpstreamId, settings: Settings, surroundings: &Surroundings) -> Self {
        let http = surroundings.http.clone();
        let tokens = TokenEndpoint::new(&settings, http.clone());
        let account = settings.service_account.clone();
        let service = account.map(|account| {
            Arc::new(Service::new(
                id.clone(),
                account,
                tokens.clone(),
                &settings,
                surroundings,
            ))
        });
        let landing = format!("/upstream/{id}/landing/");
        Self {
            landing: surroundings.issuer.at(&landing),
            clock: surroundings.clock.clone(),
            tokens,
            service,
            gaps: Gaps::default(),
            api: Api::new(settings, http.clone()),
            http,
        }
    }

    fn settings(&self) -> &Settings {
        &self.api.settings
    }

    /// The person of a user name that iMIS has just told or accepted, asked with their own token.
    async fn identify(&self, name: &str, own: &Secret) -> Result<Records, ApiError> {
        let last = self.service.is_none();
        self.api.identify(name, By::Own(own), last).await
    }

    /// The same with the service account, where their own token was `refused`.
    async fn identify_for(&self, name: &str, refused: ApiError) -> Result<Records, LoginError> {
        let Some(service) = &self.service else {
            return Err(refused.into_login(
                "with the person's own token; configure a service_account with the role RemoteService, \
                 which reads the record for them",
            ));
        };
        let found = self.api.identify(name, By::Service(service), true).await;
        found.map_err(|refused| refused.into_login(SERVICE_ADVICE))
    }

    /// What is told of a person, whose `own` token is used where there is one; `before` is what was told of them when
    /// they were looked at the last time.
    async fn profile(
        &self,
        records: &Records,
        own: Option<&Secret>,
        before: Option<&Profile>,
    ) -> Result<Profile, LoginError> {
        let query = self.settings().profile_query.as_ref();
        let mut profile = match query {
            Some(query) if query.alone => Profile::default(),
            _ => profile::of(records, self.settings()),
        };
        if let Some(query) = query {
            self.add_query(&mut profile, query, records, own, before)
                .await?;
        }
        self.add_groups(&mut profile, records, own, before).await?;
        Ok(profile)
    }
}

/// What to do when the API refuses the service account.
const SERVICE_ADVICE: &str = "with the service account's token; give the account the role RemoteService and the right \
                              to read User and Party";

/// Logs people in with what they typed.
struct Login(Arc<Imis>);

#[async_trait]
impl PasswordLogin for Login {
    async fn log_in(&self, credentials: &Credentials) -> Result<Identity, LoginError> {
        if !credentials.are_sensible() {
            return Err(LoginError::BadCredentials(None));
        }
        let imis = &*self.0;
        let Credentials { username, password } = credentials;
        let mut asked = imis.clock.now();
        let mut token = imis.tokens.password(username, password).await?;
        // What iMIS calls the person comes before what they typed: sites may let people log in by email.
        let name = token.user_name.as_deref().unwrap_or(username);
        let name = name.trim().to_owned();
        person::refuse_guest(&name)?;
        let mut found = imis.identify(&name, &token.access).await;
        if let Err(ApiError::Unauthorized) = found {
            // Fresh tokens are refused now and then; a second one is taken (research, section 1).
            asked = imis.clock.now();
            token = imis.tokens.password(username, password).await?;
            found = imis.identify(&name, &token.access).await;
        }
        let records = match found {
            Ok(records) => records,
            Err(ApiError::Login(error)) => return Err(error),
            // Not told whose token it is, and unable to read it with that token, nobody knows whether iMIS took an email
            // address for the name that it is here: it may be somebody else's.
            Err(refused) if token.user_name.is_none() && name.contains('@') => {
                return Err(LoginError::Protocol(
                    format!(
                        "{refused} with the person's own token, and the token's answer has no userName: an address is \
                         not looked up for it with the service account; let members read their own User record"
                    )
                    .into(),
                ));
            }
            Err(refused) => imis.identify_for(&name, refused).await?,
        };
        Ok(Identity {
            profile: imis.profile(&records, Some(&token.access), None).await?,
            subject: records.subject,
            amr: vec!["pwd".to_owned()],
            acr: None,
            tokens: Some(token.into_tokens(asked, imis.settings().renew_with.clone())),
        })
    }
}
