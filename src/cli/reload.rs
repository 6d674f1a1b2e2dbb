//! SIGHUP: settings that may change while the service runs are read again; of the others it is said that they need a restart.

use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use tokio::signal::unix::Signal;

use super::Cli;
use super::logging::SetFilter;
use crate::app::App;
use crate::config::{Config, Setting, Sources};

/// Means of reading the settings again.
pub(super) struct Reload {
    /// The settings that are in use.
    pub(super) settings: Vec<Setting>,
    /// Sets another filter of the log.
    pub(super) logs: Option<SetFilter>,
}

/// Reads the settings again at each SIGHUP.
pub(super) fn listen(app: Arc<App>, mut hangup: Signal, mut reload: Reload) {
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Err(error) = app.reload_keys(&app.clock.now()).await {
                tracing::error!(?error, "loading the signing keys failed; will retry");
            }
            match read() {
                Ok((config, settings)) => reload.apply(&config, settings),
                Err(problem) => tracing::error!(problem, "the settings are wrong: those in use stay"),
            }
        }
    });
}

impl Reload {
    fn apply(&mut self, config: &Config, settings: Vec<Setting>) {
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
            tracing::error!(problem, "the filter of the log stays as it is");
            return;
        }
        let names =
            |settings: &[&Setting]| settings.iter().map(|setting| setting.name.as_str()).collect::<Vec<_>>().join(",");
        tracing::info!(applied = names(&applied), "the settings were read again");
        if !others.is_empty() {
            tracing::warn!(settings = names(&others), "these settings have changed and count from the next start");
        }
        let log = settings.into_iter().find(|setting| setting.name == "log");
        for setting in &mut self.settings {
            if let Some(log) = log.as_ref().filter(|log| log.name == setting.name) {
                setting.value.clone_from(&log.value);
            }
        }
    }
}

/// The settings as they are now.
fn read() -> Result<(Config, Vec<Setting>), String> {
    let sources = Sources::read(Cli::command())?;
    let matches = sources.command.clone().try_get_matches().map_err(|error| sources.explain(&error))?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| sources.explain(&error))?;
    sources.complete(&mut cli.config)?;
    super::check(&cli.config)?;
    let settings = sources.settings(&matches, &cli.config);
    Ok((cli.config, settings))
}
