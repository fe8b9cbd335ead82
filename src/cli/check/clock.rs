//! This machine's clock, held against the upstreams'. Tokens carry our time: apps refuse one from the future, and ours
//! would be from the past of theirs.

use crate::clock::Clock;
use crate::config::Config;
use crate::upstream::look::Look;
use crate::upstream::outbound::Http;

use super::Report;

/// Seconds. Apps commonly bear a minute between two clocks; a `Date` is up to a second old, and travels.
const TOLERANCE: i64 = 30;

pub(super) async fn check(config: &Config, http: &Http, report: &mut Report) {
    for upstream in &config.upstreams {
        let Some(url) = upstream.settings.base_url() else {
            continue;
        };
        // Whether it answers at all is its adapter's finding.
        let theirs = http.look(url).await.ok();
        let Some(theirs) = theirs.as_ref().and_then(Look::date) else {
            continue;
        };
        let ahead = Clock::system().now() - theirs;
        let (seconds, what) = (ahead.abs(), format!("{}: clock", upstream.id));
        if seconds <= TOLERANCE {
            report.ok(what, "agrees with this machine's");
        } else {
            let side = if ahead > 0 { "ahead" } else { "behind" };
            report.warn(
                what,
                format!(
                    "this machine's is {seconds} s {side}; one of the two needs its time set (NTP)"
                ),
            );
        }
    }
}
