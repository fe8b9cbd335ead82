//! What tests stand on: databases, servers and people of their own, so that they run side by side.

pub(crate) mod database;
