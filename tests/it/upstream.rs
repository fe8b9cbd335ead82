//! What the tests of the adapters say about an answer.

use std::error::Error;

use portico::protocol::secret::Secret;
use portico::upstream::outbound::{Http, Settings};
use portico::upstream::{Credentials, Identity, LoginError, Upstream};

/// The client that adapters get.
pub(crate) fn http() -> Http {
    Http::new(&Settings::default()).unwrap()
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
        Err(LoginError::NotAllowed(_)) => "not allowed",
        Err(LoginError::Anonymous) => "anonymous",
        Err(LoginError::Cancelled) => "cancelled",
        Err(LoginError::Unavailable(_)) => "unavailable",
        Err(LoginError::Protocol(_)) => "protocol",
    }
}
