//! `CheckMsg`: how aiM18 says what is wrong. It may stand in the header `error_info` (in any bytes), in the body, in
//! `messages`, or as JSON in a string in `message` (research, section 3a). The `trace` in it is never read.

use std::borrow::Cow;

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
    if let Some(body) = answer.json::<Value>() {
        gather(&body, &mut told, secrets);
    }
    told.dedup();
    (!told.is_empty()).then(|| excerpt(&told.join("; "), secrets))
}

/// The headers `error_info`. Their encoding is not documented; what is not UTF-8 is replaced.
fn error_infos(answer: &Answer) -> impl Iterator<Item = Cow<'_, str>> {
    let headers = answer.headers.get_all("error_info").into_iter();
    headers.map(|header| String::from_utf8_lossy(header.as_bytes()))
}

/// Whether an answer says `status: false`, which aiM18 does under HTTP 200, too.
pub(super) fn says_failure(answer: &Answer) -> bool {
    let body = answer.json::<Value>();
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
/// key (research, section 3).
pub(super) fn says_missing(answer: &Answer) -> bool {
    let messages = |body: &Value| {
        let messages = body.get("messages")?.as_array()?;
        Some(messages.iter().all(|message| message.get("key").is_none()))
    };
    answer.status == 200
        && says_failure(answer)
        && answer.json::<Value>().as_ref().and_then(messages) == Some(true)
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
