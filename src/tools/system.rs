//! Resources of the machine.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Available memory in bytes: of the system, or of the control group (version 2) of the process if that is less. `None`
/// if neither is known.
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

/// Free disk space for this process at a path, in bytes.
///
/// # Errors
/// Errors of the file system.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Effective user id of the process.
pub fn own_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Resource usage of the process.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// CPU time in seconds.
    pub cpu_seconds: f64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Number of open files and connections.
    pub open_files: u64,
    /// Limit of open files and connections.
    pub most_files: u64,
    /// Number of threads.
    pub threads: u64,
    /// Start time, in seconds since 1970.
    pub started_at: u64,
}

impl Process {
    /// The current process; `None` unless the system is Linux (proc(5)).
    pub fn own() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name, in parentheses, may contain anything; the text after it starts with the third field.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        let ticks = rustix::param::clock_ticks_per_second();
        let busy = Duration::from_millis((field(14)? + field(15)?) * 1000 / ticks);
        Some(Self {
            cpu_seconds: busy.as_secs_f64(),
            resident_bytes: field(24)? * page,
            open_files: u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?,
            most_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX),
            threads: field(20)?,
            started_at: boot + field(22)? / ticks,
        })
    }
}
