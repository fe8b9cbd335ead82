//! What tests stand on: databases, servers and people of their own, so that they run side by side.

pub(crate) mod balancer;
pub(crate) mod browser;
pub(crate) mod database;
pub(crate) mod dpop;
pub(crate) mod relying_party;
pub(crate) mod server;
pub(crate) mod signing;
pub(crate) mod site;
pub(crate) mod steps;
