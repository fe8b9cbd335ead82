//! `portico health`: asks the internal listener whether the server is ready. A few lines of HTTP/1.1 by hand: the
//! answer's first line is all that matters, and the client for upstreams has no business here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ConfigFile, output};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask this address instead of the config's `server.internal_listen`.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
}

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut address = match options.address {
        Some(address) => address,
        None => options.file.load()?.server.internal_listen,
    };
    // Where it listens on every address, it can be asked on loopback.
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let status = tokio::time::timeout(TIMEOUT, ask(address)).await;
    Ok(match status {
        Ok(Ok(line)) if line.starts_with("HTTP/1.1 200") => {
            output::line("ready");
            ExitCode::SUCCESS
        }
        Ok(Ok(line)) => {
            output::line(format!("not ready: {line}"));
            ExitCode::FAILURE
        }
        Ok(Err(error)) => {
            output::line(format!("not ready: {address}: {error}"));
            ExitCode::FAILURE
        }
        Err(_) => {
            output::line(format!("not ready: {address} does not answer"));
            ExitCode::FAILURE
        }
    })
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
