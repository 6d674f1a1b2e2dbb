//! The installation, for superusers.

use async_graphql::{Context, Enum, Object, SimpleObject};

use crate::config::Setting;
use crate::doctor::report::{Finding, Level};
use crate::doctor::system::{self, SigningKey};
use crate::domain::auth::signing_keys::KeyState;
use crate::graphql::context::{app, now, viewer};
use crate::graphql::errors::Answer;
use crate::graphql::scalars::DateTime;

/// Cost of the checks, which open a connection to the database.
const CHECKS: usize = 1000;

/// State of the installation.
#[derive(SimpleObject)]
pub(crate) struct System {
    /// Version of the service.
    version: &'static str,
    /// Kind and version of the database.
    database: String,
    /// Size of the database in MiB.
    database_size: i32,
    /// All settings with their sources, as of the start of the service.
    settings: Vec<SystemSetting>,
    /// Keys that sign access tokens, newest first.
    signing_keys: Vec<SystemKey>,
    /// Findings of `vestibule doctor --quick`: checks of settings, files and database.
    findings: Vec<SystemFinding>,
}

/// Setting of the service.
#[derive(SimpleObject)]
pub(crate) struct SystemSetting {
    /// Name, as in `vestibule.toml`.
    name: String,
    /// Value; null if not set. Of secrets only `(set)`, and no password in a URL.
    value: Option<String>,
    /// Source: `command line`, a variable, a file with its line, or `default`.
    source: String,
}

/// Key that signs access tokens.
#[derive(SimpleObject)]
pub(crate) struct SystemKey {
    /// Id of the key, `kid` in the header of tokens.
    kid: String,
    /// Time of creation.
    created_at: DateTime,
    /// State.
    state: SigningKeyState,
    /// Time from which a published key signs; end of a key that only verifies or has expired; null for the key that
    /// signs.
    at: Option<DateTime>,
}

/// State of a signing key.
#[derive(Clone, Copy, Enum, PartialEq, Eq)]
pub(crate) enum SigningKeyState {
    /// Signs new tokens.
    Signing,
    /// Is published, and will sign.
    Published,
    /// Verifies earlier tokens.
    Verifying,
    /// Is not used any more.
    Expired,
}

/// Finding of a check.
#[derive(SimpleObject)]
pub(crate) struct SystemFinding {
    /// Name of the check.
    check: &'static str,
    /// Severity.
    level: FindingLevel,
    /// State that was found.
    found: String,
    /// Advice; null if all is in order.
    remedy: Option<String>,
}

/// Severity of a finding.
#[derive(Clone, Copy, Enum, PartialEq, Eq)]
pub(crate) enum FindingLevel {
    /// In order.
    Ok,
    /// Works, but should be looked at.
    Warning,
    /// Does not work.
    Failure,
}

#[derive(Default)]
pub(crate) struct SystemQuery;

#[Object]
impl SystemQuery {
    /// Returns version, settings, database, signing keys and the findings of checks. Superusers only; never with an API
    /// token.
    #[graphql(complexity = "CHECKS + child_complexity")]
    async fn system(&self, ctx: &Context<'_>) -> Answer<Option<System>> {
        let app = app(ctx);
        let found = system::system(&app.db, &now(ctx), viewer(ctx)?.superuser()?, &app.config).await?;
        Ok(Some(System {
            version: found.version,
            database: found.database.version,
            database_size: i32::try_from(found.database.size >> 20).unwrap_or(i32::MAX),
            settings: found.settings.into_iter().map(SystemSetting::from).collect(),
            signing_keys: found.signing_keys.into_iter().map(SystemKey::from).collect(),
            findings: found.findings.into_iter().map(SystemFinding::from).collect(),
        }))
    }
}

impl From<Setting> for SystemSetting {
    fn from(setting: Setting) -> Self {
        Self { name: setting.name, value: setting.value, source: setting.origin.to_string() }
    }
}

impl From<SigningKey> for SystemKey {
    fn from(key: SigningKey) -> Self {
        let (state, at) = match key.state {
            KeyState::Signing => (SigningKeyState::Signing, None),
            KeyState::Published(start) => (SigningKeyState::Published, Some(start)),
            KeyState::Verifying(end) => (SigningKeyState::Verifying, Some(end)),
            KeyState::Expired(end) => (SigningKeyState::Expired, Some(end)),
        };
        Self { kid: key.kid, created_at: key.created_at.into(), state, at: at.map(DateTime) }
    }
}

impl From<Finding> for SystemFinding {
    fn from(finding: Finding) -> Self {
        let level = match finding.level {
            Level::Ok => FindingLevel::Ok,
            Level::Warn => FindingLevel::Warning,
            Level::Fail => FindingLevel::Failure,
        };
        Self { check: finding.check, level, found: finding.found, remedy: finding.remedy }
    }
}
