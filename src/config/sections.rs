//! Settings that belong together.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::types::{BaseUrl, Limit, parse_duration, parse_life, parse_patience, parse_share};

/// Life and renewal of sessions.
#[derive(Args, Clone, Copy, Debug)]
pub struct SessionConfig {
    /// How long an access token holds
    #[arg(long, global = true, env = "VESTIBULE_ACCESS_TTL", value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub access_ttl: Duration,

    /// How long an unused session lives
    #[arg(long, global = true, env = "VESTIBULE_REFRESH_TTL", value_name = "DURATION", default_value = "30d", value_parser = parse_duration)]
    pub refresh_ttl: Duration,

    /// How long a session lives in all
    #[arg(long, global = true, env = "VESTIBULE_SESSION_TTL", value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    pub session_ttl: Duration,

    /// For how long a refresh token that was rotated away gives its successor again
    #[arg(long, global = true, env = "VESTIBULE_REFRESH_GRACE", value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub refresh_grace: Duration,
}

/// Life of mailed links.
#[derive(Args, Clone, Copy, Debug)]
pub struct LinkConfig {
    /// How long a link to replace a forgotten password holds
    #[arg(long, global = true, env = "VESTIBULE_RESET_TTL", value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub reset_ttl: Duration,

    /// How long the link in a welcome mail holds
    #[arg(long, global = true, env = "VESTIBULE_INVITE_TTL", value_name = "DURATION", default_value = "72h", value_parser = parse_duration)]
    pub invite_ttl: Duration,

    /// How long a link to confirm an address holds, and a registration waits for that
    #[arg(long, global = true, env = "VESTIBULE_VERIFY_TTL", value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub verify_ttl: Duration,

    /// How long the link in the mail to the old address undoes a change of address
    #[arg(long, global = true, env = "VESTIBULE_UNDO_TTL", value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    pub undo_ttl: Duration,
}

/// Limits on what can be asked for, written `3/1h`: so many at once, and as many again in that time.
#[derive(Args, Clone, Copy, Debug)]
pub struct LimitConfig {
    /// Whether there are any limits; off is for load tests
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

    /// Mails that strangers can have sent to one address
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_MAIL_ADDRESS", value_name = "LIMIT", default_value = "3/1h")]
    pub limit_mail_address: Limit,

    /// Requests for such mails from one client
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_MAIL_CLIENT", value_name = "LIMIT", default_value = "30/1h")]
    pub limit_mail_client: Limit,

    /// Wrong passwords for one account from one client
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_SIGN_IN", value_name = "LIMIT", default_value = "10/15m")]
    pub limit_sign_in: Limit,

    /// Wrong passwords from one client, whatever the account
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_SIGN_IN_CLIENT", value_name = "LIMIT", default_value = "50/15m")]
    pub limit_sign_in_client: Limit,

    /// Wrong passwords for one account from everywhere; clients that signed in to it lately stay let in
    #[arg(
        long,
        global = true,
        env = "VESTIBULE_LIMIT_SIGN_IN_ACCOUNT",
        value_name = "LIMIT",
        default_value = "100/24h"
    )]
    pub limit_sign_in_account: Limit,

    /// Wrong links of mails from one client
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_LINK", value_name = "LIMIT", default_value = "30/15m")]
    pub limit_link: Limit,

    /// Attempts of one client to register, whatever comes of them, and usernames that one user tries
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_REGISTER", value_name = "LIMIT", default_value = "60/1h")]
    pub limit_register: Limit,

    /// Lists given out to one user, and files of users taken in
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_BULK", value_name = "LIMIT", default_value = "60/1h")]
    pub limit_bulk: Limit,

    /// Welcome mails that one user causes, account by account; an import counts as one list taken in
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_WELCOME", value_name = "LIMIT", default_value = "100/1h")]
    pub limit_welcome: Limit,

    /// API tokens that one user creates or rotates
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_API_TOKEN", value_name = "LIMIT", default_value = "60/1h")]
    pub limit_api_token: Limit,

    /// Changes by one user, over all sessions and API tokens
    #[arg(long, global = true, env = "VESTIBULE_LIMIT_WRITES", value_name = "LIMIT", default_value = "600/10m")]
    pub limit_writes: Limit,
}

/// Connections to a PostgreSQL server.
#[derive(Args, Clone, Copy, Debug)]
pub struct DatabaseConfig {
    /// Connections to PostgreSQL for reading
    #[arg(long, global = true, env = "VESTIBULE_DATABASE_READERS", value_name = "NUMBER", default_value = "10", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_readers: u32,

    /// Connections to PostgreSQL for writing
    #[arg(long, global = true, env = "VESTIBULE_DATABASE_WRITERS", value_name = "NUMBER", default_value = "10", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_writers: u32,
}

/// Life of API tokens.
#[derive(Args, Clone, Copy, Debug)]
pub struct ApiTokenConfig {
    /// The longest life of an API token, and the life of one for which no end is given
    #[arg(long, global = true, env = "VESTIBULE_API_TOKEN_TTL", value_name = "DURATION", default_value = "365d", value_parser = parse_life)]
    pub api_token_ttl: Duration,
}

/// How long what is personal is kept.
#[derive(Args, Clone, Copy, Debug)]
pub struct RetentionConfig {
    /// How long the audit trail keeps addresses and programs of clients; the events themselves stay
    #[arg(long, global = true, env = "VESTIBULE_KEEP_CLIENTS", value_name = "DURATION", default_value = "180d", value_parser = parse_duration)]
    pub keep_clients: Duration,

    /// How long the outbox keeps mails that were sent or given up
    #[arg(long, global = true, env = "VESTIBULE_KEEP_MAILS", value_name = "DURATION", default_value = "90d", value_parser = parse_duration)]
    pub keep_mails: Duration,
}

/// Connections by WebSocket.
#[derive(Args, Clone, Copy, Debug)]
pub struct SocketConfig {
    /// Connections by WebSocket in all
    #[arg(long, global = true, env = "VESTIBULE_SOCKETS", value_name = "NUMBER", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets: u32,

    /// Connections by WebSocket of one client
    #[arg(long, global = true, env = "VESTIBULE_SOCKETS_PER_CLIENT", value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets_per_client: u32,
}

/// Watching the service.
#[derive(Args, Clone, Debug)]
pub struct WatchConfig {
    /// Address and port where Prometheus finds `/metrics`; whoever reaches it may read it [default: none]
    #[arg(long, global = true, env = "VESTIBULE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,

    /// Where traces are sent by OTLP over HTTP, such as `http://127.0.0.1:4318` [default: nowhere]
    #[arg(long, global = true, env = "VESTIBULE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<BaseUrl>,

    /// Which share of the traces is sent, from 0 to 1
    #[arg(long, global = true, env = "VESTIBULE_OTLP_SAMPLE", value_name = "SHARE", default_value = "1", value_parser = parse_share)]
    pub otlp_sample: f64,
}

/// Connections, and how long everything may take.
#[derive(Args, Clone, Copy, Debug)]
pub struct WireConfig {
    /// Connections in all, those by WebSocket among them; the process needs as many file descriptors
    #[arg(long, global = true, env = "VESTIBULE_CONNECTIONS", value_name = "NUMBER", default_value = "12000", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// Connections of one client; those of trusted proxies are not counted
    #[arg(long, global = true, env = "VESTIBULE_CONNECTIONS_PER_CLIENT", value_name = "NUMBER", default_value = "500", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_client: u32,

    /// How long the headers of a request may take to arrive, and the first request of a connection
    #[arg(long, global = true, env = "VESTIBULE_HEADER_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    pub header_timeout: Duration,

    /// How long a body may take to arrive: of a document without a file, or of a form
    #[arg(long, global = true, env = "VESTIBULE_BODY_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    pub body_timeout: Duration,

    /// How long a body with a file may take to arrive, and then to be dealt with
    #[arg(long, global = true, env = "VESTIBULE_UPLOAD_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = parse_patience)]
    pub upload_timeout: Duration,

    /// How long a document may take to be executed
    #[arg(long, global = true, env = "VESTIBULE_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    pub request_timeout: Duration,

    /// How long a workbook (.xlsx) may take to be written, before its download begins
    #[arg(long, global = true, env = "VESTIBULE_EXPORT_TIMEOUT", value_name = "DURATION", default_value = "5m", value_parser = parse_patience)]
    pub export_timeout: Duration,

    /// How long a client may take nothing of its answer
    #[arg(long, global = true, env = "VESTIBULE_SEND_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = parse_patience)]
    pub send_timeout: Duration,

    /// How long a connection is kept for the next request; longer than a proxy in front keeps it
    #[arg(long, global = true, env = "VESTIBULE_IDLE_TIMEOUT", value_name = "DURATION", default_value = "75s", value_parser = parse_patience)]
    pub idle_timeout: Duration,
}
