//! `portico check` for an aiM18. Nobody's record is read: a user that does not exist is refused, and how tells.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderMap;

use super::Aim18;
use super::settings::TokenMethod;
use super::token::{By, Grant};
use crate::clock::random_id;
use crate::protocol::secret::Secret;
use crate::upstream::{Finding, LoginError, Probe};

/// Tries an aiM18.
pub(super) struct Aim18Probe {
    pub(super) aim18: Arc<Aim18>,
    pub(super) offers_redirect: bool,
}

#[async_trait]
impl Probe for Aim18Probe {
    async fn probe(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.offers_redirect {
            findings.push(Finding {
                what: "login page".to_owned(),
                outcome: self.login_page().await,
            });
        }
        let method = self.aim18.settings.token_method;
        if method != TokenMethod::Post {
            findings.push(Finding {
                what: "token endpoint by GET".to_owned(),
                outcome: self.token_endpoint(By::Get).await,
            });
        }
        let post = self.token_endpoint(By::Post).await;
        match (method, post) {
            (TokenMethod::Get, Ok(_)) => findings.push(Finding {
                what: "token endpoint by POST".to_owned(),
                outcome: Ok(
                    "works too; set token_method = \"post\" so that secrets stay out \
                             of the server's access log"
                        .to_owned(),
                ),
            }),
            // What is not used need not work.
            (TokenMethod::Get | TokenMethod::Auto, Err(_)) => {}
            (TokenMethod::Post | TokenMethod::Auto, outcome) => findings.push(Finding {
                what: "token endpoint by POST".to_owned(),
                outcome,
            }),
        }
        findings
    }
}

impl Aim18Probe {
    /// The callback is not known here, so a refusal is as good an answer as a page.
    async fn login_page(&self) -> Result<String, String> {
        let Aim18 { settings, http, .. } = &*self.aim18;
        let answer = http
            .get(self.aim18.entry(), HeaderMap::new(), settings.timeout)
            .await
            .map_err(|trouble| Finding::failure(&trouble.into()))?;
        match answer.status.as_u16() {
            404 => Err(format!("{}; is base_url right?", answer.describe())),
            502..=504 => Err(answer.describe()),
            _ => Ok("answers".to_owned()),
        }
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
}
