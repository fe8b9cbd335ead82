//! aiM18's token endpoint. Documented is a GET with client secret, code and hashed password in the query (research,
//! section 2), so no address of it may ever reach an error or a log, nor an answer that repeats one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use url::Url;
use zeroize::Zeroizing;

use super::check_message::{complaint, says_failure};
use super::settings::{Settings, TokenMethod};
use crate::protocol::secret::Secret;
use crate::upstream::LoginError;
use crate::upstream::lifetime::seconds;
use crate::upstream::outbound::{Answer, Http, query, spent};
use crate::upstream::settings::below;

/// Where tokens come from.
pub(super) struct TokenEndpoint {
    url: Url,
    client_id: String,
    client_secret: Secret,
    method: TokenMethod,
    /// `auto` has learned that this server does not take POST.
    post_is_refused: AtomicBool,
    http: Http,
    timeout: Duration,
}

/// What a token is asked for with.
pub(super) enum Grant<'a> {
    /// What came back from the login page, and the address it came back to.
    Code { code: &'a str, callback: &'a str },
    /// What the person typed.
    Password {
        username: &'a str,
        password: &'a Secret,
    },
    /// What came with an earlier token. `redirect_uri` is documented as required here, too.
    Refresh {
        refresh: &'a Secret,
        callback: &'a str,
    },
}

/// A token and whose it is.
pub(super) struct Token {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// In seconds, if it is told at all.
    pub(super) expires_in: Option<i64>,
    /// `None` for a refresh grant alone, whose answer need not tell it again.
    pub(super) uid: Option<u64>,
}

/// What came of asking the endpoint by one method, for the probe.
pub(super) struct Tried {
    pub(super) outcome: Result<Token, LoginError>,
    /// It says that it does not take the method.
    pub(super) takes_not: bool,
    looks: Looks,
}

/// By what a refusal can be told from another.
type Looks = (u16, Option<String>);

/// How the endpoint was or will be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Get,
    Post,
}

impl TokenEndpoint {
    pub(super) fn new(settings: &Settings, http: Http) -> Self {
        Self {
            url: below(
                &settings.base_url,
                ["jsf", "rfws"]
                    .into_iter()
                    .chain(settings.token_path.split('/')),
            ),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            method: settings.token_method,
            post_is_refused: AtomicBool::new(false),
            http,
            timeout: settings.timeout,
        }
    }

    /// Redeems a grant, once.
    pub(super) async fn ask(&self, grant: &Grant<'_>) -> Result<Token, LoginError> {
        let by = match self.method {
            TokenMethod::Get => By::Get,
            TokenMethod::Post => By::Post,
            TokenMethod::Auto if self.post_is_refused.load(Ordering::Relaxed) => By::Get,
            TokenMethod::Auto => {
                let answer = self.send(grant, By::Post).await?;
                // These say that no service took the request, so the code is still unspent.
                if !takes_not(&answer) {
                    return self.read(grant, &answer);
                }
                let answer = self.send(grant, By::Get).await?;
                // An endpoint that is not there at all for a moment says nothing of POST, and GET puts secrets into logs.
                if !takes_not(&answer) {
                    self.post_is_refused.store(true, Ordering::Relaxed);
                }
                return self.read(grant, &answer);
            }
        };
        let answer = self.send(grant, by).await?;
        self.read(grant, &answer)
    }

    /// Redeems a grant by one method, whatever is configured, for the probe.
    pub(super) async fn try_by(&self, grant: &Grant<'_>, by: By) -> Result<Tried, LoginError> {
        let answer = self.send(grant, by).await?;
        Ok(Tried {
            outcome: self.read(grant, &answer),
            takes_not: takes_not(&answer),
            looks: looks(&answer),
        })
    }

    /// Whether a request without parameters is answered as the one that was tried: then the parameters may not have been read.
    pub(super) async fn is_deaf(&self, tried: &Tried, by: By) -> Result<bool, LoginError> {
        Ok(looks(&self.send_pairs(&[], by).await?) == tried.looks)
    }

    async fn send(&self, grant: &Grant<'_>, by: By) -> Result<Answer, LoginError> {
        let hash = grant.password_hash();
        let mut pairs = vec![
            ("grant_type", grant.name()),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose()),
        ];
        match grant {
            Grant::Code { code, callback } => {
                pairs.extend([("code", *code), ("redirect_uri", *callback)]);
            }
            Grant::Password { username, .. } => {
                pairs.extend([("username", *username), ("password", hash.as_str())]);
            }
            Grant::Refresh { refresh, callback } => pairs.extend([
                ("refresh_token", refresh.expose()),
                ("redirect_uri", *callback),
            ]),
        }
        self.send_pairs(&pairs, by).await
    }

    async fn send_pairs(&self, pairs: &[(&str, &str)], by: By) -> Result<Answer, LoginError> {
        let answer = match by {
            By::Post => {
                let url = self.url.clone();
                self.http.post_form(url, pairs, self.timeout).await
            }
            By::Get => {
                let mut url = self.url.clone();
                let query = Zeroizing::new(query(pairs));
                url.set_query(Some(&query));
                self.http.get(url, HeaderMap::new(), self.timeout).await
            }
        };
        Ok(answer?)
    }

    fn read(&self, grant: &Grant<'_>, answer: &Answer) -> Result<Token, LoginError> {
        self.read_once(grant, answer).map_err(|error| {
            let body = answer.value();
            let complains = body.is_some_and(|body| body.get("error").is_some());
            match (grant, &error) {
                // A success that is none: the new tokens are lost with it.
                (Grant::Refresh { .. }, LoginError::Protocol(_))
                    if answer.status.is_success() && !complains =>
                {
                    spent(error)
                }
                _ => error,
            }
        })
    }

    fn read_once(&self, grant: &Grant<'_>, answer: &Answer) -> Result<Token, LoginError> {
        let body = answer.value();
        if answer.status.is_success()
            && let Some(body) = &body
            && let Some(access) = token(body, "access_token")
        {
            let uid = uid(body);
            let may_be_untold = matches!(grant, Grant::Refresh { .. });
            if uid.is_none() && (!may_be_untold || body.get("uid").is_some()) {
                return Err(LoginError::Protocol(
                    "the token answer holds no usable uid, without which nobody knows whose \
                     the token is"
                        .into(),
                ));
            }
            return Ok(Token {
                access,
                refresh: token(body, "refresh_token"),
                expires_in: body.get("expires_in").and_then(seconds),
                uid,
            });
        }
        Err(self.refusal(grant, answer, body.as_ref()))
    }

    /// What an answer without a token means. The vendor documents none; refusals come as 400, 401, 403, 500 or 200, and
    /// as JSON, `CheckMsg` or nothing, and do not tell a wrong password from a disabled user.
    fn refusal(&self, grant: &Grant<'_>, answer: &Answer, body: Option<&Value>) -> LoginError {
        let error = body
            .and_then(|body| body.get("error"))
            .and_then(Value::as_str);
        let hash = grant.password_hash();
        let sent = match grant {
            Grant::Code { code, .. } => *code,
            Grant::Password { .. } => hash.as_str(),
            Grant::Refresh { refresh, .. } => refresh.expose(),
        };
        let complaint = complaint(answer, &[self.client_secret.expose(), sent]);
        let told = format!(
            "the token endpoint: {} ({})",
            complaint.as_deref().unwrap_or("no reason given"),
            answer.describe()
        );
        match error {
            Some("invalid_grant" | "access_denied") => {
                return LoginError::BadCredentials(Some(told.into()));
            }
            Some(
                "invalid_client"
                | "unauthorized_client"
                | "unsupported_grant_type"
                | "invalid_request"
                | "invalid_scope",
            ) => {
                return LoginError::Protocol(
                    format!("{told}; look at client_id, client_secret and the callback URL in aiM18's OAuth Applications").into(),
                );
            }
            _ => {}
        }
        let explained = complaint.is_some() || says_failure(answer);
        match answer.status.as_u16() {
            400 | 401 | 403 => LoginError::BadCredentials(Some(told.into())),
            // Nothing at all is how some servers refuse; to take it for a fault would let passwords be guessed
            // without anybody counting.
            200 if explained || answer.body.trim_ascii().is_empty() => {
                LoginError::BadCredentials(Some(told.into()))
            }
            500 if explained => LoginError::BadCredentials(Some(told.into())),
            _ if answer.is_outage() => LoginError::Unavailable(told.into()),
            _ => LoginError::Protocol(told.into()),
        }
    }
}

impl Grant<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Code { .. } => "authorization_code",
            Self::Password { .. } => "password",
            Self::Refresh { .. } => "refresh_token",
        }
    }

    /// The form in which aiM18 wants a password. What looks like a hash is hashed like anything else:
    /// otherwise a stolen hash would log in.
    fn password_hash(&self) -> Zeroizing<String> {
        match self {
            Self::Code { .. } | Self::Refresh { .. } => Zeroizing::default(),
            Self::Password { password, .. } => sha1_hex(password.expose()),
        }
    }
}

/// Whether an answer says that no service took the request.
fn takes_not(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 404 | 405 | 501)
}

fn looks(answer: &Answer) -> Looks {
    let body = answer.value();
    let error = body.as_ref().and_then(|body| body.get("error"));
    (
        answer.status.as_u16(),
        error.and_then(Value::as_str).map(str::to_owned),
    )
}

/// SHA-1 of the UTF-8 bytes, in lower-case hex (research, section 2).
fn sha1_hex(password: &str) -> Zeroizing<String> {
    let digest = Zeroizing::new(<[u8; 20]>::from(Sha1::digest(password.as_bytes())));
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Zeroizing::new(
        digits
            .filter_map(|digit| char::from_digit(u32::from(digit), 16))
            .collect(),
    )
}

fn token(body: &Value, name: &str) -> Option<Secret> {
    let token = body.get(name)?.as_str()?;
    (!token.is_empty()).then(|| Secret::new(token))
}

/// The user's number, which may stand in quotes. Zero is how aiM18 writes "no record", and so is nobody's.
fn uid(body: &Value) -> Option<u64> {
    let uid = match body.get("uid")? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    uid.filter(|uid| *uid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_password_is_hashed_as_public_clients_hash_it() {
        assert_eq!(
            *sha1_hex("Example-Pass-1"),
            "1811970ab1e01910bf4899731cdc2ba60d6ad213"
        );
    }

    #[test]
    fn a_uid_is_a_positive_integer_bare_or_quoted() {
        for (written, read) in [
            (json!(1042), Some(1042)),
            (json!("1042"), Some(1042)),
            (
                json!(9_007_199_254_740_993_u64),
                Some(9_007_199_254_740_993),
            ),
            (json!(0), None),
            (json!("0"), None),
            (json!(-1), None),
            (json!("-1"), None),
            (json!("+1"), None),
            (json!(1.5), None),
            (json!(""), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            assert_eq!(uid(&json!({ "uid": written })), read, "{written}");
        }
        assert_eq!(uid(&json!({})), None);
    }

    proptest! {
        #[test]
        fn a_uid_is_a_number_and_nobodys_is_none(number in any::<u64>(), text in "[ +0-9a-f.-]{0,22}", float in any::<f64>()) {
            for value in [json!(number), json!(number.to_string())] {
                prop_assert_eq!(uid(&json!({ "uid": value })), (number != 0).then_some(number));
            }
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let read = [json!(text), json!(float)].map(|value| uid(&json!({ "uid": value })));
            prop_assert!(digits || read[0].is_none());
            prop_assert_eq!(read[1], None);
        }
    }
}
