//! Checks of combinations of valid settings.

use super::report::Report;
use crate::config::Config;
use crate::database::exposed_way;
use crate::tools::mail::MailUrl;
use crate::tools::password::Argon2Params;

const CHECK: &str = "settings";

pub(super) fn check(config: &Config) -> Report {
    let mut report = Report::default();
    addresses(config, &mut report);
    secrets(config, &mut report);
    mails(config, &mut report);
    ways(config, &mut report);
    if config.ignored_file {
        let remedy = "set VESTIBULE_CONFIG or --config to it, move it to the data directory, or delete it";
        report.warn(CHECK, "vestibule.toml in the working directory is ignored", remedy);
    }
    if !config.limits.limits {
        let remedy = "set VESTIBULE_LIMITS=on; off is for load tests";
        report.warn(CHECK, "rate limiting is off (VESTIBULE_LIMITS=off)", remedy);
    }
    if let Some(address) = config.watch.metrics_listen.filter(|address| !address.ip().is_loopback()) {
        let remedy = "restrict access to Prometheus with a firewall, or set VESTIBULE_METRICS_LISTEN to 127.0.0.1";
        report.warn(CHECK, format!("anyone who can reach {address} can read the metrics"), remedy);
    }
    if let Err(problem) = config.brand.read() {
        report.fail(CHECK, problem, "correct the path or the file; the service does not start without it");
    }
    let least = Argon2Params::default();
    if config.argon2.bytes() < least.bytes() {
        let remedy =
            format!("set VESTIBULE_ARGON2 to at least {least}; see below for the parameters this machine can afford");
        report.warn(
            CHECK,
            format!("VESTIBULE_ARGON2={} uses less memory than OWASP recommends", config.argon2),
            remedy,
        );
    }
    report
}

fn addresses(config: &Config, report: &mut Report) {
    let is_local = config.listen.is_on_loopback();
    let Some(public) = &config.public_url else {
        let named = config.listen.url().map_or_else(|| "no address".to_owned(), |url| url.as_str().to_owned());
        let found = format!("links, cookies and tokens use {named}");
        match is_local && config.trusted_proxies.is_empty() {
            true => report.ok(CHECK, format!("{found}, which works only on this machine")),
            false => report.warn(CHECK, found, "set VESTIBULE_PUBLIC_URL to the URL that clients use"),
        }
        return;
    };
    let found = format!("clients use {}, the service listens on {}", public.as_str(), config.listen);
    if !public.is_https() && !public.is_on_loopback() {
        let remedy = "put a TLS proxy in front, and set VESTIBULE_PUBLIC_URL to its https URL";
        report.fail(CHECK, format!("{found}: passwords and cookies are sent unencrypted"), remedy);
    } else if public.is_https() && config.trusted_proxies.is_empty() {
        let remedy = "set VESTIBULE_TRUSTED_PROXIES to the network of the proxy that terminates TLS";
        report.warn(
            CHECK,
            format!("{found}: all clients behind the proxy share the rate limits of one client"),
            remedy,
        );
    } else {
        report.ok(CHECK, found);
    }
    for origin in
        config.allowed_origins.iter().filter(|origin| public.is_https() && origin.as_str().starts_with("http:"))
    {
        let found = format!("allowed origin {} is unencrypted: its pages can be changed in transit", origin.as_str());
        report.warn(CHECK, found, "use only https origins in VESTIBULE_ALLOWED_ORIGINS");
    }
    for origin in config.allowed_origins.iter().filter(|origin| !origin.may_be_same_site(&public.origin())) {
        let found = format!(
            "{} and {} are different sites: browsers do not send cookies from one to the other",
            origin.as_str(),
            public.origin().as_str()
        );
        let remedy = "use one host name for both (localhost or 127.0.0.1), or request `refreshTokenIn: BODY`";
        report.warn(CHECK, found, remedy);
    }
    if let Some(frontend) = &config.frontend_url {
        let origin = frontend.origin();
        if origin != public.origin() && !config.allowed_origins.contains(&origin) {
            let found = format!("links in emails lead to {}, which is not an allowed origin", frontend.as_str());
            report.warn(CHECK, found, format!("add {} to VESTIBULE_ALLOWED_ORIGINS", origin.as_str()));
        }
    }
}

fn secrets(config: &Config, report: &mut Report) {
    if config.admin_password.is_some() {
        let found = "VESTIBULE_ADMIN_PASSWORD is set, but only the first start needs it";
        report.warn(CHECK, found, "unset it once a superuser exists, and change that password");
    }
    if config.secret_key.is_none() && !config.database_url().is_sqlite() {
        let file = config.data_dir.join("secret.key");
        let found = format!("the secret key is in {}; other instances do not have it", file.display());
        report.warn(CHECK, found, "with several instances, set VESTIBULE_SECRET_KEY to its content on all of them");
    }
}

fn mails(config: &Config, report: &mut Report) {
    let is_public = config.public_url.as_ref().is_some_and(|public| !public.is_on_loopback());
    match config.mail_url() {
        MailUrl::Folder(folder) if is_public => {
            let found = format!("emails are written to {} and not delivered", folder.display());
            report.warn(CHECK, found, "set VESTIBULE_MAIL_URL to smtps://USER:PASSWORD@HOST");
        }
        MailUrl::Smtp(_) if config.mail_from.to_string().contains("@localhost") => {
            let found = format!("emails are sent from {}, which most mail servers reject", config.mail_from);
            report.warn(CHECK, found, "set VESTIBULE_MAIL_FROM to an address you own");
        }
        MailUrl::Folder(_) | MailUrl::Smtp(_) => {}
    }
}

/// Unencrypted connections to other machines, which could be read or changed in transit.
fn ways(config: &Config, report: &mut Report) {
    if let Some(found) = exposed_way(&config.database_url()) {
        let remedy = "add ?sslmode=verify-full to VESTIBULE_DATABASE_URL; set VESTIBULE_CA_FILE for a private CA";
        report.warn(CHECK, found, remedy);
    }
    if let MailUrl::Smtp(url) = config.mail_url()
        && url.is_exposed()
    {
        let found = match url.is_opportunistic() {
            true => format!("{url} is used without TLS if STARTTLS is stripped in transit"),
            false => format!("links in emails are sent unencrypted to {url}"),
        };
        report.warn(CHECK, found, "use smtps://… or smtp://…?tls=required in VESTIBULE_MAIL_URL");
    }
    if let Some(api) = config.breached_passwords_api.as_ref().filter(|url| !url.is_https() && !url.is_on_loopback()) {
        let found = format!("parts of password hashes are sent unencrypted to {}", api.as_str());
        report.warn(CHECK, found, "use https://… in VESTIBULE_BREACHED_PASSWORDS_API");
    }
    if let Some(collector) = config.watch.otlp_endpoint.as_ref().filter(|url| !url.is_https() && !url.is_on_loopback())
    {
        let found = format!("traces are sent unencrypted to {}", collector.as_str());
        report.warn(CHECK, found, "use https://… in VESTIBULE_OTLP_ENDPOINT, or a collector on this machine");
    }
}
