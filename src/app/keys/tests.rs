//! The life of keys, stepped through with a clock of the test's, two nodes, and a relying party that caches (T47).

use std::collections::BTreeSet;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

use super::*;
use crate::app::housekeeping::Housekeeping;
use crate::clock::{Clock, ClockWatch, SKEW};
use crate::protocol::discovery::JWKS_MAX_AGE;
use crate::protocol::jws::TokenKind;
use crate::protocol::secret::Secret;

const START: i64 = 1_700_000_000;
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
const TOKEN_LIFETIME: i64 = 2 * HOUR;
use SigningAlgorithm::{ES256, EdDSA};

impl KeyPolicy {
    pub(crate) fn every(rotate_every: Option<i64>, algorithms: &[SigningAlgorithm]) -> Self {
        Self {
            algorithms: algorithms.to_vec(),
            announce: HOUR,
            rotate_every,
            kept: TOKEN_LIFETIME,
        }
    }
}

/// Two nodes at one database; the clock of the second is ahead.
struct World {
    store: Store,
    clock: Clock,
    nodes: Vec<Housekeeping>,
}

impl World {
    async fn open(policy: &KeyPolicy) -> Self {
        let store = Store::open(&Secret::new("sqlite::memory:")).await.unwrap();
        store.migrate().await.unwrap();
        let secrets = Secrets::derive(&MasterKey::new([1; 32])).unwrap();
        let clock = Clock::manual(START);
        let ahead = Clock::manual(START + SKEW);
        let audit = Audit::log_alone(clock.clone());
        let mut nodes = Vec::new();
        for clock in [clock.clone(), ahead] {
            let ring = open_ring(&store, &secrets, policy, &audit, clock.now())
                .await
                .unwrap();
            nodes.push(Housekeeping {
                store: store.clone(),
                secrets: secrets.clone(),
                ring,
                watch: ClockWatch::new(clock.clone()),
                clock,
                audit: audit.clone(),
                audit_kept: 1,
                key_policy: policy.clone(),
            });
        }
        Self {
            store,
            clock,
            nodes,
        }
    }

    fn advance(&self, seconds: i64) {
        for node in &self.nodes {
            node.clock.advance(seconds);
        }
    }

    async fn tend(&self) {
        for node in &self.nodes {
            node.tend_keys().await;
        }
    }

    fn set_policy(&mut self, policy: &KeyPolicy) {
        for node in &mut self.nodes {
            node.key_policy = policy.clone();
        }
    }

    async fn states(&self) -> Vec<(SigningAlgorithm, KeyState)> {
        let now = self.clock.now();
        let keys = self.store.list_signing_keys().await.unwrap();
        keys.iter()
            .map(|key| (key.algorithm, key.state(now)))
            .collect()
    }
}

impl Housekeeping {
    fn token(&self, wanted: SigningAlgorithm) -> String {
        let now = self.clock.now();
        let algorithm = self.ring.algorithm_in_force(wanted, now);
        let claims = json!({ "exp": now + TOKEN_LIFETIME });
        self.ring
            .sign(TokenKind::IdToken, algorithm, &claims, now)
            .unwrap()
    }
}

/// Keeps the JWKS as long as it may, never asks for it because of a `kid`, and verifies with another implementation.
struct RelyingParty {
    jwks: JwkSet,
    fetched_at: i64,
    fetches: usize,
}

impl RelyingParty {
    fn new(world: &World) -> Self {
        let jwks = serde_json::from_str(&world.nodes[0].ring.jwks(world.clock.now())).unwrap();
        Self {
            jwks,
            fetched_at: world.clock.now(),
            fetches: 1,
        }
    }

    /// The `kid` of a token with a good signature.
    fn verify(&mut self, world: &World, token: &str) -> String {
        let now = world.clock.now();
        if now - self.fetched_at >= JWKS_MAX_AGE {
            // Whichever node answers.
            self.fetches += 1;
            let node = &world.nodes[self.fetches % 2];
            self.jwks = serde_json::from_str(&node.ring.jwks(node.clock.now())).unwrap();
            self.fetched_at = now;
        }
        let header = jsonwebtoken::decode_header(token).unwrap();
        let kid = header.kid.unwrap();
        let key = self.jwks.find(&kid);
        let key = key.unwrap_or_else(|| panic!("caught out at {}: {kid}", now - START));
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let key = DecodingKey::from_jwk(key).unwrap();
        jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
        kid
    }
}

/// Whole lives of several keys: whoever caches is never caught out, whichever node signs, and every token verifies until its
/// end, at every node.
#[tokio::test]
async fn a_relying_party_that_caches_is_never_caught_out() {
    let world = World::open(&KeyPolicy::every(Some(DAY), &[ES256])).await;
    let mut relying_party = RelyingParty::new(&world);
    let mut kids = BTreeSet::new();
    let mut given: Vec<(i64, String)> = Vec::new();
    let step = 7 * 60;
    while world.clock.now() < START + 5 * DAY {
        world.tend().await;
        let now = world.clock.now();
        for node in &world.nodes {
            let token = node.token(ES256);
            kids.insert(relying_party.verify(&world, &token));
            given.push((node.clock.now() + TOKEN_LIFETIME, token));
        }
        given.retain(|(exp, _)| now + SKEW < *exp);
        for (_, token) in &given {
            relying_party.verify(&world, token);
            for node in &world.nodes {
                let read = node
                    .ring
                    .verify::<Value>(TokenKind::IdToken, token, node.clock.now());
                assert!(read.is_ok(), "{}", now - START);
            }
        }
        // One signs, one may follow, one may have gone before.
        let states = world.states().await;
        let count = |wanted| states.iter().filter(|(_, state)| *state == wanted).count();
        assert_eq!(count(KeyState::Active), 1, "{states:?}");
        assert!(count(KeyState::Announced) <= 1, "{states:?}");
        assert!(count(KeyState::Retired) <= 1, "{states:?}");
        world.advance(step);
    }
    assert_eq!(kids.len(), 5, "a key a day");
    let published: Value =
        serde_json::from_str(&world.nodes[0].ring.jwks(world.clock.now())).unwrap();
    assert!(
        published["keys"].as_array().unwrap().len() <= 2,
        "the old ones leave"
    );
}

/// The clocks of two nodes may differ by so much.
#[tokio::test]
async fn a_node_whose_clock_is_behind_takes_what_a_new_key_has_signed() {
    let world = World::open(&KeyPolicy::every(Some(DAY), &[ES256])).await;
    let first = world.nodes[0].token(ES256);
    world.advance(DAY - HOUR);
    world.tend().await;
    world.advance(HOUR - SKEW);
    let [behind, ahead] = world.nodes.as_slice() else {
        panic!("two nodes");
    };
    let new = ahead.token(ES256);
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
    assert_ne!(kid(&new), kid(&first));
    assert_eq!(
        kid(&behind.token(ES256)),
        kid(&first),
        "it does not sign yet"
    );
    let read = behind
        .ring
        .verify::<Value>(TokenKind::IdToken, &new, behind.clock.now());
    assert!(read.is_ok());
    let early = behind.clock.now() - 1;
    let read = behind.ring.verify::<Value>(TokenKind::IdToken, &new, early);
    assert!(read.is_err(), "announced keys verify nothing");
}

/// An algorithm that the config newly names is announced before it signs, though it may be the default at once; and one that it
/// no longer names signs until then, verifies as long as its tokens live, and goes.
#[tokio::test]
async fn a_change_of_algorithms_catches_nobody_out() {
    let mut world = World::open(&KeyPolicy::every(None, &[ES256])).await;
    world.advance(10 * DAY);
    world.tend().await;
    let mut relying_party = RelyingParty::new(&world);
    assert_eq!(
        world.states().await,
        [(ES256, KeyState::Active)],
        "off is off"
    );

    world.set_policy(&KeyPolicy::every(None, &[EdDSA]));
    let changed = world.clock.now();
    let mut algorithms = Vec::new();
    for _ in 0..60 {
        world.tend().await;
        for node in &world.nodes {
            let token = node.token(EdDSA);
            relying_party.verify(&world, &token);
            let algorithm = jsonwebtoken::decode_header(&token).unwrap().alg;
            let since = node.clock.now() - changed;
            let expected = if since < HOUR { "ES256" } else { "EdDSA" };
            assert_eq!(format!("{algorithm:?}"), expected, "{since}");
            algorithms.push(algorithm);
        }
        world.advance(5 * 60);
    }
    let states = world.states().await;
    assert_eq!(
        states,
        [(ES256, KeyState::Expired), (EdDSA, KeyState::Active)]
    );
    let published = world.nodes[1].ring.jwks(world.clock.now());
    assert!(!published.contains("ES256"), "{published}");

    // Named again after it has gone: a new key, announced.
    world.set_policy(&KeyPolicy::every(None, &[EdDSA, ES256]));
    world.tend().await;
    let states = world.states().await;
    assert!(states.contains(&(ES256, KeyState::Announced)), "{states:?}");
    assert_eq!(states.len(), 3);
}

/// Whoever takes a line out of the config and puts it back has lost nothing.
#[tokio::test]
async fn an_algorithm_that_is_named_again_in_time_keeps_its_key() {
    let both = KeyPolicy::every(None, &[ES256, EdDSA]);
    let mut world = World::open(&both).await;
    world.advance(DAY);
    world.set_policy(&KeyPolicy::every(None, &[ES256]));
    world.tend().await;
    let retiring = world.store.list_signing_keys().await.unwrap();
    assert!(retiring.iter().any(|key| key.retired_at.is_some()));
    world.advance(HOUR - 10);
    world.set_policy(&both);
    world.tend().await;
    let kept = world.store.list_signing_keys().await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|key| key.retired_at.is_none()));
}

/// A rolling restart: a node with the older configuration ends the key that one with the newer has announced. It signs when it was to.
#[tokio::test]
async fn a_key_that_an_older_node_has_ended_is_kept() {
    let (older, newer) = (
        KeyPolicy::every(None, &[ES256]),
        KeyPolicy::every(None, &[ES256, EdDSA]),
    );
    let mut world = World::open(&older).await;
    world.advance(DAY);
    for policy in [&newer, &older, &newer] {
        world.advance(30);
        world.set_policy(policy);
        world.tend().await;
    }
    let keys = world.store.list_signing_keys().await.unwrap();
    let added: Vec<_> = keys.iter().filter(|key| key.algorithm == EdDSA).collect();
    assert_eq!(added.len(), 1, "{added:?}");
    assert_eq!(added[0].active_at, START + DAY + 30 + HOUR);
    assert!(added[0].retired_at.is_none(), "{added:?}");
}

/// A clock that steps back rotates nothing twice, and leaves no moment without a key (T21).
#[tokio::test]
async fn a_clock_that_steps_back_leaves_a_key_that_signs() {
    let world = World::open(&KeyPolicy::every(Some(DAY), &[ES256])).await;
    world.advance(DAY - HOUR);
    world.tend().await;
    assert_eq!(world.states().await.len(), 2);
    world.advance(-2 * DAY);
    world.tend().await;
    let states = world.states().await;
    assert_eq!(
        states,
        [(ES256, KeyState::Active), (ES256, KeyState::Announced)]
    );
    world.nodes[0].token(ES256);
}

/// A node with another master key must not put keys beside those that it cannot open.
#[tokio::test]
async fn a_node_with_another_master_key_makes_no_keys() {
    let policy = KeyPolicy::every(Some(DAY), &[ES256]);
    let world = World::open(&policy).await;
    world.advance(DAY);
    let foreign = Secrets::derive(&MasterKey::new([2; 32])).unwrap();
    let audit = Audit::log_alone(world.clock.clone());
    let refused = keep(&world.store, &foreign, &policy, &audit, world.clock.now()).await;
    assert!(matches!(
        refused,
        Err(AppError::Key(KeyError::Sealed { .. }))
    ));
    assert_eq!(world.states().await.len(), 1);
}
