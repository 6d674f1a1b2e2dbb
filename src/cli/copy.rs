//! `vestibule copy`

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::{Config, DatabaseUrl};
use crate::database::{self, Db, Unfit};
use crate::domain::operator::copy::{self, Progress};
use crate::error::{Error, Result};

/// Where to copy everything.
#[derive(clap::Args)]
pub(super) struct Options {
    /// An empty database, `sqlite://PATH` or `postgres://…`; its schema is made on the way. With a password: @FILE, which
    /// holds the address, or - for standard input
    #[arg(long, value_name = "URL")]
    to: String,

    /// Copy although the service is running; what is written meanwhile stays behind
    #[arg(long)]
    while_running: bool,
}

/// Copies everything from the configured database.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let target = super::address::read("--to", &options.to)?;
    let target: DatabaseUrl = target.parse().map_err(|problem| Error::BadInput(format!("--to: {problem}")))?;
    // A file that is open here could not tell whether others have it open.
    let is_open = config.database_url().sqlite_path().is_some_and(database::is_open_elsewhere);
    let source = super::look(&config).await?;
    if !options.while_running && (is_open || source.is_served().await?) {
        let problem = "the service runs on this database. Stop it first: what is written meanwhile would stay behind";
        return Err(Error::BadInput(format!("{problem}. --while-running copies all the same")));
    }
    let connections = database::Options::of(&config).map_err(Error::BadInput)?;
    let named = |problem: String| Error::BadInput(format!("--to: {problem}"));
    let target = Db::connect(&target, &connections).await.map_err(named)?;
    if let Some(Unfit { found, remedy }) = target.unfit().await? {
        return Err(named(format!("{found}: {remedy}")));
    }
    let copied = between(&source, &target).await;
    // Closing the last connection to a file puts everything into the one file.
    let closed = target.close().await;
    source.close().await?;
    let rows = copied?;
    closed?;
    super::say(&format!("{rows} rows copied, each table read back and compared"));
    super::say(
        "not in the database, to carry over: the secret (secret.key or VESTIBULE_SECRET_KEY) and the media store",
    );
    Ok(())
}

/// Copies everything, tells it table by table, and returns how many rows there were.
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
            bar.suspend(|| super::say(&format!("{:16} {:>9} rows  {}", table.table, table.rows, table.digest)));
        }
    })
    .await;
    bar.finish_and_clear();
    Ok(copied?.iter().map(|table| table.rows).sum())
}
