//! The line of the log.

use std::fmt::Display;

use serde_json::Value;
use tracing::field::{DisplayValue, display};

use super::{AuditedRequest, Entry};
use crate::model::audit::{LOG_TARGET, Severity};
use crate::protocol::printable::Printable;

/// Writes the line. A macro, because a line's level and the names of its fields have to be known when it is compiled; what
/// an entry does not have is left out.
macro_rules! write_line {
    ($level:ident, $entry:ident, $request:ident, $($detail:ident)*) => {
        tracing::$level!(
            target: LOG_TARGET,
            event = $entry.event.as_str(),
            client_id = $entry.client_id.as_ref().map(shown),
            account = $entry.account.as_ref().map(shown),
            upstream = $entry.upstream.as_ref().map(shown),
            session = $entry.session.as_ref().map(shown),
            family = $entry.family.as_ref().map(shown),
            address = $request.map(|request| shown(request.address())),
            $($detail = detail($entry, stringify!($detail)),)*
            "{}", $entry.event.text()
        )
    };
}

/// The same at each level, with every detail that an entry may have.
macro_rules! write_at {
    ($level:ident, $entry:ident, $request:ident) => {
        write_line!(
            $level, $entry, $request,
            by reason method grant scope resources response_type kind jti lifetime audience from delegated status
            sessions_ended families attempts with_tokens closed new_account in_time lacking with_refresh_token name
            redirect_uris initial_access_token label uses expires_at kid algorithm active_at retired_at at_once version
            code description source seen trouble last_address last_user_agent remembered keys operator limit claims
            rows
        )
    };
}

pub(super) fn write(entry: &Entry, request: Option<&AuditedRequest>) {
    match entry.event.severity() {
        Severity::Info => write_at!(info, entry, request),
        Severity::Warning => write_at!(warn, entry, request),
        Severity::Error => write_at!(error, entry, request),
    }
}

/// Bare, for people's eyes, and without what could make a second line of it: an id may have come from anywhere.
fn shown<T: Display>(id: T) -> DisplayValue<Printable<T>> {
    display(Printable(id))
}

fn detail<'a>(entry: &'a Entry, name: &str) -> Option<Box<dyn tracing::Value + 'a>> {
    Some(match entry.details.get(name)? {
        Value::String(text) => Box::new(text.as_str()),
        Value::Bool(yes) => Box::new(*yes),
        Value::Number(number) => Box::new(number.as_i64()),
        other => Box::new(shown(other)),
    })
}
