//! The web site of an upstream, as far as we recognize it: whose pages send people here, and where they go back to.

use std::collections::BTreeSet;

use url::Url;

/// An upstream's own web site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Serialized as browsers do it (RFC 6454 section 6.2).
    origins: BTreeSet<String>,
    /// Where people go on to whom its sign-out page has sent here; `None`: a page of ours.
    pub signed_out: Option<Url>,
}

impl Site {
    /// The site that these pages are on; it may have several origins.
    pub fn of<'a>(pages: impl IntoIterator<Item = &'a Url>) -> Self {
        let origins = pages
            .into_iter()
            .map(Url::origin)
            .filter(url::Origin::is_tuple)
            .map(|origin| origin.ascii_serialization());
        Self {
            origins: origins.collect(),
            signed_out: None,
        }
    }

    /// Whether `origin` is one of the site's: scheme, host and port.
    pub fn has_origin(&self, origin: &str) -> bool {
        self.origins.contains(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let page = Url::parse("https://Members.example.org:443/SSO/Portico.aspx?x").unwrap();
        let opaque = Url::parse("data:text/html,x").unwrap();
        let site = Site::of([&page, &opaque]);
        assert!(site.has_origin("https://members.example.org"));
        for other in [
            "http://members.example.org",
            "https://members.example.org:8443",
            "https://members.example.org.evil.example",
            "https://example.org",
            "null",
            "",
        ] {
            assert!(!site.has_origin(other), "{other}");
        }
    }
}
