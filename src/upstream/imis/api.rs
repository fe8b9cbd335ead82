//! iMIS's REST API: one GET, what its statuses mean, and the way its JSON is read. `$type` stands on every object, lists
//! hide in `$values`, values in `$value`, and which of these differs by version: fields are read by name alone.

use serde_json::Value;
use url::Url;

use super::settings::Settings;
use crate::protocol::secret::Secret;
use crate::upstream::LoginError;
use crate::upstream::outbound::{Http, bearer, encoded};
use crate::upstream::settings::below;

/// The REST API, asked with one token or another.
pub(super) struct Api {
    pub(super) settings: Settings,
    http: Http,
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
    /// Anything that another token would not change.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl Api {
    pub(super) fn new(settings: Settings, http: Http) -> Self {
        Self { settings, http }
    }

    /// The users of this name; there should be one.
    pub(super) async fn users(&self, name: &str, token: &Secret) -> Result<Value, ApiError> {
        let mut url = below(&self.settings.base_url, ["api", "User"]);
        // Without `eq:`, a name with a colon would be taken for an operator (research, section 3).
        url.set_query(Some(&format!("username=eq:{}", encoded(name))));
        let found = self.get(url, token).await?;
        found.ok_or_else(|| nonsense("User: 404; is base_url right?").into())
    }

    /// How many users the token can see; `None` when this iMIS does not tell. Asked with the smallest page there is.
    pub(super) async fn visible_users(&self, token: &Secret) -> Option<u64> {
        let mut url = below(&self.settings.base_url, ["api", "User"]);
        url.set_query(Some("limit=1"));
        let page = self.get(url, token).await.ok()??;
        bare(page.get("TotalCount")?).as_u64()
    }

    /// The party of this id, if there is one.
    pub(super) async fn party(&self, id: &str, token: &Secret) -> Result<Option<Value>, ApiError> {
        let url = below(&self.settings.base_url, ["api", "Party", id]);
        self.get(url, token).await
    }

    async fn get(&self, url: Url, token: &Secret) -> Result<Option<Value>, ApiError> {
        let headers = bearer(token.expose()).map_err(LoginError::Protocol)?;
        let answer = self
            .http
            .get_again(url, headers, self.settings.timeout)
            .await
            .map_err(LoginError::from)?;
        let told = || format!("the API: {}", answer.describe());
        match answer.status.as_u16() {
            200 => match answer.json::<Value>() {
                Some(value @ Value::Object(_)) => Ok(Some(value)),
                _ => Err(nonsense(&told()).into()),
            },
            401 => Err(ApiError::Unauthorized),
            403 => Err(ApiError::Forbidden),
            404 => Ok(None),
            _ if answer.is_outage() => Err(LoginError::Unavailable(told().into()).into()),
            _ => Err(nonsense(&told()).into()),
        }
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
    let text = match bare(object.get(name)?) {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Whether a field says yes.
pub(super) fn flag(object: &Value, name: &str) -> bool {
    match object.get(name).map(bare) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn bare(value: &Value) -> &Value {
    value.get("$value").unwrap_or(value)
}
