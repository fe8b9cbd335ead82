//! What pages say of the app that somebody is about to log in to: its policy and terms, each with the host that it leads to,
//! and that nobody here has vouched for it, if it registered itself. Its logo stands at the top (`app_logo`).

use crate::model::authorization::Errand;
use crate::model::client::Client;
use crate::model::client_about::AppPage;

use super::context;
use super::error::Link;
use super::resume::OpenFlow;
use super::texts::{Texts, With};

/// For `components/app_pages.html`.
pub struct AppPages {
    /// That it registered itself, and where the answer goes.
    pub(super) caution: Option<String>,
    /// What it does with people's data.
    pub(super) policy: Option<Link>,
    /// Its terms.
    pub(super) terms: Option<Link>,
}

impl AppPages {
    /// Of the client of a flow: its answer goes to its redirect URI, or to the device that shows the code.
    pub(super) fn of_flow(open: &OpenFlow, texts: &Texts) -> Self {
        let redirect_uri = open.pending.return_to.redirect_uri();
        let for_device = open
            .pending
            .errand
            .as_ref()
            .is_some_and(Errand::is_for_device);
        Self::of(&open.client, (!for_device).then_some(redirect_uri), texts)
    }

    fn of(client: &Client, redirect_uri: Option<&str>, texts: &Texts) -> Self {
        let locale = context::locale();
        let link = |page: AppPage, text: With| Link {
            text: text(&page.host),
            href: page.href,
        };
        Self {
            caution: client.registered.then(|| match redirect_uri {
                Some(uri) => (texts.registered_itself)(&destination(uri)),
                None => texts.registered_itself_device.to_owned(),
            }),
            policy: client
                .policy_page(locale)
                .map(|page| link(page, texts.app_policy)),
            terms: client
                .terms_page(locale)
                .map(|page| link(page, texts.app_terms)),
        }
    }
}

/// The host that an address leads to, or the scheme of an app on the device.
fn destination(uri: &str) -> String {
    match AppPage::new(uri) {
        Some(page) => page.host,
        None => uri.split(':').next().unwrap_or_default().to_owned(),
    }
}
