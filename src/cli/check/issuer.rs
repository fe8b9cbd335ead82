//! The issuer as others see it. That it does not answer is no mistake while the server is not running.

use serde_json::Value;
use url::Url;

use crate::config::Config;
use crate::protocol::discovery::path;
use crate::upstream::outbound::Http;

use super::Report;

pub(super) async fn check(config: &Config, http: &Http, report: &mut Report) {
    let issuer = &config.issuer;
    let address = issuer.at(path::OPENID_CONFIGURATION);
    // An issuer is a URL, and a path after it changes nothing about that.
    let Ok(url) = Url::parse(&address) else {
        return;
    };
    let look = match http.look(url).await {
        Ok(look) => look,
        Err(reason) => {
            return report.warn(
                "issuer",
                format!(
                    "{address}: {reason}; if the server runs, look at its name in DNS, at the proxy and at the certificate"
                ),
            );
        }
    };
    let document: Option<Value> = look.json();
    let says = document
        .as_ref()
        .and_then(|document| document.get("issuer")?.as_str());
    match says {
        Some(says) if says == issuer.as_str() => {
            report.ok("issuer", format!("{address} answers"));
        }
        Some(says) => report.warn(
            "issuer",
            format!(
                "{address} says that it is {says}: apps will refuse every token; let issuer and the server there agree"
            ),
        ),
        None => report.warn(
            "issuer",
            format!(
                "{address} does not show our discovery document ({}); does the proxy pass every path on to server.listen?",
                look.describe()
            ),
        ),
    }
}
