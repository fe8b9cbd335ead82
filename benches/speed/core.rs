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

/// The fields of a process's `stat` that follow its name, which may have spaces (proc(5)).
fn stat(pid: u32) -> anyhow::Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    Ok(fields.split_whitespace().map(ToOwned::to_owned).collect())
}

/// The sum of times in hundredths of a second, by their numbers in proc(5).
fn times(stat: &[String], fields: &[usize]) -> anyhow::Result<Duration> {
    let mut ticks = 0;
    for field in fields {
        let text = stat.get(field - 3).context("stat ends")?;
        ticks += text.parse::<u64>()?;
    }
    Ok(Duration::from_millis(10 * ticks))
}

/// What a process has used of its core so far, for itself and in the system.
pub(crate) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    times(&stat(pid)?, &[14, 15])
}

/// The process that started this one.
pub(crate) fn parent(pid: u32) -> anyhow::Result<u32> {
    Ok(stat(pid)?.get(1).context("stat ends")?.parse()?)
}

/// What a process and its children have used so far, those too that have ended.
pub(crate) fn family_time(pid: u32) -> anyhow::Result<Duration> {
    let mut all = times(&stat(pid)?, &[14, 15, 16, 17])?;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Others come and go meanwhile.
        if parent(child).is_ok_and(|parent| parent == pid) {
            all += processor_time(child).unwrap_or_default();
        }
    }
    Ok(all)
}

/// The kibibytes of memory that `field` of the process's status tells (`VmRSS`, `VmHWM`).
pub(crate) fn memory(pid: u32, field: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field));
    let value = line.context("no such field")?.split_whitespace().nth(1);
    Ok(value.context("no value")?.parse()?)
}
