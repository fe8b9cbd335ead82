//! Processor time, memory and the core that a process may use, as Linux tells them.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

/// The core of the server, and that of the load.
pub(crate) const SERVER_CORE: &str = "0";
pub(crate) const LOAD_CORE: &str = "1";

/// A command that may run on one core alone (`taskset` of util-linux).
pub(crate) fn pinned(core: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core, program]);
    command
}

/// What a process has used of its core so far.
pub(crate) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may have spaces; fields 14 and 15 are user and system time in hundredths of a second (proc(5)).
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<u64> { Ok(fields.next().context("stat ends")?.parse()?) };
    Ok(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

/// The kibibytes of memory that `field` of the process's status tells (`VmRSS`, `VmHWM`).
pub(crate) fn memory(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field));
    let value = line.context("no such field")?.split_whitespace().nth(1);
    Ok(value.context("no value")?.parse()?)
}
