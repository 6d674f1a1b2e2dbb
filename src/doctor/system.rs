//! The installation, for superusers.

use super::report::Finding;
use crate::config::{Config, Setting};
use crate::database::{Db, ServerInfo};
use crate::domain::auth::identity::Superuser;
use crate::domain::auth::signing_keys::{self, KeyState};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// State of an installation.
#[derive(Clone, Debug)]
pub struct System {
    /// Version of the service.
    pub version: &'static str,
    /// All settings with their sources, as of the start; secrets are hidden.
    pub settings: Vec<Setting>,
    /// The database.
    pub database: ServerInfo,
    /// The keys that sign access tokens, newest first.
    pub signing_keys: Vec<SigningKey>,
    /// Findings of the checks that neither send nor measure anything.
    pub findings: Vec<Finding>,
}

/// A key that signs access tokens.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Its id, `kid` in the header of tokens.
    pub kid: String,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Its state.
    pub state: KeyState,
}

/// Reads the state of the installation; changes nothing.
///
/// # Errors
/// [`crate::error::Error::Unavailable`] if the database does not respond.
pub async fn system(db: &Db, now: &Now, _right: Superuser<'_>, config: &Config) -> Result<System> {
    let keys = signing_keys::list(db).await?;
    let signing_keys = signing_keys::states(&keys, now.at)
        .map(|(key, state)| SigningKey { kid: key.kid.clone(), created_at: key.created_at, state })
        .collect();
    Ok(System {
        version: env!("CARGO_PKG_VERSION"),
        settings: config.settings.clone(),
        database: db.facts().await?,
        signing_keys,
        findings: super::examine(config, None).await?.0,
    })
}
