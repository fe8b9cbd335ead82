//! Requests as a client makes them, by hand: for what a well-behaved library would never send. The independent judge
//! of what we answer is the `openidconnect` crate, in `rp_openidconnect.rs`.

use std::collections::BTreeMap;

use portico::simulator::people;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::browser::{Browser, http_client};
use super::server::{SERVICE_SECRET, SHARED_SECRET, TestServer, WEB_SECRET};
use super::signing::{ASSERTION_TYPE, ClientKey};

/// The example of RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Its challenge.
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An answer of the token endpoint, or of any other that speaks JSON.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// A member of the body that is text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// Asserts an error: its code, its status, and that nobody may keep it.
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body["error"], code, "{self:?}");
        assert_eq!(self.headers["cache-control"], "no-store");
        assert!(self.body["error_description"].is_string(), "{self:?}");
        assert!(self.body.get("access_token").is_none());
    }
}

/// The redirect URI of each of the harness's clients.
pub(crate) fn redirect_uri(client_id: &str) -> String {
    let host = client_id.strip_suffix("-app").unwrap_or(client_id);
    format!("https://{host}.example.org/callback")
}

impl TestServer {
    /// A good authorization request of `client_id`; `changes` replace parameters, an empty value removes one.
    pub(crate) fn authorize_url(&self, client_id: &str, changes: &[(&str, &str)]) -> String {
        let redirect_uri = redirect_uri(client_id);
        let mut parameters = BTreeMap::from([
            ("client_id", client_id),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", redirect_uri.as_str()),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        parameters.extend(changes.iter().copied());
        parameters.retain(|_, value| !value.is_empty());
        let mut url = Url::parse(&self.url("/authorize")).unwrap();
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }

    /// Logs Jo Smith in, in a fresh browser, and gives the code.
    pub(crate) async fn code(&self, client_id: &str, changes: &[(&str, &str)]) -> String {
        let mut browser = Browser::new();
        let url = self.authorize_url(client_id, changes);
        let page = browser.log_in_as(url, people::JO_SMITH).await;
        page.answer()
            .remove("code")
            .unwrap_or_else(|| panic!("no code: {page:?}"))
    }

    /// Redeems a code as `client_id` would; `changes` as in [`Self::authorize_url`].
    pub(crate) async fn redeem(
        &self,
        client_id: &str,
        code: &str,
        changes: &[(&str, &str)],
    ) -> Answer {
        let redirect_uri = redirect_uri(client_id);
        let mut parameters = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", VERIFIER),
        ]);
        parameters.extend(changes.iter().copied());
        parameters.retain(|_, value| !value.is_empty());
        self.token(client_id, &parameters.into_iter().collect::<Vec<_>>())
            .await
    }

    /// Refreshes.
    pub(crate) async fn refresh(&self, client_id: &str, refresh_token: &str) -> Answer {
        let parameters = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        self.token(client_id, &parameters).await
    }

    /// A token request, authenticated as the client is registered.
    pub(crate) async fn token(&self, client_id: &str, parameters: &[(&str, &str)]) -> Answer {
        let request = http_client().post(self.url("/token"));
        self.send_as(request, client_id, parameters).await
    }

    /// A good authorization request of `client_id`, pushed; `changes` as in [`Self::authorize_url`].
    pub(crate) async fn push(&self, client_id: &str, changes: &[(&str, &str)]) -> Answer {
        let url = Url::parse(&self.authorize_url(client_id, changes)).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        // The client's authentication says who asks.
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .filter(|(name, _)| name != "client_id")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.send_as(http_client().post(self.url("/par")), client_id, &pairs)
            .await
    }

    /// Sends a form, authenticated as the client is registered.
    pub(crate) async fn send_as(
        &self,
        request: reqwest::RequestBuilder,
        client_id: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let mut parameters = parameters.to_vec();
        let request = match client_id {
            "web" => request.basic_auth("web", Some(WEB_SECRET)),
            "service" | "plain" | "both" => request.basic_auth(client_id, Some(SERVICE_SECRET)),
            "post" => {
                parameters.extend([
                    ("client_id", "post"),
                    ("client_secret", super::server::POST_SECRET),
                ]);
                request
            }
            "signed" | "shared" => {
                let key = match client_id {
                    "signed" => ClientKey::of_signed(),
                    _ => ClientKey::shared(SHARED_SECRET),
                };
                let assertion = key.assertion(self, client_id);
                let proof = [
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", assertion.as_str()),
                ];
                let form: Vec<_> = parameters.into_iter().chain(proof).collect();
                return answer(request.form(&form)).await;
            }
            public => {
                parameters.push(("client_id", public));
                request
            }
        };
        answer(request.form(&parameters)).await
    }

    /// Asks userinfo.
    pub(crate) async fn userinfo(&self, access_token: &str) -> Answer {
        answer(
            http_client()
                .get(self.url("/userinfo"))
                .bearer_auth(access_token),
        )
        .await
    }

    /// Logs Jo Smith in, in a fresh browser, and redeems the code: the whole token set.
    pub(crate) async fn tokens(&self, client_id: &str, scope: &str) -> Answer {
        let code = self.code(client_id, &[("scope", scope)]).await;
        let tokens = self.redeem(client_id, &code, &[]).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        tokens
    }
}

/// Sends a request and reads the answer as JSON, if it is.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default(),
    }
}

/// The claims of a JWT, unverified: for looking at, not for trusting.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a JWT.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(index).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
