//! `vestibule serve`

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::notify;
use super::reload::{self, Reload};
use crate::app::App;
use crate::config::{Config, Listen};
use crate::error::{Error, Result};
use crate::http::{self, Listener, ServerOptions};
use crate::tools::clock::Clock;
use crate::tools::request_metrics::RequestMetrics;
use crate::worker;

/// As many files are open besides connections, at most: databases, mails, spreadsheets.
pub(super) const OTHER_FILES: u64 = 200;

/// Time limit on stopping, whatever hangs: supervisors kill after ten seconds.
const STOP_TIMEOUT: Duration = Duration::from_millis(9500);

/// Serves until the process is told to stop.
pub(super) async fn run(mut config: Config, reload: Reload) -> Result<()> {
    // From the beginning, for until it is listened to, the signal ends the process.
    let hangup = signal(SignalKind::hangup()).map_err(Error::internal)?;
    let listener = listener(&mut config).await?;
    let places = listener.places().map_err(Error::internal)?;
    let own_url = match &config.listen {
        // By the name that was asked for, with the port that it has.
        Listen::Name(name, _) => http::own_url(&places).and_then(|url| url.with_host(name)),
        _ => http::own_url(&places),
    };
    let public_url = config.public_url.clone().or_else(|| own_url.clone()).ok_or_else(super::without_url)?;
    let app = Arc::new(App::open(config, public_url, Clock::System).await?);
    if !app.config.limits.limits {
        tracing::warn!("VESTIBULE_LIMITS is off: nobody is kept from asking too often");
    }
    if let Some(first) = app.ensure_superuser().await? {
        super::say(&format!("first superuser: {}", first.email));
        if let Some(password) = first.generated_password {
            super::say(&format!("its password, shown this once: {password}"));
            super::say(super::TEMPORARY);
        }
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = %app.config.database_url(),
        config_file = app.config.read_file.as_ref().map_or_else(|| "none".to_owned(), |file| file.display().to_string()),
        "starting"
    );
    let watching = watching(&app).await?;
    allow_files(app.config.wire.connections);
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, and then it is time to stop as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    reload::listen(Arc::clone(&app), hangup, reload);
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let worker = tokio::spawn(worker::run(Arc::clone(&app), wait(stopped.clone())));
    if let Some(listener) = watching {
        let wire = ServerOptions::of(&app.config, &RequestMetrics::default());
        tokio::spawn(http::serve(listener, http::routes::metrics::router(&app), wire, wait(stopped.clone())));
    }
    let listening = own_url.map_or_else(|| app.config.listen.to_string(), |url| url.as_str().to_owned());
    super::say(&format!("listening on {listening}"));
    notify::say(notify::READY);
    let stop_on_signal = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: requests under way may finish");
        notify::say(notify::STOPPING);
        stop.send_replace(true);
    };
    tokio::spawn(stop_on_signal);
    let serve =
        http::serve(listener, http::router(&app), ServerOptions::of(&app.config, &app.traffic), wait(stopped.clone()));
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
            tracing::warn!("stopping took too long; what was left is cut off");
            Ok(())
        }
    }
}

/// Listens at the sockets that systemd passed, or as the settings say.
async fn listener(config: &mut Config) -> Result<Listener> {
    let inherited = Listener::inherited().map_err(|error| Error::internal(format!("LISTEN_FDS: {error}")))?;
    if let Some(listener) = inherited {
        // The checks for a reachable service go by the address at which it listens.
        let places = listener.places().map_err(Error::internal)?;
        let open = places.iter().find(|place| !place.is_on_loopback()).or(places.first());
        config.listen = open.cloned().unwrap_or_else(|| config.listen.clone());
        return Ok(listener);
    }
    let failed = |error: std::io::Error| Error::internal(format!("VESTIBULE_LISTEN: {}: {error}", config.listen));
    Listener::bind(&config.listen).await.map_err(failed)
}

/// Where those who watch the service will be answered, if they are.
async fn watching(app: &App) -> Result<Option<TcpListener>> {
    let Some(address) = app.config.watch.metrics_listen else { return Ok(None) };
    let failed = |error| Error::internal(format!("VESTIBULE_METRICS_LISTEN: {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    super::say(&format!("metrics on http://{}/metrics", listener.local_addr().map_err(Error::internal)?));
    Ok(Some(listener))
}

/// Lets the process have as many files and connections open as the system lets it have at all: shells start programs with
/// a thousand.
fn allow_files(connections: u32) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the number of open files cannot be raised");
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < u64::from(connections) + OTHER_FILES {
        tracing::warn!(
            allowed,
            connections,
            "fewer files may be open than VESTIBULE_CONNECTIONS needs: see `ulimit -n`"
        );
    }
}
