//! `vestibule sessions …`

use crate::config::Config;
use crate::domain::sessions;
use crate::error::Result;

/// Which sessions to end.
#[derive(clap::Args)]
pub(super) struct RevokeOptions {
    /// Those of everybody
    #[arg(long, required = true)]
    all: bool,
}

/// Ends sessions: nobody's tokens are good any more, and everybody has to sign in again.
pub(super) async fn revoke(config: Config, _options: RevokeOptions) -> Result<()> {
    let app = super::open(config).await?;
    let ended = sessions::end_everybodys(&app.db).await?;
    super::say(&format!("{ended} sessions ended"));
    Ok(())
}
