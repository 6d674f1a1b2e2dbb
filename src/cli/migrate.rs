//! `vestibule migrate`

use crate::config::Config;
use crate::error::Result;

/// Applies pending migrations.
pub(super) async fn run(config: Config) -> Result<()> {
    super::open_and_migrate(config).await?;
    super::say("the database is up to date");
    Ok(())
}
