//! What clients have us post: logout tokens, under the same guard as what they have us fetch (T36).

use reqwest::header::ACCEPT;

use crate::model::client::Client;
use crate::protocol::error::chain;
use crate::protocol::ids::ClientId;

use super::asker::Budget;
use super::{FetchError, Fetcher};

/// The most logout tokens in a minute that a node posts to one client that registered itself: people sign in and out as
/// often as they like.
const PER_MINUTE: u32 = 60;
/// The most that it posts to all of them together: each is easily had, and all may name the same address.
const PER_MINUTE_OF_REGISTERED: u32 = 300;

impl Fetcher {
    /// Whether a logout token may be posted to a client that registered itself (T38). It can wait: nobody is refused
    /// anything.
    pub fn may_post_logout(&self, client: &ClientId) -> bool {
        self.has_room(&budgets(client))
    }

    /// Whether one may be posted to any of them.
    pub fn may_post_registered_logouts(&self) -> bool {
        self.has_room(&[of_all()])
    }

    /// Counts one that is about to be posted.
    pub fn count_logout_post(&self, client: &ClientId) {
        self.count(Vec::from(budgets(client)));
    }

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

fn budgets(client: &ClientId) -> [Budget; 2] {
    [(format!("logout\n{client}"), PER_MINUTE), of_all()]
}

fn of_all() -> Budget {
    ("registered\nlogout".to_owned(), PER_MINUTE_OF_REGISTERED)
}
