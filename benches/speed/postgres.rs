//! PostgreSQL's processes, where it runs on this machine.

use anyhow::ensure;
use sqlx::{AnyConnection, Connection as _};

use crate::core;

/// The process that PostgreSQL's others are children of; `admin` is a way to it.
pub(crate) async fn postmaster(admin: &str) -> anyhow::Result<u32> {
    let mut connection = AnyConnection::connect(admin).await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await?;
    let parent = core::parent(u32::try_from(pid)?)?;
    let name = std::fs::read_to_string(format!("/proc/{parent}/comm"))?;
    ensure!(
        name.trim() == "postgres",
        "PostgreSQL must run on this machine, to be kept away from the server's core"
    );
    connection.close().await?;
    Ok(parent)
}

/// Keeps it on the load's core. The load keeps that one awake, so that the kernel would find the server's at rest and have PostgreSQL answer there,
/// in the middle of what the server does: such a server is interrupted by each of its own questions, and never asks two at the same time.
pub(crate) async fn keep_with_the_load(admin: &str) -> anyhow::Result<()> {
    let postmaster = postmaster(admin).await?;
    core::pin(postmaster, core::LOAD_CORE)?;
    for child in core::children(postmaster)? {
        // Others come, on the core of their parent, and go.
        let _ = core::pin(child, core::LOAD_CORE);
    }
    Ok(())
}
