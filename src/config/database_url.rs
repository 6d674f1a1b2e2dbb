//! The database URL: `sqlite://PATH`, or the form for PostgreSQL as read by libpq.
//!
//! It is parsed here and not by a library, because a library's error may quote the password in it. No part is ignored:
//! each parameter is used, or refused by its name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::types::is_loopback;

/// A database URL, printed without its password. Connections to a PostgreSQL server on this machine are unencrypted
/// unless the URL requests encryption: an attacker who can listen there can also read both processes, and encryption
/// delays each new connection by a tenth of a second.
#[derive(Clone)]
pub struct DatabaseUrl(Kind);

#[derive(Clone)]
enum Kind {
    Sqlite(PathBuf),
    /// All parts as percent-encoded parameters, so that no library can misread them.
    Postgres {
        text: String,
        has_password: bool,
        names_ca: bool,
    },
}

/// Supported parameters, with their canonical names.
const PARAMETERS: [(&str, &str); 14] = [
    ("dbname", "dbname"),
    ("host", "host"),
    ("options", "options"),
    ("password", "password"),
    ("port", "port"),
    ("ssl-ca", "sslrootcert"),
    ("ssl-cert", "sslcert"),
    ("ssl-key", "sslkey"),
    ("ssl-mode", "sslmode"),
    ("sslcert", "sslcert"),
    ("sslkey", "sslkey"),
    ("sslmode", "sslmode"),
    ("sslrootcert", "sslrootcert"),
    ("user", "user"),
];

const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

const ENCODING: &str = "In the user and the password, write # as %23, / as %2F, ? as %3F, @ as %40 and % as %25";

const SEVERAL: &str = "several hosts are not supported. Use one host that leads to the primary server: a proxy such as \
                       HAProxy, or a DNS name that follows it";

impl DatabaseUrl {
    /// The URL of the SQLite file at this path, which may contain any characters.
    pub fn sqlite(path: &Path) -> Self {
        Self(Kind::Sqlite(path.to_owned()))
    }

    /// True for an SQLite file.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0, Kind::Sqlite(_))
    }

    /// Path of the SQLite file; `None` for PostgreSQL.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Sqlite(path) => Some(path),
            Kind::Postgres { .. } => None,
        }
    }

    /// True if the URL contains a password, as part of the authority or as a parameter.
    pub fn has_password(&self) -> bool {
        matches!(self.0, Kind::Postgres { has_password: true, .. })
    }

    /// True if the URL names a file of certificate authorities (`sslrootcert`).
    pub fn names_ca(&self) -> bool {
        matches!(self.0, Kind::Postgres { names_ca: true, .. })
    }

    /// URL of a PostgreSQL database with its password, in the form that libraries read; not for printing. `None` for
    /// SQLite.
    pub fn reveal_postgres(&self) -> Option<&str> {
        match &self.0 {
            Kind::Postgres { text, .. } => Some(text),
            Kind::Sqlite(_) => None,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("sqlite", rest)) => sqlite(rest),
            Some(("postgres" | "postgresql", rest)) => postgres(rest),
            _ => Err("it must start with sqlite:// or postgres://".to_owned()),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Kind::Postgres { text, .. } => {
                let query = text.split_once('?').map_or("", |(_, query)| query);
                let mut shown = ShownParts::default();
                for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
                    shown.put(name, percent_decode_str(value).decode_utf8_lossy().into_owned());
                }
                shown.fmt(f)
            }
        }
    }
}

/// Parts of a URL for display, with `***` for the password.
#[derive(Default)]
struct ShownParts {
    user: Option<String>,
    password: &'static str,
    host: String,
    port: String,
    database: String,
    parameters: Vec<String>,
}

impl ShownParts {
    fn put(&mut self, name: &str, value: String) {
        match name {
            "user" => self.user = Some(value),
            "password" => self.password = ":***",
            "host" if !value.starts_with('/') => {
                self.host = if value.contains(':') { format!("[{value}]") } else { value }
            }
            "port" => self.port = format!(":{value}"),
            "dbname" => self.database = format!("/{value}"),
            _ => self.parameters.push(format!("{name}={value}")),
        }
    }
}

impl fmt::Display for ShownParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, password, host, port, database, parameters } = self;
        let user = user.as_ref().map(|user| format!("{user}{password}@")).unwrap_or_default();
        let parameters = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
        write!(f, "postgres://{user}{host}{port}{database}{parameters}")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_sqlite() { "sqlite://…" } else { "postgres://…" })
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl, String> {
    if rest.contains('?') {
        return Err("sqlite:// takes no parameters. Write a ? in the file name as %3F".to_owned());
    }
    let path = decode(rest)?;
    if path.is_empty() || path.starts_with(":memory:") {
        return Err("sqlite:// must be followed by the path of a file".to_owned());
    }
    Ok(DatabaseUrl(Kind::Sqlite(path.into())))
}

fn postgres(rest: &str) -> Result<DatabaseUrl, String> {
    if rest.contains(|char: char| char == '#' || char.is_control() || char.is_whitespace()) {
        return Err(malformed());
    }
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = before.split_once('/').unwrap_or((before, ""));
    // An unencoded delimiter in the password moves the @ after it to a later part.
    if database.contains(['@', '/']) || query.contains('@') || authority.matches('@').count() > 1 {
        return Err(malformed());
    }
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let mut parts = Parts::default();
    if let Some(user) = user {
        let (user, password) = user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
        parts.put("user", decode(user)?)?;
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            parts.put("password", decode(password)?)?;
        }
    }
    put_host(host, &mut parts)?;
    if !database.is_empty() {
        parts.put("dbname", decode(database)?)?;
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or("a parameter after ? has no value. Write NAME=VALUE")?;
        put_parameter(&decode(name)?, decode(value)?, &mut parts)?;
    }
    if parts.get("sslmode").is_none() && parts.get("host").is_some_and(is_loopback) {
        parts.put("sslmode", "disable".to_owned())?;
    }
    let (has_password, names_ca) = (parts.get("password").is_some(), parts.get("sslrootcert").is_some());
    Ok(DatabaseUrl(Kind::Postgres { text: parts.to_text(), has_password, names_ca }))
}

/// Adds the host, an IP address or the directory of a socket, with an optional port.
fn put_host(text: &str, parts: &mut Parts) -> Result<(), String> {
    if text.contains(',') {
        return Err(SEVERAL.to_owned());
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (host, port.strip_prefix(':')),
        Some(None) => return Err(malformed()),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if let Some(port) = port.filter(|port| !port.is_empty()) {
        parts.put("port", checked_port(port)?)?;
    }
    if !host.is_empty() {
        parts.put("host", checked_host(decode(host)?)?)?;
    }
    Ok(())
}

fn put_parameter(name: &str, value: String, parts: &mut Parts) -> Result<(), String> {
    let known = PARAMETERS.iter().find(|(known, _)| *known == name).map(|(_, name)| *name);
    let value = match (name, value.as_str()) {
        // Both are always the case: the service needs a writable server and trusts the system's certificates.
        ("target_session_attrs", "read-write" | "primary") | ("sslrootcert" | "ssl-ca", "system") => return Ok(()),
        ("target_session_attrs", _) => {
            return Err("target_session_attrs must be read-write: the service writes to its database".to_owned());
        }
        ("connect_timeout", _) => {
            return Err("connect_timeout is not supported: the timeout is always 3 s. Remove it".to_owned());
        }
        ("host" | "port", text) if text.contains(',') => return Err(SEVERAL.to_owned()),
        ("host", _) => checked_host(value)?,
        ("port", text) => checked_port(text)?,
        ("sslmode" | "ssl-mode", text) if !MODES.contains(&text) => {
            return Err(format!("sslmode must be one of {}", MODES.join(", ")));
        }
        _ => value,
    };
    let shown: String = name.chars().filter(|char| !char.is_control()).take(40).collect();
    let name = known.ok_or_else(|| format!("the parameter {shown} is not supported. Remove it"))?;
    parts.put(name, value)
}

fn checked_port(text: &str) -> Result<String, String> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port.to_string()),
        // The text may be the start of a password.
        _ => Err(format!("the port must be a number from 1 to 65535. {ENCODING}")),
    }
}

fn checked_host(host: String) -> Result<String, String> {
    let is_name = host.chars().all(|char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_' | ':'));
    if host.starts_with('/') || is_name {
        Ok(host)
    } else {
        Err("the host is neither a name nor an IP address".to_owned())
    }
}

fn malformed() -> String {
    format!("invalid database URL. {ENCODING}")
}

/// Removes percent-encoding.
fn decode(text: &str) -> Result<String, String> {
    let is_hex = |place: usize| text.as_bytes().get(place).is_some_and(u8::is_ascii_hexdigit);
    let is_encoded = text.match_indices('%').all(|(place, _)| is_hex(place + 1) && is_hex(place + 2));
    let decoded = percent_decode_str(text).decode_utf8().ok().filter(|text| is_encoded && !text.contains('\0'));
    decoded.map(String::from).ok_or_else(malformed)
}

/// Parts of a URL, each at most once.
#[derive(Default)]
struct Parts(Vec<(&'static str, String)>);

impl Parts {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn put(&mut self, name: &'static str, value: String) -> Result<(), String> {
        match (name, self.0.iter_mut().find(|(known, _)| *known == name)) {
            (_, None) => self.0.push((name, value)),
            // As in libpq, the parameter overrides the host of the authority.
            ("host", Some((_, before))) => *before = value,
            (_, Some(_)) => return Err(format!("{name} is given twice")),
        }
        Ok(())
    }

    fn to_text(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let parts: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("postgres:///?{}", parts.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        text.parse::<DatabaseUrl>().unwrap_err()
    }

    #[test]
    fn an_address_is_read_as_libpq_reads_it() {
        for (text, parts) in [
            ("postgres://u:p@db.example:5433/d", "user=u&password=p&port=5433&host=db%2Eexample&dbname=d"),
            ("postgres://u@/d?host=/run/postgresql", "user=u&dbname=d&host=%2Frun%2Fpostgresql"),
            ("postgresql:///d?user=u&password=p+q", "dbname=d&user=u&password=p%2Bq"),
            ("postgres://%2Frun%2Fpostgresql/d", "host=%2Frun%2Fpostgresql&dbname=d"),
            ("postgres://u:a%23b%2Fc%3Fd%40e%25@h/d", "user=u&password=a%23b%2Fc%3Fd%40e%25&host=h&dbname=d"),
            ("postgres://u:a:b@h", "user=u&password=a%3Ab&host=h"),
            (
                "postgres://u@h/d?target_session_attrs=read-write&sslmode=verify-full&sslrootcert=system",
                "user=u&host=h&dbname=d&sslmode=verify%2Dfull",
            ),
            ("postgres://u@h/d?ssl-ca=/etc/ca.pem", "user=u&host=h&dbname=d&sslrootcert=%2Fetc%2Fca%2Epem"),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.reveal_postgres(), Some(format!("postgres:///?{parts}").as_str()), "{text}");
            assert_eq!(url.has_password(), parts.contains("password"));
        }
    }

    #[test]
    fn connections_within_this_machine_are_plain_unless_the_address_says_otherwise() {
        let is_plain = |text: &str| {
            let url: DatabaseUrl = text.parse().unwrap();
            url.reveal_postgres().unwrap().contains("sslmode=disable")
        };
        for text in [
            "postgres://u:p@localhost/d",
            "postgres://u@127.0.0.1:5433/d",
            "postgresql://u@[::1]/d",
            "postgres:///d?host=localhost",
        ] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "postgres://u@localhost/d?sslmode=require",
            "postgres://u@localhost/d?ssl-mode=verify-full",
            "postgres://u@localhost/d?host=/run/postgresql",
            "postgres://u@db.example/d",
            "postgres://u@10.0.0.5/d",
            "postgres:///d",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn errors_do_not_contain_the_password() {
        for text in [
            "postgres://app:pa#geheim@host/db",
            "postgres://app:pa/geheim@host/db",
            "postgres://app:pa?geheim@host/db",
            "postgres://app:1/geheim@host/db",
            "postgres://app:1?geheim@host/db",
            "postgres://app:1?geheim=x@host/db",
            "postgres://app:pa@geheim@host/db",
            "postgres://app:pa%geheim@host/db",
            "postgres://app:geheim%FF@host/db",
            "postgres://app:pa geheim@host/db",
            "postgres://app:geheim[@host]/db",
        ] {
            let problem = problem(text);
            assert!(problem.contains("write # as %23, / as %2F") || problem.contains("the host is"), "{problem}");
            assert!(!problem.contains("geheim") && !problem.contains("pa#"), "{problem}");
        }
    }

    #[test]
    fn nothing_is_ignored() {
        for (text, says) in [
            ("postgres://a,b/d", "several hosts"),
            ("postgres://u:geheim@a:1,b:2/d", "several hosts"),
            ("postgres:///d?host=a,b", "several hosts"),
            ("postgres://h/d?connect_timeout=10", "connect_timeout is not supported"),
            ("postgres://h/d?target_session_attrs=any", "target_session_attrs must be read-write"),
            ("postgres://h/d?channel_binding=require", "the parameter channel_binding is not supported"),
            ("postgres://h/d?sslmode=on", "sslmode must be one of disable, allow"),
            ("postgres://h/d?sslmode", "has no value"),
            ("postgres://h/d?user=a&user=b", "user is given twice"),
            ("postgres://h:70000/d", "port must be a number"),
            ("postgres://h/d?port=x", "port must be a number"),
            ("mysql://h/d", "must start with"),
            ("sqlite:///a?mode=ro", "takes no parameters"),
            ("sqlite://", "path of a file"),
            ("sqlite://:memory:", "path of a file"),
        ] {
            assert!(problem(text).contains(says), "{text}: {}", problem(text));
            assert!(!problem(text).contains("geheim"));
        }
    }

    #[test]
    fn a_file_may_have_any_name() {
        let path = |text: &str| text.parse::<DatabaseUrl>().unwrap().sqlite_path().unwrap().to_owned();
        assert_eq!(path("sqlite:///srv/my%20data/100%25%3F.db"), Path::new("/srv/my data/100%?.db"));
        assert_eq!(path("sqlite://my data/a:b.db"), Path::new("my data/a:b.db"));
        let any = Path::new("a b/100%/what?:.db");
        assert_eq!(DatabaseUrl::sqlite(any).sqlite_path(), Some(any));
        assert_eq!(format!("{:?}", DatabaseUrl::sqlite(any)), "sqlite://…");
    }
}
