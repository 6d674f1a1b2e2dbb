//! Which core does what, so that "per core" is meant literally: the service has the first and the driver the others, as far
//! as there are two.

use std::sync::LazyLock;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The first core, and the others.
static CORES: LazyLock<Option<(CpuSet, CpuSet)>> = LazyLock::new(|| {
    let mut others = sched_getaffinity(None).expect("this is Linux");
    let first = (0..CpuSet::MAX_CPU).find(|core| others.is_set(*core))?;
    let mut alone = CpuSet::new();
    alone.set(first);
    others.unset(first);
    (others.count() > 0).then_some((alone, others))
});

/// Starts a process that stays on the first core; this thread stays on the others.
pub(crate) fn start_alone<T>(start: impl FnOnce() -> T) -> T {
    let Some((alone, others)) = &*CORES else { return start() };
    sched_setaffinity(None, alone).expect("it is one of ours");
    let started = start();
    sched_setaffinity(None, others).expect("they are ours");
    started
}
