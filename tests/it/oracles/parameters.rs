//! Parameters as another decoder reads them (`url`), and what must hold for ours beside it.

use portico::protocol::params::{MAX_ENCODED_BYTES, Params};

/// The one parameter that may come more than once (RFC 8707 section 2).
const MANY: &str = "resource";

/// What was sent, in its order.
pub(crate) struct Sent(Vec<(String, String)>);

impl Sent {
    /// Reads `encoded` with both decoders; `None` where ours refuses it.
    pub(crate) fn read(encoded: &[u8]) -> Option<(Self, Params)> {
        let params = Params::parse(encoded).ok()?;
        let pairs = url::form_urlencoded::parse(encoded).into_owned();
        let sent = Self(pairs.collect());
        sent.is_what_we_read(&params);
        Some((sent, params))
    }

    /// Every value of `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(each, _)| each == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of `name` where it stands there once and is not empty.
    pub(crate) fn once(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [one] if !one.is_empty() => Some(one),
            _ => None,
        }
    }

    /// RFC 6749 section 3.1: an endpoint that took the request saw no parameter twice.
    pub(crate) fn nothing_came_twice(&self) {
        for (name, _) in &self.0 {
            let times = self.all(name).len();
            assert!(name == MANY || times == 1, "{name} came {times} times");
        }
    }

    fn is_what_we_read(&self, params: &Params) {
        for (name, _) in &self.0 {
            let all = self.all(name);
            match params.get(name) {
                Ok(value) => assert_eq!((value, all.len()), (self.once(name), 1), "{name}"),
                Err(_) => assert!(all.len() > 1, "{name} came once and was refused"),
            }
            let told: Vec<&str> = params.get_all(name).collect();
            let wanted: Vec<&str> = all.into_iter().filter(|value| !value.is_empty()).collect();
            assert_eq!(told, wanted, "{name}");
        }
        let encoded = params.encode();
        if encoded.len() <= MAX_ENCODED_BYTES {
            let again = Params::parse(encoded.as_bytes()).expect("what we write we read");
            assert_eq!(again, *params);
        }
    }
}
