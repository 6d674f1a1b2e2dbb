//! What happens without a request: mails go out, what has run out is swept away, new signing keys are noticed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::domain::{limits, registration, sessions};
use crate::error::Result;

/// Between two looks for mails that are due.
const MAIL_PAUSE: Duration = Duration::from_secs(1);

/// Between two times that presence is written down.
const PRESENCE_PAUSE: Duration = Duration::from_secs(15);

/// Between two rounds of everything else.
const ROUND_PAUSE: Duration = Duration::from_secs(60);

/// Works until `stop` is ready; what it is doing then, it finishes.
pub async fn run(app: Arc<App>, stop: impl Future<Output = ()>) {
    let mut mail = interval(MAIL_PAUSE);
    let mut presence = interval(PRESENCE_PAUSE);
    let mut round = interval(ROUND_PAUSE);
    mail.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    loop {
        let done = tokio::select! {
            _ = mail.tick() => deliver(&app).await,
            _ = presence.tick() => app.presence.flush(&app.db).await,
            _ = round.tick() => self::round(&app).await,
            () = &mut stop => break,
        };
        if let Err(error) = done {
            tracing::error!(?error, "the worker could not do its work; it tries again");
        }
    }
    if let Err(error) = app.presence.flush(&app.db).await {
        tracing::error!(?error, "who was seen last could not be written down");
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
    Ok(())
}
