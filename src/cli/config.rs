//! `vestibule config`

use clap::Subcommand;

use super::table::Format;
use crate::config::Setting;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// List all settings with their values and sources; secrets are hidden
    Show(ShowOptions),
}

#[derive(clap::Args)]
pub(super) struct ShowOptions {
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(settings: &[Setting], ConfigCommand::Show(options): &ConfigCommand) {
    let row = |setting: &Setting| {
        let value = setting.value.clone().unwrap_or_default();
        vec![setting.name.clone(), value, setting.origin.to_string()]
    };
    options.format.print(&["setting", "value", "source"], &settings.iter().map(row).collect::<Vec<_>>());
}
