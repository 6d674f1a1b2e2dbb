//! Metrics in Prometheus format. Each part of the service owns its metrics and registers them once at the start.
//!
//! Labels have few values, all chosen by the service. No client input becomes a label, because each value is kept
//! forever.

use std::collections::HashSet;
use std::fmt::Error;

pub use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;

pub use prometheus_client::collector::Collector;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
pub use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::{Registry, Unit};

use crate::tools::system::Process;

/// The value of a label.
pub type Label = &'static str;

/// Histograms of durations by labels.
pub type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// Upper bounds of the buckets, in seconds: from the duration of a read to the timeout of a request.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A histogram of durations, in seconds.
pub fn times() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Histograms of durations by labels, in seconds.
pub fn times_by<L: Clone + std::hash::Hash + Eq>() -> Times<L> {
    Times::new_with_constructor(times)
}

/// Counters for all of these labels, so that counts of zero are reported too.
pub fn counters<L: Clone + std::hash::Hash + Eq>(labels: impl IntoIterator<Item = L>) -> Family<L, Counter> {
    let counters = Family::default();
    for label in labels {
        drop(counters.get_or_create(&label));
    }
    counters
}

/// All metrics in the format `OpenMetrics` 1.0.
///
/// # Errors
/// If a label or a value cannot be encoded, which is a bug.
pub fn encode(registries: &[&Registry]) -> Result<String, Error> {
    let mut text = String::new();
    for registry in registries {
        prometheus_client::encoding::text::encode_registry(&mut text, registry)?;
    }
    prometheus_client::encoding::text::encode_eof(&mut text)?;
    Ok(text)
}

/// Converts to Prometheus text format 0.0.4, in which the comments of a counter use its full name, and units and the
/// end marker are omitted.
pub fn as_text(open_metrics: &str) -> String {
    let counters: HashSet<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind @ ("HELP" | "TYPE")), Some(name), Some(rest)) if counters.contains(name) => {
                text.push_str(&format!("# {kind} {name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Metrics of the process, under the standard names of Prometheus clients.
#[derive(Debug)]
pub struct ProcessMeasures;

impl Collector for ProcessMeasures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(process) = Process::own() else { return Ok(()) };
        let cpu = ConstCounter::new(process.cpu_seconds);
        let help = "CPU time used by the process";
        cpu.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), cpu.metric_type())?)?;
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: u64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        gauge("process_resident_memory", "Resident memory of the process", Some(&Unit::Bytes), process.resident_bytes)?;
        gauge("process_open_fds", "Open files and connections", None, process.open_files)?;
        gauge("process_max_fds", "Limit of open files and connections", None, process.most_files)?;
        gauge("process_threads", "Number of threads", None, process.threads)?;
        gauge("process_start_time", "Start time of the process since 1970", Some(&Unit::Seconds), process.started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_by_their_ending() {
        let mut registry = Registry::with_prefix("x");
        registry.register("sent", "Mails that were sent", Counter::<u64>::default());
        registry.register_with_unit("wait", "How long they waited", Unit::Seconds, ConstGauge::new(1_u64));
        let text = as_text(&encode(&[&registry]).unwrap());
        let expected = "# HELP x_sent_total Mails that were sent.\n# TYPE x_sent_total counter\nx_sent_total 0\n\
                        # HELP x_wait_seconds How long they waited.\n# TYPE x_wait_seconds gauge\nx_wait_seconds 1\n";
        assert_eq!(text, expected);
    }
}
