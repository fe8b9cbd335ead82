//! `CheckMsg`: how aiM18 says what is wrong. It may stand in the header `error_info` (in any bytes), in the body, in
//! `messages`, or as JSON in a string in `message` (research, section 3a). The `trace` in it is never read.

use serde_json::Value;

use crate::upstream::outbound::{Answer, excerpt};

/// What an answer says is wrong, for operators, without the secrets of the request; `None` when it says
/// nothing in this way.
pub(super) fn complaint(answer: &Answer, secrets: &[&str]) -> Option<String> {
    let mut told = Vec::new();
    for header in answer.headers.get_all("error_info") {
        // The encoding is not documented; what is not UTF-8 is replaced.
        let text = String::from_utf8_lossy(header.as_bytes());
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

/// Whether an answer says `status: false`, which aiM18 does under HTTP 200, too.
pub(super) fn says_failure(answer: &Answer) -> bool {
    let body = answer.json::<Value>();
    body.is_some_and(|body| {
        body.get("status") == Some(&Value::Bool(false))
            || body.get("pass") == Some(&Value::Bool(false))
    })
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
