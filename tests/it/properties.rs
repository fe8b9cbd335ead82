//! The oracles of `oracles/`, asked about inputs made of the fuzzer's seeds (`fuzz/seeds`): each as it is, then damaged. What the
//! fuzzer does for hours with coverage to guide it (docs/parsers.md), this does for a second with every run of the tests.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};

use crate::oracles;

/// Each kind of input, and what must hold for it.
type Target = (&'static str, fn(&[u8]));
const TARGETS: [Target; 6] = [
    (
        "authorization_request",
        oracles::authorization_request::holds,
    ),
    ("token_request", oracles::token_request::holds),
    ("client_metadata", oracles::client_metadata::holds),
    ("jwt", oracles::jwt::holds),
    ("dpop_proof", oracles::dpop_proof::holds),
    ("config", oracles::config::holds),
];

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files = files(&fuzz("seeds").join(target));
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The fuzzer has a target for each oracle, with seeds, and no other.
#[test]
fn each_oracle_has_a_fuzz_target_and_seeds() {
    let mut names = TARGETS.map(|(name, _)| name.to_owned()).to_vec();
    names.sort();
    let stems = |folder: &str| -> Vec<String> {
        let stem = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        files(&fuzz(folder)).iter().map(stem).collect()
    };
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("seeds"), names);
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, holds) in TARGETS {
        let path = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "{name}");
        let target = fs::read_to_string(fuzz("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(
            target.contains(&format!("portico_fuzz::{name}(bytes)")),
            "{name}"
        );
        let seeds = seeds(name);
        assert!(seeds.len() > 1, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            holds(&seed);
        }
    }
}

/// A part of a seed that is replaced: where, how much, and by what.
#[derive(Clone, Debug)]
struct Damage {
    at: Index,
    length: usize,
    by: By,
}

#[derive(Clone, Debug)]
enum By {
    Bytes(Vec<u8>),
    /// What stands elsewhere in a seed.
    Part(Index, Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = prop::sample::select(vec![
        "",
        "&",
        "=",
        "%",
        "%00",
        "%23",
        "%26",
        "+",
        " ",
        "#",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ".",
        "\n",
        "\0",
        "null",
        "true",
        "-1",
        "1e999",
        "99999999999999999999",
        "none",
        "é",
        "\u{feff}",
        "\u{202e}",
    ]);
    let by = prop_oneof![
        3 => words.prop_map(|word| By::Bytes(word.as_bytes().to_vec())),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(By::Bytes),
        2 => (any::<Index>(), any::<Index>(), 0usize..60).prop_map(|(seed, at, length)| By::Part(seed, at, length)),
    ];
    (any::<Index>(), 0usize..20, by).prop_map(|(at, length, by)| Damage { at, length, by })
}

fn cut(bytes: &[u8], at: Index, length: usize) -> std::ops::Range<usize> {
    let at = at.index(bytes.len() + 1);
    at..(at + length).min(bytes.len())
}

/// One of the seeds, or of their parts, put together anew.
fn damaged(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (any::<Index>(), prop::collection::vec(damage(), 0..5)).prop_map(move |(seed, damages)| {
        let mut bytes = seed.get(&seeds).clone();
        for Damage { at, length, by } in damages {
            let by = match by {
                By::Bytes(bytes) => bytes,
                By::Part(seed, at, length) => {
                    let from = seed.get(&seeds);
                    from[cut(from, at, length)].to_vec()
                }
            };
            let range = cut(&bytes, at, length);
            bytes.splice(range, by);
        }
        bytes
    })
}

/// Every target in turn, with `cases` inputs of its own.
fn each_damaged_seed_holds(name: &str, cases: u32) {
    let (_, holds) = TARGETS.into_iter().find(|(each, _)| *each == name).unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&damaged(seeds(name)), |bytes| {
        holds(&bytes);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_authorization_request_says_two_things() {
    each_damaged_seed_holds("authorization_request", 2048);
}

#[test]
fn no_token_request_says_two_things() {
    each_damaged_seed_holds("token_request", 2048);
}

#[test]
fn no_registration_gets_more_than_the_policy_allows() {
    each_damaged_seed_holds("client_metadata", 2048);
}

#[test]
fn a_jwt_that_is_taken_is_proven() {
    each_damaged_seed_holds("jwt", 512);
}

#[test]
fn a_proof_that_is_taken_is_about_this_request() {
    each_damaged_seed_holds("dpop_proof", 512);
}

#[test]
fn a_configuration_is_answered_and_keeps_the_rules() {
    each_damaged_seed_holds("config", 256);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("authorization_code")),
        Just(Value::from("code id_token")),
        Just(Value::from("https://app.example.org/cb")),
        Just(Value::from("https://app.example.org/cb#x")),
        Just(Value::from("com.example.app:/cb")),
        Just(Value::from("openid profile upstream:members")),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Any names, ours more often than others.
fn metadata() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "redirect_uris",
            "grant_types",
            "response_types",
            "application_type",
            "token_endpoint_auth_method",
            "scope",
            "client_name",
            "client_name#fr",
            "logo_uri",
            "contacts",
            "subject_type",
            "sector_identifier_uri",
            "default_max_age",
            "post_logout_redirect_uris",
            "initiate_login_uri",
            "id_token_signed_response_alg",
            "consent",
            "upstreams",
            "audience",
            "registered",
        ])
        .prop_map(ToOwned::to_owned),
        ".{0,16}",
    ];
    prop::collection::btree_map(name, value(), 0..12).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_metadata_whatever_its_types_gets_more(sent in metadata()) {
        oracles::client_metadata::holds(Value::Object(sent).to_string().as_bytes());
    }
}
