//! Each upstream, tried by its own adapter.

use std::sync::Arc;

use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::passwords::Passwords;
use crate::protocol::error::chain;
use crate::upstream::shelf::InProcess;

use super::Report;

pub(super) async fn check(config: &Config, report: &mut Report) {
    let clock = Clock::system();
    let shelf = Arc::new(InProcess::new(clock.clone()));
    match app::open_upstreams(config, &Passwords::default(), &clock, shelf, None) {
        Err(error) => report.wrong("upstreams", chain(&error)),
        Ok(upstreams) => {
            for upstream in upstreams {
                for finding in upstream.probe.probe().await {
                    let what = format!("{}: {}", upstream.id, finding.what);
                    report.outcome(what, finding.outcome);
                }
            }
        }
    }
}
