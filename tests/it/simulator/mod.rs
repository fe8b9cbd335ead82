//! The simulators answer in the wire formats of iMIS and aiM18, as a client sees them over HTTP.

mod aim18;
mod aim18_api;
mod command_line;
mod control;
mod docs;
mod faults;
mod imis;
mod imis_records;
mod imis_sign_in;
mod imis_sso;
mod imis_states;
mod switched;

use portico::clock::Clock;
use portico::simulator::Running;
use portico::simulator::aim18::Aim18;
use portico::simulator::imis::Imis;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::browser::http_client;

/// 3 February 2026, 10:00 UTC.
const NOW: i64 = 1_770_112_800;

async fn port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A simulated iMIS on a port of its own, and a client.
struct ImisSite {
    imis: Imis,
    clock: Clock,
    running: Running,
    client: Client,
}

impl ImisSite {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(turn: impl FnOnce(&mut portico::simulator::imis::Switches)) -> Self {
        let clock = Clock::manual(NOW);
        let imis = Imis::new(clock.clone());
        imis.switch(turn);
        let running = imis.serve(port().await).await.unwrap();
        Self {
            imis,
            clock,
            running,
            client: http_client(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url())
    }

    async fn grant(&self, form: &[(&str, &str)]) -> (u16, Value) {
        answer(self.client.post(self.url("/token")).form(form)).await
    }

    async fn password(&self, username: &str, password: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "password"),
            ("username", username),
            ("password", password),
        ];
        self.grant(&form).await
    }

    /// An access token of a person.
    async fn token(&self, person: &portico::simulator::people::ImisPerson) -> String {
        let (status, body) = self.password(person.username, person.password).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        answer(self.client.get(self.url(path)).bearer_auth(token)).await
    }
}

/// A simulated aiM18 on a port of its own, and a client.
struct Aim18Site {
    aim18: Aim18,
    clock: Clock,
    running: Running,
    client: Client,
}

impl Aim18Site {
    async fn start() -> Self {
        let clock = Clock::manual(NOW);
        let aim18 = Aim18::new(clock.clone());
        aim18.set_callback(CALLBACK);
        let running = aim18.serve(port().await).await.unwrap();
        Self {
            aim18,
            clock,
            running,
            client: http_client(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/jsf/rfws{path}", self.running.url())
    }
}

/// The callback URL of the application under test, which has a query of its own.
const CALLBACK: &str = "https://login.example.org/upstream/staff/callback?tenant=1";

/// The status and the JSON of an answer; `Null` when it is no JSON.
async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}
