//! Reloading on SIGHUP. Applies settings that can change at runtime, and reports those that need a restart.

use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use tokio::signal::unix::Signal;

use super::Cli;
use super::logging::SetFilter;
use crate::app::App;
use crate::config::{Config, Setting, Sources};

/// State for reloading the settings.
pub(super) struct Reload {
    /// Settings in use.
    pub(super) settings: Vec<Setting>,
    /// Function that replaces the log filter.
    pub(super) logs: Option<SetFilter>,
}

/// Reloads the settings at each SIGHUP.
pub(super) fn listen(app: Arc<App>, mut hangup: Signal, mut reload: Reload) {
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Err(error) = app.reload_keys(&app.clock.now()).await {
                tracing::error!(?error, "loading the signing keys failed; will retry");
            }
            match read() {
                Ok(config) => reload.apply(config),
                Err(problem) => tracing::error!(problem, "invalid settings; keeping the current ones"),
            }
        }
    });
}

impl Reload {
    fn apply(&mut self, config: Config) {
        let settings = config.settings;
        let is_changed = |name: &str, value: &Option<String>| {
            self.settings.iter().find(|setting| setting.name == name).is_none_or(|known| known.value != *value)
        };
        let (applied, others): (Vec<&Setting>, Vec<&Setting>) = settings
            .iter()
            .filter(|setting| is_changed(&setting.name, &setting.value))
            .partition(|setting| setting.name == "log");
        if !applied.is_empty()
            && let Some(Err(problem)) = self.logs.as_ref().map(|set| set(&config.log))
        {
            tracing::error!(problem, "invalid log filter; keeping the current one");
            return;
        }
        let names =
            |settings: &[&Setting]| settings.iter().map(|setting| setting.name.as_str()).collect::<Vec<_>>().join(",");
        tracing::info!(applied = names(&applied), "settings reloaded");
        if !others.is_empty() {
            tracing::warn!(settings = names(&others), "changed settings take effect after a restart");
        }
        let log = settings.into_iter().find(|setting| setting.name == "log");
        for setting in &mut self.settings {
            if let Some(log) = log.as_ref().filter(|log| log.name == setting.name) {
                setting.value.clone_from(&log.value);
            }
        }
    }
}

/// Reads the settings from all sources.
fn read() -> Result<Config, String> {
    let sources = Sources::read(Cli::command())?;
    let matches = sources.command.clone().try_get_matches().map_err(|error| sources.explain(&error))?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| sources.explain(&error))?;
    sources.complete(&mut cli.config)?;
    cli.config.settings = sources.settings(&matches, &cli.config);
    super::check(&cli.config).map_err(|problem| super::located(&cli.config.settings, &problem))?;
    Ok(cli.config)
}
