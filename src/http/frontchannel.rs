//! Front-channel logout (OpenID Connect Front-Channel Logout 1.0): the page that says that it is done loads an address of
//! each app that wants it, in a frame that nobody sees, and goes on when they have answered.

use std::collections::BTreeSet;

use axum::extract::FromRef;
use url::Url;

use crate::flow::LoggedIn;
use crate::model::session::Session;
use crate::protocol::issuer::Issuer;
use crate::store::{Store, StoreError};

use super::state::HttpState;

/// The addresses that a browser is to load when sessions of it have ended.
#[derive(Default)]
pub(super) struct Frames(Vec<Url>);

impl Frames {
    /// Those of the sessions that have `ended`. A logout must not fail for them: it is done.
    pub(super) async fn of(state: &HttpState, ended: &[&LoggedIn]) -> Self {
        let mut frames = Vec::new();
        for who in ended {
            match Self::read(state, &who.session).await {
                Ok(more) => frames.extend(more),
                Err(error) => {
                    tracing::error!(error = %error, "the apps that hear of a logout by the browser could not be read");
                }
            }
        }
        Self(frames)
    }

    async fn read(state: &HttpState, session: &Session) -> Result<Vec<Url>, StoreError> {
        let store = Store::from_ref(state);
        let issuer = Issuer::from_ref(state);
        let mut frames = Vec::new();
        for client_id in store.list_session_clients(&session.id).await? {
            let client = store.find_client(&client_id).await?;
            let client = client.map(|stored| stored.client);
            let uri = client
                .as_ref()
                .and_then(|client| client.logout.frontchannel_logout_uri.as_ref());
            let Some(mut url) = uri.and_then(|uri| Url::parse(uri).ok()) else {
                continue;
            };
            // Section 2: whether the app requires them or not, they do no harm.
            url.query_pairs_mut()
                .append_pair("iss", issuer.as_str())
                .append_pair("sid", session.id.as_str());
            frames.push(url);
        }
        Ok(frames)
    }

    /// Whether no app wants to hear of it in this way.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where they lead.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// The origins, for the content security policy.
    pub(super) fn origins(&self) -> BTreeSet<String> {
        self.0
            .iter()
            .map(|url| url.origin().ascii_serialization())
            .collect()
    }
}
