//! What holds for whatever strangers send: an oracle a kind of input. The fuzz targets (`fuzz/`) and the properties beside this
//! (`properties.rs`) ask the same ones. An oracle panics where what it says does not hold.

pub(crate) mod authorization_request;
pub(crate) mod client_metadata;
pub(crate) mod config;
pub(crate) mod dpop_proof;
pub(crate) mod jwt;
mod parameters;
pub(crate) mod token_request;
