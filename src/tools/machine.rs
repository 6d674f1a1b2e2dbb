//! What the machine has to offer, as far as it tells.

use std::fs;
use std::io;
use std::path::Path;

/// How much memory could still be had, in bytes: by the system, and by the control group (version 2) that the process is in,
/// whichever is less. None where neither tells.
pub fn available_memory() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let system = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB"))?;
        line.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let number = |path| read(path)?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").map(|most| {
        let used = number("/sys/fs/cgroup/memory.current").unwrap_or_default();
        most.saturating_sub(used)
    });
    [system, group].into_iter().flatten().min()
}

/// How much room a file's disk has left for this process, in bytes.
///
/// # Errors
/// What the file system says.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The user that the process acts as, by its number.
pub fn own_id() -> u32 {
    rustix::process::geteuid().as_raw()
}
