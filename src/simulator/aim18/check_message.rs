//! `CheckMsg`: how aiM18 says that something is wrong, in a body, in a header, or in a string in a body.

use serde_json::{Value, json};

use super::switches::{ApiErrors, TokenErrors};
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
        "info_desc": format!("{info} 操作失敗"),
        "trace": ["com.example.simulated.Service.check"],
        "exception": "",
        "jsonStr": "",
        "htmlMessage": false,
        "locators": [],
    })
}

/// 400 with the messages in a header, in raw UTF-8.
fn in_header(message: &Value) -> Reply {
    Reply::empty(400)
        .with(
            "error_info",
            Value::Array(vec![message.clone()]).to_string(),
        )
        .with("error_id", "1")
}

/// A refusal of the token endpoint, in the style switched on.
pub(super) fn token_refusal(
    style: TokenErrors,
    request: &Recorded,
    error: &str,
    description: &str,
) -> Reply {
    let body = json!({ "error": error, "error_description": description });
    match style {
        TokenErrors::Json => Reply::json(400, &body),
        TokenErrors::Status(status) => Reply::json(status, &body),
        TokenErrors::ErrorPage => fault::error_page(request),
        TokenErrors::OkWithoutToken => Reply::json(200, &json!({ "status": false })),
        TokenErrors::OkEmpty => Reply::empty(200),
        TokenErrors::CheckMessage => {
            Reply::json(400, &check_message("core_oauth_401", description))
        }
        TokenErrors::Header => in_header(&check_message("core_oauth_401", description)),
    }
}

/// A refusal of the API, in the style switched on.
pub(super) fn api_refusal(style: ApiErrors, key: &str, info: &str) -> Reply {
    let message = check_message(key, info);
    match style {
        ApiErrors::Body => Reply::json(400, &message),
        ApiErrors::Header => in_header(&message),
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
