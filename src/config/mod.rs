//! The settings, and the one place that reads `vestibule.toml`, the environment and the command line.
//!
//! Each setting is a field of [`Config`], and by that a flag (`--refresh-ttl`), a variable (`VESTIBULE_REFRESH_TTL`) and
//! a key of the file (`refresh_ttl`): the flag goes before the variable, the variable before the file, the file before
//! the default. Secrets have no flags: see `secrets`.

// The address of the database.
mod database_url;
// The settings that are secrets.
mod secrets;
// Where settings come from.
mod sources;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Args, Command, FromArgMatches as _};
use ipnet::IpNet;

pub use self::database_url::DatabaseUrl;
pub use self::sections::{
    ApiTokenConfig, DatabaseConfig, LimitConfig, LinkConfig, RetentionConfig, SessionConfig, SocketConfig, WatchConfig,
    WireConfig,
};
pub use self::sources::{Origin as SettingOrigin, Setting, Sources};
pub(crate) use self::types::is_loopback;
use self::types::parse_network;
pub use self::types::{BaseUrl, Limit, Listen, LogFormat, Masked, Origin, Registration, SecretKey};
use crate::tools::mail::{MailUrl, Sender};
use crate::tools::media::MediaUrl;
use crate::tools::password::{Argon2Engine, Argon2Params};

/// All settings. Durations are written `10s`, `5m`, `1h`, `30d`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Settings")]
pub struct Config {
    /// File of settings [default: `DATA_DIR/vestibule.toml`, where there is one]
    #[arg(long = "config", global = true, env = "VESTIBULE_CONFIG", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Address or name and port to listen on (port 0 takes a free one), or `unix:PATH` for a socket file
    #[arg(long, global = true, env = "VESTIBULE_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: Listen,

    /// Folder for what the embedded defaults need
    #[arg(long, global = true, env = "VESTIBULE_DATA_DIR", value_name = "FOLDER", default_value = "data")]
    pub data_dir: PathBuf,

    /// The database [default: `sqlite://DATA_DIR/vestibule.db`]
    #[arg(skip)]
    pub database_url: Option<DatabaseUrl>,

    /// Connections to a PostgreSQL server
    #[command(flatten)]
    pub database: DatabaseConfig,

    /// File of certificates in PEM: authorities that vouch for PostgreSQL, mail server and OTLP collector besides the
    /// system's [default: none]
    #[arg(long, global = true, env = "VESTIBULE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Where clients reach the service; stands in links, cookies and tokens [default: the listen address]
    #[arg(long, global = true, env = "VESTIBULE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<BaseUrl>,

    /// Where links in mails lead [default: the built-in pages]
    #[arg(long, global = true, env = "VESTIBULE_FRONTEND_URL", value_name = "URL")]
    pub frontend_url: Option<BaseUrl>,

    /// The way of mails [default: `file:DATA_DIR/mail`]
    #[arg(skip)]
    pub mail_url: Option<MailUrl>,

    /// The store of users' files [default: `file:DATA_DIR/media`]
    #[arg(skip)]
    pub media_url: Option<MediaUrl>,

    /// The sender of mails
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_MAIL_FROM",
        value_name = "MAILBOX",
        default_value = "Vestibule <noreply@localhost>"
    )]
    pub mail_from: Sender,

    /// Mails that this process sends, written `60/1m`: so many at once, and as many again in that time [default: any number]
    #[arg(long, global = true, env = "VESTIBULE_MAIL_RATE", value_name = "LIMIT")]
    pub mail_rate: Option<Limit>,

    /// Whom mails say to ask: an address or a link
    #[arg(long, global = true, env = "VESTIBULE_SUPPORT", value_name = "TEXT")]
    pub support: Option<String>,

    /// Whose mails and pages they are
    #[arg(long, global = true, env = "VESTIBULE_SITE_NAME", value_name = "NAME", default_value = "Vestibule")]
    pub site_name: String,

    /// The secret from which the service's keys are derived [default: made once in `DATA_DIR`]
    #[arg(skip)]
    pub secret_key: Option<SecretKey>,

    /// The secret before it, under which stored secrets are opened and refresh tokens verified
    #[arg(skip)]
    pub secret_key_previous: Option<SecretKey>,

    /// The files that secrets were read from, by the settings that named them
    #[arg(skip)]
    pub secret_files: Vec<(String, PathBuf)>,

    /// Presence of a `vestibule.toml` in the working folder that is not read
    #[arg(skip)]
    pub ignored_file: bool,

    /// The settings file that was read
    #[arg(skip)]
    pub read_file: Option<PathBuf>,

    /// The first superuser's address; the account is made only when there is no superuser
    #[arg(long, global = true, env = "VESTIBULE_ADMIN_EMAIL", value_name = "EMAIL", default_value = "admin@localhost")]
    pub admin_email: String,

    /// The first superuser's password [default: random, printed once]
    #[arg(skip)]
    pub admin_password: Option<Masked>,

    /// Origins whose pages may call, separated by commas
    #[arg(long, global = true, env = "VESTIBULE_ALLOWED_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<Origin>,

    /// Networks of the proxies whose `X-Forwarded-For` counts, separated by commas
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// Life and renewal of sessions
    #[command(flatten)]
    pub sessions: SessionConfig,

    /// Life of mailed links
    #[command(flatten)]
    pub links: LinkConfig,

    /// Life of API tokens
    #[command(flatten)]
    pub api_tokens: ApiTokenConfig,

    /// Limits on what can be asked for
    #[command(flatten)]
    pub limits: LimitConfig,

    /// How long what is personal is kept
    #[command(flatten)]
    pub retention: RetentionConfig,

    /// Connections by WebSocket
    #[command(flatten)]
    pub sockets: SocketConfig,

    /// Connections, and how long everything may take
    #[command(flatten)]
    pub wire: WireConfig,

    /// Watching the service
    #[command(flatten)]
    pub watch: WatchConfig,

    /// Hashing of passwords: memory in KiB, passes, lanes
    #[arg(long, global = true, env = "VESTIBULE_ARGON2", value_name = "PARAMETERS", default_value = "m=19456,t=2,p=1")]
    pub argon2: Argon2Params,

    /// Implementation of Argon2: `portable`, or `simd` where it was built in; both give the same hashes
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_ARGON2_ENGINE",
        value_name = "ENGINE",
        default_value_t = Argon2Engine::default()
    )]
    pub argon2_engine: Argon2Engine,

    /// Shortest password, in characters: 8 to 128
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_PASSWORD_MIN_LENGTH",
        value_name = "CHARACTERS",
        default_value = "8",
        value_parser = clap::value_parser!(u16).range(8..=128)
    )]
    pub password_min_length: u16,

    /// Whether people may make accounts for themselves
    #[arg(long, global = true, env = "VESTIBULE_REGISTRATION", value_name = "STATE", default_value = "open")]
    pub registration: Registration,

    /// Whether clients may ask for the schema
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

    /// Whether GraphiQL is served
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

    /// Whether gateways may use the service as a subgraph, by Apollo Federation 2
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

    /// What is logged: error, warn, info, debug, trace, or a filter such as `vestibule=debug`
    #[arg(long, global = true, env = "VESTIBULE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// How log lines are written
    #[arg(long, global = true, env = "VESTIBULE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl Config {
    /// The defaults alone, as if there were neither file nor environment: where tests start from.
    pub fn defaults() -> Self {
        let command = Self::augment_args(Command::new("vestibule")).mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from(["vestibule"]);
        Self::from_arg_matches(&matches).expect("every default is valid")
    }

    /// The database, by setting or in the data folder.
    pub fn database_url(&self) -> DatabaseUrl {
        self.database_url.clone().unwrap_or_else(|| DatabaseUrl::sqlite(&self.data_dir.join("vestibule.db")))
    }

    /// The file that holds the secret where no setting gives one.
    pub fn secret_key_path(&self) -> PathBuf {
        self.data_dir.join("secret.key")
    }

    /// Tells whether other machines can reach the service: at the address that it listens on, or at its public URL.
    pub fn is_reachable(&self) -> bool {
        !self.listen.is_on_loopback() || self.public_url.as_ref().is_some_and(|url| !url.is_on_loopback())
    }

    /// The way of mails, by setting or into the data folder.
    pub fn mail_url(&self) -> MailUrl {
        self.mail_url.clone().unwrap_or_else(|| MailUrl::Folder(self.data_dir.join("mail")))
    }

    /// The store of users' files, by setting or in the data folder.
    pub fn media_url(&self) -> MediaUrl {
        self.media_url.clone().unwrap_or_else(|| MediaUrl::Folder(self.data_dir.join("media")))
    }

    /// What no single setting can tell about itself; the text names the setting.
    pub fn validate(&self) -> Result<(), String> {
        let sessions = &self.sessions;
        if sessions.access_ttl < Duration::from_secs(1) {
            return Err("VESTIBULE_ACCESS_TTL must be a second at least".to_owned());
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
            return Err("VESTIBULE_SITE_NAME must be a name on one line".to_owned());
        }
        if self.public_url.is_none() && self.listen.url().is_none() {
            return Err("VESTIBULE_PUBLIC_URL: set it where VESTIBULE_LISTEN is a socket file".to_owned());
        }
        if let Some(url) = &self.public_url {
            if !url.has_plain_path() {
                return Err("VESTIBULE_PUBLIC_URL: use letters, digits, `-`, `.`, `_` and `~` in its path".to_owned());
            }
            let first = url.path().split('/').nth(1).unwrap_or_default();
            if OWN_PATHS.contains(&first) {
                return Err(format!(
                    "VESTIBULE_PUBLIC_URL: the service has pages under /{first} itself: use another path, such as /id"
                ));
            }
        }
        Ok(())
    }
}

/// The first parts of the service's own paths, under which it cannot be put: a proxy may pass a path on with its beginning or
/// without.
const OWN_PATHS: [&str; 10] =
    ["account", "dev", "export", "graphiql", "graphql", "healthz", "import", "media", "readyz", ".well-known"];

#[cfg(test)]
mod tests;
// Settings that belong together.
mod sections;
// What settings are made of.
mod types;
