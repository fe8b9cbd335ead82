//! Request objects by reference (OpenID Connect Core section 6.2, RFC 9101 section 5.2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::{Asker, FetchError, Fetcher, Wanted};
use crate::clock::{Clock, UnixTime, is_recent};

/// Seconds for which what stands at an address with a fragment is not asked for again.
const FRESH: i64 = 60 * 60;
/// The most objects that are kept of one client.
const MAX_OF_CLIENT: usize = 20;
/// The most objects that are kept of all.
const MAX_OF_ALL: usize = 500;

/// Fetches request objects. Cheap to clone; clones share what is kept.
#[derive(Clone)]
pub struct RequestUris {
    fetcher: Fetcher,
    clock: Clock,
    kept: Arc<Mutex<Kept>>,
}

/// What is kept of each client, by address with fragment.
type Kept = HashMap<String, HashMap<String, (UnixTime, String)>>;

impl RequestUris {
    /// Nothing fetched yet.
    pub fn new(fetcher: Fetcher, clock: Clock) -> Self {
        Self {
            fetcher,
            clock,
            kept: Arc::default(),
        }
    }

    /// What stands at `uri`. Its fragment is no part of where it is: it is the hash of the content, so that another one says
    /// that the content is another (Core section 6.2). Without one nobody knows, and it is fetched each time; so is what the
    /// fragment does not fit, which whoever sends the request may have made up.
    pub async fn fetch(&self, uri: &str, asker: Asker<'_>) -> Result<String, FetchError> {
        let (address, fragment) = match uri.split_once('#') {
            Some((address, fragment)) => (address, Some(fragment)),
            None => (uri, None),
        };
        let now = self.clock.now();
        let known = fragment.and_then(|_| self.known(asker.name(), uri, now));
        if let Some(object) = known {
            return Ok(object);
        }
        let body = self.fetcher.fetch(address, Wanted::RequestObject, asker);
        let body = body.await?;
        let fits = fragment.is_some_and(|fragment| fragment == hash(&body));
        let object = String::from_utf8(body)
            .map_err(|_| FetchError::Answer("the answer is no text".to_owned()))?;
        let object = object.trim().to_owned();
        if fits {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            keep(&mut kept, asker.name(), uri, (now, object.clone()));
        }
        Ok(object)
    }

    fn known(&self, client_id: &str, uri: &str, now: UnixTime) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, object) = kept.get(client_id)?.get(uri)?;
        is_recent(*at, FRESH, now).then(|| object.clone())
    }
}

/// Makes room at the expense of whoever has too much, of the client itself, or of the one that has most; then keeps the object.
fn keep(kept: &mut Kept, client_id: &str, uri: &str, object: (UnixTime, String)) {
    let total: usize = kept.values().map(HashMap::len).sum();
    let own = kept.get(client_id).map_or(0, HashMap::len);
    let full = if own >= MAX_OF_CLIENT {
        kept.get_mut(client_id)
    } else if total >= MAX_OF_ALL {
        kept.values_mut().max_by_key(|objects| objects.len())
    } else {
        None
    };
    if let Some(full) = full {
        drop_oldest(full);
    }
    let own = kept.entry(client_id.to_owned()).or_default();
    own.insert(uri.to_owned(), object);
    kept.retain(|_, objects| !objects.is_empty());
}

fn drop_oldest(objects: &mut HashMap<String, (UnixTime, String)>) {
    let oldest = objects.iter().min_by_key(|(_, (at, _))| *at);
    if let Some(uri) = oldest.map(|(uri, _)| uri.clone()) {
        objects.remove(&uri);
    }
}

/// As fragments have it (Core section 6.2).
fn hash(content: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(content))
}
