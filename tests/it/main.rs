//! The one integration-test binary: a file a capability (docs/architecture.md, "Tests").

#[cfg(test)]
mod account_page;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod any_node;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod audit_events;
#[cfg(test)]
mod authorization_code;
#[cfg(test)]
mod authorize_requests;
#[cfg(test)]
mod backchannel_logout;
#[cfg(test)]
mod before_login;
#[cfg(test)]
mod brand;
#[cfg(test)]
mod breaker;
#[cfg(test)]
mod claims_parameter;
#[cfg(test)]
mod client_assertion;
#[cfg(test)]
mod client_auth;
#[cfg(test)]
mod client_authentication;
#[cfg(test)]
mod client_credentials;
#[cfg(test)]
mod clock_steps;
#[cfg(test)]
mod code_replay;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod config;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod cookies;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod delegation;
#[cfg(test)]
mod device;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod dpop;
#[cfg(test)]
mod end_session;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod fapi;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod forged_tokens;
#[cfg(test)]
mod frontchannel_logout;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod health;
#[cfg(test)]
mod imis_as_client;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod keep_signed_in;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod landing;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod log_scrubbing;
#[cfg(test)]
mod login;
#[cfg(test)]
mod logos;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod pairwise;
#[cfg(test)]
mod par;
#[cfg(test)]
mod password_grant;
#[cfg(test)]
mod pkce;
#[cfg(test)]
mod prompt;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod recheck;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod relogin;
#[cfg(test)]
mod request_objects;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod response_types;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod rp_openidconnect;
#[cfg(test)]
mod scale_out;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod several_accounts;
#[cfg(test)]
mod sign_off;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod single_sign_on;
#[cfg(test)]
mod specifications;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod step_up;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tabs;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod token_docs;
#[cfg(test)]
mod token_exchange;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod upstream_aim18;
#[cfg(test)]
mod upstream_aim18_api;
#[cfg(test)]
mod upstream_aim18_check;
#[cfg(test)]
mod upstream_aim18_later;
#[cfg(test)]
mod upstream_aim18_return;
#[cfg(test)]
mod upstream_contract;
#[cfg(test)]
mod upstream_imis;
#[cfg(test)]
mod upstream_imis_check;
#[cfg(test)]
mod upstream_imis_profile;
#[cfg(test)]
mod upstream_imis_tokens;
#[cfg(test)]
mod upstream_login;
#[cfg(test)]
mod upstream_oidc;
#[cfg(test)]
mod upstream_outbound;
#[cfg(test)]
mod upstream_users;
#[cfg(test)]
mod userinfo;
#[cfg(test)]
mod variants;
#[cfg(test)]
mod variants_expected;
#[cfg(test)]
mod variants_later;
#[cfg(test)]
mod vault;
#[cfg(test)]
mod without_refresh;
