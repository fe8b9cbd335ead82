//! iMIS's Single Sign On content item: the web site posts a refresh token of the signed-in member to the one Login
//! redirect URL of a "client application", whether an app sent the browser there or not (research, section 2).
//!
//! There is no state, no nonce and no user in it. The token is redeemed at once and once: how often and how long it
//! is good differs by version. A browser that is not signed in brings a token all the same, a Guest's (T26).

use std::sync::Arc;

use async_trait::async_trait;
use url::{Position, Url};

use super::api::ApiError;
use super::settings::{PAGE_PATH, PAGE_URL, RETURN_URL, SsoPage};
use super::sign_off::fill;
use super::{Imis, person};
use crate::protocol::ids::ClientId;
use crate::protocol::params::Params;
use crate::protocol::secret::Secret;
use crate::upstream::{
    Departure, Identity, Landing, LandingApplication, LoginError, RedirectLogin, Trip,
};

/// Refresh tokens are some tens of characters; nothing that much longer is one.
const MAX_REFRESH_TOKEN_BYTES: usize = 4096;

/// Sends people to the first Single Sign On page.
pub(super) struct SsoRedirect {
    pub(super) page: Url,
    /// The page that ends the browser's session there, if there is one.
    pub(super) logout_url: Option<Url>,
}

#[async_trait]
impl RedirectLogin for SsoRedirect {
    fn site(&self) -> &Url {
        &self.page
    }

    /// The page knows one way back, which is set in iMIS, and would not return a state. It asks nobody who is signed in
    /// there for a password: who has to prove anew who they are is signed off first, if sign-off leads back to the page.
    async fn start(&self, trip: &Trip<'_>) -> Result<Departure, LoginError> {
        let by_sign_off = self.logout_url.as_ref().and_then(|logout_url| {
            let filled = fill(logout_url, &[(RETURN_URL, self.page.as_str())]);
            (trip.reauthenticate && filled != *logout_url).then_some(filled)
        });
        let page = self.page.clone();
        Ok(match by_sign_off {
            Some(sign_off) => Departure {
                after_sign_off: Some(page),
                ..Departure::to(sign_off)
            },
            None => Departure::to(page),
        })
    }
}

/// Takes the people that the pages send.
pub(super) struct SsoLanding(pub(super) Arc<Imis>);

impl Imis {
    /// The client application of this name.
    pub(super) fn application(&self, name: &str) -> Option<&SsoPage> {
        let mut pages = self.settings().sso_pages.iter();
        pages.find(|page| page.client_id == name)
    }
}

#[async_trait]
impl Landing for SsoLanding {
    fn application(&self, name: &str) -> Option<LandingApplication> {
        let page = self.0.application(name)?;
        let sign_in = self.0.settings().sign_in_url.as_ref();
        Some(LandingApplication {
            client: page.client.as_deref().map(ClientId::new),
            sign_in: sign_in.map(|sign_in| sign_in_url(sign_in, page.page_url.as_ref())),
            ends_trips: self.0.settings().is_first(page),
        })
    }

    async fn redeem(&self, application: &str, arrival: &Params) -> Result<Identity, LoginError> {
        let unreadable = |error| LoginError::Protocol(Box::new(error));
        let page = self
            .0
            .application(application)
            .ok_or_else(|| LoginError::Protocol("no such client application".into()))?;
        let refresh_token = arrival
            .get_capped("refresh_token", MAX_REFRESH_TOKEN_BYTES)
            .map_err(unreadable)?
            .map(Secret::new)
            .ok_or_else(|| LoginError::Protocol("the page sent no refresh_token".into()))?;
        let imis = &*self.0;
        let asked = imis.clock.now();
        let token = imis.tokens.refresh(page, &refresh_token).await?;
        // Nobody typed a name here: without one in the answer there is nobody.
        let name = token.user_name.as_deref().unwrap_or_default().trim();
        person::refuse_guest(name).map_err(|_| LoginError::Anonymous)?;
        let records = match imis.identify(name, &token.access).await {
            Ok(records) => records,
            Err(ApiError::Login(error)) => return Err(error),
            Err(refused) => imis.identify_for(name, refused).await?,
        };
        Ok(Identity {
            profile: imis.profile(&records, Some(&token.access), None).await?,
            subject: records.subject,
            // How the person signed in at the web site is not told.
            amr: Vec::new(),
            acr: None,
            tokens: Some(token.into_tokens(asked, Some(page.client_id.clone()))),
        })
    }
}

/// The sign-in page, told where to go on where the administrator says how.
fn sign_in_url(sign_in: &Url, page: Option<&Url>) -> Url {
    let whole = page.map_or("", Url::as_str);
    let path = page.map_or("", |page| &page[Position::BeforePath..]);
    fill(sign_in, &[(PAGE_URL, whole), (PAGE_PATH, path)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_in_page_is_told_where_to_go_on() {
        let page = Url::parse("https://m.example.org/SSO/Portico.aspx?a=1&b").unwrap();
        let with = Url::parse("https://m.example.org/Sign-in.aspx?ReturnUrl={page_url}").unwrap();
        assert_eq!(
            sign_in_url(&with, Some(&page)).as_str(),
            "https://m.example.org/Sign-in.aspx?ReturnUrl=https%3A%2F%2Fm.example.org%2FSSO%2FPortico.aspx%3Fa%3D1%26b"
        );
        let local = Url::parse("https://m.example.org/Sign-in.aspx?ReturnUrl={page_path}").unwrap();
        assert_eq!(
            sign_in_url(&local, Some(&page)).as_str(),
            "https://m.example.org/Sign-in.aspx?ReturnUrl=%2FSSO%2FPortico.aspx%3Fa%3D1%26b"
        );
        let without = Url::parse("https://m.example.org/Sign-in.aspx").unwrap();
        assert_eq!(sign_in_url(&without, Some(&page)), without);
    }
}
