//! A look at a server from outside, for `portico check`: whether it answers, what time it has, and the document that it
//! shows. Nothing here carries a secret.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use url::Url;

use super::outbound::{Answer, Http};
use crate::clock::UnixTime;
use crate::protocol::error::chain;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What was seen.
pub struct Look(Answer);

impl Http {
    /// Fetches `url` with GET, following no redirect. An error says, for an administrator, why there is no answer.
    pub async fn look(&self, url: Url) -> Result<Look, String> {
        let answer = self.get(url, HeaderMap::new(), TIMEOUT).await;
        answer.map(Look).map_err(|trouble| chain(&trouble))
    }
}

impl Look {
    /// What kind of answer it was; nothing of its content.
    pub fn describe(&self) -> String {
        self.0.describe()
    }

    /// The document, if the answer is a success and such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        self.0.status.is_success().then(|| self.0.json())?
    }

    /// The server's time (RFC 9110 section 6.6.1), as it was when the answer began.
    pub fn date(&self) -> Option<UnixTime> {
        let date = self.0.headers.get("date")?.to_str().ok()?;
        let since_epoch = httpdate::parse_http_date(date)
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        i64::try_from(since_epoch.as_secs()).ok()
    }
}
