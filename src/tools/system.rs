//! What the machine has to offer, as far as it tells.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

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

/// What the system tells of the process.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// How long it has kept processors busy.
    pub cpu_seconds: f64,
    /// How much memory it has, in bytes.
    pub resident_bytes: u64,
    /// How many files and connections it has open.
    pub open_files: u64,
    /// How many it may have open.
    pub most_files: u64,
    /// How many threads it has.
    pub threads: u64,
    /// When it was started, in seconds since 1970.
    pub started_at: u64,
}

impl Process {
    /// This process; none where the system is not Linux, which tells it in files (proc(5)).
    pub fn own() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program, in parentheses, may hold anything; what follows it begins with the third field.
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
