//! OAuth 2.0 and OpenID Connect as pure types and rules: no IO, no async, nothing of ours above it.
//! Each file is named for a thing in the specifications and cites the section that governs it.

pub mod authorize;
pub mod claims;
pub mod claims_request;
pub mod client_assertion;
pub mod client_auth;
pub mod client_metadata;
pub mod device;
pub mod discovery;
pub mod dpop;
pub mod error;
pub mod foreign_jwt;
pub mod ids;
pub mod introspection;
pub mod issuer;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod key_bytes;
pub mod locale;
pub mod params;
pub mod pkce;
pub mod printable;
pub mod prompt;
pub mod pushed;
pub mod redirect_uri;
pub mod request_object;
pub mod resource;
pub mod response;
pub mod scope;
pub mod secret;
pub mod token;
