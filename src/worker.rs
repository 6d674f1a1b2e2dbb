//! What happens without a request: mails go out, what has run out is swept away, new signing keys are noticed, and
//! those who are connected are told who is online, or sent away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::app::App;
use crate::domain::{avatars, limits, registration, retention, sessions};
use crate::error::Result;

/// Between two looks for mails that are due.
const MAIL_PAUSE: Duration = Duration::from_secs(1);

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

/// Works until `stop` is ready. Mails that are being sent then, and a round under way, are finished.
pub async fn run(app: Arc<App>, stop: impl Future<Output = ()>) {
    // These must not wait for mails. Each may be cut off at any point.
    let live = [
        tokio::spawn(keep_vigil(Arc::clone(&app))),
        tokio::spawn(publish(Arc::clone(&app))),
        tokio::spawn(hear(Arc::clone(&app))),
    ];
    let mut mail = interval(MAIL_PAUSE);
    let mut round = interval(ROUND_PAUSE);
    mail.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    loop {
        let done = tokio::select! {
            _ = mail.tick() => deliver(&app).await,
            _ = round.tick() => self::round(&app).await,
            () = &mut stop => break,
        };
        if let Err(error) = done {
            tracing::error!(?error, "the worker could not do its work; it tries again");
        }
    }
    live.iter().for_each(tokio::task::JoinHandle::abort);
    if let Err(error) = app.presence.flush(&app.db).await {
        tracing::error!(?error, "who was seen last could not be written down");
    }
}

/// Ends the stay of those whose session, account or rights have ended.
async fn keep_vigil(app: Arc<App>) {
    let mut pause = interval(VIGIL_PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if let Err(error) = app.vigil.check(&app.db, &app.clock.now()).await {
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

/// Sends mails until none is due.
async fn deliver(app: &App) -> Result<()> {
    while app.deliver_mail(&app.clock.now()).await? > 0 {}
    Ok(())
}

/// What is done once a minute: new signing keys are noticed, and what has run out is swept away.
pub async fn round(app: &App) -> Result<()> {
    let now = app.clock.now();
    app.reload_keys(&now).await?;
    limits::sweep(&app.db, &now).await?;
    registration::sweep(&app.db, &now).await?;
    sessions::sweep(&app.db, &now, &app.config.sessions).await?;
    retention::sweep(&app.db, &now, &app.config.retention).await?;
    avatars::sweep(&app.db, &now, &app.media).await?;
    Ok(())
}
