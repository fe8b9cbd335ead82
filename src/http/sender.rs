//! Whose page made the browser send a request, as far as the browser says so. Nobody's script can forge these headers
//! in another person's browser; a page can only have them left away.

use axum::http::header::{ORIGIN, REFERER};
use axum::http::{HeaderMap, HeaderName};
use url::Url;

use crate::upstream::Site;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The origin of the sending page: `Origin`, which goes with every POST across sites, else that of `Referer`.
fn origin(headers: &HeaderMap) -> Option<String> {
    match text(headers, ORIGIN) {
        Some("null") => None,
        Some(origin) => Some(origin.to_owned()),
        None => {
            let referrer = Url::parse(text(headers, REFERER)?).ok()?;
            Some(referrer.origin().ascii_serialization())
        }
    }
}

/// Whether a page of the upstream's site sent it.
pub(super) fn is_site(headers: &HeaderMap, site: Option<&Site>) -> bool {
    let origin = origin(headers);
    site.zip(origin)
        .is_some_and(|(site, origin)| site.has_origin(&origin))
}

/// Whether a page of the upstream's site sent it, or one that does not name itself and shares our registrable domain,
/// as the web site of the same organization does. Nobody has seen what a browser fetches ahead of a click.
pub(super) fn is_site_or_neighbor(headers: &HeaderMap, site: &Site) -> bool {
    if headers.contains_key(SEC_PURPOSE) {
        return false;
    }
    match origin(headers) {
        Some(origin) => site.has_origin(&origin),
        None => matches!(
            text(headers, SEC_FETCH_SITE),
            Some("same-origin" | "same-site")
        ),
    }
}

/// Whether a person will see the answer: not when a page fetches it, or shows it in a frame or as an image. Browsers
/// that do not say are taken at their word for a page.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    text(headers, SEC_FETCH_DEST).is_none_or(|destination| destination == "document")
}

/// Whether somebody sees it now: not what a browser fetches ahead of a click.
pub(super) fn is_seen(headers: &HeaderMap) -> bool {
    is_navigation(headers) && !is_ahead(headers)
}

/// Whether a browser fetches it ahead of a click.
pub(super) fn is_ahead(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_PURPOSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.collect()
    }

    /// T25: what is not said, or said by another page, is not the upstream's.
    #[test]
    fn only_the_sites_own_origin_is_believed() {
        let site = Site::of([&Url::parse("https://m.example.org/SSO/P.aspx").unwrap()]);
        let own = "https://m.example.org";
        for pairs in [
            &[("origin", own)][..],
            &[("referer", "https://m.example.org/a?b")],
            &[("origin", own), ("referer", "https://evil.example/")],
        ] {
            assert!(is_site(&headers(pairs), Some(&site)), "{pairs:?}");
        }
        for pairs in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "null"), ("referer", "https://m.example.org/")],
            &[
                ("origin", "https://evil.example"),
                ("referer", "https://m.example.org/"),
            ],
            &[("origin", "http://m.example.org")],
            &[("referer", "https://m.example.org.evil.example/")],
            &[("referer", "https://evil.example/https://m.example.org/")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert!(!is_site(&headers(pairs), Some(&site)), "{pairs:?}");
        }
        assert!(!is_site(&headers(&[("origin", own)]), None));
    }

    #[test]
    fn a_neighbor_is_believed_where_no_page_is_named() {
        let site = Site::of([&Url::parse("https://m.example.org/").unwrap()]);
        for (pairs, believed) in [
            (&[("sec-fetch-site", "same-site")][..], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "null")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("referer", "https://blog.example.org/"),
                ],
                false,
            ),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("sec-purpose", "prefetch;prerender"),
                ],
                false,
            ),
            (&[("referer", "https://m.example.org/bye")], true),
            (&[], false),
        ] {
            assert_eq!(
                is_site_or_neighbor(&headers(pairs), &site),
                believed,
                "{pairs:?}"
            );
        }
    }

    proptest! {
        /// A page is of the site where its origin is, letter by letter; what cannot be read is of no site.
        #[test]
        fn a_sender_is_of_the_site_or_is_not_believed(
            sent in "(https://members\\.example\\.org|https://members\\.example\\.org\\.evil\\.example|http://members\\.example\\.org|null|[ -~]{0,20})(:443|/|/page|)",
            by_origin in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let site = Site::of([&Url::parse("https://members.example.org/").unwrap()]);
            let name = if by_origin { ORIGIN } else { REFERER };
            let mut headers = HeaderMap::new();
            headers.insert(name.clone(), sent.parse().unwrap());
            let ours = if by_origin {
                sent == "https://members.example.org"
            } else {
                Url::parse(&sent).is_ok_and(|url| url.origin().ascii_serialization() == "https://members.example.org")
            };
            prop_assert_eq!(is_site(&headers, Some(&site)), ours);
            prop_assert_eq!(is_site_or_neighbor(&headers, &site), ours);
            prop_assert!(!is_site(&headers, None));
            if let Ok(value) = axum::http::HeaderValue::from_bytes(&bytes) {
                headers.insert(name, value);
                let _ = (is_site(&headers, Some(&site)), is_navigation(&headers));
            }
        }
    }
}
