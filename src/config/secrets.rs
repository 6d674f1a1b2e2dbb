//! The settings that are secrets, or hold one. They come from a variable, a file that a variable names, `vestibule.toml`, or a
//! systemd credential. They have no flags: every user of the machine can read those in the list of processes.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Config;
use super::sources::SettingsFile;

/// The longest secret that is read from a file, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// A setting that is a secret, by its name in `vestibule.toml`, with a line of help.
struct Setting {
    name: &'static str,
    help: &'static str,
}

/// All of them.
const SETTINGS: [Setting; 6] = [
    Setting {
        name: "database_url",
        help: "`sqlite://PATH` or `postgres://…` [default: `sqlite://DATA_DIR/vestibule.db`]",
    },
    Setting {
        name: "mail_url",
        help: "`file:FOLDER` (one .eml each), `smtp://user:password@host:port` or `smtps://…` [default: `file:DATA_DIR/mail`]",
    },
    Setting {
        name: "media_url",
        help: "Where files of users go: `file:FOLDER`, `s3://BUCKET/PATH`, `gs://…` or `az://…` [default: `file:DATA_DIR/media`]",
    },
    Setting {
        name: "secret_key",
        help: "Seals the signing keys; the same for all instances; 32 characters or more [default: made once in `DATA_DIR`]",
    },
    Setting {
        name: "secret_key_previous",
        help: "The secret key before this one, while what it sealed and signed is still in use [default: none]",
    },
    Setting {
        name: "admin_password",
        help: "The first superuser's password [default: random, printed once, to be replaced]",
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

/// The help on these settings, in the form of the help on the others.
pub(super) fn help() -> String {
    let mut text = "Secrets, by variable, file or systemd credential:\n".to_owned();
    for setting in &SETTINGS {
        let variable = setting.variable();
        text.push_str(&format!("  {variable}\n          {}\n\n", setting.help));
        text.push_str(&format!("          [env: {variable}=]\n          [env: {variable}_FILE=]\n\n"));
    }
    text
}

/// The answer to somebody who gives a secret as a flag.
pub(super) fn refuse_flag(flag: &str) -> Option<String> {
    let setting = SETTINGS.iter().find(|setting| setting.flag() == flag)?;
    let variable = setting.variable();
    Some(format!(
        "there is no flag {flag}: every user of this machine could read it in the list of processes. Set {variable}_FILE, or \
         {variable} in the environment, instead."
    ))
}

/// A secret as it was found.
struct Found {
    setting: &'static str,
    /// The variable, key or credential that it comes from.
    source: String,
    /// The source in errors: with its line, where it is a key of the settings file.
    label: String,
    text: String,
    file: Option<PathBuf>,
}

/// The secrets that were found; not printed.
pub(super) struct Secrets(Vec<Found>);

/// Finds the secrets, and takes those of the settings file out of its table. The environment goes before the file, and both before
/// systemd's credentials.
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
            // Left out, it would make another secret, or another database, without a word.
            if variable(name).is_some_and(|value| value.is_empty()) {
                return Err(format!("{name} is empty. Set it, or leave it out"));
            }
        }
        let both =
            |one: &str, other: &str| Err::<Secrets, _>(format!("{one} and {other} are both set. Set one of them."));
        let (source, text, file) = match ((variable(&name), variable(&of_file)), in_file) {
            ((Some(_), Some(_)), _) => return both(&name, &of_file),
            (_, (Some(_), Some(_))) => {
                return both(setting.name, &key_of_file).map_err(|problem| settings.locate(&key_of_file, &problem));
            }
            ((Some(text), None), _) => {
                let text = text.into_string().map_err(|_| format!("{name}: it must be UTF-8"))?;
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
                let source = format!("the credential {credential}");
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
        Some(_) => Err(settings.locate(key, &format!("{key} must be a text"))),
    }
}

/// The content of a file without the line break at its end. Errors show neither the content nor the path: somebody
/// may have set the secret itself in place of the path.
fn read(source: &str, path: &Path) -> Result<String, String> {
    let failed = |error: &dyn Display| format!("{source}: the file cannot be read: {error}");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(&"it has more than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() { Err(failed(&"it is empty")) } else { Ok(text.to_owned()) }
}

impl Secrets {
    /// Puts the secrets where they belong in the settings.
    ///
    /// # Errors
    /// One line that names the setting, and not the secret.
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

    /// The variable, key or credential that a secret comes from.
    pub(super) fn source(&self, setting: &str) -> Option<&str> {
        self.0.iter().find(|found| found.setting == setting).map(|found| found.source.as_str())
    }
}

/// The names of these settings.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name)
}

impl Found {
    fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, String> {
        self.text.parse().map_err(|error| format!("{}: {error}", self.label))
    }
}
