//! Faults of transport, and the life of a simulator.

use std::time::Duration;

use portico::simulator::Fault;
use portico::simulator::people::JO_SMITH;

use super::{Aim18Site, ImisSite, answer, port};

#[tokio::test]
async fn a_fault_meets_the_place_it_was_planned_for_and_ends_when_mended() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    site.imis.fail("/api/PARTY", Fault::Status(503));
    assert_eq!(site.get(&token, "/api/Party/20457").await.0, 503);
    assert_eq!(site.get(&token, "/api/Party/20457").await.0, 503);
    assert_eq!(site.get(&token, "/api/User/20457").await.0, 200);
    site.imis.mend();
    site.imis.fail_once("/api", Fault::Status(401));
    assert_eq!(site.get(&token, "/api/Party/20457").await.0, 401);
    assert_eq!(site.get(&token, "/api/Party/20457").await.0, 200);
}

#[tokio::test]
async fn answers_of_the_wrong_kind_come_as_planned() {
    let site = ImisSite::start().await;
    let url = site.url("/token");
    let ask = async |fault: Fault| {
        site.imis.fail_once("/token", fault);
        site.client.post(&url).send().await.unwrap()
    };
    let throttled = ask(Fault::Throttled(Some(7))).await;
    assert_eq!(throttled.status(), 429);
    assert_eq!(throttled.headers()["retry-after"], "7");
    assert_eq!(ask(Fault::ErrorPage).await.status(), 500);
    let page = ask(Fault::Page).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    let nonsense = ask(Fault::Nonsense).await;
    assert_eq!(nonsense.headers()["content-type"], "application/json");
    assert!(nonsense.json::<serde_json::Value>().await.is_err());
    assert_eq!(ask(Fault::EmptyBody).await.text().await.unwrap(), "");
    let away = ask(Fault::Redirect("https://evil.example/".to_owned())).await;
    assert_eq!(away.headers()["location"], "https://evil.example/");
    let oversized = ask(Fault::Oversized).await.text().await.unwrap();
    assert!(oversized.len() > 8_000_000);
    assert!(serde_json::from_str::<serde_json::Value>(&oversized).is_ok());
    assert_eq!(
        ask(Fault::Slow(Duration::from_millis(1))).await.status(),
        400
    );
}

#[tokio::test]
async fn a_connection_closes_before_or_within_the_answer() {
    let site = Aim18Site::start().await;
    let url = site.url("/oauth/token");
    site.aim18.fail_once("/token", Fault::CloseAfter(0));
    assert!(site.client.get(&url).send().await.is_err());
    // The head of the answer is about 120 bytes, its body 78.
    site.aim18.fail_once("/token", Fault::CloseAfter(150));
    let response = site.client.get(&url).send().await;
    let whole = match response {
        Ok(response) => response.text().await,
        Err(error) => Err(error),
    };
    assert!(whole.is_err());
    assert_eq!(answer(site.client.get(&url)).await.0, 400);
}

#[tokio::test]
async fn stopping_ends_hanging_requests_and_frees_the_port() {
    let site = ImisSite::start().await;
    site.imis.fail("/token", Fault::Hang);
    let request = site.client.post(site.url("/token")).send();
    let hanging = tokio::spawn(request);
    while site.imis.log().is_empty() {
        tokio::task::yield_now().await;
    }
    let url = site.url("/token");
    site.running.stop().await;
    assert!(hanging.await.unwrap().is_err());
    assert!(site.client.post(url).send().await.is_err());

    // What it knows outlives the listener.
    let again = site.imis.serve(port().await).await.unwrap();
    assert_eq!(site.imis.log().len(), 1);
    site.imis.mend();
    let url = format!("{}/token", again.url());
    assert_eq!(answer(site.client.post(url)).await.0, 400);
}
