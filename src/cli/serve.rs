//! `vestibule serve`

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::logging::SetFilter;
use super::notify;
use super::reload::{self, Reload};
use crate::app::App;
use crate::config::{Config, Listen};
use crate::doctor::files::OTHER_FILES;
use crate::domain::auth::passkeys::list;
use crate::error::{Error, Result};
use crate::http::{self, Listener, ServerOptions};
use crate::tools::clock::Clock;
use crate::tools::request_metrics::RequestMetrics;
use crate::worker;

/// Time limit for stopping. Supervisors kill the process after ten seconds.
const STOP_TIMEOUT: Duration = Duration::from_millis(9500);

/// Warns of passkeys that belong to another domain.
async fn warn_of_passkeys(app: &App) -> Result<()> {
    let own = app.relying_party.as_ref().map(|service| service.id.as_str());
    for (domain, number) in list::count_by_domain(app.db.reader()).await? {
        if own != Some(domain.as_str()) {
            tracing::warn!(domain, number, "passkeys of another domain do not work: see VESTIBULE_PASSKEY_DOMAIN");
        }
    }
    Ok(())
}

/// Serves until the process receives SIGTERM or SIGINT. `logs` replaces the log filter.
pub(super) async fn run(mut config: Config, logs: Option<SetFilter>) -> Result<()> {
    // Registered first: until then, SIGHUP ends the process.
    let hangup = signal(SignalKind::hangup()).map_err(Error::internal)?;
    let listener = listener(&mut config).await?;
    let places = listener.places().map_err(Error::internal)?;
    let own_url = match &config.listen {
        // The configured name, with the actual port.
        Listen::Name(name, _) => http::own_url(&places).and_then(|url| url.with_host(name)),
        _ => http::own_url(&places),
    };
    let public_url = config.public_url.clone().or_else(|| own_url.clone()).ok_or_else(super::without_url)?;
    let app = Arc::new(App::open(config, public_url, Clock::System).await?);
    if !app.config.limits.limits {
        tracing::warn!("rate limiting is off (VESTIBULE_LIMITS=off)");
    }
    if let Some(first) = app.ensure_superuser().await.map_err(of_first_superuser)? {
        super::say(&format!("first superuser: {}", first.email));
        if let Some(password) = first.generated_password {
            super::say(&format!("password (shown only once): {password}"));
            super::say(super::TEMPORARY);
        }
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = %app.config.database_url(),
        config_file = app.config.read_file.as_ref().map_or_else(|| "none".to_owned(), |file| file.display().to_string()),
        "starting"
    );
    warn_of_passkeys(&app).await?;
    let watching = watching(&app).await?;
    allow_files(app.config.wire.connections);
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which also means stop.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let reload = Reload { settings: app.config.settings.clone(), logs };
    reload::listen(Arc::clone(&app), hangup, reload);
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let worker = tokio::spawn(worker::run(Arc::clone(&app), wait(stopped.clone())));
    if let Some(listener) = watching {
        let wire = ServerOptions::of(&app.config, &RequestMetrics::default());
        tokio::spawn(http::serve(listener, http::routes::metrics::router(&app), wire, wait(stopped.clone())));
    }
    if let Some(url) = &own_url {
        super::say(&format!("console for staff: {}/console", url.as_str()));
    }
    let listening = own_url.map_or_else(|| app.config.listen.to_string(), |url| url.as_str().to_owned());
    super::say(&format!("listening on {listening}"));
    notify::say(notify::READY);
    let stop_on_signal = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; finishing requests in progress");
        notify::say(notify::STOPPING);
        stop.send_replace(true);
    };
    tokio::spawn(stop_on_signal);
    let serve = http::serve(
        listener,
        http::router(&app),
        ServerOptions::of(&app.config, &app.request_metrics),
        wait(stopped.clone()),
    );
    let finish = async {
        serve.await;
        worker.await.map_err(Error::internal)
    };
    let too_long = async {
        wait(stopped).await;
        sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        finished = finish => finished,
        () = too_long => {
            tracing::warn!("stopping took too long; aborting remaining work");
            Ok(())
        }
    }
}

/// Names the setting whose value was refused for the first superuser.
fn of_first_superuser(error: Error) -> Error {
    let Error::Refused(refusals) = &error else { return error };
    let Some(refusal) = refusals.first() else { return error };
    let setting = if refusal.field == Some("password") { "VESTIBULE_ADMIN_PASSWORD" } else { "VESTIBULE_ADMIN_EMAIL" };
    Error::Command(format!("{setting}: {}", refusal.message()))
}

/// Listens on the sockets passed by systemd, or on the configured address.
async fn listener(config: &mut Config) -> Result<Listener> {
    let inherited = Listener::inherited().map_err(|error| Error::internal(format!("LISTEN_FDS: {error}")))?;
    if let Some(listener) = inherited {
        // Checks for a reachable service use the address it listens on.
        let places = listener.places().map_err(Error::internal)?;
        let open = places.iter().find(|place| !place.is_on_loopback()).or(places.first());
        config.listen = open.cloned().unwrap_or_else(|| config.listen.clone());
        return Ok(listener);
    }
    let failed = |error: std::io::Error| Error::internal(format!("VESTIBULE_LISTEN: {}: {error}", config.listen));
    Listener::bind(&config.listen).await.map_err(failed)
}

/// Listener for metrics, if configured.
async fn watching(app: &App) -> Result<Option<TcpListener>> {
    let Some(address) = app.config.watch.metrics_listen else { return Ok(None) };
    let failed = |error| Error::internal(format!("VESTIBULE_METRICS_LISTEN: {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    super::say(&format!("metrics on http://{}/metrics", listener.local_addr().map_err(Error::internal)?));
    Ok(Some(listener))
}

/// Raises the limit on open files to the hard limit. Shells start programs with a soft limit of about a thousand.
fn allow_files(connections: u32) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < u64::from(connections) + OTHER_FILES {
        tracing::warn!(allowed, connections, "open file limit too low for VESTIBULE_CONNECTIONS; raise ulimit -Hn");
    }
}
