//! What a person does at the login pages, in one word each.

use std::net::SocketAddr;

use portico::simulator::people::{Aim18Person, ImisPerson};
use url::Url;

use super::browser::{Browser, PASSWORD_FORM, Page};
use super::server::TestServer;

/// The cookie that holds the session, on a loopback issuer.
pub(crate) const SESSION: &str = "portico-session";
/// How the cookies of flows begin there.
pub(crate) const FLOW: &str = "portico-flow-";
/// The cookie of those who are away at an upstream.
pub(crate) const AWAY: &str = "portico-away";
/// The button that leads to aiM18's own page.
pub(crate) const TO_AIM18: &str = "form[action='/upstream/staff/start']";
/// "Continue as …?"
pub(crate) const CONTINUE: &str = "form:has(input[name=arrival])";

impl Browser {
    /// From the login page to the password form of `upstream`, if it is not open already, filled in and sent; follows.
    pub(crate) async fn sign_in(
        &mut self,
        page: &Page,
        upstream: &str,
        (username, password): (&str, &str),
    ) -> Page {
        let opened = page.attribute(&format!("{PASSWORD_FORM} input[name=upstream]"), "value");
        let fields = [("username", username), ("password", password)];
        if opened.as_deref() == Some(upstream) {
            return self.submit(page, PASSWORD_FORM, &fields).await;
        }
        let form = self.choose(page, upstream).await;
        self.submit(&form, PASSWORD_FORM, &fields).await
    }

    /// Logs in an iMIS member on this login page.
    pub(crate) async fn sign_in_as(&mut self, page: &Page, person: ImisPerson) -> Page {
        self.sign_in(page, "members", (person.username, person.password))
            .await
    }

    /// Fills in aiM18's own login page, without following the way back.
    pub(crate) async fn at_aim18(&mut self, page: &Page, person: Aim18Person) -> Page {
        let fields = [
            ("username", person.code),
            ("password", person.password),
            ("action", "login"),
        ];
        self.submit_only(page, PASSWORD_FORM, &fields).await
    }

    /// Logs in at aiM18's own page, from an authorization URL to the redirect to the client.
    pub(crate) async fn log_in_at_aim18(
        &mut self,
        url: impl AsRef<str>,
        person: Aim18Person,
    ) -> Page {
        let page = self.open(url).await;
        let page = self.submit(&page, TO_AIM18, &[]).await;
        let back = self.at_aim18(&page, person).await;
        self.follow(back).await
    }

    /// The value of the session cookie.
    pub(crate) fn session(&self, server: &TestServer) -> Option<String> {
        self.cookie(server, SESSION)
            .map(|cookie| cookie.value.clone())
    }

    /// The names of the flow cookies.
    pub(crate) fn flows(&self) -> Vec<String> {
        let names = self.cookie_names().into_iter();
        names
            .filter(|name| name.starts_with(FLOW))
            .map(ToOwned::to_owned)
            .collect()
    }
}

impl Page {
    /// Whether this is the login page, with the ways to log in or with a form.
    pub(crate) fn is_login(&self) -> bool {
        self.url.path() == "/login" && self.body.contains("name=\"form_token\"")
    }

    /// The flow that a page of ours is about.
    pub(crate) fn flow(&self) -> String {
        self.attribute("input[name=flow]", "value")
            .unwrap_or_else(|| panic!("no flow at {} {}: {}", self.status, self.url, self.body))
    }

    /// The page's text without what differs from one request to the next: its number, handles and tokens.
    pub(crate) fn comparable(&self) -> String {
        let mut text = self.body.clone();
        let id = self.header("x-request-id");
        if !id.is_empty() {
            text = text.replace(id, "[id]");
        }
        for name in ["flow", "form_token", "username"] {
            for value in self.values(&format!("input[name={name}]")) {
                if !value.is_empty() {
                    text = text.replace(&value, &format!("[{name}]"));
                }
            }
        }
        text
    }
}

/// The same address at another node. Browsers share cookies between the ports of a host.
pub(crate) fn at_node(node: SocketAddr, url: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    url.set_port(Some(node.port())).unwrap();
    url.into()
}
