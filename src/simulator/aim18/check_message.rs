//! `CheckMsg`: how aiM18 says that something is wrong, in a body, in a header, or in a string in a body.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::switches::{ApiErrors, ErrorInfo, Switches, TokenErrors};
use crate::simulator::fault;
use crate::simulator::wire::{Recorded, Reply};

/// One message, with the localized text and the server's insides that real ones carry.
pub(super) fn check_message(key: &str, info: &str) -> Value {
    json!({
        "pass": false,
        "type": "Error",
        "id": 0,
        "key": key,
        "info": info,
        "info_desc": format!("{info} 操作未成功"),
        "trace": ["com.example.simulated.Service.check"],
        "exception": "",
        "jsonStr": "",
        "htmlMessage": false,
        "locators": [],
    })
}

/// 400 with the messages in a header.
fn in_header(encoding: ErrorInfo, message: &Value) -> Reply {
    let text = Value::Array(vec![message.clone()]).to_string();
    let text = match encoding {
        ErrorInfo::Utf8 => text.into_bytes(),
        ErrorInfo::Escapes => escaped(&text).into_bytes(),
        ErrorInfo::Latin1 => {
            let byte = |character| u8::try_from(u32::from(character)).unwrap_or(b'\xbf');
            text.chars().map(byte).collect()
        }
        ErrorInfo::Big5 => text.chars().flat_map(big5).collect(),
    };
    Reply::empty(400)
        .with("error_info", text)
        .with("error_id", "1")
}

/// The characters of [`check_message`] in Big5. The last one ends in a backslash, as some hundred of the common ones do.
fn big5(character: char) -> Vec<u8> {
    match character {
        '操' => b"\xbe\xde".to_vec(),
        '作' => b"\xa7\x40".to_vec(),
        '未' => b"\xa5\xbc".to_vec(),
        '成' => b"\xa6\xa8".to_vec(),
        '功' => b"\xa5\x5c".to_vec(),
        other => vec![
            u8::try_from(other)
                .ok()
                .filter(u8::is_ascii)
                .unwrap_or(b'?'),
        ],
    }
}

/// JSON in ASCII.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut text, character| {
        if character.is_ascii() {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a text cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        text
    })
}

/// A refusal of the token endpoint, in the style switched on.
pub(super) fn token_refusal(
    switches: &Switches,
    request: &Recorded,
    error: &str,
    description: &str,
) -> Reply {
    let body = json!({ "error": error, "error_description": description });
    match switches.token_errors {
        TokenErrors::Json => Reply::json(400, &body),
        TokenErrors::Status(status) => Reply::json(status, &body),
        TokenErrors::ErrorPage => fault::error_page(request),
        TokenErrors::OkWithoutToken => Reply::json(200, &json!({ "status": false })),
        TokenErrors::OkEmpty => Reply::empty(200),
        TokenErrors::CheckMessage => {
            Reply::json(400, &check_message("core_oauth_401", description))
        }
        TokenErrors::Header => in_header(
            switches.error_info_in,
            &check_message("core_oauth_401", description),
        ),
    }
}

/// A refusal of the API, in the style switched on.
pub(super) fn api_refusal(switches: &Switches, key: &str, info: &str) -> Reply {
    let message = check_message(key, info);
    match switches.api_errors {
        ApiErrors::Body => Reply::json(400, &message),
        ApiErrors::Header => in_header(switches.error_info_in, &message),
        ApiErrors::OkFalse => missing(info),
        ApiErrors::OkFalseText => Reply::json(
            200,
            &json!({ "status": false, "message": message.to_string() }),
        ),
    }
}

/// What the newer read says about a record that does not exist: 200, and `status: false`.
pub(super) fn missing(info: &str) -> Reply {
    let message = json!({ "msgType": "Error", "msgDesc": info, "msgDetail": info });
    Reply::json(200, &json!({ "status": false, "messages": [message] }))
}
