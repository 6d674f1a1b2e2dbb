//! Groups of settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::types::{BaseUrl, Limit, WebLink, parse_duration, parse_lifetime, parse_share, parse_timeout};
use crate::texts::Text;
use crate::tools::brand::{Brand, Logo};
use crate::tools::color::Color;

/// Lifetime and renewal of sessions.
#[derive(Args, Clone, Copy, Debug)]
pub struct SessionConfig {
    /// Lifetime of an access token
    #[arg(long, global = true, env = "VESTIBULE_ACCESS_TTL", value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub access_ttl: Duration,

    /// Maximum lifetime of an unused session
    #[arg(long, global = true, env = "VESTIBULE_REFRESH_TTL", value_name = "DURATION", default_value = "30d", value_parser = parse_duration)]
    pub refresh_ttl: Duration,

    /// Maximum lifetime of a session
    #[arg(long, global = true, env = "VESTIBULE_SESSION_TTL", value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    pub session_ttl: Duration,

    /// Time in which a used refresh token returns the same successor again
    #[arg(long, global = true, env = "VESTIBULE_REFRESH_GRACE", value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub refresh_grace: Duration,

    /// Time after which sensitive operations require a new proof of identity
    #[arg(long, global = true, env = "VESTIBULE_REAUTHENTICATE_AFTER", value_name = "DURATION", default_value = "10m", value_parser = parse_lifetime)]
    pub reauthenticate_after: Duration,
}

/// Lifetime of links in emails.
#[derive(Args, Clone, Copy, Debug)]
pub struct LinkConfig {
    /// Lifetime of a link to reset a password
    #[arg(long, global = true, env = "VESTIBULE_RESET_TTL", value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub reset_ttl: Duration,

    /// Lifetime of the link in a welcome email
    #[arg(long, global = true, env = "VESTIBULE_INVITE_TTL", value_name = "DURATION", default_value = "72h", value_parser = parse_duration)]
    pub invite_ttl: Duration,

    /// Lifetime of a link to confirm an email address, and of a pending registration
    #[arg(long, global = true, env = "VESTIBULE_VERIFY_TTL", value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub verify_ttl: Duration,

    /// Lifetime of a link to undo a change of the email address
    #[arg(long, global = true, env = "VESTIBULE_UNDO_TTL", value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    pub undo_ttl: Duration,
}

/// Look of pages and emails.
#[derive(Args, Clone, Debug, Default)]
pub struct BrandConfig {
    /// Logo in the header of pages: a PNG or SVG file of at most 256 KiB [default: none]
    #[arg(long, global = true, env = "VESTIBULE_SITE_LOGO", value_name = "FILE")]
    pub site_logo: Option<PathBuf>,

    /// Accent color of pages and emails, such as `#1f4fbf` [default: blue]
    #[arg(long, global = true, env = "VESTIBULE_SITE_COLOR", value_name = "COLOR")]
    pub site_color: Option<Color>,

    /// Imprint (legal notice), linked in pages and emails [default: none]
    #[arg(long, global = true, env = "VESTIBULE_IMPRINT_URL", value_name = "URL")]
    pub imprint_url: Option<WebLink>,

    /// Privacy policy, linked in pages and emails [default: none]
    #[arg(long, global = true, env = "VESTIBULE_PRIVACY_URL", value_name = "URL")]
    pub privacy_url: Option<WebLink>,

    /// Terms of use, linked in pages and emails [default: none]
    #[arg(long, global = true, env = "VESTIBULE_TERMS_URL", value_name = "URL")]
    pub terms_url: Option<WebLink>,
}

impl BrandConfig {
    /// The look, with the logo read from its file.
    ///
    /// # Errors
    /// One line that names the setting.
    pub fn read(&self) -> Result<Brand, String> {
        let logo = self.site_logo.as_ref().map(|path| {
            let logo = Logo::open(path);
            logo.map_err(|problem| format!("VESTIBULE_SITE_LOGO: {}: {problem}", path.display()))
        });
        let legal = [
            (Text::new("legal-imprint"), &self.imprint_url),
            (Text::new("legal-privacy"), &self.privacy_url),
            (Text::new("legal-terms"), &self.terms_url),
        ];
        let legal = legal.into_iter().filter_map(|(label, url)| Some((label, url.as_ref()?.as_str().to_owned())));
        Ok(Brand { logo: logo.transpose()?, color: self.site_color, legal: legal.collect() })
    }
}

/// Rate limits: `3/1h` allows a burst of 3, refilled over one hour.
#[derive(Args, Clone, Copy, Debug)]
pub struct LimitConfig {
    /// Rate limiting; off is for load tests
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_LIMITS",
        value_name = "ON|OFF",
        default_value = "on",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::Set
    )]
    pub limits: bool,

    /// Emails to one address that anonymous clients can request
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_MAIL_ADDRESS", value_name = "LIMIT", default_value = "3/1h")]
    pub limit_mail_address: Limit,

    /// Requests for such emails per client
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_MAIL_CLIENT", value_name = "LIMIT", default_value = "30/1h")]
    pub limit_mail_client: Limit,

    /// Wrong passwords per account and client
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_SIGN_IN", value_name = "LIMIT", default_value = "10/15m")]
    pub limit_sign_in: Limit,

    /// Wrong passwords per client, for all accounts
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_SIGN_IN_CLIENT", value_name = "LIMIT", default_value = "50/15m")]
    pub limit_sign_in_client: Limit,

    /// Wrong passwords per account, from all clients; networks with a recent sign-in to it are exempt
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_LIMIT_SIGN_IN_ACCOUNT",
        value_name = "LIMIT",
        default_value = "100/24h"
    )]
    pub limit_sign_in_account: Limit,

    /// Invalid links from emails per client
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_LINK", value_name = "LIMIT", default_value = "30/15m")]
    pub limit_link: Limit,

    /// Sign-up attempts per client, and usernames tried per user
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_REGISTER", value_name = "LIMIT", default_value = "60/1h")]
    pub limit_register: Limit,

    /// Exports and imports per user
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_BULK", value_name = "LIMIT", default_value = "60/1h")]
    pub limit_bulk: Limit,

    /// Accounts with a welcome email that one user creates individually; imports are not counted
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_WELCOME", value_name = "LIMIT", default_value = "100/1h")]
    pub limit_welcome: Limit,

    /// API tokens created or rotated per user
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_API_TOKEN", value_name = "LIMIT", default_value = "60/1h")]
    pub limit_api_token: Limit,

    /// Mutations per user, over all sessions and API tokens
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_WRITES", value_name = "LIMIT", default_value = "600/10m")]
    pub limit_writes: Limit,

    /// Wrong codes of a second factor per account, after which only recovery codes are accepted
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_SECOND_FACTOR", value_name = "LIMIT", default_value = "20/24h")]
    pub limit_second_factor: Limit,
}

/// Connections to PostgreSQL.
#[derive(Args, Clone, Copy, Debug)]
pub struct DatabaseConfig {
    /// PostgreSQL connections for reading
    #[arg(long, global = true, env = "VESTIBULE_DATABASE_READERS", value_name = "NUMBER", default_value = "10", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_readers: u32,

    /// PostgreSQL connections for writing
    #[arg(long, global = true, env = "VESTIBULE_DATABASE_WRITERS", value_name = "NUMBER", default_value = "10", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_writers: u32,
}

/// Lifetime of API tokens.
#[derive(Args, Clone, Copy, Debug)]
pub struct ApiTokenConfig {
    /// Maximum and default lifetime of an API token
    #[arg(long, global = true, env = "VESTIBULE_API_TOKEN_TTL", value_name = "DURATION", default_value = "365d", value_parser = parse_lifetime)]
    pub api_token_ttl: Duration,
}

/// Retention of personal data.
#[derive(Args, Clone, Copy, Debug)]
pub struct RetentionConfig {
    /// Retention of IP addresses and user agents in the audit trail; the events themselves are kept
    #[arg(long, global = true, env = "VESTIBULE_KEEP_CLIENTS", value_name = "DURATION", default_value = "180d", value_parser = parse_duration)]
    pub keep_clients: Duration,

    /// Retention of sent and failed emails in the outbox
    #[arg(long, global = true, env = "VESTIBULE_KEEP_MAILS", value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    pub keep_mails: Duration,
}

/// WebSocket connections.
#[derive(Args, Clone, Copy, Debug)]
pub struct SocketConfig {
    /// Maximum number of WebSocket connections
    #[arg(long, global = true, env = "VESTIBULE_SOCKETS", value_name = "NUMBER", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets: u32,

    /// Maximum number of WebSocket connections per client
    #[arg(long, global = true, env = "VESTIBULE_SOCKETS_PER_CLIENT", value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets_per_client: u32,
}

/// Monitoring.
#[derive(Args, Clone, Debug)]
pub struct WatchConfig {
    /// Address and port that serve `/metrics` for Prometheus, without authentication [default: none]
    #[arg(long, global = true, env = "VESTIBULE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,

    /// URL of the OTLP collector for traces over HTTP, such as `http://127.0.0.1:4318` [default: none]
    #[arg(long, global = true, env = "VESTIBULE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<BaseUrl>,

    /// Fraction of traces to send, from 0 to 1
    #[arg(long, global = true, env = "VESTIBULE_OTLP_SAMPLE", value_name = "SHARE", default_value = "1", value_parser = parse_share)]
    pub otlp_sample: f64,
}

/// Connection limits and timeouts.
#[derive(Args, Clone, Copy, Debug)]
pub struct WireConfig {
    /// Maximum number of connections, including WebSocket connections; each needs a file descriptor
    #[arg(long, global = true, env = "VESTIBULE_CONNECTIONS", value_name = "NUMBER", default_value = "12000", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// Maximum number of connections per client; those of trusted proxies are not counted
    #[arg(long, global = true, env = "VESTIBULE_CONNECTIONS_PER_CLIENT", value_name = "NUMBER", default_value = "500", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_client: u32,

    /// Timeout for the headers of a request, and for the first request of a connection
    #[arg(long, global = true, env = "VESTIBULE_HEADER_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    pub header_timeout: Duration,

    /// Timeout for a request body without a file
    #[arg(long, global = true, env = "VESTIBULE_BODY_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    pub body_timeout: Duration,

    /// Timeout for a request body with a file, and then for its processing
    #[arg(long, global = true, env = "VESTIBULE_UPLOAD_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = parse_timeout)]
    pub upload_timeout: Duration,

    /// Timeout for executing a GraphQL request
    #[arg(long, global = true, env = "VESTIBULE_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    pub request_timeout: Duration,

    /// Timeout for writing a workbook (.xlsx) before its download starts
    #[arg(long, global = true, env = "VESTIBULE_EXPORT_TIMEOUT", value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub export_timeout: Duration,

    /// Timeout for a client that does not read its response
    #[arg(long, global = true, env = "VESTIBULE_SEND_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = parse_timeout)]
    pub send_timeout: Duration,

    /// Idle timeout of a connection; should be longer than that of a proxy in front
    #[arg(long, global = true, env = "VESTIBULE_IDLE_TIMEOUT", value_name = "DURATION", default_value = "75s", value_parser = parse_timeout)]
    pub idle_timeout: Duration,
}
