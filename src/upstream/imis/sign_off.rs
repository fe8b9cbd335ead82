//! Signing off at the web site: iMIS has one page that ends the browser's session, by GET, and knows no other way
//! (research, section 2, "Logout"). Whether it goes on to `returnurl` differs by version and site: the configuration
//! says so, by having a place for it in the address or not.

use async_trait::async_trait;
use percent_encoding::utf8_percent_encode;
use url::Url;

use super::settings::RETURN_URL;
use crate::upstream::outbound::RESERVED;
use crate::upstream::{SignOff, SignOffTrip, UpstreamTokens};

/// Sends the browser to the page that logs out.
pub(super) struct WebSignOff {
    pub(super) logout_url: Url,
}

#[async_trait]
impl SignOff for WebSignOff {
    /// The page reads the browser's cookie, and nothing of ours: a member who signed in with our form may be signed in
    /// there as well.
    async fn start(&self, back: &Url, _tokens: Option<&UpstreamTokens>) -> Option<SignOffTrip> {
        let filled = fill(&self.logout_url, &[(RETURN_URL, back.as_str())]);
        Some(SignOffTrip {
            comes_back: filled != self.logout_url,
            url: filled,
        })
    }
}

/// An address with its placeholders in braces filled.
pub(super) fn fill(template: &Url, values: &[(&str, &str)]) -> Url {
    let mut filled = template.to_string();
    for (name, value) in values {
        let value = utf8_percent_encode(value, RESERVED).to_string();
        for placeholder in placeholders(name) {
            filled = filled.replace(&placeholder, &value);
        }
    }
    Url::parse(&filled).unwrap_or_else(|_| template.clone())
}

/// How a placeholder may stand in a parsed address: the URL parser encodes braces in some places and leaves them in
/// others.
fn placeholders(name: &str) -> [String; 2] {
    [format!("{{{name}}}"), format!("%7B{name}%7D")]
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn trip(logout_url: &str) -> SignOffTrip {
        let back = Url::parse("https://login.example.org/end_session/returned").unwrap();
        let logout_url = Url::parse(logout_url).unwrap();
        WebSignOff { logout_url }.start(&back, None).await.unwrap()
    }

    #[tokio::test]
    async fn the_browser_comes_back_where_the_address_has_a_place_for_it() {
        let comes_back = trip("https://m.example.org/x/logout.aspx?returnurl={return_url}").await;
        assert!(comes_back.comes_back);
        assert_eq!(
            comes_back.url.as_str(),
            "https://m.example.org/x/logout.aspx?returnurl=https%3A%2F%2Flogin.example.org%2Fend_session%2Freturned"
        );
        let stays = trip("https://m.example.org/x/logout.aspx").await;
        assert!(!stays.comes_back);
        assert_eq!(stays.url.as_str(), "https://m.example.org/x/logout.aspx");
    }
}
