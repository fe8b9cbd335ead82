//! What an administrator can do about what is recorded.

use crate::model::audit::{AuditRecord, Event};

use super::detail;

/// What to do about the error that `record` tells of.
pub(super) fn about(record: &AuditRecord) -> String {
    let trouble = detail(record, "trouble").and_then(of_trouble);
    let code = detail(record, "code").and_then(of_code);
    let event = Event::parse(&record.event).and_then(of_event);
    // A page for a person says more than the error behind it; an error of our own is explained by that.
    let advice = match detail(record, "trouble") {
        Some("request" | "server") => code.or(trouble),
        _ => trouble.or(code),
    };
    advice.or(event).unwrap_or(NOTHING).to_owned()
}

const NOTHING: &str = "Nothing, unless it happens often.";

const OURS: &str = "Something of Portico's own failed, and the cause says what. If it names the database, look whether that answers; if an upstream, \
     `portico check` asks it now and says what to change. Otherwise the log lines of this number tell a developer more.";

const UPSTREAM: &str = "An upstream did not answer, or answered what cannot be understood. `portico check` asks it now and says what to change; the log \
     and portico_upstream_requests_total say since when it is so. People may try again.";

const REQUEST: &str = "The app's request is wrong, and its developer has to change it: the cause says what was expected. `portico client show` tells what is \
     registered for the client. Nothing is wrong with the person.";

fn of_trouble(trouble: &str) -> Option<&'static str> {
    Some(match trouble {
        "request" => REQUEST,
        "expired" => {
            "The person begins again at the app. The page was open for too long, or the browser did not keep the cookie of the login: it refuses cookies, or \
             the page was opened in another browser. If it happens to everybody, compare the address in the browser with issuer, and see \
             that no proxy takes cookies away."
        }
        "done" => "Nothing: the login had ended already, and the person went back to its page.",
        "form" => {
            "The person opens the page again. It was older than the form that belongs to it, or the form came from another site."
        }
        "away" => {
            "The person begins again at the app. They came back from the upstream's page without this browser having been sent there: by a bookmark, much \
             later, or in another browser. If it happens to everybody, see that no proxy takes cookies away."
        }
        "anonymous" => {
            "The person signs in at the upstream's site first. If they were signed in there, look whether the page that sends them here is open to guests."
        }
        "arrival" => {
            "The upstream's page sent a credential that the upstream did not honor. If it happens to everybody, client_id, client_secret or address of the \
             page do not fit: `portico check` says so."
        }
        "closed" => {
            "The account is closed: `portico account show` tells since when, `portico audit --account` by whom, and `portico account enable` opens it again."
        }
        "link" => {
            "The logins cannot be linked as they are; account_link_refused beside this says why. `portico account link` can do more than a person can."
        }
        "device" => {
            "The person asks for a new code at the device: this one has ended, or was answered before."
        }
        "sign_out" => {
            "The person signs out by the link on that page, or in the app: the page that asks whether to sign out was open for too long."
        }
        "server" => OURS,
        "not_found" => {
            "Nothing, if it is a mistyped address. If a link of an app or of the upstream leads there, it has to be changed where it stands."
        }
        _ => return None,
    })
}

fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_client" => {
            "The client did not prove who it is. Compare its secret, its keys and its way to authenticate with what is registered (`portico client show`); the \
             cause says which check failed."
        }
        "invalid_grant" => {
            "What the app showed is not good any more; it has to send the person to log in again. That is nothing unusual after a logout or a long pause. If \
             it happens to one app all the time, that app uses codes or refresh tokens twice, or does not keep the new one."
        }
        "invalid_token" => {
            "The access token has ended or was revoked: the app gets a new one with its refresh token, or by a login. If it happens right after a login, \
             compare the clocks of the servers."
        }
        "insufficient_scope" | "invalid_scope" => {
            "The app asks for more than it may, or shows a token that was given for less. `portico client show` tells its scope; the cause says what is lacking."
        }
        "unauthorized_client"
        | "unsupported_grant_type"
        | "unsupported_response_type"
        | "invalid_target"
        | "invalid_redirect_uri"
        | "invalid_client_metadata"
        | "invalid_request"
        | "invalid_request_uri"
        | "invalid_request_object"
        | "request_not_supported"
        | "request_uri_not_supported"
        | "registration_not_supported"
        | "unsupported_token_type" => REQUEST,
        "login_required" | "consent_required" | "account_selection_required" => {
            "Nothing: the app asked without wanting a page to be shown (prompt=none), and one was needed. It goes on by a login with pages."
        }
        "access_denied" => {
            "The person said no, or may not use this client. not_admitted beside this, or the cause, says what they lack; then their record at the \
             upstream, or the client's people in the configuration, has to be changed."
        }
        "insufficient_user_authentication" | "unmet_authentication_requirements" => {
            "The login does not prove what the app asks for. The person logs in anew, in the way that does; the upstream's acr in the configuration says which."
        }
        "invalid_dpop_proof" => {
            "The app's proof of its key is wrong. Most often its clock is: a proof is good for dpop.window."
        }
        "expired_token" => "The person asks for a new code at the device: this one has ended.",
        "temporarily_unavailable" => UPSTREAM,
        "server_error" => OURS,
        _ => return None,
    })
}

fn of_event(event: Event) -> Option<&'static str> {
    Some(match event {
        Event::LoginRefused => {
            "The upstream refused the login, and the reason is its own. If the person should get in, look at their record there: is it locked, \
             disabled, without the right that is needed? `portico audit --user` shows their other attempts."
        }
        Event::LoginFailed | Event::LoginUnconfirmed => UPSTREAM,
        Event::LoginThrottled | Event::UserCodeThrottled => {
            "Too many attempts were made with this name or from this address. It opens by itself when login.window has passed quietly. If the person did not \
             make them, somebody guesses."
        }
        Event::NotAdmitted => {
            "The client is for others. Change the person's record at the upstream, or whom the client is for in the configuration."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::error::Trouble;

    #[test]
    fn each_page_has_advice_of_its_own() {
        let words = Trouble::ALL.map(Trouble::as_str);
        let advice: BTreeSet<&str> = words
            .iter()
            .map(|word| of_trouble(word).unwrap_or_else(|| panic!("{word} has no advice")))
            .collect();
        assert_eq!(advice.len(), words.len(), "two pages have the same");
    }

    /// The codes are read from the source: a list beside the enum would be a place to forget one.
    #[test]
    fn each_code_that_is_recorded_has_advice() {
        // These are no errors, and stand in the log alone.
        let unrecorded = ["use_dpop_nonce", "authorization_pending", "slow_down"];
        let source = include_str!("../../protocol/error.rs");
        let codes: Vec<&str> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""))
            .filter_map(|(_, rest)| rest.strip_suffix("\","))
            .collect();
        assert!(codes.len() > 30, "{codes:?}");
        let without: Vec<&str> = codes
            .into_iter()
            .filter(|code| of_code(code).is_none())
            .collect();
        assert_eq!(without, unrecorded);
    }
}
