//! The REST API for clients of ours: with the token that they may use, below `/api` and nowhere else.

use std::sync::Arc;

use async_trait::async_trait;

use super::Imis;
use super::api::nonsense;
use crate::upstream::outbound::{bearer, query};
use crate::upstream::relay::{self, pass_on};
use crate::upstream::settings::below;
use crate::upstream::{Api, ApiAnswer, ApiCall, LoginError, UpstreamTokens};

/// Calls the API for clients.
pub(super) struct Gateway(pub(super) Arc<Imis>);

#[async_trait]
impl Api for Gateway {
    async fn call(&self, call: &ApiCall, tokens: &UpstreamTokens) -> Result<ApiAnswer, LoginError> {
        // Nothing but the API is reached, whatever the caller has checked: at the token endpoint, which is beside it, our
        // secrets would be at stake.
        let is_trick = |segment: &String| {
            matches!(segment.trim(), "" | "." | "..") || segment.contains(['/', '\\', ';', '%'])
        };
        if call.path.is_empty() || call.path.iter().any(is_trick) {
            return Err(nonsense(
                "a call's path holds a part that would lead elsewhere",
            ));
        }
        let settings = self.0.settings();
        let path = ["api"]
            .into_iter()
            .chain(call.path.iter().map(String::as_str));
        let mut url = below(&settings.base_url, path);
        let pairs: Vec<(&str, &str)> = call
            .query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if !pairs.is_empty() {
            url.set_query(Some(&query(&pairs)));
        }
        let mut ours = bearer(tokens.access.expose()).map_err(LoginError::Protocol)?;
        // What the caller accepts is the caller's business.
        if call.headers.iter().any(|(name, _)| name == "accept") {
            ours.remove("accept");
        }
        let body = call.body.clone();
        let answer = relay::call(&self.0.http, url, call, body, ours, settings.timeout).await?;
        let refused = answer.status == reqwest::StatusCode::UNAUTHORIZED;
        Ok(pass_on(&answer, refused))
    }
}
