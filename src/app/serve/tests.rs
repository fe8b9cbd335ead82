use axum::routing::get;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use super::*;

/// What a client that reads nothing is cut off after.
const UNREAD: Duration = Duration::from_secs(3);
/// Shorter than [`HEADER_TIMEOUT`], which is not what ends it.
const PATIENCE: Duration = Duration::from_secs(10);
const LENGTH: usize = 1024 * 1024;
const GET: &str = "GET / HTTP/1.1\r\nhost: here\r\n";

/// A server of one document, with little room between it and the network, and the count of its connections.
fn serving(tls: Option<RustlsConfig>) -> (SocketAddr, Handle<SocketAddr>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap().into_std().unwrap();
    let address = listener.local_addr().unwrap();
    let document = Router::new().route("/", get(async || "x".repeat(LENGTH)));
    let handle = Handle::new();
    tokio::spawn(listen(listener, document, tls, handle.clone(), UNREAD));
    (address, handle)
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(address).await.unwrap()
}

/// Waits until the server has so many connections.
async fn until(handle: &Handle<SocketAddr>, connections: usize) {
    let start = Instant::now();
    while handle.connection_count() != connections {
        let counted = handle.connection_count();
        assert!(start.elapsed() < PATIENCE, "{counted} connections");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_asks_again_and_again_and_never_reads_is_cut_off() {
    let (address, handle) = serving(None);
    let mut client = connect(address).await;
    let asked = format!("{GET}\r\n").repeat(50);
    client.write_all(asked.as_bytes()).await.unwrap();
    until(&handle, 1).await;
    until(&handle, 0).await;
    let mut answers = Vec::new();
    // An end or a reset.
    client.read_to_end(&mut answers).await.ok();
    assert!(answers.len() < LENGTH, "{}", answers.len());
}

#[tokio::test]
async fn who_never_reads_over_tls_is_cut_off() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = signing_key.serialize_pem().into_bytes();
    let config = RustlsConfig::from_pem(cert.pem().into_bytes(), key).await;
    let (address, handle) = serving(Some(config.unwrap()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let trusting = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut client = rustls::ClientConnection::new(trusting.into(), name).unwrap();
    let connected = connect(address).await.into_std().unwrap();
    // Blocks: the server needs this thread.
    let held = tokio::task::spawn_blocking(move || {
        connected.set_nonblocking(false).unwrap();
        let mut connected = connected;
        while client.is_handshaking() {
            client.complete_io(&mut connected).unwrap();
        }
        let asked = format!("{GET}\r\n").repeat(50);
        std::io::Write::write_all(&mut client.writer(), asked.as_bytes()).unwrap();
        while client.wants_write() {
            client.write_tls(&mut connected).unwrap();
        }
        connected
    });
    let held = held.await.unwrap();
    assert_eq!(handle.connection_count(), 1);
    until(&handle, 0).await;
    drop(held);
}

#[tokio::test]
async fn who_reads_slowly_gets_everything() {
    let (address, _handle) = serving(None);
    let mut client = connect(address).await;
    let asked = format!("{GET}connection: close\r\n\r\n");
    client.write_all(asked.as_bytes()).await.unwrap();
    let start = Instant::now();
    let (mut answer, mut some) = (Vec::new(), vec![0; 32 * 1024]);
    loop {
        let read = client.read(&mut some).await.unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&some[..read]);
        sleep(Duration::from_millis(200)).await;
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() > LENGTH);
    assert!(start.elapsed() > 2 * UNREAD, "{:?}", start.elapsed());
}
