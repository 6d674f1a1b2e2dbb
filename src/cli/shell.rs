//! `vestibule completions` and `vestibule man`

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::error::{Error, Result};

const NAME: &str = "vestibule";

/// Options of `completions`.
#[derive(clap::Args)]
pub(super) struct CompletionsOptions {
    /// Shell to print completions for
    shell: Shell,
}

/// Options of `man`.
#[derive(clap::Args)]
pub(super) struct ManOptions {
    /// Directory to write a page for each command to, instead of printing the main page
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the completion script of a shell.
pub(super) fn complete(mut command: Command, options: &CompletionsOptions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, NAME, &mut script);
    print(script)
}

/// Prints the main man page, or writes all of them.
pub(super) fn man(command: Command, options: ManOptions) -> Result<()> {
    let Some(folder) = options.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(Error::internal)?;
        return print(page);
    };
    let failed = |error| Error::Command(format!("{}: {error}", super::shown(&folder)));
    std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(command, &folder)).map_err(failed)
}

fn print(text: Vec<u8>) -> Result<()> {
    super::say(String::from_utf8(text).map_err(Error::internal)?.trim_end());
    Ok(())
}
