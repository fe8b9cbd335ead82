//! `POST /token`: the password grant and the refresh grant, which are all that iMIS has.
//! Access tokens are opaque, some 600 characters long.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::dates::rfc1123;
use super::login::shut_out;
use super::switches::{ClientApplication, ExpiresIn, TokenErrors, TokenShape, UserNameAs};
use super::{Inside, MemberRights, RefreshTokens};
use crate::clock::{UnixTime, random_token};
use crate::simulator::fault;
use crate::simulator::people::{AccountState, ImisPerson};
use crate::simulator::wire::{Recorded, Reply};

/// The tokens that live.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

#[derive(Debug)]
struct Access {
    /// The `UniformId`: a renamed user keeps the tokens.
    owner: &'static str,
    expires_at: UnixTime,
}

#[derive(Debug)]
struct Refresh {
    /// The `UniformId`: a renamed user keeps the tokens.
    owner: &'static str,
    client_id: String,
    expires_at: UnixTime,
}

/// So many tokens are kept before those that have ended are cleared away.
const MANY: usize = 10_000;

impl Tokens {
    /// Ends every token of a user.
    pub(super) fn end_all_of(&mut self, uniform_id: &str) {
        self.access.retain(|_, access| access.owner != uniform_id);
        self.refresh
            .retain(|_, refresh| refresh.owner != uniform_id);
    }

    fn clear_away(&mut self, now: UnixTime) {
        if self.access.len() + self.refresh.len() > MANY {
            self.access.retain(|_, access| now < access.expires_at);
            self.refresh.retain(|_, refresh| now < refresh.expires_at);
        }
    }

    pub(super) fn issue_refresh(
        &mut self,
        person: &ImisPerson,
        application: &ClientApplication,
        seconds: Option<u32>,
        now: UnixTime,
    ) -> String {
        self.clear_away(now);
        let token = random_token();
        self.refresh.insert(
            token.clone(),
            Refresh {
                owner: person.uniform_id,
                client_id: application.client_id.clone(),
                expires_at: now + seconds.map_or(application.refresh_token_minutes * 60, i64::from),
            },
        );
        token
    }

    fn issue_access(&mut self, person: &ImisPerson, now: UnixTime, seconds: i64) -> String {
        self.clear_away(now);
        let token: String = (0..14).map(|_| random_token()).collect();
        self.access.insert(
            token.clone(),
            Access {
                owner: person.uniform_id,
                expires_at: now + seconds,
            },
        );
        token
    }

    /// The `UniformId` of the user whose access token this is, while it lives.
    pub(super) fn owner(&self, token: &str, now: UnixTime) -> Option<&'static str> {
        self.access
            .get(token)
            .filter(|access| now < access.expires_at)
            .map(|access| access.owner)
    }
}

/// Why no token is given; the names are those of RFC 6749 section 5.2.
struct Refused {
    error: &'static str,
    description: &'static str,
}

impl Refused {
    const fn user(description: &'static str) -> Self {
        Self {
            error: "invalid_grant",
            description,
        }
    }
}

/// What a successful grant proved.
struct Granted {
    person: ImisPerson,
    typed: Option<String>,
    client_id: Option<String>,
    refresh_token: Option<String>,
    by_refresh: bool,
}

/// Answers the token endpoint.
pub(super) fn endpoint(inside: &mut Inside, request: &Recorded, now: UnixTime) -> Reply {
    match request.method.as_str() {
        "POST" => {}
        "GET" if inside.switches.token_by_get => {}
        "OPTIONS" => return Reply::empty(405).with("allow", "POST"),
        _ => return refuse(inside, request, &unsupported()),
    }
    let basic = inside.switches.accepts_basic.then(|| basic(request));
    let basic = basic.flatten();
    let parameter = |name: &str| {
        let mut given = request.form();
        if request.method == "GET" {
            given.extend(request.query_pairs());
        }
        if let Some((client_id, client_secret)) = basic.clone() {
            given.push(("client_id".to_owned(), client_id));
            given.push(("client_secret".to_owned(), client_secret));
        }
        given
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    let granted = match parameter("grant_type").unwrap_or_default().as_str() {
        "password" => password(inside, parameter, now),
        "refresh_token" => refresh(inside, parameter, now),
        _ => Err(unsupported()),
    };
    match granted {
        Ok(granted) => success(inside, &granted, now),
        Err(refused) => refuse(inside, request, &refused),
    }
}

/// Client id and secret of HTTP Basic (RFC 7617).
fn basic(request: &Recorded) -> Option<(String, String)> {
    let (scheme, encoded) = request.header("authorization")?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (id.to_owned(), secret.to_owned()))
}

const fn unsupported() -> Refused {
    Refused {
        error: "unsupported_grant_type",
        description: "The grant type is not supported.",
    }
}

fn password(
    inside: &mut Inside,
    parameter: impl Fn(&str) -> Option<String>,
    now: UnixTime,
) -> Result<Granted, Refused> {
    let typed = parameter("username").unwrap_or_default();
    let mut password = parameter("password").unwrap_or_default();
    let person = inside.person(&typed);
    let has_factor = person.is_some_and(|person| person.state == AccountState::MultiFactor);
    let switches = &inside.switches;
    let code = switches.appended_code.as_deref();
    let code = code.filter(|code| has_factor && !code.is_empty());
    let before = code.and_then(|code| password.strip_suffix(code).map(str::len));
    if let Some(before) = before {
        password.truncate(before);
    }
    let forgiven: Vec<AccountState> = [
        (
            switches.password_grant_ignores_multi_factor || before.is_some(),
            AccountState::MultiFactor,
        ),
        (
            switches.password_grant_ignores_oidc_only,
            AccountState::OidcOnly,
        ),
    ]
    .into_iter()
    .filter_map(|(forgives, state)| forgives.then_some(state))
    .collect();
    let person = inside
        .check_password(&typed, &password, &forgiven)
        .map_err(Refused::user)?;
    if inside.switches.member_rights == MemberRights::NoToken && !person.reads_everybody() {
        return Err(Refused::user(
            "The user is not permitted to use remote services.",
        ));
    }
    let application = inside.switches.client_applications.first();
    let refresh_token = match application {
        Some(application) if inside.switches.password_grant_gives_refresh_token => {
            let seconds = inside.switches.refresh_token_seconds;
            let tokens = &mut inside.tokens;
            Some(tokens.issue_refresh(&person, application, seconds, now))
        }
        _ => None,
    };
    Ok(Granted {
        person,
        typed: Some(typed),
        client_id: parameter("client_id"),
        refresh_token,
        by_refresh: false,
    })
}

fn refresh(
    inside: &mut Inside,
    parameter: impl Fn(&str) -> Option<String>,
    now: UnixTime,
) -> Result<Granted, Refused> {
    let client_id = parameter("client_id").unwrap_or_default();
    let client_secret = parameter("client_secret").unwrap_or_default();
    let token = parameter("refresh_token").unwrap_or_default();
    let application = inside
        .switches
        .client_applications
        .iter()
        .find(|known| known.client_id == client_id && known.client_secret == client_secret)
        .cloned()
        .ok_or(Refused {
            error: "invalid_client",
            description: "Client authentication failed.",
        })?;
    let dead = Refused::user("The refresh token is invalid or has expired.");
    let person = match inside.tokens.refresh.get(&token) {
        Some(known) if known.client_id == client_id && now < known.expires_at => {
            inside.owner(known.owner)
        }
        _ => None,
    };
    let Some(person) = person else {
        return Err(dead);
    };
    if let Some(description) = shut_out(person.state) {
        return Err(Refused::user(description));
    }
    let refresh_token = match inside.switches.refresh_tokens {
        RefreshTokens::Reusable => Some(token),
        RefreshTokens::ReusableUntold => None,
        RefreshTokens::Rotating => {
            let seconds = inside.switches.refresh_token_seconds;
            inside.tokens.refresh.remove(&token);
            let tokens = &mut inside.tokens;
            Some(tokens.issue_refresh(&person, &application, seconds, now))
        }
        RefreshTokens::SingleUse => {
            inside.tokens.refresh.remove(&token);
            None
        }
    };
    Ok(Granted {
        person,
        typed: None,
        client_id: Some(client_id),
        refresh_token,
        by_refresh: true,
    })
}

fn success(inside: &mut Inside, granted: &Granted, now: UnixTime) -> Reply {
    let switches = &inside.switches;
    let seconds = switches.access_token_seconds;
    let token = inside.tokens.issue_access(&granted.person, now, seconds);
    let full = switches.token_shape == TokenShape::Full;
    let mut answer = Map::new();
    answer.insert("access_token".to_owned(), json!(token));
    answer.insert("token_type".to_owned(), json!("bearer"));
    match switches.expires_in {
        ExpiresIn::Number => answer.insert("expires_in".to_owned(), json!(seconds)),
        ExpiresIn::Text => answer.insert("expires_in".to_owned(), json!(seconds.to_string())),
        ExpiresIn::Absent => None,
        ExpiresIn::Zero => answer.insert("expires_in".to_owned(), json!(0)),
    };
    if let Some(token) = &granted.refresh_token {
        answer.insert("refresh_token".to_owned(), json!(token));
    }
    if full || granted.by_refresh {
        let stored = granted.person.username;
        let name = match switches.user_name_as {
            _ if granted.person.is_guest() => switches.guest_user_name.clone(),
            UserNameAs::Stored => Some(stored.to_owned()),
            UserNameAs::Typed => Some(granted.typed.clone().unwrap_or_else(|| stored.to_owned())),
            UserNameAs::Upper => Some(stored.to_uppercase()),
            UserNameAs::Lower => Some(stored.to_lowercase()),
        };
        if let Some(name) = name {
            answer.insert("userName".to_owned(), json!(name));
        }
    }
    if full {
        let client_id = granted.client_id.clone().unwrap_or_default();
        answer.insert("as:client_id".to_owned(), json!(client_id));
        answer.insert(".issued".to_owned(), json!(rfc1123(now)));
        answer.insert(".expires".to_owned(), json!(rfc1123(now + seconds)));
    }
    Reply::json(200, &Value::Object(answer))
        .with("cache-control", "no-cache")
        // Cookies come along on API answers; a client has no use for them.
        .with(
            "set-cookie",
            "__RequestVerificationToken_Simulated=not-a-secret; path=/; HttpOnly",
        )
}

fn refuse(inside: &Inside, request: &Recorded, refused: &Refused) -> Reply {
    let description = match refused.error {
        "invalid_grant" => inside.tell(refused.description),
        _ => refused.description,
    };
    let full = json!({ "error": refused.error, "error_description": description });
    match inside.switches.token_errors {
        TokenErrors::JsonWithoutDescription => Reply::json(400, &json!({ "error": refused.error })),
        TokenErrors::Bare => Reply::empty(400),
        TokenErrors::OtherCode if refused.error == "invalid_grant" => Reply::json(
            400,
            &json!({ "error": "login_refused", "error_description": description }),
        ),
        TokenErrors::Text if refused.error == "invalid_grant" => Reply::text(400, description),
        TokenErrors::Json | TokenErrors::OtherCode | TokenErrors::Text => Reply::json(400, &full),
        TokenErrors::ErrorPage => fault::error_page(request),
        TokenErrors::OkWithError => Reply::json(200, &full),
    }
}
