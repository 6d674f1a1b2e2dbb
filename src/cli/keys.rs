//! `vestibule keys …`

use super::table::print;
use crate::config::Config;
use crate::domain::keys;
use crate::entity::signing_key::Model;
use crate::error::Result;
use crate::tools::clock::{Clock, Timestamp};

#[derive(clap::Subcommand)]
pub(super) enum KeysCommand {
    /// List the keys, the one that signs first
    List,
    /// Add a key that signs from now on, and let the others run out
    Rotate,
}

/// Does what was asked.
pub(super) async fn run(config: Config, command: KeysCommand) -> Result<()> {
    match command {
        KeysCommand::List => list(config).await,
        KeysCommand::Rotate => rotate(config).await,
    }
}

async fn list(config: Config) -> Result<()> {
    let now = Clock::System.now().at;
    let keys = keys::list(&super::reach(&config).await?).await?;
    let rows: Vec<Vec<String>> =
        keys.into_iter().map(|key| vec![key.kid.clone(), key.created_at.to_string(), state(&key, now)]).collect();
    print(&["KEY", "MADE", "STATE"], &rows);
    Ok(())
}

fn state(key: &Model, now: Timestamp) -> String {
    match key.expires_at {
        None => "signs".to_owned(),
        Some(end) if end > now => format!("verifies until {end}"),
        Some(end) => format!("ran out at {end}"),
    }
}

/// Adds a key; running instances notice it within a minute, or with the first token that it signed.
async fn rotate(config: Config) -> Result<()> {
    let app = super::open(config).await?;
    let kid = app.rotate_keys(&app.clock.now()).await?;
    super::say(&format!("key {kid} signs from now on"));
    Ok(())
}
