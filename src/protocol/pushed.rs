//! Pushed authorization requests (RFC 9126): the `request_uri` that stands for one, and what of a push is the request.

use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::params::{MAX_ENCODED_BYTES, Params};

/// What begins every `request_uri` that we make (RFC 9126 section 2.2).
pub const URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// The most bytes of a `request_uri` (T48).
const MAX_URI_BYTES: usize = 512;

/// What of a push proves who the client is, and is no part of its request.
const CREDENTIALS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

/// An authorization request that was pushed before: all that counts of it is who asks, and where the rest is.
#[derive(Debug)]
pub struct PushedReference<'a> {
    /// The client, as it calls itself.
    pub client_id: ClientId,
    /// The random part of the `request_uri`.
    pub random: &'a str,
}

impl<'a> PushedReference<'a> {
    /// Reads a request to the authorization endpoint; `None` when it does not refer to a pushed one. What else stands in it
    /// is not used, even where it contradicts (RFC 9101 section 6.3).
    pub fn read(params: &'a Params) -> Result<Option<Self>, OAuthError> {
        let uri = params.get_capped("request_uri", MAX_URI_BYTES)?;
        let Some(random) = uri.and_then(|uri| uri.strip_prefix(URI_PREFIX)) else {
            return Ok(None);
        };
        params.refuse_repeated()?;
        if params.get("request")?.is_some() {
            return Err(OAuthError::invalid_request(
                "request and request_uri must not be sent together",
            ));
        }
        let client_id = params
            .get_capped("client_id", 256)?
            .ok_or_else(|| OAuthError::invalid_request("client_id is missing"))?;
        Ok(Some(Self {
            client_id: ClientId::new(client_id),
            random,
        }))
    }
}

/// The authorization request in a push of `client_id`: what was sent, without the credentials.
pub fn pushed_params(sent: &Params, client_id: &ClientId) -> Result<Params, OAuthError> {
    sent.refuse_repeated()?;
    // RFC 9126 section 2.1: a push holds the request itself.
    if sent.get("request_uri")?.is_some() {
        return Err(OAuthError::invalid_request(
            "request_uri must not be pushed; push the request itself",
        ));
    }
    let mut request = sent.without(&CREDENTIALS);
    // Client authentication says who asks; it has held a client_id in the body against that already.
    request.set("client_id", client_id.as_str())?;
    // It is kept as we write it, which may be longer than it was sent, and has to be read once more.
    if request.encode().len() > MAX_ENCODED_BYTES {
        return Err(OAuthError::invalid_request("the request is too large"));
    }
    Ok(request)
}

/// The text that is kept of a request, which is more than was sent where an object was unpacked or a key bound: it has to be
/// one that the authorization endpoint can read (RFC 9126 section 2.3: what cannot be used is refused at once).
pub fn kept(request: &Params) -> Result<String, OAuthError> {
    let text = request.encode();
    Params::parse(text.as_bytes())?;
    Ok(text)
}

/// The answer to every `request_uri` that leads to no request.
pub fn unknown() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidRequestUri,
        "request_uri is unknown, expired, another client's, or was used already; the app has to push its request again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().copied().collect()
    }

    /// What the app is told was taken, its person's browser finds.
    #[test]
    fn what_is_kept_can_be_read_again() {
        let sent = format!("x={}", "\u{e9}".repeat(MAX_ENCODED_BYTES / 6));
        let sent = Params::parse(sent.as_bytes()).unwrap();
        assert!(pushed_params(&sent, &ClientId::new("app")).is_err());
        let sent = format!("x={}", "\u{e9}".repeat(MAX_ENCODED_BYTES / 6 - 8));
        let sent = Params::parse(sent.as_bytes()).unwrap();
        let kept = pushed_params(&sent, &ClientId::new("app")).unwrap();
        assert_eq!(Params::parse(kept.encode().as_bytes()).unwrap(), kept);
    }

    #[test]
    fn only_our_uris_refer_to_a_push() {
        let ours = format!("{URI_PREFIX}abc");
        let request = params(&[("client_id", "a"), ("request_uri", &ours), ("state", "x")]);
        let read = PushedReference::read(&request).unwrap().unwrap();
        assert_eq!((read.client_id.as_str(), read.random), ("a", "abc"));
        for other in [
            "https://app.example.org/request",
            "URN:ietf:params:oauth:request_uri:a",
        ] {
            let request = params(&[("client_id", "a"), ("request_uri", other)]);
            assert!(PushedReference::read(&request).unwrap().is_none());
        }
        let long = format!("{URI_PREFIX}{}", "a".repeat(MAX_URI_BYTES));
        for bad in [
            vec![("request_uri", ours.as_str())],
            vec![("client_id", "a"), ("request_uri", &long)],
            vec![
                ("client_id", "a"),
                ("request_uri", &ours),
                ("request", "e30.e30.AA"),
            ],
            vec![
                ("client_id", "a"),
                ("request_uri", &ours),
                ("request_uri", &ours),
            ],
            vec![
                ("client_id", "a"),
                ("request_uri", &ours),
                ("state", "x"),
                ("state", "x"),
            ],
        ] {
            assert!(PushedReference::read(&params(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn credentials_are_no_part_of_the_request() {
        let sent = params(&[
            ("client_secret", "s"),
            ("client_assertion", "a"),
            ("client_assertion_type", "t"),
            ("scope", "openid"),
        ]);
        let request = pushed_params(&sent, &ClientId::new("app")).unwrap();
        assert_eq!(
            request,
            params(&[("client_id", "app"), ("scope", "openid")])
        );
    }
}
