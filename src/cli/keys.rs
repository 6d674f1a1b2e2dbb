//! `vestibule keys …`

use std::sync::Arc;

use super::table::Format;
use crate::app::App;
use crate::config::{Config, SecretKey};
use crate::domain::auth::signing_keys::{self, KeyState, RELOAD, Start};
use crate::domain::operator::{self, Operator};
use crate::entity::signing_key::Model;
use crate::error::{Error, Result};
use crate::tools::clock::Clock;
use crate::tools::secret::MasterSecrets;
use crate::tools::secret_file;

#[derive(clap::Subcommand)]
pub(super) enum KeysCommand {
    /// List the signing keys with their states
    List(Format),
    /// Add a signing key; it is published immediately and signs after a few minutes; older keys expire
    Rotate {
        /// Sign with the new key immediately, before caches know it; for use when the current key may have leaked
        #[arg(long)]
        now: bool,
    },
    /// Revoke a signing key; tokens it signed become invalid, and another key signs
    Revoke {
        /// Id of the key, as printed by `keys list`
        kid: String,
    },
    /// Start over after permanent loss of the secret key: delete all signing keys and end all sessions
    Reset {
        /// Confirm that the secret key is lost and no copy is left
        #[arg(long, required = true)]
        lost_secret: bool,
    },
    /// Re-encrypt stored secrets from VESTIBULE_SECRET_KEY_PREVIOUS to VESTIBULE_SECRET_KEY
    Reseal,
}

/// Runs the subcommand.
pub(super) async fn run(config: Config, command: KeysCommand) -> Result<()> {
    match command {
        KeysCommand::List(format) => list(config, format).await,
        KeysCommand::Rotate { now: true } => Box::pin(rotate(config, Start::AtOnce)).await,
        KeysCommand::Rotate { now: false } => Box::pin(rotate(config, Start::Announced)).await,
        KeysCommand::Revoke { kid } => Box::pin(revoke(config, &kid)).await,
        KeysCommand::Reset { .. } => Box::pin(reset(config)).await,
        KeysCommand::Reseal => Box::pin(reseal(config)).await,
    }
}

/// Opens the application on an existing, migrated database.
async fn open(config: Config) -> Result<Arc<App>> {
    super::open_migrated(&config).await?.close().await?;
    super::open(config).await
}

/// Replaces everything sealed with a permanently lost secret key.
async fn reset(config: Config) -> Result<()> {
    let current = secret_file::known(config.secret_key.as_ref().map(SecretKey::bytes), &config.secret_key_path());
    let current =
        current.map_err(|error| Error::Command(format!("{}: {error}", config.secret_key_path().display())))?;
    let db = super::open_migrated(&config).await?;
    let secrets = current.map(|current| MasterSecrets {
        current,
        previous: config.secret_key_previous.as_ref().map(|key| key.bytes().to_vec()),
    });
    let done = operator::keys::reset(&db, &Clock::System.now(), &Operator::new(), secrets.as_ref()).await?;
    db.close().await?;
    super::open(config).await?;
    super::say(&format!(
        "{} deleted, {} ended; a new signing key is active",
        super::counted(done.signing_keys, "signing key", "signing keys"),
        super::counted(done.sessions, "session", "sessions")
    ));
    super::say("all users must sign in again; waiting emails get new links");
    Ok(())
}

async fn list(config: Config, format: Format) -> Result<()> {
    let now = Clock::System.now().at;
    let keys = signing_keys::list(&super::open_migrated(&config).await?).await?;
    let row = |(key, state): (&Model, KeyState)| vec![key.kid.clone(), key.created_at.to_string(), text(state)];
    let rows: Vec<Vec<String>> = signing_keys::states(&keys, now).map(row).collect();
    format.print(&["KEY", "MADE", "STATE"], &rows);
    Ok(())
}

fn text(state: KeyState) -> String {
    match state {
        KeyState::Signing => "signing".to_owned(),
        KeyState::Published(start) => format!("published, signing from {start}"),
        KeyState::Verifying(end) => format!("verifying until {end}"),
        KeyState::Expired(end) => format!("expired {end}"),
    }
}

async fn rotate(config: Config, start: Start) -> Result<()> {
    let app = open(config).await?;
    let rotation = app.rotate_keys(&app.clock.now(), &Operator::new(), start).await?;
    super::say(&match start {
        Start::Announced => format!("key {} is published and will sign from {}", rotation.kid, rotation.signs_from),
        Start::AtOnce => format!("key {} is signing now", rotation.kid),
    });
    Ok(())
}

async fn revoke(config: Config, kid: &str) -> Result<()> {
    let app = open(config).await?;
    let signs = app.revoke_key(&app.clock.now(), &Operator::new(), kid).await?;
    super::say(&format!("key {kid} revoked; running instances reject its tokens within {} s", RELOAD.as_secs()));
    super::say(&format!("key {signs} is signing now"));
    Ok(())
}

async fn reseal(config: Config) -> Result<()> {
    let app = open(config).await?;
    let done = app.reseal(&app.clock.now(), &Operator::new()).await?;
    super::say(&format!(
        "resealed {}, {} and {}",
        super::counted(done.signing_keys, "signing key", "signing keys"),
        super::counted(done.factors + done.recovery_codes, "second factor", "second factors"),
        super::counted(done.mails, "email", "emails")
    ));
    if done.unreadable > 0 {
        let secrets = super::counted(done.unreadable, "stored secret", "stored secrets");
        let problem = "can be opened with neither VESTIBULE_SECRET_KEY nor VESTIBULE_SECRET_KEY_PREVIOUS";
        let remedy = "Run the command again with the secret key that sealed them";
        return Err(Error::Command(format!("{secrets} {problem}. {remedy}.")));
    }
    Ok(())
}
