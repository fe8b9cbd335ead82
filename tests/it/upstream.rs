//! What the tests of the adapters say about an answer.

use std::error::Error;
use std::sync::Arc;

use portico::clock::Clock;
use portico::protocol::issuer::Issuer;
use portico::protocol::params::Params;
use portico::protocol::secret::Secret;
use portico::upstream::outbound::{Http, Settings};
use portico::upstream::shelf::InProcess;
use portico::upstream::{Credentials, Identity, LoginError, Return, Surroundings, Trip, Upstream};
use url::Url;

/// The client that adapters get.
pub(crate) fn http() -> Http {
    Http::new(&Settings::default()).unwrap()
}

/// What adapters get besides their settings.
pub(crate) fn surroundings(clock: Clock) -> Surroundings {
    surroundings_with(http(), clock)
}

pub(crate) fn surroundings_with(http: Http, clock: Clock) -> Surroundings {
    Surroundings {
        http,
        shelf: Arc::new(InProcess::new(clock.clone())),
        clock,
        issuer: Issuer::parse("https://login.example.org").unwrap(),
    }
}

/// Where a trip to the upstream's own page leads.
pub(crate) async fn departure(upstream: &Upstream, callback: &Url, state: &str) -> Url {
    let trip = Trip {
        callback,
        state,
        reauthenticate: false,
        acr_values: &[],
    };
    let redirect = upstream.redirect.as_ref().unwrap();
    redirect.start(&trip).await.unwrap().url
}

/// Comes back from such a trip.
pub(crate) async fn come_back(
    upstream: &Upstream,
    callback: &Url,
    answer: &Params,
) -> Result<Identity, LoginError> {
    let back = Return {
        callback,
        answer,
        kept: None,
    };
    upstream.callback.as_ref().unwrap().finish(&back).await
}

/// Types a user name and a password into our form.
pub(crate) async fn log_in(
    upstream: &Upstream,
    username: &str,
    password: &str,
) -> Result<Identity, LoginError> {
    let credentials = Credentials {
        username: username.to_owned(),
        password: Secret::new(password),
    };
    let login = upstream.password.as_ref().unwrap();
    login.log_in(&credentials).await
}

/// All that a log could show of an error.
pub(crate) fn told(error: &LoginError) -> String {
    let mut told = vec![format!("{error} {error:?}")];
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push(format!("{error} {error:?}"));
        cause = error.source();
    }
    told.join(" ")
}

/// The variant, for comparing.
pub(crate) fn kind(answer: &Result<Identity, LoginError>) -> &'static str {
    match answer {
        Ok(_) => "in",
        Err(LoginError::BadCredentials(_)) => "bad credentials",
        Err(LoginError::NotAllowed(_) | LoginError::NoPerson(_)) => "not allowed",
        Err(LoginError::Anonymous) => "anonymous",
        Err(LoginError::Cancelled) => "cancelled",
        Err(LoginError::Unavailable(_)) => "unavailable",
        Err(LoginError::Protocol(_)) => "protocol",
    }
}
