//! Portico: OpenID Connect in front of ASI iMIS and Multiable aiM18.
//!
//! The rooms, from the bottom up; who may use whom is the table of `tests/it/architecture.rs`:
//!
//! - [`clock`]: time and randomness come from here alone.
//! - [`beside`]: a thread beside the requests.
//! - [`protocol`]: OAuth and OpenID Connect as pure types and rules.
//! - [`model`]: records and their state machines.
//! - [`passwords`]: what humans chose, kept as Argon2id.
//! - [`keys`]: the master key, what is derived from it, and the ring of signing keys.
//! - [`store`]: the only room that speaks SQL.
//! - [`telemetry`]: the log and the metrics.
//! - [`upstream`]: one file an adapter: iMIS, aiM18, any OpenID Provider, people in the config.
//! - [`vault`]: the tokens that upstreams gave to act for people, sealed and renewed.
//! - [`config`]: what an administrator writes, checked, every problem told at once.
//! - [`tokens`]: the mint of ID, access and refresh tokens.
//! - [`recheck`]: whether a person is still who they were, asked anew at their upstream.
//! - [`fetch`]: what clients have us fetch, guarded: their keys and request objects.
//! - [`backchannel`]: tells clients that somebody has logged out.
//! - [`logins`]: from what a person typed, or came back with, to a session.
//! - [`grants`]: one file a grant; each proves an authorization, none mints.
//! - [`registrar`]: clients that register themselves, within what the administrator allows.
//! - [`flow`]: the pure decision what comes next, and the steps it leads to.
//! - [`gateway`]: the upstream's API behind our tokens.
//! - [`http`]: the only room that speaks axum and askama; one file an endpoint or page.
//! - [`simulator`]: a simulated iMIS and aiM18; depends on no other room.
//! - [`app`]: puts the rooms together and serves them.
//! - [`cli`]: one file a command.

pub mod app;
pub mod backchannel;
pub mod beside;
pub mod cli;
pub mod clock;
pub mod config;
pub mod fetch;
pub mod flow;
pub mod gateway;
pub mod grants;
pub mod http;
pub mod keys;
pub mod logins;
pub mod model;
pub mod passwords;
pub mod protocol;
pub mod recheck;
pub mod registrar;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod vault;
