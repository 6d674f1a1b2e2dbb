//! CPU affinity, for figures per core: the service runs on the first core and the driver on the others, if there are at
//! least two.

use std::sync::LazyLock;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// First core, and other cores.
static CORES: LazyLock<Option<(CpuSet, CpuSet)>> = LazyLock::new(|| {
    let mut others = sched_getaffinity(None).expect("this is Linux");
    let first = (0..CpuSet::MAX_CPU).find(|core| others.is_set(*core))?;
    let mut alone = CpuSet::new();
    alone.set(first);
    others.unset(first);
    (others.count() > 0).then_some((alone, others))
});

/// Starts a process pinned to the first core, and pins this thread to the others.
pub(crate) fn start_alone<T>(start: impl FnOnce() -> T) -> T {
    let Some((alone, others)) = &*CORES else { return start() };
    sched_setaffinity(None, alone).expect("it is one of ours");
    let started = start();
    sched_setaffinity(None, others).expect("they are ours");
    started
}
