//! `vestibule copy`

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::{Config, DatabaseUrl};
use crate::database::Db;
use crate::domain::copy::{self, Progress};
use crate::error::{Error, Result};

/// Where to copy everything.
#[derive(clap::Args)]
pub(super) struct Options {
    /// An empty database, `sqlite://PATH` or `postgres://…`; its schema is made on the way. With a password: @FILE, which
    /// holds the address, or - for standard input
    #[arg(long, value_name = "URL")]
    to: String,
}

/// Copies everything from the configured database.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let target = super::address::read("--to", &options.to)?;
    let target: DatabaseUrl = target.parse().map_err(|problem| Error::BadInput(format!("--to: {problem}")))?;
    let source = super::look(&config.database_url()).await?;
    let named = |error: sea_orm::DbErr| Error::internal(format!("--to: {error}"));
    let target = Db::connect(&target).await.map_err(named)?;
    let rows = between(&source, &target).await?;
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
