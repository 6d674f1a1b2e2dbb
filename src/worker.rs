//! What happens without a request: mails go out, what has run out is swept away, new signing keys are noticed, and
//! those who are connected are told who is online, or sent away.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::app::App;
use crate::domain::account::registration;
use crate::domain::auth::signing_keys::RELOAD;
use crate::domain::auth::{known_networks, sessions};
use crate::domain::{avatars, rate_limits, retention, sent_forms};
use crate::error::{Error, Result};

/// Between two looks for mails that are due.
const MAIL_PAUSE: Duration = Duration::from_secs(1);

/// How many mails are sent at once.
const MAILS: usize = 10;

/// How long mails that are being sent may take once the service was told to stop; the others are sent when it runs again.
const MAIL_FINISH: Duration = Duration::from_secs(7);

/// How long writing down who was seen last may take then.
const PRESENCE_FINISH: Duration = Duration::from_secs(2);

/// Between two times that presence is written down.
const PRESENCE_PAUSE: Duration = Duration::from_secs(15);

/// Between two times that those who listen to who is online are told of changes.
const NEWS_PAUSE: Duration = Duration::from_secs(1);

/// Between two looks at whether those who are connected may stay.
const VIGIL_PAUSE: Duration = Duration::from_millis(500);

/// Interval between reports of exhausted limits.
const LIMITS_INTERVAL: Duration = Duration::from_secs(1);

/// Before another attempt to hear other instances.
const HEAR_PAUSE: Duration = Duration::from_secs(5);

/// Between two rounds of everything else.
const ROUND_PAUSE: Duration = Duration::from_secs(60);

/// How long one of these may take. A database that hangs would otherwise keep it from being tried again on another server.
const TURN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a round may take, which may have much to sweep away.
const ROUND_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long a mail may take with all that is read and written for it.
const MAIL_TIMEOUT: Duration = Duration::from_secs(90);

/// Between two looks at whether the database can be written to.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// Works until `stop` is ready. Mails that are being sent then are finished, for some seconds at most.
pub async fn run(app: Arc<App>, stop: impl Future<Output = ()>) {
    // These must not wait for mails. Each may be cut off at any point.
    let live = [
        tokio::spawn(keep_connections(Arc::clone(&app))),
        tokio::spawn(publish(Arc::clone(&app))),
        tokio::spawn(hear(Arc::clone(&app))),
        tokio::spawn(keep_round(Arc::clone(&app))),
        tokio::spawn(keep_keys(Arc::clone(&app))),
        tokio::spawn(report_limits(Arc::clone(&app))),
        tokio::spawn(keep_database(Arc::clone(&app))),
    ];
    deliver(&app, stop).await;
    live.iter().for_each(tokio::task::JoinHandle::abort);
    match timeout(PRESENCE_FINISH, app.presence.flush(&app.db)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(?error, "who was seen last could not be written down"),
        Err(_) => tracing::error!("who was seen last could not be written down in time"),
    }
}

/// Sends mails as they become due, several at once and none waiting for another, until `stop` is ready.
async fn deliver(app: &Arc<App>, stop: impl Future<Output = ()>) {
    let mut under_way = JoinSet::new();
    let mut pause = interval(MAIL_PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = pause.tick() => {}
            // Taking costs a write, so it is not done for every single one.
            Some(_) = under_way.join_next() => if under_way.len() > MAILS / 2 { continue },
        }
        let now = app.clock.now();
        let taken = tokio::select! {
            () = &mut stop => break,
            taken = in_time(TURN_TIMEOUT, app.take_mails(&now, MAILS - under_way.len())) => taken,
        };
        match taken {
            Ok(mails) => mails.into_iter().for_each(|mail| {
                let app = Arc::clone(app);
                under_way.spawn(async move { timeout(MAIL_TIMEOUT, app.send_mail(&app.clock.now(), mail)).await });
            }),
            Err(error) => tracing::error!(?error, "which mails are due could not be looked up; it is tried again"),
        }
    }
    if timeout(MAIL_FINISH, async { while under_way.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(mails = under_way.len(), "some mails took too long; they are tried again when their leases end");
    }
}

/// Does once a minute what is to be done then.
async fn keep_round(app: Arc<App>) {
    let mut pause = interval(ROUND_PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if let Err(error) = in_time(ROUND_TIMEOUT, round(&app)).await {
            tracing::error!(?error, "the worker could not do its round; it tries again");
        }
    }
}

/// Loads the signing keys, so that one that was rotated in signs in time and one that was revoked verifies nothing more.
async fn keep_keys(app: Arc<App>) {
    let mut pause = interval(RELOAD);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let now = app.clock.now();
        if let Err(error) = in_time(TURN_TIMEOUT, app.reload_keys(&now)).await {
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

/// Ends the stay of those whose session, account or rights have ended.
async fn keep_connections(app: Arc<App>) {
    let mut pause = interval(VIGIL_PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let (now, ring) = (app.clock.now(), app.ring());
        if let Err(error) = in_time(TURN_TIMEOUT, app.live_connections.check(&app.db, &now, &ring)).await {
            tracing::error!(?error, "whether those who are connected may stay could not be looked up");
        }
    }
}

/// Writes down who was seen, and tells those who listen, as soon as somebody comes and otherwise from time to time.
async fn publish(app: Arc<App>) {
    let mut presence = interval(PRESENCE_PAUSE);
    presence.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = presence.tick() => {}
            () = app.presence.news() => {}
        }
        let now = app.clock.now();
        if let Err(error) = in_time(TURN_TIMEOUT, app.presence.publish(&app.db, &now)).await {
            tracing::error!(?error, "who is online could not be written down or told");
        }
        sleep(NEWS_PAUSE).await;
    }
}

/// Notices a server that became a standby, although nobody writes at the time.
async fn keep_database(app: Arc<App>) {
    let mut pause = interval(DATABASE_PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if let Err(error) = in_time(TURN_TIMEOUT, app.db.is_writable()).await {
            tracing::debug!(?error, "the database does not answer");
        }
    }
}

/// What this yields, unless it takes too long.
async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or(Err(Error::Unavailable(Duration::from_secs(1))))
}

/// Hears other instances, where there can be any.
async fn hear(app: Arc<App>) {
    while let Err(error) = app.presence.hear(&app.db).await {
        tracing::warn!(?error, "other instances cannot be heard at present");
        sleep(HEAR_PAUSE).await;
    }
}

/// What is done once a minute: new signing keys are noticed, and what has run out is swept away.
pub async fn round(app: &App) -> Result<()> {
    let now = app.clock.now();
    app.reload_keys(&now).await?;
    rate_limits::sweep(&app.db, &now).await?;
    known_networks::sweep(&app.db, &now).await?;
    registration::sweep(&app.db, &now).await?;
    sent_forms::sweep(&app.db, &now).await?;
    sessions::sweep(&app.db, &now, &app.config.sessions).await?;
    retention::sweep(&app.db, &now, &app.config.retention).await?;
    avatars::sweep(&app.db, &now, &app.media).await?;
    app.db.scrub_again().await;
    Ok(())
}
