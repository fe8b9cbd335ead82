//! OAuth and OpenID Connect as pure types and rules: no IO, no async.
