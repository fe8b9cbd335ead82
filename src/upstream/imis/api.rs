//! iMIS's REST API: how it is asked, what its statuses mean, and the way its JSON is read. `$type` stands on every object,
//! lists hide in `$values`, values in `$value`, and which of these differs by version: fields are read by name alone.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::service::Service;
use super::settings::Settings;
use crate::protocol::secret::Secret;
use crate::upstream::LoginError;
use crate::upstream::outbound::{Answer, Http, bearer, encoded};
use crate::upstream::settings::below;
use crate::upstream::shelf::ask_twice;

/// The REST API.
pub(super) struct Api {
    pub(super) settings: Settings,
    http: Http,
}

/// With whose token the API is asked.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// The person's own.
    Own(&'a Secret),
    /// The service account's.
    Service(&'a Arc<Service>),
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The token is not taken, or (it seems) opens nothing here.
    #[error("the API answers 401")]
    Unauthorized,
    /// The token may not read this.
    #[error("the API answers 403")]
    Forbidden,
    /// This iMIS does not have this service.
    #[error("the API answers 501")]
    NotImplemented,
    /// Anything that another token would not change.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl ApiError {
    /// What comes of it for the person; `advice` says what to do about a refusal.
    pub(super) fn into_login(self, advice: &str) -> LoginError {
        match self {
            Self::Login(error) => error,
            refused => LoginError::Protocol(format!("{refused} {advice}").into()),
        }
    }
}

/// One request.
enum Question<'a> {
    Get,
    Post(&'a Value),
}

impl Api {
    pub(super) fn new(settings: Settings, http: Http) -> Self {
        Self { settings, http }
    }

    /// The users of this name; there should be one.
    pub(super) async fn users(&self, name: &str, by: By<'_>) -> Result<Value, ApiError> {
        // Without `eq:`, a name with a colon would be taken for an operator (research, section 3).
        let url = self.at(["api", "User"], &format!("username=eq:{}", encoded(name)));
        let found = self.get(url, by).await?;
        found.ok_or_else(|| nonsense("User: 404; is base_url right?").into())
    }

    /// The user whose id this is, if there is one.
    pub(super) async fn user(&self, id: &str, by: By<'_>) -> Result<Option<Value>, ApiError> {
        self.get(self.entity("User", id), by).await
    }

    /// How many users the service account can see; `None` when this iMIS does not tell. Asked with the smallest page
    /// there is.
    pub(super) async fn visible_users(
        &self,
        service: &Arc<Service>,
    ) -> Result<Option<u64>, ApiError> {
        let url = self.at(["api", "User"], "limit=1");
        let page = self.get(url, By::Service(service)).await?;
        let total = page.as_ref().and_then(|page| page.get("TotalCount"));
        Ok(total.and_then(|total| bare(total).as_u64()))
    }

    /// The party of this id, if there is one.
    pub(super) async fn party(&self, id: &str, by: By<'_>) -> Result<Option<Value>, ApiError> {
        self.get(self.entity("Party", id), by).await
    }

    /// The same in short; more may be read of it where the party itself may not.
    pub(super) async fn party_summary(
        &self,
        id: &str,
        by: By<'_>,
    ) -> Result<Option<Value>, ApiError> {
        self.get(self.entity("PartySummary", id), by).await
    }

    /// The parties with this `UniformId`; there should be one.
    pub(super) async fn parties(&self, guid: &str, by: By<'_>) -> Result<Value, ApiError> {
        let url = self.at(["api", "Party"], &format!("UniformId=eq:{}", encoded(guid)));
        let found = self.get(url, by).await?;
        found.ok_or_else(|| nonsense("Party: 404; is base_url right?").into())
    }

    /// The address of one entity. An id with odd characters goes into the query, as the vendor's client does it: web
    /// servers refuse some of them in a path.
    fn entity(&self, kind: &str, id: &str) -> Url {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.bytes().all(plain) {
            self.at(["api", kind, id], "")
        } else {
            self.at(["api", kind], &format!("EntityId={}", encoded(id)))
        }
    }

    /// An address of the API.
    pub(super) fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>, query: &str) -> Url {
        let mut url = below(&self.settings.base_url, path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }

    /// Reads an object; `None` when there is no such thing.
    pub(super) async fn get(&self, url: Url, by: By<'_>) -> Result<Option<Value>, ApiError> {
        self.read(url, by, true).await
    }

    /// The same. `renews`: whether a refused token of the service account is worth another try with a new one.
    pub(super) async fn read(
        &self,
        url: Url,
        by: By<'_>,
        renews: bool,
    ) -> Result<Option<Value>, ApiError> {
        meaning(&self.send(&url, &Question::Get, by, renews).await?)
    }

    /// Posts a request that changes nothing; `renews` as for [`Self::read`].
    pub(super) async fn post(
        &self,
        url: Url,
        body: &Value,
        by: By<'_>,
        renews: bool,
    ) -> Result<Option<Value>, ApiError> {
        meaning(&self.send(&url, &Question::Post(body), by, renews).await?)
    }

    async fn send(
        &self,
        url: &Url,
        question: &Question<'_>,
        by: By<'_>,
        renews: bool,
    ) -> Result<Answer, ApiError> {
        let service = match by {
            By::Own(token) => return Ok(self.once(url, question, token).await?),
            By::Service(service) => service,
        };
        let _turn = service.turn().await?;
        let kept = service.token(None).await?;
        let is_refused = |answer: &Result<Answer, _>| {
            renews
                && answer
                    .as_ref()
                    .is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED)
        };
        let ask = move |token: Secret| async move { self.once(url, question, &token).await };
        let renew = move |stale: Secret| async move { service.token(Some(&stale)).await };
        let answer: Answer = ask_twice(kept, ask, is_refused, renew).await?;
        service.heed(&answer);
        Ok(answer)
    }

    async fn once(
        &self,
        url: &Url,
        question: &Question<'_>,
        token: &Secret,
    ) -> Result<Answer, LoginError> {
        let headers = bearer(token.expose()).map_err(LoginError::Protocol)?;
        let (url, timeout) = (url.clone(), self.settings.timeout);
        let answer = match question {
            Question::Get => self.http.get_again(url, headers, timeout).await,
            Question::Post(body) => self.http.post_json(url, headers, body, timeout).await,
        };
        Ok(answer?)
    }
}

/// What the status of an answer means (research, section 3).
fn meaning(answer: &Answer) -> Result<Option<Value>, ApiError> {
    let told = || format!("the API: {}", answer.describe());
    match answer.status.as_u16() {
        200 => match answer.value() {
            Some(value @ Value::Object(_)) => Ok(Some(value)),
            _ => Err(nonsense(&told()).into()),
        },
        401 => Err(ApiError::Unauthorized),
        403 => Err(ApiError::Forbidden),
        404 => Ok(None),
        501 => Err(ApiError::NotImplemented),
        _ if answer.is_outage() => Err(LoginError::Unavailable(told().into()).into()),
        _ => Err(nonsense(&told()).into()),
    }
}

/// An answer that cannot be used.
pub(super) fn nonsense(what: &str) -> LoginError {
    LoginError::Protocol(what.into())
}

/// The members of a list: bare, or in `$values`.
pub(super) fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    let list = object.get(name);
    list.and_then(|list| list.get("$values").or(Some(list)))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The text of a field, trimmed, `None` when missing or empty; ids may be numbers.
pub(super) fn text(object: &Value, name: &str) -> Option<String> {
    plain(object.get(name)?)
}

/// The text of a value, trimmed, `None` when empty; ids may be numbers.
pub(super) fn plain(value: &Value) -> Option<String> {
    let text = match bare(value) {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// What a field says, if it says yes or no.
pub(super) fn told(object: &Value, name: &str) -> Option<bool> {
    match bare(object.get(name)?) {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Whether a field says yes.
pub(super) fn flag(object: &Value, name: &str) -> bool {
    told(object, name) == Some(true)
}

/// A value without what some versions wrap it in.
pub(super) fn bare(value: &Value) -> &Value {
    value.get("$value").unwrap_or(value)
}
