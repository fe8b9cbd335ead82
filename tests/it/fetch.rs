//! What clients have us fetch: T36, T38.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use portico::clock::Clock;
use portico::fetch::{FetchError, Fetcher, Settings, Wanted};
use portico::protocol::ids::ClientId;
use serde_json::json;

use crate::harness::site::{Page, Site};

fn fetcher(allow_hosts: &[&str]) -> (Fetcher, Clock) {
    let clock = Clock::manual(1000);
    let settings = Settings {
        allow_hosts: allow_hosts.iter().map(ToString::to_string).collect(),
        extra_ca: Vec::new(),
    };
    (Fetcher::new(&settings, clock.clone()).unwrap(), clock)
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, FetchError> {
    let client = ClientId::new("app");
    fetcher.fetch(url, Wanted::Json, &client).await
}

/// T36: names are looked up by us; what is written out as an address, in whatever spelling, is looked at too.
#[tokio::test]
async fn nothing_but_the_public_internet_is_fetched() {
    let (fetcher, _) = fetcher(&[]);
    for closed in [
        "https://localhost/keys",
        "https://127.0.0.1/keys",
        "https://127.1/keys",
        "https://0x7f.0.0.1/keys",
        "https://2130706433/keys",
        "https://[::1]/keys",
        "https://[::ffff:127.0.0.1]/keys",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/keys",
        "https://[fd00:ec2::254]/keys",
        "https://①②⑦.0.0.1/keys",
    ] {
        let error = fetch(&fetcher, closed).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains("outbound.allow_hosts"), "{closed}: {told}");
    }
    for refused in [
        "http://example.org/keys",
        "http://localhost/keys",
        "ftp://example.org/keys",
        "file:///etc/passwd",
        "https://user@example.org/keys",
        "https://example.org/keys#part",
        "keys",
        "",
        &format!("https://example.org/{}", "k".repeat(2048)),
    ] {
        let error = fetch(&fetcher, refused).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Address(_)),
            "{refused}: {error}"
        );
    }
}

/// T36: a host is opened by its name; another name of the same machine stays closed.
#[tokio::test]
async fn a_host_is_opened_by_name() {
    let site = Site::start().await;
    site.set_json("/keys", &json!({ "keys": [] }));
    let url = format!("{}/keys", site.url);
    let (opened, _) = fetcher(&["127.0.0.1"]);
    assert_eq!(fetch(&opened, &url).await.unwrap(), br#"{"keys":[]}"#);
    let by_name = url.replace("127.0.0.1", "localhost");
    assert!(fetch(&opened, &by_name).await.is_err());
    let (closed, _) = fetcher(&["localhost"]);
    assert!(fetch(&closed, &url).await.is_err());
    assert!(fetch(&closed, &by_name).await.is_ok());
    assert_eq!(site.hits("/keys"), 2);
}

/// T36: neither where a redirect leads, nor much, nor long, nor anything that is not what was wanted.
#[tokio::test]
async fn an_answer_that_is_not_plain_is_none() {
    let site = Site::start().await;
    let (fetcher, _) = fetcher(&["127.0.0.1"]);
    let whole = "k".repeat(64 * 1024 - 2);
    for (path, page, fine) in [
        (
            "/whole",
            Page::Body("application/json", format!("\"{whole}\"")),
            true,
        ),
        (
            "/jwks",
            Page::Body("Application/JWK-Set+JSON; charset=utf-8", "{}".to_owned()),
            true,
        ),
        (
            "/large",
            Page::Body("application/json", format!("\"{whole}k\"")),
            false,
        ),
        ("/html", Page::Body("text/html", "{}".to_owned()), false),
        (
            "/text",
            Page::Body("text/plain; application/json", "{}".to_owned()),
            false,
        ),
        ("/none", Page::Body("", "{}".to_owned()), false),
        (
            "/redirect",
            Page::Redirect(format!("{}/elsewhere", site.url)),
            false,
        ),
    ] {
        site.set(path, page);
        let outcome = fetch(&fetcher, &format!("{}{path}", site.url)).await;
        assert_eq!(outcome.is_ok(), fine, "{path}: {outcome:?}");
    }
    assert_eq!(site.hits("/elsewhere"), 0);
    site.set("/slow", Page::Silence);
    let start = Instant::now();
    assert!(
        fetch(&fetcher, &format!("{}/slow", site.url))
            .await
            .is_err()
    );
    assert!(start.elapsed().as_secs() < 10, "it was given up in time");
}

/// T38.
#[tokio::test]
async fn what_failed_is_left_alone_for_a_while() {
    let site = Site::start().await;
    let (fetcher, clock) = fetcher(&["127.0.0.1"]);
    let url = format!("{}/keys", site.url);
    for _ in 0..5 {
        assert!(fetch(&fetcher, &url).await.is_err());
    }
    assert_eq!(site.hits("/keys"), 1);
    site.set_json("/keys", &json!({}));
    clock.advance(29);
    assert!(matches!(
        fetch(&fetcher, &url).await,
        Err(FetchError::Paused(_))
    ));
    // What one has had fetched does not close the address to another.
    let other = ClientId::new("other");
    assert!(fetcher.fetch(&url, Wanted::Json, &other).await.is_ok());
    clock.advance(1);
    assert!(fetch(&fetcher, &url).await.is_ok());
}

/// T38: and what one client uses up, another still has.
#[tokio::test]
async fn a_client_has_so_many_fetches_a_minute() {
    let site = Site::start().await;
    let (fetcher, clock) = fetcher(&["127.0.0.1"]);
    let get = |client: &'static str, number: usize| {
        let path = format!("/{number}");
        site.set_json(&path, &json!({}));
        let url = format!("{}{path}", site.url);
        let fetcher = fetcher.clone();
        async move {
            fetcher
                .fetch(&url, Wanted::Json, &ClientId::new(client))
                .await
        }
    };
    let mut answered = 0;
    for number in 0..40 {
        match get("app", number).await {
            Ok(_) => answered += 1,
            Err(error) => assert!(matches!(error, FetchError::TooMany), "{error}"),
        }
    }
    assert_eq!(answered, 30);
    assert!(get("other", 0).await.is_ok());
    clock.advance(60);
    assert!(get("app", 0).await.is_ok());
}

/// T36: TLS is looked at as everywhere else, and `extra_ca` is trusted.
#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_only_where_configured() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = RustlsConfig::from_pem(pem.clone().into_bytes(), key.into_bytes());
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!(
        "https://localhost:{}/keys",
        listener.local_addr().unwrap().port()
    );
    let server = axum_server::from_tcp_rustls(listener, tls.await.unwrap()).unwrap();
    let answer = || async { ([("content-type", "application/json")], "{}") };
    let app = Router::new().fallback(answer).into_make_service();
    let server = tokio::spawn(server.serve(app));
    let (distrusting, _) = fetcher(&["localhost"]);
    let told = fetch(&distrusting, &url).await.unwrap_err().to_string();
    assert!(told.contains("certificate"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let extra_ca = vec![folder.path().join("ca.pem")];
    std::fs::write(&extra_ca[0], pem).unwrap();
    let settings = Settings {
        allow_hosts: vec!["localhost".to_owned()],
        extra_ca: extra_ca.clone(),
    };
    let trusting = Fetcher::new(&settings, Clock::manual(0)).unwrap();
    assert_eq!(fetch(&trusting, &url).await.unwrap(), b"{}");
    let settings = Settings {
        allow_hosts: Vec::new(),
        extra_ca,
    };
    let closed = Fetcher::new(&settings, Clock::manual(0)).unwrap();
    assert!(fetch(&closed, &url).await.is_err());
    server.abort();
}
