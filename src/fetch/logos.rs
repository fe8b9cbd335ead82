//! The logos of apps (`logo_uri`, RFC 7591 section 2), fetched by us and kept for a day: a page that led a browser to the app's
//! own address would tell its host who logs in when (T52). No page waits for one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Asker, FetchError, Fetcher, Wanted};
use crate::clock::{Clock, UnixTime, is_recent};
use crate::model::client::Client;

/// Seconds for which a logo is shown before it is asked for again.
const FRESH: i64 = 24 * 60 * 60;
/// Seconds after a failure in which it is not asked for again.
const PAUSE: i64 = 10 * 60;
/// The most that are fetched at once.
const MAX_FLIGHTS: usize = 16;
/// The most that are remembered, those that could not be had included.
const MAX_KEPT: usize = 1000;
/// The most bytes of all together.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// A picture, and what it was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What browsers are told that it is.
    pub media_type: &'static str,
    /// The picture.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// Only what shows dots, by what is in it and not by what it is called: never SVG, which can do more than be looked at.
    fn read(bytes: Vec<u8>) -> Option<Self> {
        let media_type = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => "image/webp",
            _ => return None,
        };
        Some(Self { media_type, bytes })
    }
}

/// Fetches logos. Cheap to clone; clones share what is kept.
#[derive(Clone)]
pub struct Logos(Arc<Parts>);

struct Parts {
    fetcher: Fetcher,
    clock: Clock,
    registered_too: bool,
    kept: Mutex<Kept>,
}

/// Whose logo, and where it is.
type Place = (String, String);

#[derive(Default)]
struct Kept {
    logos: HashMap<Place, Logo>,
    flights: BTreeSet<Place>,
}

struct Logo {
    /// `None`: it could not be had.
    picture: Option<Arc<Picture>>,
    fetched_at: UnixTime,
    shown_at: UnixTime,
    registered: bool,
}

impl Logo {
    fn is_fresh(&self, now: UnixTime) -> bool {
        let good_for = if self.picture.is_some() { FRESH } else { PAUSE };
        is_recent(self.fetched_at, good_for, now)
    }

    fn bytes(&self) -> usize {
        self.picture
            .as_ref()
            .map_or(0, |picture| picture.bytes.len())
    }
}

impl Logos {
    /// Nothing fetched yet. Those of clients that registered themselves are shown if they are `registered_too`.
    pub fn new(fetcher: Fetcher, clock: Clock, registered_too: bool) -> Self {
        Self(Arc::new(Parts {
            fetcher,
            clock,
            registered_too,
            kept: Mutex::default(),
        }))
    }

    /// Whether the client's logo may be shown.
    pub fn is_shown(&self, client: &Client) -> bool {
        self.0.registered_too || !client.registered
    }

    /// Whether the client's logo at `uri` is there. If it is not, or is old, it is fetched meanwhile.
    pub fn has(&self, client: &Client, uri: &str) -> bool {
        if !self.is_shown(client) {
            return false;
        }
        let place = place(client, uri);
        let now = self.0.clock.now();
        let mut kept = self.kept();
        let known = kept.logos.get_mut(&place);
        let (is_there, is_fresh) = known.map_or((false, false), |logo| {
            logo.shown_at = now;
            (logo.picture.is_some(), logo.is_fresh(now))
        });
        if !is_fresh && kept.flights.len() < MAX_FLIGHTS && kept.flights.insert(place.clone()) {
            let (this, client) = (self.clone(), client.clone());
            tokio::spawn(async move {
                this.fetch(&client, &place).await;
                this.kept().flights.remove(&place);
            });
        }
        is_there
    }

    /// The client's logo at `uri`. Another node may have shown the page that it is on: then it is fetched here, too.
    pub async fn find(&self, client: &Client, uri: &str) -> Option<Arc<Picture>> {
        if !self.is_shown(client) {
            return None;
        }
        let place = place(client, uri);
        let now = self.0.clock.now();
        {
            let kept = self.kept();
            let known = kept.logos.get(&place);
            if let Some(logo) = known.filter(|logo| logo.picture.is_some() || logo.is_fresh(now)) {
                return logo.picture.clone();
            }
        }
        // On its own, so that it is kept though the browser has gone on.
        let (this, client) = (self.clone(), client.clone());
        let fetching = tokio::spawn(async move { this.fetch(&client, &place).await });
        fetching.await.ok().flatten()
    }

    async fn fetch(&self, client: &Client, place: &Place) -> Option<Arc<Picture>> {
        let fetched = self
            .0
            .fetcher
            .fetch(&place.1, Wanted::Picture, Asker::Client(client));
        let picture = fetched.await.and_then(|bytes| {
            let wrong = "the answer is no PNG, JPEG, WebP or GIF, by what is in it";
            Picture::read(bytes).ok_or_else(|| FetchError::Answer(wrong.to_owned()))
        });
        let picture = match picture {
            Ok(picture) => Some(Arc::new(picture)),
            // Not asked, for others have asked too often, says nothing about this one: what is there stays until it can be asked again.
            Err(FetchError::TooMany | FetchError::Paused(_)) => {
                let kept = self.kept();
                return kept.logos.get(place).and_then(|logo| logo.picture.clone());
            }
            Err(error) => {
                tracing::warn!(client_id = %client.client_id, error = %error, "an app's logo is not shown: it could not be fetched");
                None
            }
        };
        let now = self.0.clock.now();
        let logo = Logo {
            picture: picture.clone(),
            fetched_at: now,
            shown_at: now,
            registered: client.registered,
        };
        self.kept().keep(place.clone(), logo);
        picture
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Makes room at the expense of those that registered themselves, then of what was not shown for longest.
    fn keep(&mut self, place: Place, logo: Logo) {
        self.logos.insert(place, logo);
        while self.logos.len() > MAX_KEPT || self.bytes() > MAX_KEPT_BYTES {
            let worth = |logo: &Logo| (!logo.registered, logo.shown_at);
            let least = self.logos.iter().min_by_key(|(_, logo)| worth(logo));
            let Some(place) = least.map(|(place, _)| place.clone()) else {
                return;
            };
            self.logos.remove(&place);
        }
    }

    fn bytes(&self) -> usize {
        self.logos.values().map(Logo::bytes).sum()
    }
}

fn place(client: &Client, uri: &str) -> Place {
    (client.client_id.to_string(), uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_what_is_in_it() {
        for (bytes, media_type) in [
            (b"\x89PNG\r\n\x1a\n...".as_slice(), Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x06\0\0\0WEBPVP", Some("image/webp")),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", None),
            (b"<!doctype html><script>", None),
            (b" \x89PNG\r\n\x1a\n", None),
            (b"RIFF\x06\0\0\0WAVE", None),
            (b"GIF88a", None),
            (b"", None),
        ] {
            let picture = Picture::read(bytes.to_vec());
            assert_eq!(picture.map(|picture| picture.media_type), media_type);
        }
    }

    /// Whoever registers apps takes no room of those that an administrator has chosen.
    #[test]
    fn strangers_make_room_first() {
        let logo = |registered: bool, shown_at: UnixTime| Logo {
            picture: Some(Arc::new(Picture {
                media_type: "image/png",
                bytes: vec![0; MAX_KEPT_BYTES / 4],
            })),
            fetched_at: 0,
            shown_at,
            registered,
        };
        let at = |name: &str| (name.to_owned(), String::new());
        let mut kept = Kept::default();
        for (name, registered, shown_at) in [
            ("own", false, 1),
            ("other", false, 2),
            ("stranger", true, 9),
            ("late", false, 3),
        ] {
            kept.keep(at(name), logo(registered, shown_at));
        }
        kept.keep(at("new"), logo(false, 4));
        assert!(!kept.logos.contains_key(&at("stranger")));
        kept.keep(at("newer"), logo(false, 5));
        assert!(!kept.logos.contains_key(&at("own")));
        assert_eq!(kept.bytes(), MAX_KEPT_BYTES);
        for count in 0..2 * MAX_KEPT {
            let none = Logo {
                picture: None,
                ..logo(true, 9)
            };
            kept.keep(at(&count.to_string()), none);
        }
        assert_eq!(kept.logos.len(), MAX_KEPT);
        assert!(kept.logos.contains_key(&at("newer")));
    }
}
