//! Sources of settings. The precedence is command line, environment, `vestibule.toml`, defaults.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command};

use super::Config;
use super::secrets::{self, Secrets};
use crate::tools::text;

/// Sources of settings other than the command line.
pub struct Sources {
    /// The command, with the values of the settings file as its defaults.
    pub command: Command,
    /// True if the working directory has a `vestibule.toml` that is not read.
    ignored_file: bool,
    secrets: Secrets,
    file: SettingsFile,
}

/// A setting with its value and source.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Name, as in `vestibule.toml`.
    pub name: String,
    /// Text of the value; several values are separated by commas. `None` if not set.
    pub value: Option<String>,
    /// Source of the value.
    pub origin: Origin,
}

/// Source of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    CommandLine,
    /// An environment variable, or the file or credential of a secret.
    Named(String),
    /// A line of the settings file.
    File(String),
    /// The default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Named(text) | Self::File(text) => f.write_str(text),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Sources {
    /// Reads the settings file and the secrets. The file is named by `--config` or `VESTIBULE_CONFIG`, or is
    /// `vestibule.toml` in the data directory. A file in the working directory is not read.
    ///
    /// # Errors
    /// One line that names the file, the line and the setting.
    pub fn read(command: Command) -> Result<Self, String> {
        // Compose files pass unset variables on as empty ones.
        let variable = |name: &str| any_variable(name).filter(|value| !value.is_empty());
        let arguments = arguments();
        let named = flag(&arguments, "--config").or_else(|| variable("VESTIBULE_CONFIG")).map(PathBuf::from);
        let folder = flag(&arguments, "--data-dir").or_else(|| variable("VESTIBULE_DATA_DIR"));
        let found = folder.map_or_else(|| PathBuf::from("data"), PathBuf::from).join("vestibule.toml");
        let mut file = SettingsFile::read(named.as_deref().unwrap_or(&found), named.is_some())?;
        if named.is_none() && file.table.contains_key("data_dir") {
            let problem = "data_dir cannot be set in a file in the data directory";
            return Err(file.locate("data_dir", problem));
        }
        let secrets = secrets::find(&any_variable, &mut file)?;
        let command = file.put_below(command)?;
        let is_empty = |name: &OsStr| name.to_str().and_then(any_variable).is_some_and(|value| value.is_empty());
        let command = command.mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(Resettable::Reset),
            _ => arg,
        });
        let help = secrets::help();
        let command = command.after_long_help(&help).mut_subcommand("serve", |serve| serve.after_long_help(help));
        let here = Path::new("vestibule.toml");
        let is_read = here.canonicalize().ok() == file.path.canonicalize().ok();
        Ok(Self { command, ignored_file: here.is_file() && !is_read, secrets, file })
    }

    /// Adds the secrets and facts about the sources to the settings.
    ///
    /// # Errors
    /// One line that names the setting without quoting the secret.
    pub fn complete(&self, config: &mut Config) -> Result<(), String> {
        config.ignored_file = self.ignored_file;
        config.read_file = self.file.exists.then(|| self.file.path.clone());
        self.secrets.put_into(config)
    }

    /// All settings, in the order of the help, with secrets and passwords hidden.
    pub fn settings(&self, matches: &ArgMatches, config: &Config) -> Vec<Setting> {
        let command = Config::augment_args(Command::new("vestibule"));
        let mut settings = Vec::new();
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let Ok(values) = matches.try_get_raw(id) else { continue };
            let values: Option<Vec<_>> = values.map(|values| values.map(OsStr::to_string_lossy).collect());
            let origin = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => Origin::CommandLine,
                Some(ValueSource::EnvVariable) => {
                    Origin::Named(arg.get_env().unwrap_or_default().to_string_lossy().into_owned())
                }
                _ => self.file.place(id).map_or(Origin::Default, Origin::File),
            };
            settings.push(Setting { name: id.to_owned(), value: values.map(|values| values.join(",")), origin });
        }
        for name in secrets::names() {
            let value = match name {
                "database_url" => Some(config.database_url().to_string()),
                "mail_url" => Some(config.mail_url().to_string()),
                "media_url" => Some(format!("{:?}", config.media_url())),
                _ => self.secrets.source(name).map(|_| "(set)".to_owned()),
            };
            settings.push(Setting { name: name.to_owned(), value, origin: self.origin_of_secret(name) });
        }
        for setting in settings.iter_mut().filter(|setting| setting.value.is_none()) {
            match setting.name.as_str() {
                "public_url" => setting.value = config.listen.url().map(|url| url.as_str().to_owned()),
                "secret_key" if config.secret_key_path().exists() => {
                    setting.value = Some("(set)".to_owned());
                    setting.origin = Origin::Named(config.secret_key_path().display().to_string());
                }
                _ => {}
            }
        }
        settings
    }

    fn origin_of_secret(&self, name: &str) -> Origin {
        self.secrets.source(name).map_or(Origin::Default, |source| match self.file.place(source) {
            Some(place) => Origin::File(place),
            None => Origin::Named(source.to_owned()),
        })
    }

    /// Text of clap's error. An error about a setting is one line with its variable and its line in the settings file;
    /// other errors keep clap's advice.
    pub fn explain(&self, error: &clap::Error) -> String {
        let Some((id, text)) = explain_setting(error) else { return explain_usage(error) };
        let command = Config::augment_args(Command::new("vestibule"));
        let mut args = command.get_arguments();
        let is_overruled = args.find(|arg| arg.get_id() == id.as_str()).is_some_and(|arg| {
            let by_flag = arg.get_long().and_then(|long| flag(&arguments(), &format!("--{long}")));
            let by_variable = arg.get_env().and_then(|name| any_variable(name.to_str()?));
            by_flag.or(by_variable.filter(|value| !value.is_empty())).is_some()
        });
        if is_overruled { text } else { self.file.locate(&id, &text) }
    }
}

fn any_variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
    std::env::var_os(name)
}

fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

/// Value of a flag that is needed before the command line is parsed.
pub(super) fn flag(arguments: &[OsString], name: &str) -> Option<OsString> {
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

/// A settings file with its values and their line numbers.
pub(super) struct SettingsFile {
    path: PathBuf,
    exists: bool,
    /// Values that have not been consumed.
    pub(super) table: toml::Table,
    /// Line number of each setting, starting at 1.
    lines: BTreeMap<String, usize>,
}

impl SettingsFile {
    fn read(path: &Path, must_exist: bool) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) => {
                let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                if must_exist || !is_missing {
                    return Err(format!("{}: {error}", text::without_url(&path.to_string_lossy())));
                }
                Ok(Self { exists: false, ..Self::parse(path, "")? })
            }
        }
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let line_at = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        let failed = |error: toml::de::Error| {
            let place = error.span().map_or_else(String::new, |span| format!(":{}", line_at(span.start)));
            format!("{}{place}: {}", path.display(), error.message())
        };
        let keys = toml::de::DeTable::parse(text).map_err(failed)?;
        let lines = keys.get_ref().keys().map(|key| (key.get_ref().to_string(), line_at(key.span().start))).collect();
        Ok(Self { path: path.to_owned(), exists: true, table: text.parse().map_err(failed)?, lines })
    }

    /// Place of a setting as `FILE:LINE`; `None` if the file does not set it.
    fn place(&self, name: &str) -> Option<String> {
        self.lines.get(name).map(|line| format!("{}:{line}", self.path.display()))
    }

    /// Prefixes a problem with the place of the setting, if the file sets it.
    pub(super) fn locate(&self, name: &str, problem: &str) -> String {
        self.place(name).map_or_else(|| problem.to_owned(), |place| format!("{place}: {problem}"))
    }

    /// Uses the values of the file as defaults of the command's flags.
    pub(super) fn put_below(&mut self, mut command: Command) -> Result<Command, String> {
        for (key, value) in std::mem::take(&mut self.table) {
            let known = |arg: &&Arg| arg.get_id() == key.as_str() && arg.get_env().is_some() && key != "config_file";
            let Some(setting) = command.get_arguments().find(known) else {
                return Err(self.locate(&key, &format!("unknown setting {key}")));
            };
            let is_list = setting.get_value_delimiter().is_some();
            let value = match value {
                // Lists are empty by default.
                toml::Value::Array(list) if is_list && list.is_empty() => continue,
                toml::Value::Array(list) if is_list => {
                    let texts: Option<Vec<String>> = list.into_iter().map(written).collect();
                    texts.map(|texts| texts.join(","))
                }
                value => written(value),
            };
            let kinds = if is_list { "number, a boolean, or a list of these" } else { "number or a boolean" };
            let problem = || format!("{key} must be a string, a {kinds}");
            let value = value.ok_or_else(|| self.locate(&key, &problem()))?;
            command = command.mut_arg(key, |arg| arg.default_value(value));
        }
        Ok(command)
    }
}

/// Text of a single value, as in a variable; `None` for a list, a table or a time.
fn written(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// Setting that clap's error is about, with the error in one line.
pub(super) fn explain_setting(error: &clap::Error) -> Option<(String, String)> {
    let flag = flag_of(error)?;
    let settings = Config::augment_args(Command::new("vestibule"));
    let setting = settings.get_arguments().find(|setting| setting.get_long() == flag.strip_prefix("--"))?;
    let variable = setting.get_env()?;
    let text = explain_usage(error);
    let lines = || text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let problem = std::error::Error::source(error).map_or_else(lines, ToString::to_string);
    let problem = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => mask_address_of(value, problem),
        _ => problem,
    };
    Some((setting.get_id().to_string(), format!("{}: {problem}", variable.display())))
}

/// Text of clap's error with its advice, without the settings that clap lists in the usage.
pub(super) fn explain_usage(error: &clap::Error) -> String {
    if let Some(refusal) = flag_of(error).and_then(|flag| secrets::refuse_flag(&flag)) {
        return refusal;
    }
    if let Some(text) = explain_missing_command(error) {
        return text;
    }
    let text = mask_addresses(&error.to_string());
    let settings = Config::augment_args(Command::new("vestibule"));
    let names = settings.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg.get_value_names()?.first()?)));
    names.fold(text.trim_start_matches("error: ").trim_end().to_owned(), |text, (flag, value)| {
        text.replace(&format!(" --{flag} <{value}>"), "")
    })
}

/// Flag that clap's error is about.
fn flag_of(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return None };
    arg.split([' ', '=', '[']).next().map(str::to_owned)
}

/// The line about a group of commands that was given without one of them. Clap's text would be the whole help.
fn explain_missing_command(error: &clap::Error) -> Option<String> {
    let (group, names) = match error.kind() {
        ErrorKind::MissingSubcommand => {
            let Some(ContextValue::String(group)) = error.get(ContextKind::InvalidSubcommand) else { return None };
            let Some(ContextValue::Strings(names)) = error.get(ContextKind::ValidSubcommand) else { return None };
            (group.clone(), names.clone())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let help = error.to_string();
            let usage = help.lines().find_map(|line| line.trim().strip_prefix("Usage: "))?;
            let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<']));
            let commands = help.lines().skip_while(|line| line.trim() != "Commands:").skip(1);
            let commands = commands.take_while(|line| !line.trim().is_empty());
            let names = commands.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
            (words.collect::<Vec<_>>().join(" "), names)
        }
        _ => return None,
    };
    Some(format!("`{group}` needs a command: {}", names.join(", ")))
}

/// The problem of a value without the address in the value, which may contain a password.
fn mask_address_of(value: &str, problem: String) -> String {
    match value.split_once("://").map(|(_, address)| address.trim()) {
        Some(address) if !address.is_empty() => problem.replace(&format!("://{address}"), "://…"),
        _ => problem,
    }
}

/// The text without addresses: an address in an argument may contain a password. A quote or blank within an address does
/// not end it, so the rest of the quoted argument goes with it.
fn mask_addresses(text: &str) -> String {
    let mask = |line: &str| match line.split_once("://") {
        Some((before, after)) => {
            let rest = after.rfind('\'').map_or("", |end| after.split_at(end).1);
            format!("{before}://…{rest}")
        }
        None => line.to_owned(),
    };
    text.lines().map(mask).collect::<Vec<_>>().join("\n")
}
