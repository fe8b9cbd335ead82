//! What clients may do at an upstream's API through the gateway: nothing, but what a rule names (T62).

use std::collections::{BTreeMap, BTreeSet};

/// The methods that a rule may open.
pub const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Whose token a call is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActsAs {
    /// The person's who is logged in: the upstream decides what they may.
    #[default]
    Person,
    /// The service account's, for clients that act for no person (T61: never for somebody who is logged in).
    Service,
}

/// One thing that clients may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRule {
    /// What the client's access token must have been given with.
    pub scope: String,
    /// The methods of HTTP.
    pub methods: BTreeSet<String>,
    /// The paths, any of them.
    pub paths: Vec<PathPattern>,
    /// Parameters of the query that must be there, once, with one of these values.
    pub query: BTreeMap<String, Vec<String>>,
    /// Whose token is used.
    pub acts_as: ActsAs,
}

/// A path, or many: `Party/*` is one segment below `Party`, `Event/**` is all that is below `Event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Is(String),
    Any,
    Rest,
}

impl PathPattern {
    /// Reads a pattern. An error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let mut parts = Vec::new();
        for segment in text.split('/') {
            if parts.last() == Some(&Part::Rest) {
                return Err("** stands for all that follows; write nothing after it");
            }
            parts.push(match segment {
                "" | "." | ".." => {
                    return Err("write a path below the API's base, such as \"Party/*\"");
                }
                "*" => Part::Any,
                "**" => Part::Rest,
                text if text.contains(['*', '?', '#', '%', ';', '\\']) => {
                    return Err("* and ** stand for whole segments; write the others as they are, decoded, without ? # % ;");
                }
                text => Part::Is(text.to_owned()),
            });
        }
        Ok(Self(parts))
    }

    /// Whether `path`, decoded segments, is one of them. Letter case counts: a path in other letters is another one,
    /// whatever the upstream thinks.
    pub fn matches<T: AsRef<str>>(&self, path: &[T]) -> bool {
        let mut rest = path.iter();
        for part in &self.0 {
            let fits = match (part, rest.next()) {
                (Part::Rest, segment) => return segment.is_some(),
                (Part::Any, Some(_)) => true,
                (Part::Is(text), Some(segment)) => text == segment.as_ref(),
                (Part::Any | Part::Is(_), None) => false,
            };
            if !fits {
                return false;
            }
        }
        rest.next().is_none()
    }
}

impl ApiRule {
    /// Whether the rule names this call, whoever makes it.
    pub fn names<T: AsRef<str>>(
        &self,
        method: &str,
        path: &[T],
        query: &[(String, String)],
    ) -> bool {
        self.methods.contains(method)
            && self.paths.iter().any(|pattern| pattern.matches(path))
            && self.query.iter().all(|(name, values)| {
                // In any letter case: an upstream that does not mind it must not find a second one.
                let mut sent = query
                    .iter()
                    .filter(|(sent, _)| sent.eq_ignore_ascii_case(name));
                match (sent.next(), sent.next()) {
                    (Some((sent, value)), None) => sent == name && values.contains(value),
                    _ => false,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    /// T62.
    #[test]
    fn a_pattern_names_whole_segments() {
        for (written, path, fits) in [
            ("Party", &["Party"][..], true),
            ("/Party", &["Party"], true),
            ("Party", &["party"], false),
            ("Party", &["Party", "1"], false),
            ("Party/*", &["Party"], false),
            ("Party/*", &["Party", "1"], true),
            ("Party/*", &["Party", "1", "2"], false),
            ("Party/**", &["Party"], false),
            ("Party/**", &["Party", "1"], true),
            ("Party/**", &["Party", "1", "2"], true),
            ("**", &["x"], true),
            ("**", &[], false),
            ("*/read", &["x", "read"], true),
        ] {
            assert_eq!(pattern(written).matches(path), fits, "{written} {path:?}");
        }
        for written in [
            "", "/", "a//b", "a/", "a/../b", "a*", "**/a", "a?b=c", "a;b", "a%2fb",
        ] {
            assert!(PathPattern::parse(written).is_err(), "{written}");
        }
    }

    /// T62: a parameter that decides what is read is there once and in its own letters, or nothing is called.
    #[test]
    fn a_parameter_that_a_rule_names_cannot_be_said_twice() {
        let rule = ApiRule {
            scope: "customers:read".to_owned(),
            methods: BTreeSet::from(["GET".to_owned()]),
            paths: vec![pattern("search/search")],
            query: BTreeMap::from([("stSearch".to_owned(), vec!["cus".to_owned()])]),
            acts_as: ActsAs::Person,
        };
        let path = ["search", "search"];
        let named = |method: &str, query: &[(&str, &str)]| {
            let query: Vec<_> = query
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            rule.names(method, &path, &query)
        };
        assert!(named("GET", &[("stSearch", "cus"), ("startRow", "1")]));
        assert!(!named("POST", &[("stSearch", "cus")]));
        assert!(!named("GET", &[]));
        assert!(!named("GET", &[("stSearch", "user")]));
        assert!(!named("GET", &[("stSearch", "cus"), ("stSearch", "user")]));
        assert!(!named("GET", &[("stSearch", "cus"), ("stsearch", "user")]));
        assert!(!named("GET", &[("STSEARCH", "cus")]));
    }

    proptest! {
        /// T62: a pattern opens nothing beside or above what it names.
        #[test]
        fn a_pattern_matches_what_it_names(
            text in "/?([A-C]|\\*|\\*\\*|\\.\\.|%41|)(/([A-C]|\\*|\\*\\*|)){0,3}", path in prop::collection::vec("[A-D]", 0..5),
        ) {
            if let Ok(pattern) = PathPattern::parse(&text) {
                let written: Vec<&str> = text.strip_prefix('/').unwrap_or(&text).split('/').collect();
                let (rest, exact) = match written.split_last() {
                    Some((&"**", before)) => (true, before),
                    _ => (false, written.as_slice()),
                };
                let long_enough = if rest { path.len() > exact.len() } else { path.len() == exact.len() };
                let fits = exact.iter().zip(&path).all(|(part, segment)| *part == "*" || part == segment);
                prop_assert_eq!(pattern.matches(&path), long_enough && fits, "{} {:?}", text, path);
            }
        }
    }
}
