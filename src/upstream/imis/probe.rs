//! `portico check` for an iMIS. No member's record is looked up: the service account looks up itself, and how many there
//! are.

use std::sync::Arc;

use async_trait::async_trait;

use super::Imis;
use super::api::{ApiError, By};
use super::service::Service;
use crate::clock::random_id;
use crate::protocol::secret::Secret;
use crate::upstream::{Finding, LoginError, Probe};

/// Tries an iMIS.
pub(super) struct ImisProbe(pub(super) Arc<Imis>);

#[async_trait]
impl Probe for ImisProbe {
    async fn probe(&self) -> Vec<Finding> {
        let mut findings = vec![finding("token endpoint", self.token_endpoint().await)];
        match &self.0.service {
            Some(service) => self.service_account(service, &mut findings).await,
            None => findings.push(finding(
                "service account",
                Ok("none; people must be allowed to read their own record".to_owned()),
            )),
        }
        findings
    }
}

fn finding(what: &str, outcome: Result<String, String>) -> Finding {
    Finding {
        what: what.to_owned(),
        outcome,
    }
}

impl ImisProbe {
    /// A name that nobody has must be refused as such, which takes a working token endpoint.
    async fn token_endpoint(&self) -> Result<String, String> {
        let nobody = format!("portico-check-{}", random_id());
        let password = Secret::new(random_id());
        match self.0.tokens.password(&nobody, &password).await {
            Err(LoginError::BadCredentials(_)) => {
                Ok("answers, and refuses a user that does not exist".to_owned())
            }
            Ok(_) => Err("gave a token to a user that does not exist; \
                          whatever answers at base_url is not an iMIS"
                .to_owned()),
            Err(error) => Err(Finding::failure(&error)),
        }
    }

    async fn service_account(&self, service: &Service, findings: &mut Vec<Finding>) {
        let api = &self.0.api;
        if let Err(error) = service.token(None).await {
            findings.push(finding("service account", Err(Finding::failure(&error))));
            return;
        }
        findings.push(finding("service account", Ok("has a token".to_owned())));
        let advice = "give the account the role RemoteService and the right to read User and Party";
        let outcome = match api
            .identify(service.username(), By::Service(service), true)
            .await
        {
            // Anybody may read their own record; it is for those of others that the account is there.
            Ok(_) => match api.visible_users(service).await {
                Ok(Some(0 | 1)) => Err(format!("sees no record but its own; {advice}")),
                _ => Ok("may read User and Party".to_owned()),
            },
            Err(ApiError::Login(error)) => Err(Finding::failure(&error)),
            Err(refused) => Err(format!("{refused}; {advice}")),
        };
        findings.push(finding("service account's rights", outcome));
    }
}
