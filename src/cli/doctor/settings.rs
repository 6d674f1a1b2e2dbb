//! What the settings come to, where each is valid by itself.

use super::report::Report;
use crate::config::Config;
use crate::database::exposed_way;
use crate::tools::mail::MailUrl;
use crate::tools::password::Argon2Params;

const CHECK: &str = "settings";

pub(super) fn look(config: &Config) -> Report {
    let mut report = Report::default();
    addresses(config, &mut report);
    secrets(config, &mut report);
    mails(config, &mut report);
    ways(config, &mut report);
    if config.ignored_file {
        let remedy = "name it by VESTIBULE_CONFIG or --config, move it into the data folder, or remove it";
        report.warn(CHECK, "vestibule.toml in the working folder is not read", remedy);
    }
    if !config.limits.limits {
        let remedy = "turn VESTIBULE_LIMITS on: off is for load tests";
        report.warn(CHECK, "nobody is kept from guessing passwords or asking for mails too often", remedy);
    }
    if let Some(address) = config.watch.metrics_listen.filter(|address| !address.ip().is_loopback()) {
        let remedy = "let a firewall keep all but Prometheus away, or set VESTIBULE_METRICS_LISTEN to 127.0.0.1";
        report.warn(CHECK, format!("whoever reaches {address} reads the metrics"), remedy);
    }
    let least = Argon2Params::default();
    if config.argon2.bytes() < least.bytes() {
        let remedy = format!("set VESTIBULE_ARGON2 to {least} at least; see below what this machine affords");
        report.warn(
            CHECK,
            format!("{} hashes passwords with less memory than OWASP recommends", config.argon2),
            remedy,
        );
    }
    report
}

fn addresses(config: &Config, report: &mut Report) {
    let is_local = config.listen.is_on_loopback();
    let Some(public) = &config.public_url else {
        let named = config.listen.url().map_or_else(|| "nothing".to_owned(), |url| url.as_str().to_owned());
        let found = format!("links, cookies and tokens name {named}");
        match is_local {
            true => report.ok(CHECK, format!("{found}: for this machine alone")),
            false => report.warn(CHECK, found, "set VESTIBULE_PUBLIC_URL to the address that clients use"),
        }
        return;
    };
    let found = format!("clients reach {}, the service listens on {}", public.as_str(), config.listen);
    if !public.is_https() && !public.is_on_loopback() {
        let remedy = "put a proxy with TLS in front, and set VESTIBULE_PUBLIC_URL to its https address";
        report.fail(CHECK, format!("{found}: passwords and cookies travel in the clear"), remedy);
    } else if public.is_https() && config.trusted_proxies.is_empty() {
        let remedy = "set VESTIBULE_TRUSTED_PROXIES to the network of the proxy that ends TLS";
        report.warn(CHECK, format!("{found}: its proxy counts as one client, with the limits of one"), remedy);
    } else {
        report.ok(CHECK, found);
    }
    for origin in
        config.allowed_origins.iter().filter(|origin| public.is_https() && origin.as_str().starts_with("http:"))
    {
        let found = format!("pages of {} may call, which anybody on the way can change", origin.as_str());
        report.warn(CHECK, found, "name origins with https alone in VESTIBULE_ALLOWED_ORIGINS");
    }
    for origin in config.allowed_origins.iter().filter(|origin| !origin.may_be_same_site(&public.origin())) {
        let found = format!(
            "{} and {} are different sites to browsers, whose pages do not get each other's cookies",
            origin.as_str(),
            public.origin().as_str()
        );
        let remedy = "use one name for both (localhost or 127.0.0.1), or let its pages ask for `refreshTokenIn: BODY`";
        report.warn(CHECK, found, remedy);
    }
    if let Some(frontend) = &config.frontend_url {
        let origin = frontend.origin();
        if origin != public.origin() && !config.allowed_origins.contains(&origin) {
            let found = format!("links in mails lead to {}, whose pages may not call", frontend.as_str());
            report.warn(CHECK, found, format!("add {} to VESTIBULE_ALLOWED_ORIGINS", origin.as_str()));
        }
    }
}

fn secrets(config: &Config, report: &mut Report) {
    if config.admin_password.is_some() {
        let found = "VESTIBULE_ADMIN_PASSWORD is set, which only the first start needs";
        report.warn(CHECK, found, "take it out once there is a superuser, and change that password");
    }
    if config.secret_key.is_none() && !config.database_url().is_sqlite() {
        let file = config.data_dir.join("secret.key");
        let found = format!("the secret is in {}; other instances do not know it", file.display());
        report.warn(CHECK, found, "give all instances its content as VESTIBULE_SECRET_KEY, if there are several");
    }
}

fn mails(config: &Config, report: &mut Report) {
    let is_public = config.public_url.as_ref().is_some_and(|public| !public.is_on_loopback());
    match config.mail_url() {
        MailUrl::Folder(folder) if is_public => {
            let found = format!("mails are files in {}: nobody gets them", folder.display());
            report.warn(CHECK, found, "set VESTIBULE_MAIL_URL to smtps://USER:PASSWORD@HOST");
        }
        MailUrl::Smtp(_) if config.mail_from.to_string().contains("@localhost") => {
            let found = format!("mails come from {}, which most servers refuse", config.mail_from);
            report.warn(CHECK, found, "set VESTIBULE_MAIL_FROM to an address of yours");
        }
        MailUrl::Folder(_) | MailUrl::Smtp(_) => {}
    }
}

/// Connections to other machines that somebody on the way could read or change.
fn ways(config: &Config, report: &mut Report) {
    if let Some(found) = exposed_way(&config.database_url()) {
        let remedy =
            "add ?sslmode=verify-full to VESTIBULE_DATABASE_URL; VESTIBULE_CA_FILE names an authority of your own";
        report.warn(CHECK, found, remedy);
    }
    if let MailUrl::Smtp(url) = config.mail_url()
        && url.is_exposed()
    {
        let found = match url.is_opportunistic() {
            true => format!("{url} is spoken to without TLS wherever somebody on the way takes the offer of it out"),
            false => format!("links in mails can be read on the way to {url}"),
        };
        report.warn(CHECK, found, "use smtps://… or smtp://…?tls=required in VESTIBULE_MAIL_URL");
    }
    if let Some(collector) = config.watch.otlp_endpoint.as_ref().filter(|url| !url.is_https() && !url.is_on_loopback())
    {
        let found = format!("traces can be read and forged on the way to {}", collector.as_str());
        report.warn(CHECK, found, "use https://… in VESTIBULE_OTLP_ENDPOINT, or a collector on this machine");
    }
}
