//! Speed of password hashing, and the parameters that this machine can afford.

use std::thread::available_parallelism;
use std::time::Duration;

use super::report::Report;
use crate::config::Config;
use crate::domain::operator::explain;
use crate::error::{Error, Result};
use crate::tools::system;

const CHECK: &str = "hashing";

/// Duration of each measurement.
const SPAN: Duration = Duration::from_millis(500);

/// Maximum time budget for one hash.
const LONGEST: Duration = Duration::from_secs(10);

/// Parses the time budget for one hash.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|_| format!("'{text}' is not a duration such as 250ms"))?;
    let fits = (Duration::from_millis(1)..=LONGEST).contains(&time);
    if fits { Ok(time) } else { Err(format!("'{text}' is not between 1ms and 10s")) }
}

pub(super) fn check(config: &Config, time: Duration) -> Report {
    let mut report = Report::default();
    let cores = available_parallelism().map_or(1, usize::from);
    let (engine, params) = (config.argon2_engine, config.argon2);
    let needed = params.bytes().saturating_mul(cores as u64);
    let available = system::available_memory();
    if available.is_some_and(|available| needed > available) {
        let found = format!(
            "{cores} hashes in parallel need {} MiB, but only {} MiB are available",
            needed >> 20,
            available.unwrap_or(0) >> 20
        );
        report.fail(CHECK, found, "lower m in VESTIBULE_ARGON2, or add memory");
        return report;
    }
    let measured = engine.measure(params, 1, SPAN).and_then(|one| Ok((one, engine.measure(params, cores, SPAN)?)));
    match measured {
        Ok((one, all)) => {
            let found = format!(
                "{params} ({engine}): one core {:.0} hashes/s ({} ms each), {cores} in parallel {:.0} hashes/s \
                 ({} ms each, {} MiB)",
                one.per_second,
                one.each.as_millis(),
                all.per_second,
                all.each.as_millis(),
                needed >> 20
            );
            match all.each > Duration::from_secs(1) {
                true => report.warn(CHECK, found, "a sign-in takes more than a second: lower VESTIBULE_ARGON2"),
                false => report.ok(CHECK, found),
            }
        }
        Err(error) => return failed(report, &error),
    }
    // Half of the available memory, to leave some for everything else.
    let most = available.map_or(u64::MAX, |available| available / 2 / cores as u64 / 1024);
    match engine.afford(cores, most, time) {
        Ok((found, each)) => {
            let memory = found.bytes().saturating_mul(cores as u64) >> 20;
            report.ok(
                CHECK,
                format!(
                    "{} ms allow VESTIBULE_ARGON2={found} ({} ms measured, {memory} MiB for {cores} in parallel)",
                    time.as_millis(),
                    each.as_millis()
                ),
            );
            report
        }
        Err(error) => failed(report, &error),
    }
}

fn failed(mut report: Report, error: &Error) -> Report {
    let found = match error {
        Error::Unavailable(_) => "not enough memory for one hash".to_owned(),
        other => explain(other),
    };
    report.fail(CHECK, found, "lower m in VESTIBULE_ARGON2");
    report
}
