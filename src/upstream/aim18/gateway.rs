//! Calls of aiM18's API for our clients. Whether aiM18 checks the user's rights on a module hangs on a parameter of the call,
//! `check_right`: it is ours to set, wherever a caller may have put one (T61).

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderValue;
use url::form_urlencoded;

use super::Aim18;
use super::call::headers;
use super::check_message::refuses_token;
use crate::upstream::outbound::query;
use crate::upstream::relay::{self, own_answer, pass_on};
use crate::upstream::{Api, ApiAnswer, ApiCall, LoginError, UpstreamTokens};

const CHECK_RIGHT: &str = "check_right";
const CLIENT_ID: &str = "client_id";

/// Calls the API.
pub(super) struct Gateway(pub(super) Arc<Aim18>);

#[async_trait]
impl Api for Gateway {
    async fn call(&self, call: &ApiCall, tokens: &UpstreamTokens) -> Result<ApiAnswer, LoginError> {
        let aim18 = &self.0;
        if !is_service(call) {
            return Ok(own_answer(404));
        }
        let Some(body) = body(call) else {
            return Ok(own_answer(400));
        };
        let policy = aim18.settings.check_right.as_str();
        let mut pairs: Vec<(&str, &str)> = call
            .query
            .iter()
            .filter(|(name, _)| !is_ours(name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        pairs.push((CHECK_RIGHT, policy));
        let mut url = aim18.service_url(call.path.iter().map(String::as_str));
        url.set_query(Some(&query(&pairs)));
        let client_id = tokens.application.as_deref();
        let client_id = client_id.unwrap_or(&aim18.settings.client_id);
        let mut ours = headers(&tokens.access, client_id)?;
        // What the caller accepts is the caller's business.
        if call.headers.iter().any(|(name, _)| name == "accept") {
            ours.remove("accept");
        }
        // Where aiM18 looks for it is not documented.
        let policy =
            HeaderValue::from_str(policy).map_err(|error| LoginError::Protocol(error.into()))?;
        ours.insert(CHECK_RIGHT, policy);
        let call = ApiCall {
            method: call.method.clone(),
            path: Vec::new(),
            query: Vec::new(),
            headers: call
                .headers
                .iter()
                .filter(|(name, _)| !is_ours(name))
                .cloned()
                .collect(),
            body: Vec::new(),
        };
        let timeout = aim18.settings.timeout;
        let answer = relay::call(&aim18.http, url, &call, body, ours, timeout).await?;
        Ok(pass_on(&answer, refuses_token(&answer)))
    }
}

/// Whether a name stands for what is ours to set; servers differ in letter case, and in what a hyphen in a header is to them.
fn is_ours(name: &str) -> bool {
    let name = name.trim().replace('-', "_");
    [CHECK_RIGHT, CLIENT_ID]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
}

/// Whether the path names a service for clients. Application servers cut off what follows a semicolon in a segment, after which it may
/// be a dot segment (T50), or take it for a parameter; and the token endpoint is nobody's but ours.
fn is_service(call: &ApiCall) -> bool {
    let fine = |segment: &String| {
        !matches!(segment.as_str(), "" | "." | "..")
            && !segment.contains([';', '/', '\\', '%', '?', '#'])
            && !segment.chars().any(char::is_control)
    };
    let first = call.path.first();
    let is_oauth = |first: &String| first.to_ascii_lowercase().starts_with("oauth");
    first.is_some_and(|first| !is_oauth(first)) && call.path.iter().all(fine)
}

/// The body, without what is ours: application servers read the fields of a form as they read a query. `None` for one that cannot be
/// cleaned.
fn body(call: &ApiCall) -> Option<Vec<u8>> {
    let mut kinds = call
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, kind)| kind.trim().to_ascii_lowercase());
    let kind = kinds.next();
    if kinds.next().is_some() {
        return None;
    }
    match kind.as_deref() {
        Some(kind) if kind.starts_with("application/x-www-form-urlencoded") => {
            let fields = form_urlencoded::parse(&call.body).filter(|(name, _)| !is_ours(name));
            let cleaned = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            Some(cleaned.into_bytes())
        }
        Some(kind) if kind.starts_with("multipart/") => {
            let text = call.body.to_ascii_lowercase();
            let names = |ours: &str| {
                text.windows(ours.len())
                    .any(|window| window == ours.as_bytes())
            };
            (!names(CHECK_RIGHT)).then(|| call.body.clone())
        }
        _ => Some(call.body.clone()),
    }
}
