//! `/jsf/rfws/oauth/token`: the authorization code, refresh and password grants. Documented as GET with
//! everything in the query; POST with a form works on some servers.

use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use super::check_message::token_refusal;
use super::grants::Bound;
use super::switches::{Application, OtherMethod, TokenMethods, UidShape};
use super::{Aim18Person, Inside, hex};
use crate::clock::UnixTime;
use crate::simulator::wire::{Recorded, Reply};

/// Why no token is given: `error` (RFC 6749 section 5.2) and a description.
type Refused = (&'static str, &'static str);

/// What a grant proved.
struct Granted {
    person: Aim18Person,
    application: Application,
    /// Whether a refresh token goes with the answer.
    with_refresh_token: bool,
    by: Grant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grant {
    Code,
    Refresh,
    Password,
}

/// Answers the token endpoint.
pub(super) fn answer(inside: &mut Inside, request: &Recorded, now: UnixTime) -> Reply {
    let allowed = match inside.switches.token_methods {
        TokenMethods::Both => "GET, POST",
        TokenMethods::GetOnly => "GET",
        TokenMethods::PostOnly => "POST",
    };
    if !allowed.split(", ").any(|method| method == request.method) {
        return match inside.switches.other_method {
            OtherMethod::NotAllowed => {
                Reply::text(405, "Method Not Allowed").with("allow", allowed)
            }
            OtherMethod::BadRequest => Reply::text(400, "Bad Request"),
            OtherMethod::Unauthorized => Reply::text(401, "Unauthorized"),
            OtherMethod::OkEmpty => Reply::empty(200),
        };
    }
    match redeem(inside, request, now) {
        Ok(granted) => success(inside, &granted, now),
        Err((error, description)) => token_refusal(&inside.switches, request, error, description),
    }
}

fn redeem(inside: &mut Inside, request: &Recorded, now: UnixTime) -> Result<Granted, Refused> {
    let parameter = |name: &str| request.parameter(name).unwrap_or_default();
    let application = inside
        .switches
        .applications
        .iter()
        .find(|known| {
            known.client_id == parameter("client_id")
                && known.client_secret == parameter("client_secret")
        })
        .cloned()
        .ok_or(("invalid_client", "Client authentication failed."))?;
    match parameter("grant_type").as_str() {
        "authorization_code" => {
            let stays = inside.switches.codes_work_twice;
            let bound = inside
                .grants
                .take_code(&parameter("code"), stays, now)
                .filter(|bound| {
                    !inside.switches.codes_are_bound
                        || fits(bound, &application, &parameter("redirect_uri"))
                });
            granted(inside, bound, application, true, Grant::Code)
        }
        "refresh_token" => {
            let token = parameter("refresh_token");
            // A missing redirect_uri counts as the right one where it is not asked for.
            let redirect_uri = request.parameter("redirect_uri");
            let redirect_uri = match redirect_uri {
                None if !inside.switches.refresh_needs_redirect_uri => application.callback.clone(),
                given => given.unwrap_or_default(),
            };
            let bound = inside
                .grants
                .refresh(&token, now)
                .filter(|bound| fits(bound, &application, &redirect_uri));
            let rotates = inside.switches.rotates_refresh_tokens;
            if bound.is_some() && rotates {
                inside.grants.end_refresh(&token);
            }
            granted(inside, bound, application, rotates, Grant::Refresh)
        }
        "password" => {
            let mut hash = parameter("password");
            if inside.switches.accepts_upper_hash {
                hash.make_ascii_lowercase();
            }
            let person = inside
                .log_in(&parameter("username"), |right| sha1_hex(right) == hash)
                .ok_or(("invalid_grant", "The user or the password is wrong."))?;
            Ok(Granted {
                person,
                application,
                with_refresh_token: true,
                by: Grant::Password,
            })
        }
        _ => Err(("unsupported_grant_type", "The grant type is not supported.")),
    }
}

fn fits(bound: &Bound, application: &Application, redirect_uri: &str) -> bool {
    bound.client_id == application.client_id && bound.redirect_uri == redirect_uri
}

fn granted(
    inside: &Inside,
    bound: Option<Bound>,
    application: Application,
    with_refresh_token: bool,
    by: Grant,
) -> Result<Granted, Refused> {
    let person = bound
        .and_then(|bound| inside.person(bound.uid))
        .filter(|person| {
            person.may_log_in() || (by == Grant::Refresh && !inside.switches.refresh_checks_user)
        })
        .ok_or((
            "invalid_grant",
            "The code or token is invalid or has expired.",
        ))?;
    Ok(Granted {
        person,
        application,
        with_refresh_token,
        by,
    })
}

fn success(inside: &mut Inside, granted: &Granted, now: UnixTime) -> Reply {
    let Inside {
        switches, grants, ..
    } = inside;
    let bound = |seconds: i64| Bound {
        uid: granted.person.uid,
        client_id: granted.application.client_id.clone(),
        redirect_uri: granted.application.callback.clone(),
        expires_at: now + seconds,
    };
    let ends_access = match granted.by {
        Grant::Refresh => switches.refresh_ends_access,
        Grant::Code | Grant::Password => switches.login_ends_access,
    };
    if ends_access {
        grants.end_access(granted.person.uid, &granted.application.client_id);
    }
    let uid = match granted.by {
        Grant::Password => switches.uid,
        _ if !switches.uid_for_every_grant => UidShape::Absent,
        Grant::Code => switches.uid_by_code.unwrap_or(switches.uid),
        Grant::Refresh => switches.uid_by_refresh.unwrap_or(switches.uid),
    };
    let mut answer = Map::new();
    let mut put = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    let access = grants.issue_access(
        bound(switches.access_token_seconds),
        switches.awkward_tokens,
        now,
    );
    put("access_token", json!(access));
    if granted.with_refresh_token {
        let refresh = grants.issue_refresh(
            bound(switches.refresh_token_seconds),
            switches.awkward_tokens,
            now,
        );
        put("refresh_token", json!(refresh));
    }
    match uid {
        UidShape::Number => put("uid", json!(granted.person.uid)),
        UidShape::Text => put("uid", json!(granted.person.uid.to_string())),
        UidShape::Absent => None,
    };
    put("token_type", json!(switches.token_type));
    let seconds = switches.access_token_seconds;
    match (switches.tells_expires_in, switches.expires_in_as_text) {
        (true, false) => put("expires_in", json!(seconds)),
        (true, true) => put("expires_in", json!(seconds.to_string())),
        (false, _) => None,
    };
    Reply::new(
        200,
        &switches.token_content_type,
        Value::Object(answer).to_string(),
    )
}

/// SHA-1 of the UTF-8 bytes in lower-case hex: the form in which the password grant wants a password.
fn sha1_hex(password: &str) -> String {
    hex(&Sha1::digest(password.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::sha1_hex;

    #[test]
    fn a_password_is_hashed_as_public_clients_hash_it() {
        assert_eq!(
            sha1_hex("Example-Pass-1"),
            "1811970ab1e01910bf4899731cdc2ba60d6ad213"
        );
    }
}
