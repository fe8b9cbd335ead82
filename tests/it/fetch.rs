//! What clients have us fetch: T36, T38.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use portico::clock::{Clock, SKEW};
use portico::fetch::{Asker, FetchError, Fetcher, RequestUris, Settings, Wanted};
use portico::model::client::Client;
use portico::protocol::ids::ClientId;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::harness::server::TestServer;
use crate::harness::site::{Page, Site};
use crate::log_scrubbing::Log;

fn fetcher(allow_hosts: &[&str]) -> (Fetcher, Clock) {
    let clock = Clock::manual(1000);
    let settings = Settings {
        allow_hosts: allow_hosts.iter().map(ToString::to_string).collect(),
        ..Settings::default()
    };
    (Fetcher::new(&settings, clock.clone()).unwrap(), clock)
}

fn client(id: &str) -> Client {
    Client::new(ClientId::new(id))
}

/// Of those that registered themselves.
fn registered(id: &str) -> Client {
    Client {
        registered: true,
        ..client(id)
    }
}

async fn fetch_for(fetcher: &Fetcher, url: &str, client: &Client) -> Result<Vec<u8>, FetchError> {
    fetcher
        .fetch(url, Wanted::Json, Asker::Client(client))
        .await
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, FetchError> {
    fetch_for(fetcher, url, &client("app")).await
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
    assert!(fetch_for(&fetcher, &url, &client("other")).await.is_ok());
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
        async move { fetch_for(&fetcher, &url, &self::client(client)).await }
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
        ..Settings::default()
    };
    let trusting = Fetcher::new(&settings, Clock::manual(0)).unwrap();
    assert_eq!(fetch(&trusting, &url).await.unwrap(), b"{}");
    let settings = Settings {
        extra_ca,
        ..Settings::default()
    };
    let closed = Fetcher::new(&settings, Clock::manual(0)).unwrap();
    assert!(fetch(&closed, &url).await.is_err());
    server.abort();
}

/// T36: what an administrator opened is open for the clients that they chose, and for the rest only if they say so.
#[tokio::test]
async fn opened_hosts_are_for_clients_that_somebody_chose() {
    let site = Site::start().await;
    site.set_json("/keys", &json!({}));
    let url = format!("{}/keys", site.url);
    let stranger = registered("stranger");
    let (fetcher, clock) = fetcher(&["127.0.0.1"]);
    for asker in [
        Asker::Client(&stranger),
        Asker::Stranger(&stranger, "192.0.2.1"),
        Asker::Registering,
    ] {
        let refused = fetcher.fetch(&url, Wanted::Json, asker).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    let posted = fetcher.post_logout_token(&stranger, &url, "token").await;
    assert!(posted.is_err());
    assert_eq!(site.hits("/keys"), 0);
    assert!(fetch(&fetcher, &url).await.is_ok());
    let settings = Settings {
        allow_hosts: vec!["127.0.0.1".to_owned()],
        registered_too: true,
        ..Settings::default()
    };
    let open = Fetcher::new(&settings, clock).unwrap();
    assert!(fetch_for(&open, &url, &stranger).await.is_ok());
    assert!(open.post_logout_token(&stranger, &url, "t").await.is_ok());
}

/// T38: each registered client is easily had, so that all of them have a budget together.
#[tokio::test]
async fn registered_clients_share_a_budget() {
    let site = Site::start().await;
    site.set_json("/keys", &json!({}));
    let url = format!("{}/keys", site.url);
    let settings = Settings {
        allow_hosts: vec!["127.0.0.1".to_owned()],
        registered_too: true,
        ..Settings::default()
    };
    let clock = Clock::manual(1000);
    let fetcher = Fetcher::new(&settings, clock.clone()).unwrap();
    for number in 0..310 {
        let client = registered(&format!("registered-{}", number / 20));
        let outcome = fetch_for(&fetcher, &url, &client).await;
        assert_eq!(outcome.is_ok(), number < 300, "{number}: {outcome:?}");
    }
    assert!(fetch(&fetcher, &url).await.is_ok(), "not of the files'");
    clock.advance(60);
    let client = registered("registered-0");
    assert!(fetch_for(&fetcher, &url, &client).await.is_ok());
}

/// T38: however many ask at once, one fetch answers them all; the next is another.
#[tokio::test]
async fn what_many_ask_for_at_once_is_fetched_once() {
    let site = Site::start().await;
    site.set_json("/keys", &json!({}));
    let url = format!("{}/keys", site.url);
    let (fetcher, _) = fetcher(&["127.0.0.1"]);
    let asking = (0..10).map(|_| {
        let (fetcher, url) = (fetcher.clone(), url.clone());
        tokio::spawn(async move { fetch(&fetcher, &url).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert!(asked.await.unwrap().is_ok());
    }
    assert_eq!(site.hits("/keys"), 1);
    assert!(fetch(&fetcher, &url).await.is_ok());
    assert_eq!(site.hits("/keys"), 2);
}

/// T38: what strangers have had fetched in a client's name takes nothing from the client, nor from who asks elsewhere.
#[tokio::test]
async fn strangers_use_up_their_own_budget() {
    let site = Site::start().await;
    let (fetcher, _) = fetcher(&["127.0.0.1"]);
    let object = "application/jwt";
    site.set("/object", Page::Body(object, "a.b.c".to_owned()));
    site.set_json("/keys", &json!({}));
    let app = client("app");
    let ask = |address: &'static str| {
        let url = format!("{}/object", site.url);
        let (fetcher, app) = (&fetcher, &app);
        async move {
            let asker = Asker::Stranger(app, address);
            fetcher.fetch(&url, Wanted::RequestObject, asker).await
        }
    };
    for number in 0..40 {
        let outcome = ask("192.0.2.1").await;
        assert_eq!(outcome.is_ok(), number < 30, "{number}: {outcome:?}");
    }
    assert!(ask("192.0.2.2").await.is_ok());
    let keys = format!("{}/keys", site.url);
    assert!(fetch(&fetcher, &keys).await.is_ok());
    // One network of IPv6 is one place.
    for number in 0..31 {
        let outcome = ask(if number % 2 == 0 {
            "2001:db8::1"
        } else {
            "2001:db8::2"
        })
        .await;
        assert_eq!(outcome.is_ok(), number < 30, "{number}: {outcome:?}");
    }
}

/// T38: a client fills no more than its share of what is kept.
#[tokio::test]
async fn kept_objects_of_one_client_do_not_push_out_anothers() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sha2::{Digest as _, Sha256};

    let site = Site::start().await;
    let (fetcher, clock) = fetcher(&["127.0.0.1"]);
    let uris = RequestUris::new(fetcher, clock.clone());
    let (app, greedy) = (client("app"), client("greedy"));
    let set = |path: &str, content: String| {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(content.as_bytes()));
        site.set(path, Page::Body("application/jwt", content));
        format!("{}{path}#{hash}", site.url)
    };
    let good = set("/app", "a.b.c".to_owned());
    let get = |uri: String, client: &Client| {
        let (uris, client) = (uris.clone(), client.clone());
        async move { uris.fetch(&uri, Asker::Client(&client)).await.unwrap() }
    };
    assert_eq!(get(good.clone(), &app).await, "a.b.c");
    let mut last = String::new();
    for number in 0..510 {
        if number % 30 == 0 {
            clock.advance(60);
        }
        last = set("/greedy", format!("a.b.{number}"));
        get(last.clone(), &greedy).await;
    }
    let hits = site.hits("/greedy");
    get(last, &greedy).await;
    assert_eq!(site.hits("/greedy"), hits);
    get(good, &app).await;
    assert_eq!(site.hits("/app"), 1);
}

/// `[outbound]` opens the guard, so that a start says for what; without it there is nothing to say.
#[tokio::test]
async fn what_the_guard_is_opened_for_is_told_at_the_start() {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    for opened in [true, false] {
        let log = Log::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(log.clone())
            .with_ansi(false);
        let guard = tracing_subscriber::registry().with(layer).set_default();
        // As in `log_scrubbing`: with one subscriber alone, another test's thread may be asked in this one's place.
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        let server = TestServer::start_with(|setup| {
            let authority = rcgen::generate_simple_self_signed(["ca.example.org".to_owned()]).unwrap();
            setup.files.push(("authority.pem", authority.cert.pem().into_bytes()));
            if opened {
                setup.sections += "[outbound]\nallow_hosts = [\"apps.internal.example\", \"10.1.2.3\"]\n\
                                   extra_ca = [\"authority.pem\"]\n";
            }
        })
        .await;
        drop((guard, second, server));
        let text = log.text();
        let told: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("outbound."))
            .collect();
        if !opened {
            assert!(told.is_empty(), "{told:?}");
            continue;
        }
        let about = |key: &str, value: &str| {
            told.iter()
                .any(|line| line.contains("WARN") && line.contains(key) && line.contains(value))
        };
        assert!(
            about("outbound.allow_hosts", "apps.internal.example 10.1.2.3"),
            "{text}"
        );
        assert!(about("outbound.extra_ca", "authority.pem"), "{text}");
    }
}

/// A site that answers at once and then sends `piece` after `piece`, for as long as somebody listens.
async fn endless(head: &'static str, piece: Vec<u8>, every: Duration) -> (String, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let piece = piece.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let mut open = stream.write_all(head.as_bytes()).await;
                while open.is_ok() {
                    open = stream.write_all(&piece).await;
                    tokio::time::sleep(every).await;
                }
            });
        }
    });
    (url, task)
}

/// T36: the time is that of the whole answer, so that a byte now and then does not keep us; and the size is counted as it comes, whatever
/// the header says of it.
#[tokio::test]
async fn an_answer_without_an_end_is_given_up() {
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\"";
    const LYING: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n\"";
    let (fetcher, _) = fetcher(&["127.0.0.1"]);
    let (drip, dripping) = endless(HEAD, vec![b'k'], Duration::from_millis(200)).await;
    let start = Instant::now();
    fetch(&fetcher, &drip).await.unwrap_err();
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(5),
        "{took:?}"
    );
    for head in [HEAD, LYING] {
        let (flood, flooding) = endless(head, vec![b'k'; 8192], Duration::from_millis(1)).await;
        let start = Instant::now();
        let told = fetch(&fetcher, &flood).await.unwrap_err().to_string();
        assert!(told.contains("longer than 65536 bytes"), "{told}");
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "long before the time is up"
        );
        flooding.abort();
    }
    dripping.abort();
}

/// What failed, or was used up, while the clock stood ahead does not close anything until it is reached again.
#[tokio::test]
async fn a_clock_that_is_put_right_closes_no_address() {
    let site = Site::start().await;
    let (fetcher, clock) = fetcher(&["127.0.0.1"]);
    let url = format!("{}/keys", site.url);
    clock.advance(86_400);
    assert!(fetch(&fetcher, &url).await.is_err());
    site.set_json("/keys", &json!({}));
    // What two clocks may differ by is no step.
    clock.advance(-SKEW);
    let paused = fetch(&fetcher, &url).await;
    assert!(matches!(paused, Err(FetchError::Paused(_))));
    for number in 0..40 {
        let other = format!("{}/{number}", site.url);
        assert!(fetch(&fetcher, &other).await.is_err());
    }
    let other = format!("{url}?more");
    let used_up = fetch(&fetcher, &other).await;
    assert!(matches!(used_up, Err(FetchError::TooMany)));
    clock.advance(SKEW - 86_400);
    assert!(fetch(&fetcher, &url).await.is_ok());
    for number in 0..40 {
        // Counted from now on.
        let all = fetch(&fetcher, &url).await;
        assert_eq!(all.is_ok(), number < 29, "{number}");
    }
}
