//! `vestibule keys …`

use std::sync::Arc;

use super::table::Format;
use crate::app::App;
use crate::config::{Config, SecretKey};
use crate::domain::auth::signing_keys::{self, RELOAD, Start};
use crate::domain::operator::{self, Operator};
use crate::entity::signing_key::Model;
use crate::error::{Error, Result};
use crate::tools::clock::{Clock, Timestamp};
use crate::tools::secret::MasterSecrets;
use crate::tools::secret_file;

#[derive(clap::Subcommand)]
pub(super) enum KeysCommand {
    /// List the signing keys: published, signing, verifying, expired
    List(Format),
    /// Add a signing key: published at once, signing after some minutes; the others expire
    Rotate {
        /// Sign with it at once, although others do not know it yet: when the present key may have leaked
        #[arg(long)]
        now: bool,
    },
    /// Remove a signing key: tokens that it signed are invalid; another key signs at once
    Revoke {
        /// Its id, as `keys list` prints it
        kid: String,
    },
    /// Begin anew where the secret key is lost for good: delete the signing keys, and end all sessions
    Reset {
        /// The secret key is lost, and no copy of it is left
        #[arg(long, required = true)]
        lost_secret: bool,
    },
    /// Seal all stored secrets under VESTIBULE_SECRET_KEY that are sealed under VESTIBULE_SECRET_KEY_PREVIOUS
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

/// The application on a database that is there and up to date.
async fn open(config: Config) -> Result<Arc<App>> {
    super::reach(&config).await?.close().await?;
    super::open(config).await
}

/// Replaces what is sealed under a secret that is lost for good.
async fn reset(config: Config) -> Result<()> {
    let current = secret_file::known(config.secret_key.as_ref().map(SecretKey::bytes), &config.secret_key_path());
    let current =
        current.map_err(|error| Error::BadInput(format!("{}: {error}", config.secret_key_path().display())))?;
    let db = super::reach(&config).await?;
    let secrets = current.map(|current| MasterSecrets {
        current,
        previous: config.secret_key_previous.as_ref().map(|key| key.bytes().to_vec()),
    });
    let done = operator::keys::reset(&db, &Clock::System.now(), &Operator::new(), secrets.as_ref()).await?;
    db.close().await?;
    super::open(config).await?;
    super::say(&format!(
        "{} deleted, {} ended; a new key signs",
        super::counted(done.signing_keys, "signing key", "signing keys"),
        super::counted(done.sessions, "session", "sessions")
    ));
    super::say("everybody signs in again; mails that wait get new links");
    Ok(())
}

async fn list(config: Config, format: Format) -> Result<()> {
    let now = Clock::System.now().at;
    let keys = signing_keys::list(&super::reach(&config).await?).await?;
    let signing = signing_keys::signing(&keys, now).map(|key| key.kid.as_str());
    let rows: Vec<Vec<String>> =
        keys.iter().map(|key| vec![key.kid.clone(), key.created_at.to_string(), state(key, signing, now)]).collect();
    format.print(&["KEY", "MADE", "STATE"], &rows);
    Ok(())
}

fn state(key: &Model, signing: Option<&str>, now: Timestamp) -> String {
    match key.expires_at {
        _ if signing == Some(key.kid.as_str()) => "signs".to_owned(),
        None => format!("published, signs from {}", key.signs_from),
        Some(end) if end > now => format!("verifies until {end}"),
        Some(end) => format!("expired at {end}"),
    }
}

async fn rotate(config: Config, start: Start) -> Result<()> {
    let app = open(config).await?;
    let rotation = app.rotate_keys(&app.clock.now(), &Operator::new(), start).await?;
    super::say(&match start {
        Start::Announced => format!("key {} is published and signs from {}", rotation.kid, rotation.signs_from),
        Start::AtOnce => format!("key {} signs from now on", rotation.kid),
    });
    Ok(())
}

async fn revoke(config: Config, kid: &str) -> Result<()> {
    let app = open(config).await?;
    let signs = app.revoke_key(&app.clock.now(), &Operator::new(), kid).await?;
    super::say(&format!("key {kid} is revoked; running instances refuse its tokens within {} s", RELOAD.as_secs()));
    super::say(&format!("key {signs} signs"));
    Ok(())
}

async fn reseal(config: Config) -> Result<()> {
    let app = open(config).await?;
    let done = app.reseal(&app.clock.now(), &Operator::new()).await?;
    super::say(&format!("resealed: signing keys {}, mails {}", done.signing_keys, done.mails));
    if done.unreadable > 0 {
        let problem = "what neither VESTIBULE_SECRET_KEY nor VESTIBULE_SECRET_KEY_PREVIOUS opens";
        return Err(Error::BadInput(format!("{problem}: {}. Run it with the secret of then.", done.unreadable)));
    }
    Ok(())
}
