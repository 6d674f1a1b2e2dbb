//! `vestibule copy`

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::{Config, DatabaseUrl};
use crate::database::{self, Db, Unfit};
use crate::domain::operator::copy::{self, Progress};
use crate::error::{Error, Result};

/// Options of `copy`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Empty target database, `sqlite://PATH` or `postgres://…`; its schema is created. If the URL contains a password,
    /// use @FILE to read it from a file, or - for standard input
    #[arg(long, value_name = "URL")]
    to: String,

    /// Copy even if the service is running; changes made meanwhile are not copied
    #[arg(long)]
    while_running: bool,
}

/// Copies everything from the configured database.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let target = super::address::read("--to", &options.to)?;
    let target: DatabaseUrl = target.parse().map_err(|problem| Error::Command(format!("--to: {problem}")))?;
    // Checked before this process opens the file itself.
    let is_open = config.database_url().sqlite_path().is_some_and(database::is_open_elsewhere);
    let source = super::open_read_only(&config).await?;
    if !options.while_running && (is_open || source.is_served().await?) {
        let problem =
            "the service is running on this database. Stop it first: changes made meanwhile would not be copied";
        return Err(Error::Command(format!("{problem}. Use --while-running to copy anyway")));
    }
    let connections = database::Options::of(&config).map_err(Error::Command)?;
    let named = |problem: String| Error::Command(format!("--to: {problem}"));
    let target = Db::connect(&target, &connections).await.map_err(named)?;
    if let Some(Unfit { found, remedy }) = target.unfit().await? {
        return Err(named(format!("{found}: {remedy}")));
    }
    let copied = between(&source, &target).await;
    // Closing the last connection to an SQLite file merges its write-ahead log into the file.
    let closed = target.close().await;
    source.close().await?;
    let rows = copied?;
    closed?;
    super::say(&format!("{} copied and verified", super::counted(rows, "row", "rows")));
    super::say(
        "not included, copy separately: the secret key (secret.key or VESTIBULE_SECRET_KEY) and the media store",
    );
    Ok(())
}

/// Copies all tables, prints a line for each, and returns the total number of rows.
pub(super) async fn between(source: &Db, target: &Db) -> Result<u64> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:16} {bar:40} {percent} %") {
        bar.set_style(style);
    }
    let copied = copy::copy(source, target, &|progress| match progress {
        Progress::Rows { table, done, of } => {
            bar.set_message(table);
            bar.set_length(of);
            bar.set_position(done);
        }
        Progress::Table(table) => {
            let rows = if table.rows == 1 { "row" } else { "rows" };
            bar.suspend(|| super::say(&format!("{:16} {:>9} {rows:4}  {}", table.table, table.rows, table.digest)));
        }
    })
    .await;
    bar.finish_and_clear();
    Ok(copied?.iter().map(|table| table.rows).sum())
}
