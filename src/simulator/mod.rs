//! A simulated iMIS and a simulated aiM18, served over HTTP like the real ones: for `portico demo`,
//! for `portico simulate`, and for tests of the adapters.
//!
//! They speak the wire formats of public documentation and public client code. Where those are silent
//! or disagree, a switch picks the variant, and [`fault`] breaks the answers in the ways that
//! networks and proxies do. The room uses no other room than the clock, so that what it answers
//! was never shaped by the code that has to read it.
//!
//! - [`imis`]: token endpoint, REST API, saved queries; web site with sign-in, single sign-on and logout pages.
//! - [`aim18`]: login page with redirect, token endpoint, entity and search API.
//! - [`people`]: who can log in, with invented passwords.
//! - [`control`]: everything that can be set, by name, while a simulator runs.
//! - [`wire`]: what was received ([`Recorded`]) and how it is answered.

pub mod aim18;
pub mod control;
pub mod fault;
pub mod imis;
mod page;
pub mod people;
mod switch;
pub mod wire;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use fault::{Fault, Planned};
pub use switch::{Accepts, Described, Switch};
pub use wire::Recorded;

/// A simulator that is listening. Dropping it stops it; [`Running::stop`] also waits until the
/// port is free again. The simulator's own state outlives it and can be served anew.
#[derive(Debug)]
pub struct Running {
    url: String,
    stop: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
}

impl Running {
    /// Where it listens: `http://127.0.0.1:PORT` and the base path if one is switched on, without a
    /// trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops listening, ends every connection (hanging ones too) and returns when all is closed.
    pub async fn stop(mut self) {
        self.signal();
        if let Some(server) = self.server.take() {
            // An error means that the server is gone already, which is what was asked for.
            let _ = server.await;
        }
    }

    fn signal(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal();
    }
}
