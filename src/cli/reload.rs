//! SIGHUP: settings that may change while the service runs are read again; of the others it is said that they need a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;

use clap::{ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _};
use tokio::signal::unix::Signal;

use super::Cli;
use super::logging::SetFilter;
use crate::app::App;
use crate::config::{self, Config};

/// The settings as they were written, by their names; secrets are not among them.
pub(super) type Given = BTreeMap<String, Vec<OsString>>;

/// Means of reading the settings again.
pub(super) struct Reload {
    /// The settings that are in use.
    pub(super) given: Given,
    /// Sets another filter of the log.
    pub(super) logs: Option<SetFilter>,
}

/// The settings as they were written.
pub(super) fn given(matches: &ArgMatches) -> Given {
    let settings = Config::augment_args(Command::new("vestibule"));
    let mut given = Given::new();
    for setting in settings.get_arguments().map(|setting| setting.get_id().as_str()) {
        if let Ok(Some(values)) = matches.try_get_raw(setting) {
            given.insert(setting.to_owned(), values.map(ToOwned::to_owned).collect());
        }
    }
    given
}

/// Reads the settings again at each SIGHUP.
pub(super) fn listen(app: Arc<App>, mut hangup: Signal, mut reload: Reload) {
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Err(error) = app.reload_keys(&app.clock.now()).await {
                tracing::error!(?error, "loading the signing keys failed; will retry");
            }
            match read() {
                Ok((config, given)) => reload.apply(&config, &given),
                Err(problem) => tracing::error!(problem, "the settings are wrong: those in use stay"),
            }
        }
    });
}

impl Reload {
    fn apply(&mut self, config: &Config, given: &Given) {
        let is_other = |name: &&String| self.given.get(*name) != given.get(*name);
        let names: BTreeSet<&String> = self.given.keys().chain(given.keys()).collect();
        let changed: Vec<String> = names.into_iter().filter(is_other).cloned().collect();
        let (applied, others): (Vec<String>, Vec<String>) = changed.into_iter().partition(|name| name == "log");
        if !applied.is_empty() {
            if let Some(Err(problem)) = self.logs.as_ref().map(|set| set(&config.log)) {
                tracing::error!(problem, "the filter of the log stays as it is");
                return;
            }
            if let Some(filter) = given.get("log") {
                self.given.insert("log".to_owned(), filter.clone());
            }
        }
        tracing::info!(applied = applied.join(","), "the settings were read again");
        if !others.is_empty() {
            tracing::warn!(settings = others.join(","), "these settings have changed and count from the next start");
        }
    }
}

/// The settings as they are now.
fn read() -> Result<(Config, Given), String> {
    let sources = config::with_file(Cli::command())?;
    let matches = sources.command.try_get_matches().map_err(|error| config::explain(&error))?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| config::explain(&error))?;
    sources.secrets.put_into(&mut cli.config)?;
    super::check(&cli.config)?;
    Ok((cli.config, given(&matches)))
}
