//! Background tasks: sends emails, deletes expired rows, reloads signing keys, publishes presence, and closes
//! connections of callers whose access has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::app::App;
use crate::domain::account::registration;
use crate::domain::auth::second_factor::challenge;
use crate::domain::auth::signing_keys::RELOAD;
use crate::domain::auth::{known_devices, known_networks, sessions};
use crate::domain::import::spreadsheet::jobs;
use crate::domain::{avatars, rate_limits, retention, sent_forms};
use crate::error::{Error, Result};

/// Interval between checks for due emails.
const MAIL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of emails sent in parallel.
const MAILS: usize = 10;

/// Timeout of emails in progress when the service stops. The others are sent after the next start.
const MAIL_STOP_TIMEOUT: Duration = Duration::from_secs(7);

/// Timeout of recording the last activity when the service stops.
const PRESENCE_STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval between records of presence.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(15);

/// Minimum interval between notifications about online users.
const NOTIFICATION_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between checks of the callers of open connections.
const CONNECTIONS_INTERVAL: Duration = Duration::from_millis(500);

/// Interval between reports of exhausted limits.
const LIMITS_INTERVAL: Duration = Duration::from_secs(1);

/// Delay before listening to other instances again after an error.
const LISTEN_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Interval between runs of the periodic maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

/// Timeout of one iteration. Without it, a stuck database would prevent a retry on another server.
const ITERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeout of the periodic maintenance, which may have to delete many rows.
const MAINTENANCE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Timeout of one email, including its reads and writes.
const MAIL_TIMEOUT: Duration = Duration::from_secs(90);

/// Interval between checks that the database is writable.
const DATABASE_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until `stop` is ready. Emails in progress then get a few seconds to finish.
pub async fn run(app: Arc<App>, stop: impl Future<Output = ()>) {
    // These tasks must not wait for emails. Each can be aborted at any point.
    let live = [
        tokio::spawn(keep_connections(Arc::clone(&app))),
        tokio::spawn(publish(Arc::clone(&app))),
        tokio::spawn(listen(Arc::clone(&app))),
        tokio::spawn(keep_maintaining(Arc::clone(&app))),
        tokio::spawn(keep_keys(Arc::clone(&app))),
        tokio::spawn(report_limits(Arc::clone(&app))),
        tokio::spawn(keep_database(Arc::clone(&app))),
    ];
    deliver(&app, stop).await;
    live.iter().for_each(tokio::task::JoinHandle::abort);
    match timeout(PRESENCE_STOP_TIMEOUT, app.presence.flush(&app.db)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(?error, "recording the last activity of users failed"),
        Err(_) => tracing::error!("recording the last activity of users timed out"),
    }
}

/// Sends due emails in parallel until `stop` is ready.
async fn deliver(app: &Arc<App>, stop: impl Future<Output = ()>) {
    let mut under_way = JoinSet::new();
    let mut pause = interval(MAIL_INTERVAL);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = pause.tick() => {}
            // Leasing costs a write, so it is done for several emails at a time.
            Some(_) = under_way.join_next() => if under_way.len() > MAILS / 2 { continue },
        }
        let now = app.clock.now();
        let taken = tokio::select! {
            () = &mut stop => break,
            taken = in_time(ITERATION_TIMEOUT, app.take_mails(&now, MAILS - under_way.len())) => taken,
        };
        match taken {
            Ok(mails) => mails.into_iter().for_each(|mail| {
                let app = Arc::clone(app);
                under_way.spawn(async move { timeout(MAIL_TIMEOUT, app.send_mail(&app.clock.now(), mail)).await });
            }),
            Err(error) => tracing::error!(?error, "leasing due emails failed; will retry"),
        }
    }
    if timeout(MAIL_STOP_TIMEOUT, async { while under_way.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(mails = under_way.len(), "sending emails took too long; will retry when their leases expire");
    }
}

/// Runs the periodic maintenance.
async fn keep_maintaining(app: Arc<App>) {
    let mut pause = interval(MAINTENANCE_INTERVAL);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if let Err(error) = in_time(MAINTENANCE_TIMEOUT, run_maintenance(&app)).await {
            tracing::error!(?error, "periodic maintenance failed; will retry");
        }
    }
}

/// Reloads the signing keys, so that new keys sign in time and revoked keys no longer verify.
async fn keep_keys(app: Arc<App>) {
    let mut pause = interval(RELOAD);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let now = app.clock.now();
        if let Err(error) = in_time(ITERATION_TIMEOUT, app.reload_keys(&now)).await {
            tracing::error!(?error, "loading the signing keys failed; will retry");
        }
    }
}

/// Records the audit events of exhausted limits.
async fn report_limits(app: Arc<App>) {
    let mut pause = interval(LIMITS_INTERVAL);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if let Err(error) = app.limits.report(&app.db, &app.clock.now()).await {
            tracing::error!(?error, "recording exhausted limits failed");
        }
    }
}

/// Closes connections of callers whose session, account or rights have ended.
async fn keep_connections(app: Arc<App>) {
    let mut pause = interval(CONNECTIONS_INTERVAL);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let (now, ring) = (app.clock.now(), app.ring());
        if let Err(error) = in_time(ITERATION_TIMEOUT, app.live_connections.check(&app.db, &now, &ring)).await {
            tracing::error!(?error, "checking open connections failed; will retry");
        }
    }
}

/// Records presence and notifies subscribers, immediately after news and otherwise periodically.
async fn publish(app: Arc<App>) {
    let mut presence = interval(PRESENCE_INTERVAL);
    presence.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = presence.tick() => {}
            () = app.presence.news() => {}
        }
        let now = app.clock.now();
        if let Err(error) = in_time(ITERATION_TIMEOUT, app.presence.publish(&app.db, &now)).await {
            tracing::error!(?error, "recording or publishing presence failed; will retry");
        }
        sleep(NOTIFICATION_INTERVAL).await;
    }
}

/// Detects a server that became a standby, even if nothing is written.
async fn keep_database(app: Arc<App>) {
    let mut pause = interval(DATABASE_INTERVAL);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if let Err(error) = in_time(ITERATION_TIMEOUT, app.db.write_obstacle()).await {
            tracing::debug!(?error, "database check failed");
        }
    }
}

/// Result of the work, or [`Error::Unavailable`] after a timeout.
async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or(Err(Error::Unavailable(Duration::from_secs(1))))
}

/// Listens to notifications of other instances, if the database supports them. Retries after errors, for ever.
pub async fn listen(app: Arc<App>) {
    while let Err(error) = app.presence.listen_for_notifications(&app.db).await {
        tracing::warn!(?error, "listening for notifications failed; will retry");
        sleep(LISTEN_RETRY_DELAY).await;
    }
}

/// Periodic maintenance: reloads signing keys, and deletes expired rows and files.
pub async fn run_maintenance(app: &App) -> Result<()> {
    let now = app.clock.now();
    app.reload_keys(&now).await?;
    rate_limits::sweep(&app.db, &now).await?;
    known_networks::sweep(&app.db, &now).await?;
    known_devices::sweep(&app.db, &now).await?;
    registration::sweep(&app.db, &now).await?;
    sent_forms::sweep(&app.db, &now).await?;
    challenge::sweep(&app.db, &now).await?;
    sessions::sweep(&app.db, &now, &app.config.sessions).await?;
    retention::sweep(&app.db, &now, &app.config.retention).await?;
    jobs::sweep(&app.import_jobs(), &now).await?;
    avatars::sweep(&app.db, &now, &app.media).await?;
    app.db.scrub_again().await;
    Ok(())
}
