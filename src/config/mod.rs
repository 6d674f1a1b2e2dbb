//! The one place that reads `vestibule.toml`, the environment and the settings on the command line.
//!
//! Each setting is a field of [`Config`], and by that a flag (`--refresh-ttl`), a variable (`VESTIBULE_REFRESH_TTL`) and
//! a key of the file (`refresh_ttl`): the flag goes before the variable, the variable before the file, the file before
//! the default. Secrets have no flags: see `secrets`.

// The address of the database.
mod database_url;
// Settings that belong together.
mod groups;
// The settings that are secrets.
mod secrets;
// What settings are made of.
mod values;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, Args, Command, FromArgMatches as _};
use ipnet::IpNet;

pub use self::database_url::DatabaseUrl;
pub use self::groups::{
    ApiTokenConfig, DatabaseConfig, LimitConfig, LinkConfig, RetentionConfig, SessionConfig, SocketConfig, WatchConfig,
    WireConfig,
};
pub use self::secrets::Secrets;
pub(crate) use self::values::is_loopback;
use self::values::parse_network;
pub use self::values::{BaseUrl, Limit, Listen, LogFormat, Masked, Origin, Registration, SecretKey};
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

/// Sources of settings other than the command line.
pub struct Sources {
    /// The command, with what the file says beneath its flags and variables.
    pub command: Command,
    /// The secrets, from wherever they may come.
    pub secrets: Secrets,
    /// Presence of a `vestibule.toml` in the working folder that is not read.
    pub ignored_file: bool,
}

/// Puts what the file of settings says beneath the command's flags and variables, and reads the secrets. The file is the one
/// that `--config` or `VESTIBULE_CONFIG` names, or else `vestibule.toml` in the data folder: never one that merely lies where
/// the program is started. The text of an error is one line that names the file and the setting.
pub fn with_file(command: Command) -> Result<Sources, String> {
    #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
    let any_variable = |name: &str| std::env::var_os(name);
    // Composed files pass variables on that nobody has set, as empty ones.
    let variable = |name: &str| any_variable(name).filter(|value| !value.is_empty());
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let named = flag(&arguments, "--config").or_else(|| variable("VESTIBULE_CONFIG")).map(PathBuf::from);
    let folder = flag(&arguments, "--data-dir").or_else(|| variable("VESTIBULE_DATA_DIR"));
    let found = folder.map_or_else(|| PathBuf::from("data"), PathBuf::from).join("vestibule.toml");
    let path = named.as_ref().unwrap_or(&found);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error)
            if named.is_none() && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            String::new()
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let of_file = |problem: String| format!("{}: {problem}", path.display());
    let mut table = parse_table(&text).map_err(of_file)?;
    if named.is_none() && table.contains_key("data_dir") {
        return Err(of_file("data_dir cannot be set in a file that was found in the data folder".to_owned()));
    }
    let secrets = secrets::find(&any_variable, &mut table)?;
    let command = with_table(command, table).map_err(of_file)?;
    let is_empty = |name: &OsStr| name.to_str().and_then(any_variable).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| match arg.get_env() {
        Some(name) if is_empty(name) => arg.env(Resettable::Reset),
        _ => arg,
    });
    let help = secrets::help();
    let command = command.after_long_help(&help).mut_subcommand("serve", |serve| serve.after_long_help(help));
    let here = Path::new("vestibule.toml");
    let is_read = here.canonicalize().ok() == path.canonicalize().ok();
    Ok(Sources { command, secrets, ignored_file: here.is_file() && !is_read })
}

/// The value of a flag, for what has to be known before the command line is read.
fn flag(arguments: &[OsString], name: &str) -> Option<OsString> {
    let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == name {
            return arguments.next().cloned();
        }
        let value = argument.to_str().and_then(|text| text.strip_prefix(name)?.strip_prefix('='));
        if let Some(value) = value {
            return Some(value.into());
        }
    }
    None
}

fn parse_table(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| error.message().to_owned())
}

fn with_table(mut command: Command, table: toml::Table) -> Result<Command, String> {
    for (key, value) in table {
        let known = |arg: &Arg| arg.get_id() == key.as_str() && arg.get_env().is_some() && key != "config_file";
        if !command.get_arguments().any(known) {
            return Err(format!("there is no setting {key}"));
        }
        let value = match value {
            // As if it were not there: a list is empty by default.
            toml::Value::Array(list) if list.is_empty() => continue,
            toml::Value::Array(list) => {
                let texts: Option<Vec<String>> = list.into_iter().map(written).collect();
                texts.map(|texts| texts.join(","))
            }
            value => written(value),
        };
        let problem = || format!("{key} must be a text, a number, true, false, or a list of these");
        let value = value.ok_or_else(problem)?;
        command = command.mut_arg(key, |arg| arg.default_value(value));
    }
    Ok(command)
}

/// A value as it is written in a variable; none for a table or a time.
fn written(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// Clap's error: of a setting in one line that names it as operators know it, of anything else with clap's advice.
pub fn explain(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    let text = error.to_string();
    let settings = Config::augment_args(Command::new("vestibule"));
    // Clap counts settings from the environment as part of what was typed.
    let names = settings.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg.get_value_names()?.first()?)));
    let text = names.fold(text.trim_start_matches("error: ").trim_end().to_owned(), |text, (flag, value)| {
        text.replace(&format!(" --{flag} <{value}>"), "")
    });
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return text };
    let flag = arg.split([' ', '=']).next().unwrap_or_default();
    if let Some(refusal) = secrets::refuse_flag(flag) {
        return refusal;
    }
    let mut settings = settings.get_arguments().filter(|setting| setting.get_long() == flag.strip_prefix("--"));
    let Some(variable) = settings.find_map(Arg::get_env) else { return text };
    let lines = || text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let problem = std::error::Error::source(error).map_or_else(lines, ToString::to_string);
    format!("{}: {problem}", variable.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, flags: &[&str]) -> Result<Config, String> {
        parse_all(file, flags, &[])
    }

    fn parse_all(file: &str, flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
        let variable = |name: &str| -> Option<OsString> {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(value.into())
        };
        let mut table = parse_table(file)?;
        let secrets = secrets::find(&variable, &mut table)?;
        let command = Config::augment_args(Command::new("vestibule"));
        let command = with_table(command, table)?.mut_args(|arg| arg.env(Resettable::Reset));
        let matches =
            command.try_get_matches_from([&["vestibule"], flags].concat()).map_err(|error| explain(&error))?;
        let mut config = Config::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        secrets.put_into(&mut config)?;
        Ok(config)
    }

    fn with_variable(name: &str, value: &str) -> Result<Config, String> {
        parse_all("", &[], &[(name, value)])
    }

    #[test]
    fn flags_go_before_the_file_and_the_file_before_defaults() {
        let config = parse("listen = '0.0.0.0:80'\nrefresh_grace = '3s'", &["--refresh-grace", "4s"]).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:80");
        assert_eq!(config.sessions.refresh_grace, Duration::from_secs(4));
        assert_eq!(config.sessions.access_ttl, Duration::from_secs(300));
    }

    #[test]
    fn lists_and_numbers_may_be_written_as_such() {
        let file = "allowed_origins = ['http://a.example', 'http://b.example:1']\npassword_min_length = 15";
        let config = parse(file, &[]).unwrap();
        assert_eq!(config.allowed_origins.len(), 2);
        assert_eq!(config.password_min_length, 15);
        let file = "otlp_sample = 0.1\ntrusted_proxies = []\nlimits = false\nallowed_origins = ['http://a.example']";
        let config = parse(file, &[]).unwrap();
        assert!((config.watch.otlp_sample - 0.1).abs() < 1e-9 && !config.limits.limits);
        assert!(config.trusted_proxies.is_empty() && config.allowed_origins.len() == 1);
        assert!((parse("otlp_sample = 1", &[]).unwrap().watch.otlp_sample - 1.0).abs() < 1e-9);
        let spaced = parse("trusted_proxies = '10.0.0.0/8, ::1 ,127.0.0.1'", &[]).unwrap();
        assert_eq!(spaced.trusted_proxies.len(), 3);
        for file in ["listen = 2026-01-01", "trusted_proxies = [['10.0.0.0/8']]", "[refresh_ttl]\na = 1"] {
            let name = file.trim_start_matches('[').split([' ', ']']).next().unwrap();
            let problem = parse(file, &[]).unwrap_err();
            assert_eq!(problem, format!("{name} must be a text, a number, true, false, or a list of these"));
        }
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let origin = |text: &str| text.parse::<Origin>().map(|origin| origin.as_str().to_owned());
        assert_eq!(origin("https://App.Example:443/").as_deref(), Ok("https://app.example"));
        assert_eq!(origin("http://bücher.example:8080").as_deref(), Ok("http://xn--bcher-kva.example:8080"));
        for app in ["capacitor://localhost", "ionic://localhost", "tauri://localhost", "moz-extension://0a1b-2c3d"] {
            assert_eq!(origin(app).as_deref(), Ok(app));
        }
        let extension = "chrome-extension://abcdefghijklmnop/";
        assert_eq!(origin(extension).as_deref(), Ok("chrome-extension://abcdefghijklmnop"));
        for text in ["capacitor://", "ws://a.example", "javascript://a", "capacitor://a/b", "Capacitor://a", "a b://c"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
        let same = |one: &str, other: &str| one.parse::<Origin>().unwrap().may_be_same_site(&other.parse().unwrap());
        assert!(same("https://app.example.com", "https://id.example.com:8443"));
        assert!(same("http://localhost:5173", "http://localhost:8000"));
        assert!(!same("http://localhost:5173", "http://127.0.0.1:8000"));
        assert!(!same("http://127.0.0.1:5173", "http://127.0.0.2:8000"));
        assert!(!same("http://app.example.com", "https://id.example.com"));
        assert!(!same("capacitor://localhost", "http://localhost:8000"));
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
        for wrong in ["here", "8000", "localhost", "localhost:", "localhost:99999", "1.2.3:80", "a b:1", "unix:", ":80"]
        {
            let told = problem("", &["--listen", wrong]);
            assert!(
                told.starts_with(&format!("VESTIBULE_LISTEN: '{wrong}' is no address such as 127.0.0.1:8000")),
                "{told}"
            );
        }
        for (text, is_local) in [
            ("[::1]:80", true),
            ("0.0.0.0:80", false),
            ("localhost:80", true),
            ("id.example.com:80", false),
            ("unix:/run/x.sock", true),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.to_string().as_str(), listen.is_on_loopback()), (text, is_local));
        }
        let config = parse("listen = 'unix:/run/x.sock'", &[]).unwrap();
        assert!(config.validate().unwrap_err().starts_with("VESTIBULE_PUBLIC_URL: set it"));
        assert!(problem("", &["--password-min-length", "7"]).starts_with("VESTIBULE_PASSWORD_MIN_LENGTH: 7 is not in"));
        assert!(problem("database_url = 'mysql://u:geheim@h'", &[]).starts_with("VESTIBULE_DATABASE_URL: it must"));
        assert!(!problem("database_url = 'mysql://u:geheim@h'", &[]).contains("geheim"));
        assert_eq!(problem("config_file = 'x'", &[]), "there is no setting config_file");
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
        for good in ["https://example.com/id", "https://example.com/a-1/b.2/~c_3/", "https://example.com"] {
            assert!(parse(&format!("public_url = '{good}'"), &[]).unwrap().validate().is_ok(), "{good}");
        }
        for path in ["/a;b", "/a%20b", "/a//b", "/../a", "/a/.", "/é"] {
            let config = parse(&format!("public_url = 'https://example.com{path}'"), &[]).unwrap();
            assert!(config.validate().unwrap_err().starts_with("VESTIBULE_PUBLIC_URL: use letters"), "{path}");
        }
        let config = parse("public_url = 'https://example.com/account'", &[]).unwrap();
        assert!(config.validate().unwrap_err().contains("pages under /account itself"));
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
        assert_eq!(problem_of(""), "VESTIBULE_SECRET_KEY is empty. Set it, or leave it out");
        for good in [
            "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "mI3s0iV+PpVUxwdBQ0n0Gq7nq0cXl3Jr0i6d0r6Yb1s=",
        ] {
            assert!(with_variable("VESTIBULE_SECRET_KEY", good).is_ok(), "{good}");
        }
        for _ in 0..200 {
            let bytes = crate::tools::secret::Secret::<16>::random().reveal();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let few = hex.chars().collect::<std::collections::HashSet<_>>().len() < 10;
            assert!(few || hex.parse::<SecretKey>().is_ok(), "{hex}");
        }
    }

    fn problem_of(secret: &str) -> String {
        with_variable("VESTIBULE_SECRET_KEY", secret).unwrap_err()
    }

    #[test]
    fn secrets_are_not_printed() {
        let variables = [
            ("VESTIBULE_ADMIN_PASSWORD", "geheim"),
            ("VESTIBULE_DATABASE_URL", "postgres://u:geheim@h/d"),
            ("VESTIBULE_MAIL_URL", "smtp://u:geheim@h"),
            ("VESTIBULE_MEDIA_URL", "s3://bucket?secret=geheim"),
            ("VESTIBULE_SECRET_KEY", "geheimYYdP2T5b6fhxojgUuL+tybRyxHOaR/W"),
            ("VESTIBULE_SECRET_KEY_PREVIOUS", "geheimXYdP2T5b6fhxojgUuL+tybRyxHOaR/W"),
        ];
        let config = parse_all("", &[], &variables).unwrap();
        assert!(config.media_url.is_some() && config.secret_key_previous.is_some());
        assert!(!format!("{config:?}").contains("geheim"));
    }

    #[test]
    fn a_secret_is_no_flag() {
        for flag in
            ["--secret-key", "--secret-key-previous", "--admin-password", "--database-url", "--mail-url", "--media-url"]
        {
            let joined = format!("{flag}=geheim");
            for flags in [&[flag, "geheim"][..], &[joined.as_str()]] {
                let problem = parse("", flags).unwrap_err();
                assert!(problem.starts_with(&format!("there is no flag {flag}: every user")), "{problem}");
                assert!(problem.contains("_FILE, or VESTIBULE_") && !problem.contains("geheim"), "{problem}");
            }
        }
    }

    #[test]
    fn secrets_come_from_variables_files_and_credentials_in_this_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let credentials = folder.path().display().to_string();
        let password = |file: &str, variables: &[(&str, &str)]| {
            let config = parse_all(file, &[], variables)?;
            Ok::<_, String>(config.admin_password.map(|password| password.reveal().to_owned()))
        };
        let by_file = file("by-file", "by file\r\n");
        let by_key = format!("admin_password_file = '{}'", file("by-key", "by key\n\n"));
        file("vestibule.admin_password", "by credential");
        let (variable, named) =
            (("VESTIBULE_ADMIN_PASSWORD", "by variable"), ("VESTIBULE_ADMIN_PASSWORD_FILE", &*by_file));
        let credential = ("CREDENTIALS_DIRECTORY", &*credentials);
        let is = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(password(&by_key, &[variable, credential]), is("by variable"));
        assert_eq!(password(&by_key, &[named, credential]), is("by file"));
        assert_eq!(password(&by_key, &[credential]), is("by key\n"));
        assert_eq!(password("admin_password = 'by text'", &[credential]), is("by text"));
        assert_eq!(password("", &[credential]), is("by credential"));
        assert_eq!(password("", &[("CREDENTIALS_DIRECTORY", "/nowhere")]), Ok(None));
        for (file, variables, expected) in [
            ("", vec![variable, named], "VESTIBULE_ADMIN_PASSWORD and VESTIBULE_ADMIN_PASSWORD_FILE are both set"),
            (
                &*format!("admin_password = 'x'\n{by_key}"),
                vec![],
                "admin_password and admin_password_file are both set",
            ),
            ("admin_password = 7", vec![], "admin_password must be a text"),
        ] {
            assert!(password(file, &variables).unwrap_err().starts_with(expected), "{expected}");
        }
    }

    #[test]
    fn a_file_of_a_secret_that_cannot_be_read_is_told_without_its_path_and_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        };
        for (path, expected) in [
            ("/nowhere/geheim".to_owned(), "the file cannot be read: No such file"),
            (folder.path().display().to_string(), "the file cannot be read: Is a directory"),
            (file("empty", b"\n"), "the file cannot be read: it is empty"),
            (file("binary", b"geheim\xff"), "the file cannot be read: it is not UTF-8"),
            (file("large", &vec![b'g'; 70_000]), "the file cannot be read: it has more than 64 KiB"),
            (file("weak", b"geheim"), "it must be 32 random characters"),
        ] {
            let problem = with_variable("VESTIBULE_SECRET_KEY_FILE", &path).unwrap_err();
            assert!(problem.starts_with(&format!("VESTIBULE_SECRET_KEY_FILE: {expected}")), "{problem}");
            assert!(!problem.contains("geheim") && !problem.contains(&path), "{problem}");
        }
    }

    #[test]
    fn what_must_be_known_first_is_found_among_the_arguments() {
        let found = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
            flag(&arguments, "--data-dir").map(|value| value.into_string().unwrap())
        };
        assert_eq!(found(&["serve", "--data-dir", "a"]).as_deref(), Some("a"));
        assert_eq!(found(&["--data-dir=b=c", "serve"]).as_deref(), Some("b=c"));
        assert_eq!(found(&["serve", "--data-directory", "a"]), None);
        assert_eq!(found(&["--", "--data-dir", "a"]), None);
    }
}
