//! Settings that are or contain secrets. Their sources are a variable, a file named by a variable, `vestibule.toml`, or
//! a systemd credential. They have no flags, because every user of the machine can read those in the process list.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Config;
use super::sources::SettingsFile;

/// Maximum size of a secret file in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// A secret setting: its name in `vestibule.toml`, and its help.
struct Setting {
    name: &'static str,
    help: &'static str,
}

/// All secret settings.
const SETTINGS: [Setting; 6] = [
    Setting {
        name: "database_url",
        help: "Database URL: `sqlite://PATH` or `postgres://…` [default: `sqlite://DATA_DIR/vestibule.db`]",
    },
    Setting {
        name: "mail_url",
        help: "Mail server (`smtp://user:password@host:port`, `smtps://…`) or directory of .eml files (`file:DIR`) \
               [default: `file:DATA_DIR/mail`]",
    },
    Setting {
        name: "media_url",
        help: "Store of users' files: `file:DIR`, `s3://BUCKET/PATH`, `gs://…` or `az://…` \
               [default: `file:DATA_DIR/media`]",
    },
    Setting {
        name: "secret_key",
        help: "Key that encrypts stored secrets, the same for all instances; at least 32 characters \
               [default: generated once in `DATA_DIR`]",
    },
    Setting { name: "secret_key_previous", help: "Previous secret key, during its replacement [default: none]" },
    Setting {
        name: "admin_password",
        help: "Password of the first superuser [default: random and temporary, printed once]",
    },
];

impl Setting {
    fn variable(&self) -> String {
        format!("VESTIBULE_{}", self.name.to_uppercase())
    }

    fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }
}

/// Help for the secret settings, in the format of clap.
pub(super) fn help() -> String {
    let mut text = "Secrets (variable, file or systemd credential only):\n".to_owned();
    for setting in &SETTINGS {
        let variable = setting.variable();
        text.push_str(&format!("  {variable}\n          {}\n\n", setting.help));
        text.push_str(&format!("          [env: {variable}=]\n          [env: {variable}_FILE=]\n\n"));
    }
    text
}

/// Error for a secret given as a flag.
pub(super) fn refuse_flag(flag: &str) -> Option<String> {
    let setting = SETTINGS.iter().find(|setting| setting.flag() == flag)?;
    let variable = setting.variable();
    Some(format!(
        "there is no flag {flag}: every user of this machine could read it in the process list. Set {variable}_FILE or \
         {variable} in the environment instead."
    ))
}

/// A secret with its source.
struct Found {
    setting: &'static str,
    /// Variable, key or credential.
    source: String,
    /// Source in errors; with its line if it is a key of the settings file.
    label: String,
    text: String,
    file: Option<PathBuf>,
}

/// Secrets with their sources; not printed.
pub(super) struct Secrets(Vec<Found>);

/// Finds the secrets, and removes those of the settings file from its table. The precedence is environment, settings
/// file, systemd credentials.
pub(super) fn find(
    variable: &dyn Fn(&str) -> Option<OsString>,
    settings: &mut SettingsFile,
) -> Result<Secrets, String> {
    let credentials = variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let mut secrets = Vec::new();
    for setting in &SETTINGS {
        let (name, of_file) = (setting.variable(), format!("{}_FILE", setting.variable()));
        let key_of_file = format!("{}_file", setting.name);
        let in_file = (text_of(settings, setting.name)?, text_of(settings, &key_of_file)?);
        for name in [&name, &of_file] {
            // Ignoring it would silently create another secret key or database.
            if variable(name).is_some_and(|value| value.is_empty()) {
                return Err(format!("{name} is empty. Set or remove it"));
            }
        }
        let both =
            |one: &str, other: &str| Err::<Secrets, _>(format!("{one} and {other} are both set. Remove one of them."));
        let (source, text, file) = match ((variable(&name), variable(&of_file)), in_file) {
            ((Some(_), Some(_)), _) => return both(&name, &of_file),
            (_, (Some(_), Some(_))) => {
                return both(setting.name, &key_of_file).map_err(|problem| settings.locate(&key_of_file, &problem));
            }
            ((Some(text), None), _) => {
                let text = text.into_string().map_err(|_| format!("{name}: not valid UTF-8"))?;
                (name, text, None)
            }
            ((None, Some(path)), _) => {
                let path = PathBuf::from(path);
                let text = read(&of_file, &path)?;
                (of_file, text, Some(path))
            }
            (_, (Some(text), None)) => (setting.name.to_owned(), text, None),
            (_, (None, Some(path))) => {
                let path = PathBuf::from(path);
                let text = read(&settings.locate(&key_of_file, &of_file), &path)?;
                (key_of_file.clone(), text, Some(path))
            }
            (_, (None, None)) => {
                let credential = format!("vestibule.{}", setting.name);
                let path = credentials.as_ref().map(|folder| folder.join(&credential));
                let Some(path) = path.filter(|path| path.exists()) else { continue };
                let source = format!("credential {credential}");
                let text = read(&source, &path)?;
                (source, text, None)
            }
        };
        let label = match &source {
            key if key == setting.name => settings.locate(key, &setting.variable()),
            key if *key == key_of_file => settings.locate(key, &format!("{}_FILE", setting.variable())),
            other => other.clone(),
        };
        secrets.push(Found { setting: setting.name, source, label, text, file });
    }
    Ok(Secrets(secrets))
}

fn text_of(settings: &mut SettingsFile, key: &str) -> Result<Option<String>, String> {
    match settings.table.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(settings.locate(key, &format!("{key} must be a string"))),
    }
}

/// Content of a file without the trailing line break. Errors show neither the content nor the path, because the path
/// may be the secret itself, set by mistake.
fn read(source: &str, path: &Path) -> Result<String, String> {
    let failed = |error: &dyn Display| format!("{source}: cannot read the file: {error}");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(&"larger than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed(&"not valid UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() { Err(failed(&"it is empty")) } else { Ok(text.to_owned()) }
}

impl Secrets {
    /// Parses the secrets into the settings.
    ///
    /// # Errors
    /// One line that names the setting without quoting the secret.
    pub(super) fn put_into(&self, config: &mut Config) -> Result<(), String> {
        for found in &self.0 {
            match found.setting {
                "database_url" => config.database_url = Some(found.parse()?),
                "mail_url" => config.mail_url = Some(found.parse()?),
                "media_url" => config.media_url = Some(found.parse()?),
                "secret_key" => config.secret_key = Some(found.parse()?),
                "secret_key_previous" => config.secret_key_previous = Some(found.parse()?),
                _ => config.admin_password = Some(found.parse()?),
            }
            config.secret_files.extend(found.file.clone().map(|file| (found.source.clone(), file)));
        }
        Ok(())
    }

    /// Variable, key or credential of a secret.
    pub(super) fn source(&self, setting: &str) -> Option<&str> {
        self.0.iter().find(|found| found.setting == setting).map(|found| found.source.as_str())
    }
}

/// Names of the secret settings.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name)
}

impl Found {
    fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, String> {
        self.text.parse().map_err(|error| format!("{}: {error}", self.label))
    }
}
