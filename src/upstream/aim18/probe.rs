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

fn finding(what: &str, outcome: Result<String, String>) -> Finding {
    Finding {
        what: what.to_owned(),
        outcome,
    }
}

#[async_trait]
impl Probe for Aim18Probe {
    async fn probe(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.offers_redirect {
            findings.push(finding("login page", self.login_page().await));
        }
        let method = self.aim18.settings.token_method;
        let get = self.token_endpoint(By::Get).await;
        let post = self.token_endpoint(By::Post).await;
        let advice = |other: &str, outcome: Result<String, String>, works: bool| match outcome {
            Err(told) if works => Err(format!(
                "{told}; {other} works: set token_method = \"{other}\""
            )),
            outcome => outcome,
        };
        let (get_works, post_works) = (get.is_ok(), post.is_ok());
        match method {
            TokenMethod::Get => {
                findings.push(finding(
                    "token endpoint by GET",
                    advice("post", get, post_works),
                ));
                if get_works && post_works {
                    let told = "works too; set token_method = \"post\" so that secrets stay out \
                                of the server's access log";
                    findings.push(finding("token endpoint by POST", Ok(told.to_owned())));
                }
            }
            TokenMethod::Post => {
                findings.push(finding(
                    "token endpoint by POST",
                    advice("get", post, get_works),
                ));
            }
            // One of them is enough, and POST is tried first.
            TokenMethod::Auto if post_works => {
                findings.push(finding("token endpoint by POST", post));
            }
            TokenMethod::Auto => findings.push(finding("token endpoint by GET", get)),
        }
        self.with_service_account(&mut findings).await;
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

    async fn token_endpoint(&self, by: By) -> Result<String, String> {
        let username = format!("portico-check-{}", random_id());
        let password = Secret::new(random_id());
        let grant = Grant::Password {
            username: &username,
            password: &password,
        };
        match self.aim18.tokens.ask_by(&grant, by).await {
            Err(LoginError::BadCredentials(_)) => {
                Ok("answers, and refuses a user that does not exist".to_owned())
            }
            Ok(_) => Err("gave a token to a user that does not exist; \
                          whatever answers at base_url is not an aiM18"
                .to_owned()),
            Err(error) => Err(Finding::failure(&error)),
        }
    }

    /// What a token is needed for.
    async fn with_service_account(&self, findings: &mut Vec<Finding>) {
        let aim18 = &*self.aim18;
        if aim18.settings.service_account.is_none() {
            let told = "not tried; with service_account Portico has a token to try it with";
            findings.push(finding("API", Ok(told.to_owned())));
            return;
        }
        let token = match aim18.log_service_in().await {
            Ok(token) => token,
            Err(error) => {
                let mut told = Finding::failure(&error);
                if matches!(error, LoginError::BadCredentials(_)) {
                    told += "; look at service_account, and in aiM18 whether the user is disabled or locked, or the password expired";
                }
                findings.push(finding("service account", Err(told)));
                return;
            }
        };
        findings.push(finding("service account", Ok("logs in".to_owned())));
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
        findings.push(finding("API", api));
        if let (true, Some(lookup)) = (works, &aim18.settings.profile) {
            findings.push(finding("profile", self.profile(lookup, &token).await));
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
