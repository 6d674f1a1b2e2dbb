//! `vestibule keys …`

use crate::config::Config;
use crate::error::Result;

/// Adds a key; running instances notice it within a minute, or with the first token that it signed.
pub(super) async fn rotate(config: Config) -> Result<()> {
    let app = super::open(config).await?;
    let kid = app.rotate_keys(&app.clock.now()).await?;
    super::say(&format!("key {kid} signs from now on"));
    Ok(())
}
