//! The service account: one token for all, got once however many ask for it, renewed before it ends; few calls at a
//! time (the vendor asks for that); and, when its password is refused, no hammering that would lock it.

use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time;

use super::api::{Api, ApiError};
use super::settings::ServiceAccount;
use super::token::TokenEndpoint;
use crate::clock::{Clock, UnixTime};
use crate::protocol::error::chain;
use crate::protocol::secret::Secret;
use crate::upstream::{Identity, LoginError};

/// Seconds a token is taken for good when iMIS does not say how long it lives.
const UNTOLD_LIFE: i64 = 300;
/// Seconds before its end at which a token is renewed; short-lived ones at a tenth of their life.
const MARGIN: i64 = 60;
/// Seconds in which a refused password is not tried again.
const AFTER_REFUSAL: i64 = 60;
/// Seconds in which an iMIS that did not answer is not asked for a token again.
const AFTER_OUTAGE: i64 = 5;

/// The account that acts for Portico itself.
pub(super) struct Service {
    account: ServiceAccount,
    clock: Clock,
    timeout: Duration,
    calls: Semaphore,
    kept: Mutex<Kept>,
}

/// What the last request for a token came to.
enum Kept {
    Nothing,
    Token {
        access: Secret,
        renew_at: UnixTime,
    },
    Failure {
        outage: bool,
        told: String,
        until: UnixTime,
    },
}

impl Service {
    pub(super) fn new(
        account: ServiceAccount,
        max_concurrent: usize,
        timeout: Duration,
        clock: Clock,
    ) -> Self {
        Self {
            account,
            clock,
            timeout,
            calls: Semaphore::new(max_concurrent),
            kept: Mutex::new(Kept::Nothing),
        }
    }

    /// The service account's user name.
    pub(super) fn username(&self) -> &str {
        &self.account.username
    }

    /// The person of a user name whose password iMIS has just accepted.
    pub(super) async fn identify(
        &self,
        tokens: &TokenEndpoint,
        api: &Api,
        name: &str,
    ) -> Result<Identity, LoginError> {
        let busy = || LoginError::Unavailable("too many wait for the service account".into());
        let _call = time::timeout(self.timeout, self.calls.acquire())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        let token = self.token(tokens, None).await?;
        let refused = match api.identify(name, &token).await {
            Err(ApiError::Unauthorized) => {
                let token = self.token(tokens, Some(&token)).await?;
                api.identify(name, &token).await
            }
            other => other,
        };
        refused.map_err(|error| match error {
            ApiError::Login(error) => error,
            refused => LoginError::Protocol(
                format!(
                    "{refused} with the service account's token; \
                     give the account the role RemoteService and the right to read User and Party"
                )
                .into(),
            ),
        })
    }

    /// A token that lives and is not `stale`, which the API has just refused.
    pub(super) async fn token(
        &self,
        tokens: &TokenEndpoint,
        stale: Option<&Secret>,
    ) -> Result<Secret, LoginError> {
        // Held while asking, so that the others wait for this answer instead of asking too.
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        match &*kept {
            Kept::Token { access, renew_at }
                if now < *renew_at && stale.is_none_or(|stale| !access.equals(stale.expose())) =>
            {
                return Ok(access.clone());
            }
            Kept::Failure {
                outage,
                told,
                until,
            } if now < *until => {
                return Err(failure(*outage, told));
            }
            _ => {}
        }
        let ServiceAccount { username, password } = &self.account;
        match tokens.password(username, password).await {
            Ok(token) => {
                let life = token.expires_in.unwrap_or(UNTOLD_LIFE).max(0);
                *kept = Kept::Token {
                    access: token.access.clone(),
                    renew_at: now + life - MARGIN.min(life / 10),
                };
                Ok(token.access)
            }
            Err(error) => {
                let outage = matches!(error, LoginError::Unavailable(_));
                let mut told = chain(&error);
                if matches!(error, LoginError::BadCredentials(_)) {
                    told += "; look at service_account, and in iMIS whether the account is locked or its password expired";
                }
                let until = now + if outage { AFTER_OUTAGE } else { AFTER_REFUSAL };
                let failed = failure(outage, &told);
                *kept = Kept::Failure {
                    outage,
                    told,
                    until,
                };
                Err(failed)
            }
        }
    }
}

/// The person who waits did nothing wrong, whatever iMIS thinks of the service account.
fn failure(outage: bool, told: &str) -> LoginError {
    let told = format!("no token for the service account: {told}").into();
    if outage {
        LoginError::Unavailable(told)
    } else {
        LoginError::Protocol(told)
    }
}
