//! Portico: OpenID Connect in front of ASI iMIS and Multiable aiM18.
//!
//! The rooms, from the bottom up; a room uses only rooms named above it
//! (`tests/it/architecture.rs` holds the table):
//!
//! - [`clock`]: time and randomness come from here alone.
//! - [`protocol`]: OAuth and OpenID Connect as pure types and rules.
//! - [`model`]: records and their state machines.
//! - [`passwords`]: Argon2id for what humans choose, a bounded number at a time.
//! - [`upstream`]: the credential systems whose people log in here.
//! - [`config`]: what an administrator writes: raw, then checked, every problem told at once.
//! - [`simulator`]: a simulated iMIS and aiM18, served over HTTP.

pub mod clock;
pub mod config;
pub mod model;
pub mod passwords;
pub mod protocol;
pub mod simulator;
pub mod upstream;
