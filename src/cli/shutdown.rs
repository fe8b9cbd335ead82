//! The signals that end a server.

use std::future::Future;

/// Waits for Ctrl-C or SIGTERM; listens from the call on, so that a signal during the start is not lost.
#[cfg(unix)]
pub(super) fn signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let listeners = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let [interrupt, terminate] = listeners.map(|listener| async {
            match listener {
                Ok(mut listener) => {
                    listener.recv().await;
                }
                // Without a listener there is nothing to wait for, and the default action still ends the process.
                Err(_) => std::future::pending().await,
            }
        });
        tokio::select! {
            () = interrupt => {}
            () = terminate => {}
        }
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(super) fn signal() -> impl Future<Output = ()> {
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
