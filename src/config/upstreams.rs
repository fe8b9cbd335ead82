//! `[[upstreams]]`: the credential systems. A new adapter adds one variant here.

use crate::protocol::ids::UpstreamId;
use crate::upstream::LoginMethod;

/// A credential system.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its name, part of its callback URL.
    pub id: UpstreamId,
    /// What people see.
    pub label: String,
    /// The ways to log in, in the order to offer them; never empty.
    pub login: Vec<LoginMethod>,
    /// What its adapter wants to know.
    pub settings: UpstreamSettings,
}

/// What each kind of adapter wants to know.
#[derive(Clone, Debug)]
pub enum UpstreamSettings {}
