//! The signals that end a server.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind};

/// Takes Ctrl-C and SIGTERM from this call on, and gives what waits for the first of them. Call it before a server is
/// opened: one that is told to end while it starts must end in good order too, and a process of number 1, as in a
/// container, would not even notice a signal that nobody takes.
#[cfg(unix)]
pub(super) fn signal() -> impl Future<Output = ()> + Send {
    let interrupt = tokio::signal::unix::signal(SignalKind::interrupt());
    let terminate = tokio::signal::unix::signal(SignalKind::terminate());
    async move {
        tokio::select! {
            () = first(interrupt) => {}
            () = first(terminate) => {}
        }
    }
}

/// A signal that cannot be taken never comes; its default action still ends the process.
#[cfg(unix)]
async fn first(signal: std::io::Result<Signal>) {
    match signal {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Gives what waits for Ctrl-C.
#[cfg(not(unix))]
pub(super) async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
