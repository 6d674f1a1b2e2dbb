//! What happens without a request: mails go out, what has run out is swept away, new signing keys are noticed, and
//! those who are connected are told who is online, or sent away.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::app::App;
use crate::domain::keys::RELOAD;
use crate::domain::{avatars, known_networks, limits, registration, retention, sent_forms, sessions};
use crate::error::Result;

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

/// Before another attempt to hear other instances.
const HEAR_PAUSE: Duration = Duration::from_secs(5);

/// Between two rounds of everything else.
const ROUND_PAUSE: Duration = Duration::from_secs(60);

/// Works until `stop` is ready. Mails that are being sent then are finished, for some seconds at most.
pub async fn run(app: Arc<App>, stop: impl Future<Output = ()>) {
    // These must not wait for mails. Each may be cut off at any point.
    let live = [
        tokio::spawn(keep_vigil(Arc::clone(&app))),
        tokio::spawn(publish(Arc::clone(&app))),
        tokio::spawn(hear(Arc::clone(&app))),
        tokio::spawn(keep_round(Arc::clone(&app))),
        tokio::spawn(keep_keys(Arc::clone(&app))),
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
        match app.take_mails(&app.clock.now(), MAILS - under_way.len()).await {
            Ok(mails) => mails.into_iter().for_each(|mail| {
                let app = Arc::clone(app);
                under_way.spawn(async move { app.send_mail(&app.clock.now(), mail).await });
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
        if let Err(error) = round(&app).await {
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
        if let Err(error) = app.reload_keys(&app.clock.now()).await {
            tracing::error!(?error, "loading the signing keys failed; will retry");
        }
    }
}

/// Ends the stay of those whose session, account or rights have ended.
async fn keep_vigil(app: Arc<App>) {
    let mut pause = interval(VIGIL_PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if let Err(error) = app.vigil.check(&app.db, &app.clock.now(), &app.ring()).await {
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
        if let Err(error) = app.presence.publish(&app.db, &app.clock.now()).await {
            tracing::error!(?error, "who is online could not be written down or told");
        }
        sleep(NEWS_PAUSE).await;
    }
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
    limits::sweep(&app.db, &now).await?;
    known_networks::sweep(&app.db, &now).await?;
    registration::sweep(&app.db, &now).await?;
    sent_forms::sweep(&app.db, &now).await?;
    sessions::sweep(&app.db, &now, &app.config.sessions).await?;
    retention::sweep(&app.db, &now, &app.config.retention).await?;
    avatars::sweep(&app.db, &now, &app.media).await?;
    app.db.scrub_again().await;
    Ok(())
}
