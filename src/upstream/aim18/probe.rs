//! `portico check` for an aiM18. No person's record is read but the service account's own; how a user that does not exist is
//! refused tells the rest.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, LOCATION};
use url::Url;

use super::Aim18;
use super::call::{FRESH_TOKEN_REFUSED, Refused};
use super::profile;
use super::settings::{ProfileLookup, ReadWith, TokenMethod};
use super::token::{By, Grant, Token};
use crate::clock::random_id;
use crate::protocol::error::chain;
use crate::protocol::secret::Secret;
use crate::upstream::outbound::{Answer, query};
use crate::upstream::{Finding, LoginError, Probe};

/// Tries an aiM18.
pub(super) struct Aim18Probe {
    pub(super) aim18: Arc<Aim18>,
    pub(super) offers_redirect: bool,
}

/// What one method of the token endpoint did.
enum Method {
    /// It logged the service account in.
    LogsIn(Token),
    /// It refused, and not as it refuses a request without parameters.
    Reads(LoginError),
    /// It refused just so, which proves nothing.
    Deaf(LoginError),
    /// It did something else.
    Fails(LoginError),
    /// It is not offered.
    Missing(LoginError),
    /// It gave a token to nobody.
    Generous,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }

    const fn line(self) -> &'static str {
        match self {
            Self::Get => "token endpoint by GET",
            Self::Post => "token endpoint by POST",
        }
    }
}

#[async_trait]
impl Probe for Aim18Probe {
    async fn probe(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.offers_redirect {
            findings.push(Finding::new("login page", self.login_page().await));
        }
        let login = self.token_endpoint(&mut findings).await;
        self.with_service_account(login, &mut findings).await;
        findings
    }
}

impl Aim18Probe {
    /// Asks for the login page as a browser would be sent to it, with the state and without.
    async fn login_page(&self) -> Result<String, String> {
        let Aim18 {
            settings, callback, ..
        } = &*self.aim18;
        let asked = self.ask_login_page(settings.send_state).await?;
        let Err(told) = asked else {
            return Ok("answers".to_owned());
        };
        if settings.send_state && self.ask_login_page(false).await?.is_ok() {
            return Err(format!(
                "{told}; without a state it answers: set send_state = false"
            ));
        }
        Err(format!(
            "{told}; look in aiM18's OAuth Applications at the record of client_id: \
             its callback URL must be {callback}"
        ))
    }

    /// Whether the login page shows itself; `Err` outside when there is no answer at all.
    async fn ask_login_page(&self, with_state: bool) -> Result<Result<(), String>, String> {
        let Aim18 {
            settings,
            http,
            callback,
            ..
        } = &*self.aim18;
        let state = random_id();
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", settings.client_id.as_str()),
            ("redirect_uri", callback.as_str()),
        ];
        if with_state {
            pairs.push(("state", &state));
        }
        let mut url = self.aim18.entry();
        url.set_query(Some(&query(&pairs)));
        let answer = http
            .get(url, HeaderMap::new(), settings.timeout)
            .await
            .map_err(|trouble| Finding::failure(&trouble.into()))?;
        let shows = answer.status.is_success()
            || answer.status.is_redirection() && !returns_error(&answer, callback);
        Ok(match answer.status.as_u16() {
            _ if shows => Ok(()),
            404 => Err(format!("{}; is base_url right?", answer.describe())),
            _ => Err(answer.describe()),
        })
    }

    /// Tries the methods of the token endpoint, and gives the service account's token, if there is one. A wrong password is
    /// not sent twice where the first answer shows that it was read: aiM18 may lock the account.
    async fn token_endpoint(&self, findings: &mut Vec<Finding>) -> Result<Token, LoginError> {
        let configured = self.aim18.settings.token_method;
        let mut by = match configured {
            TokenMethod::Get => By::Get,
            TokenMethod::Post | TokenMethod::Auto => By::Post,
        };
        let mut first = self.try_method(by).await;
        // As a login falls back, and for no other answer.
        if configured == TokenMethod::Auto && matches!(first, Method::Missing(_)) {
            by = By::Get;
            first = self.try_method(by).await;
        }
        let proven = |method: &Method| match method {
            Method::LogsIn(_) => true,
            Method::Reads(_) => self.aim18.settings.service_account.is_none(),
            _ => false,
        };
        let other = match by {
            By::Get => By::Post,
            By::Post => By::Get,
        };
        let asks_other = match &first {
            Method::LogsIn(_) => configured == TokenMethod::Get,
            Method::Reads(_) => configured == TokenMethod::Get && proven(&first),
            Method::Generous => false,
            Method::Deaf(_) | Method::Fails(_) | Method::Missing(_) => true,
        };
        let second = if asks_other {
            Some(self.try_method(other).await)
        } else {
            None
        };
        let other_works = second.as_ref().is_some_and(proven);
        let mut outcome = self.told(&first);
        if !proven(&first) && other_works {
            let (Ok(told) | Err(told)) = outcome;
            let name = other.name();
            outcome = Err(format!(
                "{told}; {name} works: set token_method = \"{name}\""
            ));
        }
        findings.push(Finding::new(by.line(), outcome));
        if proven(&first) && other_works {
            let told = "works too; set token_method = \"post\" so that secrets stay out of the server's access log";
            findings.push(Finding::new(other.line(), Ok(told.to_owned())));
        }
        match (first, second) {
            (Method::LogsIn(token), _) | (_, Some(Method::LogsIn(token))) => Ok(token),
            (
                Method::Reads(error)
                | Method::Deaf(error)
                | Method::Fails(error)
                | Method::Missing(error),
                _,
            ) => Err(error),
            (Method::Generous, _) => Err(LoginError::Protocol("not tried".into())),
        }
    }

    /// Logs the service account in by one method; without one, a user that does not exist.
    async fn try_method(&self, by: By) -> Method {
        let Aim18 {
            settings, tokens, ..
        } = &*self.aim18;
        let account = settings.service_account.as_ref();
        let nobody = format!("portico-check-{}", random_id());
        let made_up = Secret::new(random_id());
        let grant = account.map_or(
            Grant::Password {
                username: &nobody,
                password: &made_up,
            },
            |account| Grant::Password {
                username: &account.username,
                password: &account.password,
            },
        );
        let mut tried = match tokens.try_by(&grant, by).await {
            Ok(tried) => tried,
            Err(error) => return Method::Fails(error),
        };
        let missing = tried.takes_not;
        let outcome = std::mem::replace(&mut tried.outcome, Err(LoginError::BadCredentials(None)));
        match outcome {
            Ok(token) if account.is_some() => Method::LogsIn(token),
            Ok(_) => Method::Generous,
            Err(error) if missing => Method::Missing(error),
            Err(error @ LoginError::BadCredentials(_)) => match tokens.is_deaf(&tried, by).await {
                Ok(false) => Method::Reads(error),
                Ok(true) | Err(_) => Method::Deaf(error),
            },
            Err(error) => Method::Fails(error),
        }
    }

    fn told(&self, method: &Method) -> Result<String, String> {
        const UNTOLD: &str = "whether client_id and client_secret are right, that does not tell; with service_account a real login is tried";
        let has_account = self.aim18.settings.service_account.is_some();
        match method {
            Method::LogsIn(_) => Ok("logs the service account in".to_owned()),
            Method::Reads(_) if has_account => Ok("answers, and reads what it is sent".to_owned()),
            Method::Reads(_) => Ok(format!(
                "answers, and refuses a user that does not exist; {UNTOLD}"
            )),
            Method::Deaf(_) if has_account => Ok(
                "refuses the service account as it refuses a request without parameters; it may not read what it is sent"
                    .to_owned(),
            ),
            Method::Deaf(_) => Ok(format!(
                "refuses a user that does not exist as it refuses a request without parameters; it may not read what it is sent, and {UNTOLD}"
            )),
            Method::Fails(error) | Method::Missing(error) => Err(Finding::failure(error)),
            Method::Generous => Err("gave a token to a user that does not exist; \
                                     whatever answers at base_url is not an aiM18"
                .to_owned()),
        }
    }

    /// What a token is needed for.
    async fn with_service_account(
        &self,
        login: Result<Token, LoginError>,
        findings: &mut Vec<Finding>,
    ) {
        let aim18 = &*self.aim18;
        if aim18.settings.service_account.is_none() {
            let told = "not tried; with service_account Portico has a token to try it with";
            findings.push(Finding::new("API", Ok(told.to_owned())));
            return;
        }
        let token = match login {
            Ok(token) => token,
            Err(error) => {
                let mut told = Finding::failure(&error);
                if matches!(error, LoginError::BadCredentials(_)) {
                    told += "; look at service_account, client_id and client_secret, and in aiM18 whether the user is disabled or locked, or the password expired";
                }
                findings.push(Finding::new("service account", Err(told)));
                return;
            }
        };
        findings.push(Finding::new("service account", Ok("logs in".to_owned())));
        let api = match aim18.try_token(&token.access).await {
            Ok(()) => Ok("takes the token, and the header client_id beside it".to_owned()),
            Err(Refused::Token(told)) => Err(format!("{told}; {FRESH_TOKEN_REFUSED}")),
            // Something of aiM18's answered, and not about the token.
            Err(Refused::Missing(told) | Refused::Other(told)) if aim18.settings.try_tokens => {
                Err(format!(
                    "{told}; allow the service bpm/wfs/tracking in aiM18's OAuth Applications, or set try_tokens = false"
                ))
            }
            Err(Refused::Missing(_) | Refused::Other(_)) => Ok("takes the token".to_owned()),
            Err(Refused::Login(error)) => Err(Finding::failure(&error)),
        };
        let works = api.is_ok();
        findings.push(Finding::new("API", api));
        if let (true, Some(lookup)) = (works, &aim18.settings.profile) {
            findings.push(Finding::new("profile", self.profile(lookup, &token).await));
        }
    }

    /// Reads the service account's own record.
    async fn profile(&self, lookup: &ProfileLookup, token: &Token) -> Result<String, String> {
        let aim18 = &*self.aim18;
        let name = aim18.settings.service_account.as_ref();
        let asked = profile::Asked {
            uid: token.uid.unwrap_or_default(),
            name: name.map(|account| account.username.as_str()),
            own: None,
        };
        let found = profile::read(aim18, lookup, &asked, &token.access)
            .await
            .map_err(|refused| match refused {
                Refused::Login(error) => Finding::failure(&error),
                refused => format!(
                    "the module {:?} does not show the service account's own record: {}; look at profile.module \
                     and profile.by, in aiM18 at the user's rights on the module, and in OAuth Applications at the \
                     API settings of the record",
                    lookup.module,
                    chain(&refused)
                ),
            })?;
        let absent = profile::absent_fields(lookup, &found);
        if !absent.is_empty() {
            return Err(format!(
                "the record has no field for {}; it has {}",
                absent.join(", "),
                profile::field_names(&found).join(", ")
            ));
        }
        Ok(match lookup.with {
            ReadWith::ServiceAccount => {
                "the service account reads its own record, with every field".to_owned()
            }
            ReadWith::User => {
                "the service account's own record has every field; whether people may read \
                               theirs is up to their rights on the module"
                    .to_owned()
            }
        })
    }
}

/// Whether a redirect brings an error back to the callback.
fn returns_error(answer: &Answer, callback: &str) -> bool {
    let location = answer.headers.get(LOCATION);
    let location = location.and_then(|location| Url::parse(location.to_str().ok()?).ok());
    location.is_some_and(|location| {
        location.as_str().starts_with(callback)
            && location.query_pairs().any(|(name, _)| name == "error")
    })
}
