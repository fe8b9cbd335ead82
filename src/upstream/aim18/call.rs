//! A question to aiM18's API: the two headers that every service asks for, and what its many ways to refuse mean.

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use super::Aim18;
use super::check_message::{complaint, refuses_token, says_failure, says_missing};
use crate::protocol::secret::Secret;
use crate::upstream::LoginError;
use crate::upstream::outbound::{bearer, query};
use crate::upstream::settings::below;

/// What the administrator may do about a token that is refused though it has just been given.
pub(super) const FRESH_TOKEN_REFUSED: &str = "aiM18 refuses a token that it has just given; every call needs the header client_id beside it: \
     a proxy between may drop headers with an underscore (nginx: underscores_in_headers on)";

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The token is not taken.
    #[error("the token is refused: {0}")]
    Token(String),
    /// What was asked for is not there.
    #[error("{0}")]
    Missing(String),
    /// The token lives, and may not do this; or the service is not there.
    #[error("{0}")]
    Other(String),
    /// No answer at all.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// The headers that every service asks for; the second has an underscore, which some proxies drop unless told not to.
pub(super) fn headers(access: &Secret, client_id: &str) -> Result<HeaderMap, LoginError> {
    let mut headers = bearer(access.expose()).map_err(LoginError::Protocol)?;
    let client_id =
        HeaderValue::from_str(client_id).map_err(|error| LoginError::Protocol(error.into()))?;
    headers.insert("client_id", client_id);
    Ok(headers)
}

impl Aim18 {
    /// The address of a service.
    pub(super) fn service_url<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Url {
        let path = ["jsf", "rfws"].into_iter().chain(path);
        below(&self.settings.base_url, path)
    }

    /// Asks a service by GET.
    pub(super) async fn ask<'a>(
        &self,
        path: impl IntoIterator<Item = &'a str>,
        pairs: &[(&str, &str)],
        access: &Secret,
    ) -> Result<Value, Refused> {
        let mut url = self.service_url(path);
        url.set_query(Some(&query(pairs)));
        let headers = headers(access, &self.settings.client_id)?;
        let answer = self
            .http
            .get_again(url, headers, self.settings.timeout)
            .await
            .map_err(LoginError::from)?;
        let secrets = [access.expose()];
        let complaint = complaint(&answer, &secrets);
        let told = || {
            let why = complaint.as_deref().unwrap_or("no reason given");
            format!("{why} ({})", answer.describe())
        };
        if answer.is_outage() && complaint.is_none() {
            return Err(LoginError::Unavailable(answer.describe().into()).into());
        }
        if refuses_token(&answer) {
            return Err(Refused::Token(told()));
        }
        if says_missing(&answer) || answer.status == 404 && complaint.is_some() {
            return Err(Refused::Missing(told()));
        }
        let body = (answer.status.is_success() && !says_failure(&answer))
            .then(|| answer.value())
            .flatten();
        body.filter(|body| body.is_object() || body.is_array())
            .ok_or_else(|| Refused::Other(told()))
    }

    /// Whether a token lives, asked of the one service that answers every user: the list of the own tasks.
    pub(super) async fn try_token(&self, access: &Secret) -> Result<(), Refused> {
        let pairs = [("sortBy", ""), ("startRow", "0"), ("fetchSize", "1")];
        let asked = self.ask(["bpm", "wfs", "tracking"], &pairs, access).await;
        asked.map(|_| ())
    }
}
