//! `vestibule serve`

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;
use crate::config::{BaseUrl, Config};
use crate::error::{Error, Result};
use crate::http;
use crate::tools::clock::Clock;
use crate::worker;

/// Serves until the process is told to stop.
pub(super) async fn run(config: Config) -> Result<()> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Error::internal(format!("VESTIBULE_LISTEN: {}: {error}", config.listen)))?;
    let listening = BaseUrl::listening(listener.local_addr().map_err(Error::internal)?);
    let public_url = config.public_url.clone().unwrap_or_else(|| listening.clone());
    let app = Arc::new(App::open(config, public_url, Clock::System).await?);
    if !app.config.limits.limits {
        tracing::warn!("VESTIBULE_LIMITS is off: nobody is kept from asking too often");
    }
    if let Some(first) = app.ensure_superuser().await? {
        super::say(&format!("first superuser: {}", first.email));
        if let Some(password) = first.generated_password {
            super::say(&format!("its password, shown this once: {password}"));
        }
    }
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, and then it is time to stop as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let worker = tokio::spawn(worker::run(Arc::clone(&app), wait(stopped.clone())));
    super::say(&format!("listening on {}", listening.as_str()));
    let stop_on_signal = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: requests under way may finish");
        stop.send_replace(true);
    };
    tokio::spawn(stop_on_signal);
    http::serve(listener, http::router(&app), wait(stopped)).await;
    worker.await.map_err(Error::internal)
}
