//! Records and their state machines. Nothing here reads a clock, a database or the network; whoever calls
//! brings the present along.

pub mod account;
pub mod acr;
pub mod api_rule;
pub mod audit;
pub mod authorization;
pub mod brand;
pub mod client;
pub mod client_about;
pub mod client_claims;
pub mod client_logout;
pub mod code;
pub mod color;
pub mod consent;
pub mod device;
pub mod device_code;
pub mod disclosure;
pub mod exchange;
pub mod family;
pub mod logout_notice;
pub mod pushed_request;
pub mod registration;
pub mod resource;
pub mod scopes;
pub mod session;
pub mod signing_key;
pub mod spent_id;
pub mod throttle;
pub mod vault_entry;
pub mod withheld;
