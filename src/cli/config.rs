//! `vestibule config`

use clap::Subcommand;

use super::table::Format;
use crate::config::Setting;
use crate::error::Result;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// List every setting with its value and where it comes from; secrets are not shown
    Show(ShowOptions),
}

#[derive(clap::Args)]
pub(super) struct ShowOptions {
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(settings: &[Setting], ConfigCommand::Show(options): &ConfigCommand) -> Result<()> {
    let row = |setting: &Setting| {
        let value = setting.value.clone().unwrap_or_default();
        vec![setting.name.clone(), value, setting.origin.to_string()]
    };
    options.format.print(&["setting", "value", "source"], &settings.iter().map(row).collect::<Vec<_>>());
    Ok(())
}
