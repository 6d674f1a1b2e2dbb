//! Types of settings, and their parsers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

/// Sign-up by users themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Registration {
    /// Anyone can sign up.
    Open,
    /// Only staff create accounts.
    Closed,
}

/// Users who need a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SecondFactorPolicy {
    /// Users may enrol a second factor.
    Optional,
    /// Staff must have a second factor.
    Staff,
    /// All users must have a second factor.
    All,
    /// Second factors are neither enrolled nor asked for.
    Off,
}

/// A rate limit: a burst of `count`, refilled over `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Number of permits, at least one.
    pub count: u32,
    /// Time in which all permits are refilled, at least one second.
    pub per: Duration,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a limit such as 3/1h");
        let (count, per) = text.split_once('/').ok_or_else(bad)?;
        let limit = Self { count: count.trim().parse().map_err(|_| bad())?, per: parse_duration(per.trim())? };
        if limit.count == 0 || limit.per < Duration::from_secs(1) { Err(bad()) } else { Ok(limit) }
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address with a port.
    Address(SocketAddr),
    /// A host name with a port, such as `localhost:8000`, for all addresses of the name.
    Name(String, u16),
    /// A Unix socket, `unix:PATH`.
    File(PathBuf),
}

impl Listen {
    /// True if only this machine can reach it.
    pub fn is_on_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().is_loopback(),
            Self::Name(name, _) => is_loopback(name),
            Self::File(_) => true,
        }
    }

    /// URL for clients on this machine; `None` for a Unix socket.
    pub fn url(&self) -> Option<BaseUrl> {
        match self {
            Self::Address(address) => Some(BaseUrl::listening(*address)),
            Self::Name(name, port) => Some(BaseUrl(format!("http://{name}:{port}"))),
            Self::File(_) => None,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::File(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("'{text}' is not an address such as 127.0.0.1:8000, localhost:8000 or unix:/run/vestibule.sock");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(bad()) } else { Ok(Self::File(PathBuf::from(path))) };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let (name, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        // A name of digits and dots is a malformed address.
        let is_address = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match port.parse() {
            Ok(port) if is_name && !is_address => Ok(Self::Name(name.to_ascii_lowercase(), port)),
            _ => Err(bad()),
        }
    }
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Parses a duration of at most ten years.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("'{text}' is not a duration such as 10s, 5m, 1h or 30d"))?;
    if duration > Duration::from_secs(10 * 365 * 24 * 60 * 60) {
        return Err(format!("'{text}' is longer than ten years"));
    }
    Ok(duration)
}

/// Parses the lifetime of a credential, at least a minute.
pub(super) fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration < Duration::from_secs(60) { Err(format!("'{text}' is shorter than a minute")) } else { Ok(duration) }
}

/// Parses a timeout from 100 ms to one hour.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let fits = (Duration::from_millis(100)..=Duration::from_secs(60 * 60)).contains(&duration);
    if fits { Ok(duration) } else { Err(format!("'{text}' is not between 100ms and 1h")) }
}

/// Parses a fraction from 0 to 1.
pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("'{text}' is not a fraction from 0 to 1"))
}

/// Parses a network or a single IP address.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.trim();
    let address = || network.parse::<IpAddr>().map(IpNet::from);
    network.parse().or_else(|_| address()).map_err(|_| format!("'{text}' is not a network such as 10.0.0.0/8"))
}

/// True if the host part of a URL is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// An `http` or `https` URL without a trailing slash, to which paths are appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// URL of a listener at this address.
    pub fn listening(address: SocketAddr) -> Self {
        Self(format!("http://{address}"))
    }

    /// The same URL with another host.
    pub fn with_host(&self, host: &str) -> Option<Self> {
        let mut url = Url::parse(&self.0).ok()?;
        url.set_host(Some(host)).ok()?;
        Some(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// Text of the URL, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for https, where cookies can be Secure.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// True if only this machine can reach the host.
    pub fn is_on_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| url.host_str().is_some_and(is_loopback))
    }

    /// Path without a trailing slash, or an empty text.
    pub fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |start| &rest[start..])
    }

    /// True if cookies, pages and proxies read the path in the same way.
    pub(super) fn has_plain_path(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let mut parts = self.path().split('/').skip(1);
        parts.all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain))
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> Origin {
        let url = url::Url::parse(&self.0).expect("it was parsed before");
        Origin(url.origin().ascii_serialization())
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is not quoted: it may contain a password.
        let bad = || "it must be a URL such as https://accounts.example.com, without a password".to_owned();
        let url = url::Url::parse(text).map_err(|_| bad())?;
        let plain = url.query().is_none() && url.fragment().is_none() && !text.contains('@');
        if !plain || !url.has_host() || !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// Address of a page elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebLink(String);

impl WebLink {
    /// Text of the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is not quoted: it may contain a password.
        let bad = || "it must be a URL such as https://example.com/privacy, without a password".to_owned();
        let url = Url::parse(text.trim()).map_err(|_| bad())?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_web = matches!(url.scheme(), "http" | "https");
        if is_plain && is_web { Ok(Self(url.into())) } else { Err(bad()) }
    }
}

/// Scheme, host and port of a calling page, as in the `Origin` header (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Text, as sent by browsers.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if browsers may treat both as the same site, decided without the Public Suffix List. Pages of another site
    /// do not get the service's cookies.
    pub fn may_be_same_site(&self, other: &Self) -> bool {
        let parts = |origin: &Self| {
            let url = Url::parse(&origin.0).ok()?;
            let host = url.host_str()?.to_owned();
            let is_name = host.parse::<IpAddr>().is_err() && !host.starts_with('[');
            let end = host.rsplit('.').take(2).collect::<Vec<_>>().join(".");
            Some((url.scheme().to_owned(), if is_name { end } else { host }))
        };
        parts(self) == parts(other)
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(origin) = of_app(text.trim()) {
            return Ok(origin);
        }
        // A text with a password is not quoted.
        let shown = if text.contains('@') { "it" } else { &format!("'{text}'") };
        let base: BaseUrl =
            text.trim().parse().map_err(|_| format!("{shown} is not an origin such as https://app.example.com"))?;
        if text.contains('*') {
            return Err(format!("'{text}' contains a wildcard. List each origin"));
        }
        let url = url::Url::parse(base.as_str()).map_err(|error| error.to_string())?;
        if url.path() == "/" { Ok(base.origin()) } else { Err(format!("'{text}' is not an origin. Remove the path")) }
    }
}

/// Origin of pages in an app or a browser extension, such as `capacitor://localhost` or `chrome-extension://ID`; `None`
/// for other texts. The standard defines no origin for such schemes, but the programs send one.
fn of_app(text: &str) -> Option<Origin> {
    let (scheme, host) = text.split_once("://")?;
    let is_web = matches!(scheme, "http" | "https" | "ws" | "wss" | "ftp" | "file" | "data" | "blob" | "javascript");
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    let host = host.strip_suffix('/').unwrap_or(host);
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    (is_scheme && !is_web && is_host).then(|| Origin(format!("{scheme}://{host}")))
}

/// A text that is hidden in debug output.
#[derive(Clone)]
pub struct Masked(String);

impl Masked {
    /// The text, not for printing.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Masked {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Maximum length of a secret used for the estimate of its strength, in bytes. The cost grows faster than the length.
const MAX_JUDGED: usize = 48;

/// Minimum number of guesses for a secret, as a power of ten. Estimates are capped slightly above it.
const MIN_KEY_GUESSES: f64 = 19.0;

/// The secret key from which other keys are derived: at least 32 characters, ten of them different, and not easy to
/// guess.
#[derive(Clone, Debug)]
pub struct SecretKey(Masked);

impl SecretKey {
    /// Bytes from which keys are derived.
    pub fn bytes(&self) -> &[u8] {
        self.0.reveal().as_bytes()
    }
}

impl FromStr for SecretKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let start = &text[..text.floor_char_boundary(MAX_JUDGED)];
        if text.len() < 32 || characters.len() < 10 || zxcvbn::zxcvbn(start, &[]).guesses_log10() < MIN_KEY_GUESSES {
            return Err(
                "it must be at least 32 random characters, such as the output of `openssl rand -base64 32`".to_owned()
            );
        }
        Ok(Self(Masked(text.to_owned())))
    }
}
