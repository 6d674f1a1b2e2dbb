//! Settings, read from the command line, the environment and `vestibule.toml`.
//!
//! Each setting is a field of [`Config`] and has a flag (`--refresh-ttl`), a variable (`VESTIBULE_REFRESH_TTL`) and a
//! key in the settings file (`refresh_ttl`). The precedence is flag, variable, file, default. Secrets have no flags:
//! see `secrets`.

// Database URLs.
mod database_url;
// Secret settings.
mod secrets;
// Sources of settings.
mod sources;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Args, Command, FromArgMatches as _};
use ipnet::IpNet;

pub use self::database_url::DatabaseUrl;
pub use self::relying_party::PasskeyDomain;
pub use self::sections::{
    ApiTokenConfig, BrandConfig, DatabaseConfig, LimitConfig, LinkConfig, RetentionConfig, SessionConfig, SocketConfig,
    WatchConfig, WireConfig,
};
pub use self::sources::{Origin as SettingOrigin, Setting, Sources};
pub(crate) use self::types::is_loopback;
use self::types::parse_network;
pub use self::types::{
    BaseUrl, Limit, Listen, LogFormat, Masked, Origin, Registration, SecondFactorPolicy, SecretKey, WebLink,
};
use crate::tools::mail::{MailUrl, Sender};
use crate::tools::media::MediaUrl;
use crate::tools::password::{Argon2Engine, Argon2Params};

/// All settings. Durations have the form `10s`, `5m`, `1h`, `30d`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Settings")]
pub struct Config {
    /// Settings file [default: `DATA_DIR/vestibule.toml` if it exists]
    #[arg(long = "config", global = true, env = "VESTIBULE_CONFIG", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Address or host name with port to listen on (port 0 selects a free port), or `unix:PATH` for a Unix socket
    #[arg(long, global = true, env = "VESTIBULE_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: Listen,

    /// Directory for the default database, secret key, emails and media store
    #[arg(long, global = true, env = "VESTIBULE_DATA_DIR", value_name = "DIR", default_value = "data")]
    pub data_dir: PathBuf,

    /// Database URL [default: `sqlite://DATA_DIR/vestibule.db`]
    #[arg(skip)]
    pub database_url: Option<DatabaseUrl>,

    /// Connections to a PostgreSQL server
    #[command(flatten)]
    pub database: DatabaseConfig,

    /// PEM file of certificate authorities trusted for PostgreSQL, mail server, OTLP collector and range API in addition
    /// to the system's [default: none]
    #[arg(long, global = true, env = "VESTIBULE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// URL that clients use; appears in links, cookies and tokens [default: the listen address]
    #[arg(long, global = true, env = "VESTIBULE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<BaseUrl>,

    /// Base URL of links in emails [default: the built-in pages]
    #[arg(long, global = true, env = "VESTIBULE_FRONTEND_URL", value_name = "URL")]
    pub frontend_url: Option<BaseUrl>,

    /// Mail server or directory [default: `file:DATA_DIR/mail`]
    #[arg(skip)]
    pub mail_url: Option<MailUrl>,

    /// Store of users' files [default: `file:DATA_DIR/media`]
    #[arg(skip)]
    pub media_url: Option<MediaUrl>,

    /// Sender of emails
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_MAIL_FROM",
        value_name = "MAILBOX",
        default_value = "Vestibule <noreply@localhost>"
    )]
    pub mail_from: Sender,

    /// Rate limit on emails sent by this process: `60/1m` allows a burst of 60, refilled over one minute [default:
    /// unlimited]
    #[arg(long, global = true, env = "VESTIBULE_MAIL_RATE", value_name = "LIMIT")]
    pub mail_rate: Option<Limit>,

    /// Contact for support shown in emails: an address or a URL
    #[arg(long, global = true, env = "VESTIBULE_SUPPORT", value_name = "TEXT")]
    pub support: Option<String>,

    /// Name of the site in emails and pages
    #[arg(long, global = true, env = "VESTIBULE_SITE_NAME", value_name = "NAME", default_value = "Vestibule")]
    pub site_name: String,

    /// Look of pages and emails
    #[command(flatten)]
    pub brand: BrandConfig,

    /// Secret key, from which all other keys are derived [default: generated once in `DATA_DIR`]
    #[arg(skip)]
    pub secret_key: Option<SecretKey>,

    /// Previous secret key, still used to open stored secrets and verify refresh tokens
    #[arg(skip)]
    pub secret_key_previous: Option<SecretKey>,

    /// Files that secrets were read from, with the names of their settings
    #[arg(skip)]
    pub secret_files: Vec<(String, PathBuf)>,

    /// All settings with their sources, for display; secrets are hidden
    #[arg(skip)]
    pub settings: Vec<Setting>,

    /// True if the working directory has a `vestibule.toml` that is not read
    #[arg(skip)]
    pub ignored_file: bool,

    /// Settings file that was read
    #[arg(skip)]
    pub read_file: Option<PathBuf>,

    /// Email address of the first superuser, created only if no superuser exists
    #[arg(long, global = true, env = "VESTIBULE_ADMIN_EMAIL", value_name = "EMAIL", default_value = "admin@localhost")]
    pub admin_email: String,

    /// Password of the first superuser [default: random, printed once]
    #[arg(skip)]
    pub admin_password: Option<Masked>,

    /// Origins whose pages may call the API, separated by commas
    #[arg(long, global = true, env = "VESTIBULE_ALLOWED_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<Origin>,

    /// Networks of proxies whose `X-Forwarded-For` is trusted, separated by commas
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// Lifetime and renewal of sessions
    #[command(flatten)]
    pub sessions: SessionConfig,

    /// Lifetime of links in emails
    #[command(flatten)]
    pub links: LinkConfig,

    /// Lifetime of API tokens
    #[command(flatten)]
    pub api_tokens: ApiTokenConfig,

    /// Rate limits
    #[command(flatten)]
    pub limits: LimitConfig,

    /// Retention of personal data
    #[command(flatten)]
    pub retention: RetentionConfig,

    /// WebSocket connections
    #[command(flatten)]
    pub sockets: SocketConfig,

    /// Connection limits and timeouts
    #[command(flatten)]
    pub wire: WireConfig,

    /// Monitoring
    #[command(flatten)]
    pub watch: WatchConfig,

    /// Argon2 parameters for password hashing: memory in KiB, passes, lanes
    #[arg(long, global = true, env = "VESTIBULE_ARGON2", value_name = "PARAMETERS", default_value = "m=19456,t=2,p=1")]
    pub argon2: Argon2Params,

    /// Implementation of Argon2: `portable`, or `simd` if built in; both compute the same hashes
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_ARGON2_ENGINE",
        value_name = "ENGINE",
        default_value_t = Argon2Engine::default()
    )]
    pub argon2_engine: Argon2Engine,

    /// Minimum password length in characters, 8 to 128
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_PASSWORD_MIN_LENGTH",
        value_name = "CHARACTERS",
        default_value = "8",
        value_parser = clap::value_parser!(u16).range(8..=128)
    )]
    pub password_min_length: u16,

    /// List of breached passwords, built by `vestibule breached-passwords build`; new passwords in it are refused
    /// [default: none]
    #[arg(long, global = true, env = "VESTIBULE_BREACHED_PASSWORDS_FILE", value_name = "FILE")]
    pub breached_passwords_file: Option<PathBuf>,

    /// Range API of breached passwords, such as `https://api.pwnedpasswords.com/range/`, which gets the first five
    /// characters of the SHA-1 hash of new passwords [default: none]
    #[arg(long, global = true, env = "VESTIBULE_BREACHED_PASSWORDS_API", value_name = "URL")]
    pub breached_passwords_api: Option<BaseUrl>,

    /// Sign-up by users themselves
    #[arg(long, global = true, env = "VESTIBULE_REGISTRATION", value_name = "STATE", default_value = "open")]
    pub registration: Registration,

    /// Second factor at sign-in: users may have one, staff or all users must have one, or off
    #[arg(long, global = true, env = "VESTIBULE_SECOND_FACTOR", value_name = "POLICY", default_value = "optional")]
    pub second_factor: SecondFactorPolicy,

    /// Domain of passkeys: that of the public URL, or a parent of it; a change disables all passkeys
    #[arg(long, global = true, env = "VESTIBULE_PASSKEY_DOMAIN", value_name = "DOMAIN")]
    pub passkey_domain: Option<PasskeyDomain>,

    /// Allow introspection of the schema
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_INTROSPECTION",
        value_name = "BOOL",
        default_value = "true",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::Set
    )]
    pub introspection: bool,

    /// Serve GraphiQL
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_GRAPHIQL",
        value_name = "BOOL",
        default_value = "true",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::Set
    )]
    pub graphiql: bool,

    /// Serve as a subgraph of Apollo Federation 2
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_FEDERATION",
        value_name = "BOOL",
        default_value = "false",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::Set
    )]
    pub federation: bool,

    /// Log level: error, warn, info, debug, trace, or a filter such as `vestibule=debug`
    #[arg(long, global = true, env = "VESTIBULE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Format of log lines
    #[arg(long, global = true, env = "VESTIBULE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl Config {
    /// Defaults without settings file and environment, for tests.
    pub fn defaults() -> Self {
        let command = Self::augment_args(Command::new("vestibule")).mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from(["vestibule"]);
        Self::from_arg_matches(&matches).expect("every default is valid")
    }

    /// Configured database, or the default in the data directory.
    pub fn database_url(&self) -> DatabaseUrl {
        self.database_url.clone().unwrap_or_else(|| DatabaseUrl::sqlite(&self.data_dir.join("vestibule.db")))
    }

    /// File of the secret key, used if no setting gives one.
    pub fn secret_key_path(&self) -> PathBuf {
        self.data_dir.join("secret.key")
    }

    /// True if other machines can reach the service, by its listen address or public URL.
    pub fn is_reachable(&self) -> bool {
        !self.listen.is_on_loopback() || self.public_url.as_ref().is_some_and(|url| !url.is_on_loopback())
    }

    /// Configured mail server, or the default directory.
    pub fn mail_url(&self) -> MailUrl {
        self.mail_url.clone().unwrap_or_else(|| MailUrl::Folder(self.data_dir.join("mail")))
    }

    /// Configured store of users' files, or the default directory.
    pub fn media_url(&self) -> MediaUrl {
        self.media_url.clone().unwrap_or_else(|| MediaUrl::Folder(self.data_dir.join("media")))
    }

    /// Checks combinations of settings.
    ///
    /// # Errors
    /// One line that names the setting.
    pub fn validate(&self) -> Result<(), String> {
        let sessions = &self.sessions;
        if sessions.access_ttl < Duration::from_secs(1) {
            return Err("VESTIBULE_ACCESS_TTL must be at least 1s".to_owned());
        }
        if sessions.access_ttl > sessions.refresh_ttl {
            return Err("VESTIBULE_ACCESS_TTL must not be longer than VESTIBULE_REFRESH_TTL".to_owned());
        }
        if sessions.refresh_ttl > sessions.session_ttl {
            return Err("VESTIBULE_REFRESH_TTL must not be longer than VESTIBULE_SESSION_TTL".to_owned());
        }
        if self.sockets.sockets > self.wire.connections {
            return Err("VESTIBULE_SOCKETS must not be more than VESTIBULE_CONNECTIONS".to_owned());
        }
        if self.sockets.sockets_per_client > self.wire.connections_per_client {
            return Err(
                "VESTIBULE_SOCKETS_PER_CLIENT must not be more than VESTIBULE_CONNECTIONS_PER_CLIENT".to_owned()
            );
        }
        if self.site_name.trim().is_empty() || self.site_name.chars().any(char::is_control) {
            return Err("VESTIBULE_SITE_NAME must be a single line and not empty".to_owned());
        }
        if self.public_url.is_none() && self.listen.url().is_none() {
            return Err("VESTIBULE_PUBLIC_URL is required if VESTIBULE_LISTEN is a Unix socket".to_owned());
        }
        if let Some(url) = &self.public_url {
            if !url.has_plain_path() {
                return Err(
                    "VESTIBULE_PUBLIC_URL: use only letters, digits, `-`, `.`, `_` and `~` in the path".to_owned()
                );
            }
            let first = url.path().split('/').nth(1).unwrap_or_default();
            if OWN_PATHS.contains(&first) {
                return Err(format!(
                    "VESTIBULE_PUBLIC_URL: the path /{first} is reserved for the service. Use another one, such as /id"
                ));
            }
        }
        Ok(())
    }
}

/// First segments of the service's own paths. They are reserved because a proxy may or may not strip its path prefix.
const OWN_PATHS: [&str; 10] =
    ["account", "dev", "export", "graphiql", "graphql", "healthz", "import", "media", "readyz", ".well-known"];

#[cfg(test)]
mod tests;
// Groups of settings.
mod sections;
// The service as browsers know it.
mod relying_party;
// Types of settings.
mod types;
