//! The oracles of the property tests (`tests/it/oracles`), for the fuzzer.

#[path = "../../tests/it/oracles/mod.rs"]
mod oracles;

/// See `oracles::authorization_request`.
pub fn authorization_request(bytes: &[u8]) {
    oracles::authorization_request::holds(bytes);
}

/// See `oracles::client_metadata`.
pub fn client_metadata(bytes: &[u8]) {
    oracles::client_metadata::holds(bytes);
}

/// See `oracles::config`.
pub fn config(bytes: &[u8]) {
    oracles::config::holds(bytes);
}

/// See `oracles::dpop_proof`.
pub fn dpop_proof(bytes: &[u8]) {
    oracles::dpop_proof::holds(bytes);
}

/// See `oracles::jwt`.
pub fn jwt(bytes: &[u8]) {
    oracles::jwt::holds(bytes);
}

/// See `oracles::token_request`.
pub fn token_request(bytes: &[u8]) {
    oracles::token_request::holds(bytes);
}
