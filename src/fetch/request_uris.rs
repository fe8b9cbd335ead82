//! Request objects by reference (OpenID Connect Core section 6.2, RFC 9101 section 5.2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{FetchError, Fetcher, Wanted};
use crate::clock::{Clock, UnixTime};
use crate::protocol::ids::ClientId;

/// Seconds for which what stands at an address with a fragment is not asked for again.
const FRESH: i64 = 60 * 60;
/// The most objects that are kept.
const MAX_KEPT: usize = 500;

/// Fetches request objects. Cheap to clone; clones share what is kept.
#[derive(Clone)]
pub struct RequestUris {
    fetcher: Fetcher,
    clock: Clock,
    kept: Arc<Mutex<HashMap<String, (UnixTime, String)>>>,
}

impl RequestUris {
    /// Nothing fetched yet.
    pub fn new(fetcher: Fetcher, clock: Clock) -> Self {
        Self {
            fetcher,
            clock,
            kept: Arc::default(),
        }
    }

    /// What stands at `uri`. Its fragment is no part of where it is: it says which content, and another one says that the
    /// content is another (Core section 6.2). Without one, nobody knows, and it is fetched each time.
    pub async fn fetch(&self, uri: &str, client_id: &ClientId) -> Result<String, FetchError> {
        let (address, fragment) = match uri.split_once('#') {
            Some((address, fragment)) => (address, Some(fragment)),
            None => (uri, None),
        };
        let now = self.clock.now();
        if fragment.is_some() {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, object)) = kept.get(uri)
                && now - at < FRESH
            {
                return Ok(object.clone());
            }
        }
        let body = self
            .fetcher
            .fetch(address, Wanted::RequestObject, client_id);
        let object = String::from_utf8(body.await?)
            .map_err(|_| FetchError::Answer("the answer is no text".to_owned()))?;
        let object = object.trim().to_owned();
        if fragment.is_some() {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= MAX_KEPT
                && let Some(victim) = kept.keys().next().cloned()
            {
                kept.remove(&victim);
            }
            kept.insert(uri.to_owned(), (now, object.clone()));
        }
        Ok(object)
    }
}
