//! `vestibule breached-passwords`

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tools::breached_passwords::{Built, build};
use crate::tools::io_error;

/// Commands about the list of breached passwords.
#[derive(clap::Subcommand)]
pub(super) enum BreachedPasswordsCommand {
    /// Build the list for VESTIBULE_BREACHED_PASSWORDS_FILE from the public list of Have I Been Pwned
    Build(BuildOptions),
}

/// Options of `breached-passwords build`.
#[derive(clap::Args)]
pub(super) struct BuildOptions {
    /// Public list with a line `SHA1:COUNT` for each hash, sorted by hash; `-` is standard input
    #[arg(default_value = "-")]
    input: PathBuf,

    /// File to write; an existing one is replaced once the new one is complete
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// Leave out passwords that were found less often
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    min_count: u64,
}

/// Runs the command. It needs neither settings nor database.
pub(super) async fn run(command: BreachedPasswordsCommand) -> Result<()> {
    let BreachedPasswordsCommand::Build(options) = command;
    let output = options.output.clone();
    let built = tokio::task::spawn_blocking(move || {
        let input = open(&options.input)?;
        build(input, &options.output, options.min_count)
    });
    let Built { hashes, rare, bytes } = built.await.map_err(Error::internal)?.map_err(Error::Command)?;
    let hashes = super::counted(hashes.into(), "hash", "hashes");
    let rare = super::counted(rare, "rarer one", "rarer ones");
    super::say(&format!("{hashes} written to {} ({bytes} bytes), {rare} left out", super::shown(&output)));
    Ok(())
}

fn open(input: &Path) -> Result<Box<dyn BufRead>, String> {
    if input == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(input).map_err(|error| format!("{}: {}", super::shown(input), io_error::describe(&error)))?;
    Ok(Box::new(BufReader::new(file)))
}
