//! The one place that reads `vestibule.toml`, the environment and the settings on the command line.
//!
//! Each setting is a field of [`Config`], and by that a flag (`--refresh-ttl`), a variable (`VESTIBULE_REFRESH_TTL`) and
//! a key of the file (`refresh_ttl`): the flag goes before the variable, the variable before the file, the file before
//! the default.

// Settings that belong together.
mod groups;
// What settings are made of.
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, Args, Command, FromArgMatches as _};
use ipnet::IpNet;

pub use self::groups::{
    ApiTokenConfig, LimitConfig, LinkConfig, RetentionConfig, SessionConfig, SocketConfig, WatchConfig, WireConfig,
};
use self::values::parse_network;
pub use self::values::{BaseUrl, DatabaseUrl, Limit, LogFormat, Masked, Origin, Registration, SecretKey};
use crate::tools::mail::{MailUrl, Sender};
use crate::tools::media::MediaUrl;
use crate::tools::password::{Argon2Engine, Argon2Params};

/// All settings. Durations are written `10s`, `5m`, `1h`, `30d`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Settings")]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, global = true, env = "VESTIBULE_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,

    /// Folder for what the embedded defaults need
    #[arg(long, global = true, env = "VESTIBULE_DATA_DIR", value_name = "FOLDER", default_value = "data")]
    pub data_dir: PathBuf,

    /// `sqlite://PATH` or `postgres://…` [default: `sqlite://DATA_DIR/vestibule.db`]
    #[arg(long, global = true, env = "VESTIBULE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<DatabaseUrl>,

    /// Where clients reach the service; stands in links, cookies and tokens [default: the listen address]
    #[arg(long, global = true, env = "VESTIBULE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<BaseUrl>,

    /// Where links in mails lead [default: the built-in pages]
    #[arg(long, global = true, env = "VESTIBULE_FRONTEND_URL", value_name = "URL")]
    pub frontend_url: Option<BaseUrl>,

    /// `file:FOLDER` (one .eml each), `smtp://user:password@host:port` or `smtps://…` [default: `file:DATA_DIR/mail`]
    #[arg(long, global = true, env = "VESTIBULE_MAIL_URL", value_name = "URL", hide_env_values = true)]
    pub mail_url: Option<MailUrl>,

    /// Where files of users go: `file:FOLDER`, `s3://BUCKET/PATH`, `gs://…` or `az://…` [default: `file:DATA_DIR/media`]
    #[arg(long, global = true, env = "VESTIBULE_MEDIA_URL", value_name = "URL", hide_env_values = true)]
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

    /// Whom mails say to ask: an address or a link
    #[arg(long, global = true, env = "VESTIBULE_SUPPORT", value_name = "TEXT")]
    pub support: Option<String>,

    /// Whose mails and pages they are
    #[arg(long, global = true, env = "VESTIBULE_SITE_NAME", value_name = "NAME", default_value = "Vestibule")]
    pub site_name: String,

    /// Seals the signing keys; the same for all instances; 32 characters or more [default: made once in `DATA_DIR`]
    #[arg(long, global = true, env = "VESTIBULE_SECRET_KEY", value_name = "SECRET", hide_env_values = true)]
    pub secret_key: Option<SecretKey>,

    /// The first superuser's address; the account is made only when there is no superuser
    #[arg(long, global = true, env = "VESTIBULE_ADMIN_EMAIL", value_name = "EMAIL", default_value = "admin@localhost")]
    pub admin_email: String,

    /// The first superuser's password [default: random, printed once]
    #[arg(long, global = true, env = "VESTIBULE_ADMIN_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
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
        Ok(())
    }
}

/// Puts what `vestibule.toml` says (or the file that `VESTIBULE_CONFIG` names) beneath the command's flags and
/// variables. The text of an error is one line that names the file and the setting.
pub fn with_file(command: Command) -> Result<Command, String> {
    #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
    let named = std::env::var_os("VESTIBULE_CONFIG").map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| PathBuf::from("vestibule.toml"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(command),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    with_text(command, &text).map_err(|problem| format!("{}: {problem}", path.display()))
}

fn with_text(mut command: Command, text: &str) -> Result<Command, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    for (key, value) in table {
        let known = |arg: &Arg| arg.get_id() == key.as_str() && arg.get_env().is_some();
        if !command.get_arguments().any(known) {
            return Err(format!("there is no setting {key}"));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(list) if list.iter().all(toml::Value::is_str) => {
                list.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(",")
            }
            _ => return Err(format!("{key} must be a text, a number, true, false, or a list of texts")),
        };
        command = command.mut_arg(key, |arg| arg.default_value(value));
    }
    Ok(command)
}

/// Clap's error in one line that names the setting as operators know it.
pub fn explain(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    let text = error.to_string();
    let mut line = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    if let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) {
        let flag = arg.trim_start_matches("--").split([' ', '=']).next().unwrap_or_default();
        let problem = std::error::Error::source(error).map_or_else(|| line.clone(), ToString::to_string);
        if !flag.is_empty() && arg.starts_with("--") {
            line = format!("VESTIBULE_{}: {problem}", flag.to_uppercase().replace('-', "_"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, flags: &[&str]) -> Result<Config, String> {
        let command = Config::augment_args(Command::new("vestibule"));
        let command = with_text(command, file)?.mut_args(|arg| arg.env(Resettable::Reset));
        let matches =
            command.try_get_matches_from([&["vestibule"], flags].concat()).map_err(|error| explain(&error))?;
        Config::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_go_before_the_file_and_the_file_before_defaults() {
        let config = parse("listen = '0.0.0.0:80'\nrefresh_grace = '3s'", &["--refresh-grace", "4s"]).unwrap();
        assert_eq!(config.listen.port(), 80);
        assert_eq!(config.sessions.refresh_grace, Duration::from_secs(4));
        assert_eq!(config.sessions.access_ttl, Duration::from_secs(300));
    }

    #[test]
    fn lists_and_numbers_may_be_written_as_such() {
        let file = "allowed_origins = ['http://a.example', 'http://b.example:1']\npassword_min_length = 15";
        let config = parse(file, &[]).unwrap();
        assert_eq!(config.allowed_origins.len(), 2);
        assert_eq!(config.password_min_length, 15);
    }

    #[test]
    fn connections_within_this_machine_are_plain_unless_the_address_says_otherwise() {
        let url = |text: &str| text.parse::<DatabaseUrl>().unwrap().reveal().to_owned();
        assert_eq!(url("postgres://u:p@localhost/d"), "postgres://u:p@localhost/d?sslmode=disable");
        assert_eq!(url("postgres://u@127.0.0.1:5433/d?a=b"), "postgres://u@127.0.0.1:5433/d?a=b&sslmode=disable");
        assert_eq!(url("postgresql://u@[::1]/d"), "postgresql://u@[::1]/d?sslmode=disable");
        for text in [
            "postgres://u@localhost/d?sslmode=require",
            "postgres://u@localhost/d?ssl-mode=verify-full",
            "postgres://u@localhost/d?host=/run/postgresql",
            "postgres://u@db.example/d",
            "postgres://u@10.0.0.5/d",
            "postgres:///d",
            "sqlite://data/vestibule.db",
        ] {
            assert_eq!(url(text), text);
        }
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let origin = |text: &str| text.parse::<Origin>().map(|origin| origin.as_str().to_owned());
        assert_eq!(origin("https://App.Example:443/").as_deref(), Ok("https://app.example"));
        assert_eq!(origin("http://bücher.example:8080").as_deref(), Ok("http://xn--bcher-kva.example:8080"));
        for text in
            ["*", "null", "https://*.example", "app.example", "file:///", "https://a.example/b", "https://u@a.example"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
        let public: BaseUrl = "https://Accounts.Example:443/at/home".parse().unwrap();
        assert_eq!(public.origin().as_str(), "https://accounts.example");
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line_that_names_the_setting() {
        let problem = |file: &str, flags: &[&str]| parse(file, flags).unwrap_err();
        assert_eq!(problem("lisen = 'x'", &[]), "there is no setting lisen");
        assert_eq!(
            problem("access_ttl = 'soon'", &[]),
            "VESTIBULE_ACCESS_TTL: 'soon' is no duration such as 10s, 5m, 1h or 30d"
        );
        for (life, reason) in [
            ("0s", "'0s' is shorter than a minute"),
            ("none", "'none' is no duration such as 10s, 5m, 1h or 30d"),
            ("11years", "'11years' is longer than ten years"),
        ] {
            assert_eq!(problem("", &["--api-token-ttl", life]), format!("VESTIBULE_API_TOKEN_TTL: {reason}"));
        }
        assert_eq!(problem("", &["--listen", "here"]), "VESTIBULE_LISTEN: invalid socket address syntax");
        assert!(problem("", &["--secret-key", "changeme"]).starts_with("VESTIBULE_SECRET_KEY: it must be 32 random"));
        assert!(problem("", &["--password-min-length", "7"]).starts_with("VESTIBULE_PASSWORD_MIN_LENGTH: 7 is not in"));
        assert!(problem("", &["--database-url", "mysql://u:geheim@h"]).starts_with("VESTIBULE_DATABASE_URL: it must"));
        assert!(!problem("", &["--database-url", "mysql://u:geheim@h"]).contains("geheim"));
        assert!(
            problem("", &["--allowed-origins", "https://a.example/path"]).starts_with("VESTIBULE_ALLOWED_ORIGINS: ")
        );
    }

    #[test]
    fn settings_that_contradict_each_other_are_told() {
        let config = parse("access_ttl = '40d'", &[]).unwrap();
        assert_eq!(
            config.validate().unwrap_err(),
            "VESTIBULE_ACCESS_TTL must not be longer than VESTIBULE_REFRESH_TTL"
        );
        assert!(Config::defaults().validate().is_ok());
        for (setting, problem) in [
            ("sockets = 20000", "VESTIBULE_SOCKETS must not be more than VESTIBULE_CONNECTIONS"),
            (
                "connections_per_client = 50",
                "VESTIBULE_SOCKETS_PER_CLIENT must not be more than VESTIBULE_CONNECTIONS_PER_CLIENT",
            ),
        ] {
            assert_eq!(parse(setting, &[]).unwrap().validate().unwrap_err(), problem);
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        for weak in [
            "",
            "changeme",
            "secret",
            "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/",
            "change-me-change-me-change-me-change-me",
            "00000000000000000000000000000000",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "passwordpasswordpasswordpassword123",
            "qwertyuiopasdfghjklzxcvbnm1234567890",
        ] {
            assert!(problem_of(weak).starts_with("VESTIBULE_SECRET_KEY: it must be 32 random"), "{weak}");
        }
        for good in [
            "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "mI3s0iV+PpVUxwdBQ0n0Gq7nq0cXl3Jr0i6d0r6Yb1s=",
        ] {
            assert!(parse("", &["--secret-key", good]).is_ok(), "{good}");
        }
        for _ in 0..200 {
            let bytes = crate::tools::secret::Secret::<16>::random().reveal();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let few = hex.chars().collect::<std::collections::HashSet<_>>().len() < 10;
            assert!(few || hex.parse::<SecretKey>().is_ok(), "{hex}");
        }
    }

    fn problem_of(secret: &str) -> String {
        parse("", &["--secret-key", secret]).unwrap_err()
    }

    #[test]
    fn secrets_are_not_printed() {
        let flags = [
            "--admin-password",
            "geheim",
            "--database-url",
            "postgres://u:geheim@h/d",
            "--mail-url",
            "smtp://u:geheim@h",
        ];
        assert!(!format!("{:?}", parse("", &flags).unwrap()).contains("geheim"));
    }
}
