//! Logging to standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, reload};

use super::traces::Traces;
use crate::config::{Config, LogFormat};

/// Checks the log filter in the settings. `EnvFilter` takes any word as the name of a module, so a misspelled level
/// would silence the log.
pub(super) fn check(config: &Config) -> Result<(), String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let word = config.log.split(',').map(str::trim).find(|part| !part.contains(['=', '[']) && !is_level(part));
    if let Some(word) = word {
        return Err(format!(
            "VESTIBULE_LOG: unknown level {word:?}. Use error, warn, info, debug, trace or off, or a filter such as \
             vestibule=debug"
        ));
    }
    EnvFilter::try_new(&config.log).map(drop).map_err(|error| format!("VESTIBULE_LOG: {error}"))
}

/// Function that replaces the log filter.
pub(super) type SetFilter = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Starts logging, and tracing if an endpoint is configured. Events of other crates below `warn` are dropped regardless
/// of the filter: they may contain headers and statements, and therefore tokens.
pub(super) fn start(config: &Config, traces: Option<&Traces>) -> SetFilter {
    let (asked, handle) = reload::Layer::new(EnvFilter::new(&config.log));
    let harmless = filter_fn(|line| {
        // These modules log every attempt to send traces or to connect; the final result is logged elsewhere.
        let is_repeated =
            line.target().starts_with("opentelemetry-otlp") || line.target().starts_with("sqlx_core::pool");
        line.target().starts_with("vestibule") || (*line.level() <= LevelFilter::WARN && !is_repeated)
    });
    let filter = asked.and(harmless);
    let stderr = std::io::stderr;
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(traces.map(Traces::layer));
    match config.log_format {
        LogFormat::Text => registry.with(lines.with_target(false).with_filter(filter)).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_filter(filter)).init(),
    }
    Box::new(move |text| {
        let filter = EnvFilter::try_new(text).map_err(|error| format!("VESTIBULE_LOG: {error}"))?;
        handle.reload(filter).map_err(|error| error.to_string())
    })
}
