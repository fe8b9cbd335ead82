//! `CheckMsg`: how aiM18 says what is wrong. It may stand in the header `error_info` (in any bytes), in the body, in
//! `messages`, or as JSON in a string in `message` (research, section 3a). The `trace` in it is never read.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::upstream::outbound::{Answer, excerpt};

/// What an answer says is wrong, for operators, without the secrets of the request; `None` when it says
/// nothing in this way.
pub(super) fn complaint(answer: &Answer, secrets: &[&str]) -> Option<String> {
    let mut told = Vec::new();
    for text in error_infos(answer) {
        match serde_json::from_str(&text) {
            Ok(value) => gather(&value, &mut told, secrets),
            Err(_) => told.push(excerpt(&text, secrets)),
        }
    }
    if let Some(body) = answer.value() {
        gather(&body, &mut told, secrets);
    }
    told.dedup();
    (!told.is_empty()).then(|| excerpt(&told.join("; "), secrets))
}

/// The headers `error_info`.
fn error_infos(answer: &Answer) -> impl Iterator<Item = Cow<'_, str>> {
    let headers = answer.headers.get_all("error_info").into_iter();
    headers.map(|header| legible(header.as_bytes()))
}

/// What a header says whose encoding is not documented; what is not UTF-8 is replaced. In Big5 and GBK the second byte of a character
/// may be that of a backslash, which would undo the JSON around it: what is no JSON byte by byte is read in pairs.
fn legible(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    if matches!(text, Cow::Borrowed(_)) || is_json(&text) {
        return text;
    }
    Some(in_pairs(bytes))
        .filter(|paired| is_json(paired))
        .map_or(text, Cow::Owned)
}

/// Characters of two bytes, replaced as one; the ranges are those of Big5 and GBK together.
fn in_pairs(bytes: &[u8]) -> String {
    let mut bytes = bytes.iter().copied().peekable();
    let mut text = String::new();
    while let Some(byte) = bytes.next() {
        if byte.is_ascii() {
            text.push(char::from(byte));
        } else {
            bytes.next_if(|second| matches!(second, 0x40..=0x7e | 0x80..=0xfe));
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// Whether an answer says `status: false`, which aiM18 does under HTTP 200, too.
pub(super) fn says_failure(answer: &Answer) -> bool {
    let body = answer.value();
    body.is_some_and(|body| {
        body.get("status") == Some(&Value::Bool(false))
            || body.get("pass") == Some(&Value::Bool(false))
    })
}

/// Whether an answer says that the token, or the client id beside it, is not taken. 401 says so by itself; 400 and 403, which
/// public clients take for it, are how rights are refused, too: there the reason decides, and without any it is a right.
pub(super) fn refuses_token(answer: &Answer) -> bool {
    let headers = error_infos(answer).filter_map(|text| serde_json::from_str::<Value>(&text).ok());
    match answer.status.as_u16() {
        401 => true,
        200 | 400 | 403 => {
            let told = headers.chain(answer.json()).any(|told| names_token(&told));
            told && (answer.status != 200 || says_failure(answer))
        }
        _ => false,
    }
}

/// Whether a `CheckMsg` or an OAuth error is about a token, by its key: texts are for people and in any language.
fn names_token(value: &Value) -> bool {
    match value {
        Value::Array(messages) => messages.iter().any(names_token),
        Value::Object(object) => {
            let key = |name: &&str| {
                let key = object.get(*name).and_then(Value::as_str);
                key.is_some_and(|key| key.to_ascii_lowercase().contains("token"))
            };
            let inner = |text: &str| serde_json::from_str::<Value>(text).ok();
            let message = object.get("message");
            let message =
                message.map(|message| message.as_str().and_then(inner).unwrap_or(message.clone()));
            ["key", "error"].iter().any(key)
                || object.get("messages").is_some_and(names_token)
                || message.is_some_and(|message| names_token(&message))
        }
        _ => false,
    }
}

/// What an answer says is wrong with its subject, as of a record that is not there: 200, `status: false`, and messages that have no
/// key (research, section 3). Without any it says nothing of anybody.
pub(super) fn says_missing(answer: &Answer) -> bool {
    let messages = |body: &Value| {
        let messages = body.get("messages")?.as_array()?;
        let tells_no_key = |message: &Value| message.get("key").is_none();
        Some(!messages.is_empty() && messages.iter().all(tells_no_key))
    };
    answer.status == 200
        && says_failure(answer)
        && answer.value().as_ref().and_then(messages) == Some(true)
}

fn gather(value: &Value, told: &mut Vec<String>, secrets: &[&str]) {
    match value {
        Value::Array(messages) => messages.iter().for_each(|each| gather(each, told, secrets)),
        Value::Object(object) => {
            if let Some(messages) = object.get("messages") {
                gather(messages, told, secrets);
            }
            match object.get("message") {
                Some(Value::String(text)) => match serde_json::from_str::<Value>(text) {
                    Ok(inner @ (Value::Object(_) | Value::Array(_))) => {
                        gather(&inner, told, secrets);
                    }
                    _ if text.trim().is_empty() => {}
                    _ => told.push(excerpt(text, secrets)),
                },
                Some(other) => gather(other, told, secrets),
                None => {}
            }
            let field = |name: &&str| object.get(*name)?.as_str().filter(|text| !text.is_empty());
            let key = ["key", "error"].iter().find_map(field);
            let text = [
                "error_description",
                "info",
                "info_desc",
                "msgDetail",
                "msgDesc",
            ]
            .iter()
            .find_map(field);
            match (key, text) {
                (Some(key), Some(text)) => {
                    told.push(format!(
                        "{}: {}",
                        excerpt(key, secrets),
                        excerpt(text, secrets)
                    ));
                }
                (Some(one), None) | (None, Some(one)) => told.push(excerpt(one, secrets)),
                (None, None) => {}
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderValue};

    fn refusal(error_info: &[u8]) -> Answer {
        let header = HeaderValue::from_bytes(error_info).unwrap();
        Answer {
            status: StatusCode::BAD_REQUEST,
            headers: HeaderMap::from_iter([("error_info".parse().unwrap(), header)]),
            body: Vec::new().into(),
        }
    }

    /// In Big5 the last character, and in GBK the first, ends in the byte of a backslash.
    #[test]
    fn a_backslash_that_is_half_a_character_undoes_no_message() {
        let spelt = [
            "操作未成功".as_bytes(),
            b"\xbe\xde\xa7@\xa5\xbc\xa6\xa8\xa5\\",
            b"\x81\\\xb2\xd9\xd7\xf7",
            b"d\xe9j\xe0 \\\"vu\\\"",
            b"caf\xe9\\n",
        ];
        for text in spelt {
            let key = br#"[{"pass":false,"key":"core_token_401","info_desc":""#;
            let end = br#"","info":"No such token","trace":["com.example.Service"]}]"#;
            let answer = refusal(&[key, text, end].concat());
            let told = complaint(&answer, &[]);
            let text = text.escape_ascii();
            assert_eq!(told.unwrap(), "core_token_401: No such token", "{text}");
            assert!(refuses_token(&answer), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_in_any_reading_is_told_as_it_is() {
        let answer = refusal(b"caf\xe9 \xa5\\");
        assert_eq!(complaint(&answer, &[]).unwrap(), "caf\u{fffd} \u{fffd}\\");
        assert!(!refuses_token(&answer));
    }
}
