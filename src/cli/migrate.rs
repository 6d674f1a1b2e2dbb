//! `vestibule migrate`

use crate::config::Config;
use crate::error::Result;

/// Brings the database up to date.
pub(super) async fn run(config: Config) -> Result<()> {
    super::open_and_migrate(config).await?;
    super::say("the database is up to date");
    Ok(())
}
