//! What clients have us post: logout tokens, under the same guard as what they have us fetch (T36).

use reqwest::header::ACCEPT;

use crate::model::client::Client;
use crate::protocol::error::chain;

use super::{FetchError, Fetcher};

impl Fetcher {
    /// Posts a logout token to `url`, which `client` has named (OpenID Connect Back-Channel Logout 1.0 section 2.5). It was
    /// heard where the answer is a success: section 2.8 wants 200, and some frameworks can say nothing but 204.
    pub async fn post_logout_token(
        &self,
        client: &Client,
        url: &str,
        token: &str,
    ) -> Result<(), FetchError> {
        let way = self.way(!client.registered);
        let url = way.admit(url)?;
        let request = way.client.post(url).form(&[("logout_token", token)]);
        let request = request.header(ACCEPT, "application/json");
        let answer = request.send().await;
        let answer = answer.map_err(|error| FetchError::Answer(chain(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(FetchError::Refused(status))
    }
}
