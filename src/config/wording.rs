//! Serde's messages in the words of somebody who writes TOML. No message repeats a value of the wrong type: it may
//! be a secret in the wrong place.

use url::ParseError;

use super::known_keys::known_keys;

/// The key that a message says is missing.
pub(super) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// A message about a value, rewritten. `others` are keys that may stand in the same table besides those in it.
pub(super) fn explain(message: &str, others: &[&str]) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let name = rest.split('`').next().unwrap_or_default();
        let told = unknown(rest, others, "is not a known key");
        return match elsewhere(name) {
            Some(key) if !told.ends_with('?') => {
                format!("is not a known key here; did you mean {key}?")
            }
            _ => told,
        };
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        return unknown(rest, &[], "has a value that is not known");
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        let (found, expected) = rest
            .rsplit_once(", expected ")
            .unwrap_or((rest, "another type"));
        return format!("must be {}, not {}", ours(expected), found_type(found));
    }
    for prefix in ["invalid value: ", "invalid length "] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let expected = rest
                .rsplit_once(", expected ")
                .map_or("another value", |(_, expected)| expected);
            return format!("must be {}", ours(expected));
        }
    }
    url_error(message).unwrap_or_else(|| message.to_owned())
}

/// `url` says what is wrong with a URL, and then repeats it.
fn url_error(message: &str) -> Option<String> {
    let (reason, _) = message.split_once(": \"")?;
    let known = [
        ParseError::EmptyHost,
        ParseError::IdnaError,
        ParseError::InvalidDomainCharacter,
        ParseError::InvalidIpv4Address,
        ParseError::InvalidIpv6Address,
        ParseError::InvalidPort,
    ];
    if reason == ParseError::RelativeUrlWithoutBase.to_string() {
        return Some("must be a whole URL, such as \"https://www.example.org\"".to_owned());
    }
    let error = known.iter().find(|error| error.to_string() == reason)?;
    Some(format!("is not a URL: {error}"))
}

/// ``name`, expected one of `a`, `b``: the nearest known one, or all of them.
fn unknown(rest: &str, others: &[&str], what: &str) -> String {
    let (name, expected) = rest.split_once('`').unwrap_or((rest, ""));
    let named = expected.split('`').skip(1).step_by(2);
    let known: Vec<&str> = others.iter().copied().chain(named).collect();
    match nearest(name, &known) {
        Some(nearest) => format!("{what}; did you mean {nearest}?"),
        None if known.is_empty() => format!("{what}; nothing may stand here"),
        None => format!("{what}; write one of: {}", known.join(", ")),
    }
}

/// The section in which `name` is a key.
fn elsewhere(name: &str) -> Option<String> {
    let in_section = |key: &String| key.split_once('.').is_some_and(|(_, key)| key == name);
    known_keys().into_iter().find(in_section)
}

/// The known word that `name` was probably meant to be.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|word| {
            (
                strsim::damerau_levenshtein(&name, &word.to_lowercase()),
                *word,
            )
        })
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `string "x"` as `a string`.
fn found_type(found: &str) -> &'static str {
    let word = found.split(['`', '"']).next().unwrap_or_default().trim();
    match word {
        "string" | "character" => "a string",
        "integer" => "a whole number",
        "floating point" => "a number with a point",
        "boolean" => "true or false",
        "sequence" => "an array",
        "map" => "a table",
        _ => "this",
    }
}

/// What serde expected, in TOML's words.
fn ours(expected: &str) -> String {
    match expected {
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "i64" | "i32" | "u64" | "u32" | "u16" | "u8" | "usize" => "a whole number".to_owned(),
        _ if expected.starts_with("struct ") => "a table".to_owned(),
        _ => expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_told_the_nearest() {
        assert_eq!(
            explain(
                "unknown field `lisen`, expected one of `listen`, `tls`",
                &[]
            ),
            "is not a known key; did you mean listen?"
        );
        assert_eq!(
            explain("unknown field `zebra`, expected `listen` or `tls`", &["id"]),
            "is not a known key; write one of: id, listen, tls"
        );
    }

    #[test]
    fn a_key_in_the_wrong_table_is_shown_the_right_one() {
        assert_eq!(
            explain(
                "unknown field `listen`, expected one of `issuer`, `database`",
                &[]
            ),
            "is not a known key here; did you mean server.listen?"
        );
    }

    #[test]
    fn a_url_error_does_not_repeat_the_url() {
        let error = "a.example".parse::<url::Url>().unwrap_err();
        assert!(
            explain(&format!("{error}: \"a.example\""), &[]).starts_with("must be a whole URL")
        );
        let error = "https://a:b".parse::<url::Url>().unwrap_err();
        assert_eq!(
            explain(&format!("{error}: \"https://a:b\""), &[]),
            "is not a URL: invalid port number"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        assert_eq!(
            explain(
                "invalid type: string \"hunter2, expected x\", expected a sequence",
                &[]
            ),
            "must be an array, not a string"
        );
        assert_eq!(
            explain(
                "invalid value: string \"hunter2\", expected an IP address",
                &[]
            ),
            "must be an IP address"
        );
    }
}
