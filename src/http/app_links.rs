//! The apps that somebody can open from their account page: each begins a login of its own, which the session answers (OpenID
//! Connect Core section 4).

use std::sync::Arc;

use axum::extract::FromRef as _;

use crate::flow::LoggedIn;
use crate::model::client::Client;
use crate::model::client_about::AppPage;
use crate::protocol::error::OAuthError;
use crate::protocol::issuer::Issuer;
use crate::store::Store;

use super::app_logo::AppLogo;
use super::context;
use super::state::{HttpState, Settings};
use super::texts::Texts;

/// An app that can be opened.
pub struct AppLink {
    pub(super) name: String,
    pub(super) logo: Option<AppLogo>,
    /// Where it leads, of an app that registered itself: the address is nobody's word but its own.
    pub(super) host: Option<String>,
    pub(super) href: String,
    pub(super) text: String,
}

impl AppLink {
    /// The apps that `who` can open: those of the files that they may use, and of those that registered themselves the ones that
    /// they have agreed to. Others are nobody's to advertise here.
    pub(super) async fn all(
        state: &HttpState,
        texts: &Texts,
        who: &LoggedIn,
    ) -> Result<Vec<Self>, OAuthError> {
        let store = Store::from_ref(state);
        let settings = <Arc<Settings>>::from_ref(state);
        let mut clients = Vec::new();
        for id in &settings.initiating {
            clients.extend(store.find_client(id).await?.map(|stored| stored.client));
        }
        for consent in store.list_consents(&who.account.id).await? {
            let stored = store.find_client(&consent.client_id).await?;
            clients.extend(
                stored
                    .map(|stored| stored.client)
                    .filter(|client| client.registered),
            );
        }
        let mut links: Vec<Self> = clients
            .iter()
            .filter(|client| admits(client, who))
            .filter_map(|client| Self::of(state, client, texts))
            .collect();
        links.sort_by_key(|link| link.name.to_lowercase());
        Ok(links)
    }

    fn of(state: &HttpState, client: &Client, texts: &Texts) -> Option<Self> {
        let href = client.initiate_login_url(&Issuer::from_ref(state))?;
        let host = AppPage::new(&href).map(|page| page.host);
        let name = client.display_name_in(context::locale());
        Some(Self {
            logo: AppLogo::of(state, client, texts),
            host: host.filter(|_| client.registered),
            text: (texts.open_app)(name),
            name: name.to_owned(),
            href,
        })
    }
}

/// Whether the login that it begins could be answered for whoever is signed in (T15).
fn admits(client: &Client, who: &LoggedIn) -> bool {
    !client.lacks_auth_method()
        && client.allows_upstream(&who.session.upstream)
        && client.lacking(&who.account.profile).is_none()
}
