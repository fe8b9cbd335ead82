//! Where a browser comes back to: a path of our own, and nothing that a browser could take for another site (T7).

use url::Url;

/// Longer addresses than this are not worth coming back to.
const MAX_BYTES: usize = 2048;

/// A path of ours, with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPath(String);

impl OwnPath {
    /// The only way to have one. Relative references with a host (RFC 3986 section 4.2), and whatever browsers make such ones
    /// of (WHATWG URL: backslashes, tabs, line ends), are none.
    pub fn parse(text: &str) -> Option<Self> {
        let visible = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        let ours = text.starts_with('/') && !text.starts_with("//");
        (ours && visible && text.len() <= MAX_BYTES && stays_here(text))
            .then(|| Self(text.to_owned()))
    }

    /// The path and the query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a browser that follows `text` stays where it is.
fn stays_here(text: &str) -> bool {
    let Ok(here) = Url::parse("https://here.invalid") else {
        return false;
    };
    here.join(text)
        .is_ok_and(|url| url.origin() == here.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_pass() {
        for text in [
            "/",
            "/login?flow=abc&upstream=members",
            "/login?flow=//evil.example",
            "/%2f/evil.example",
            "/a//b",
        ] {
            assert_eq!(OwnPath::parse(text).unwrap().as_str(), text);
        }
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for text in [
            "",
            "login",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "/login\r\nSet-Cookie: x=y",
            "/login#x",
            "/登入",
            &long,
        ] {
            assert_eq!(OwnPath::parse(text), None, "{text:?}");
        }
    }

    /// Every text of up to five of these characters: what passes leads a browser to no other site.
    #[test]
    fn whatever_passes_stays_here() {
        let alphabet = ['/', '\\', '.', ':', '@', '?', '\t', 'a'];
        let here = Url::parse("http://here.invalid/login?flow=x").unwrap();
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            texts = texts
                .iter()
                .flat_map(|text| alphabet.map(|next| format!("{text}{next}")))
                .collect();
            for text in texts.iter().filter_map(|text| OwnPath::parse(text)) {
                let url = here.join(text.as_str()).unwrap();
                assert_eq!(url.origin(), here.origin(), "{text:?}");
            }
        }
    }
}
