//! A database that is down, frozen, or locked for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait as _;
use tokio::time::sleep;

use crate::database::{Kind, Place};
use crate::load::{Ledger, Load};
use crate::outcome::{Findings, Outcome, because, in_time, wait_until};
use crate::rows::Lab;
use crate::service::Service;

const BUSY: &[&str] = &["SERVICE_UNAVAILABLE"];

/// About twenty requests a second, half of them writes.
const PAUSE: Duration = Duration::from_millis(200);

/// Time limit until writes are acknowledged again.
const RECOVERY: Duration = Duration::from_secs(10);

/// Restarts PostgreSQL as after a crash, and leaves it down for two seconds.
pub(super) async fn restart(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, cluster) = (lab.place(kind).await?, lab.cluster().await?);
    let (ledger, service, load) = under_load(&place).await?;
    cluster.control(&["stop", "--mode=immediate", "--wait"])?;
    sleep(Duration::from_secs(2)).await;
    cluster.control(&["start", "--wait"])?;
    let recovery = Some(recovered(&ledger, Instant::now()).await?);
    let live = service.client().get("/healthz").await?;
    because(live.status == 200, || format!("/healthz: {}", live.status))?;
    sleep(Duration::from_secs(2)).await;
    load.stop().await;
    ledger.check_answers(BUSY, Duration::from_secs(5), false)?;
    because(refused(&ledger) > 0, || "no client noticed the restart".to_owned())?;
    let findings = ledger.compare(&place, &service.client()).await?;
    service.check_log()?;
    Ok(Findings { recovery, ..findings })
}

/// Suspends all PostgreSQL processes for ten seconds.
pub(super) async fn freeze(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, cluster) = (lab.place(kind).await?, lab.cluster().await?);
    let (ledger, service, load) = under_load(&place).await?;
    cluster.freeze(true)?;
    let client = service.client();
    let (live, ready) = tokio::join!(client.get("/healthz"), client.get("/readyz"));
    sleep(Duration::from_secs(10)).await;
    cluster.freeze(false)?;
    let recovery = Some(recovered(&ledger, Instant::now()).await?);
    let statuses = (live?.status, ready?.status);
    because(statuses == (200, 503), || format!("/healthz and /readyz: {statuses:?}"))?;
    load.stop().await;
    ledger.check_answers(BUSY, Duration::from_secs(12), false)?;
    because(refused(&ledger) > 0, || "no client noticed the freeze".to_owned())?;
    let findings = ledger.compare(&place, &service.client()).await?;
    service.check_log()?;
    Ok(Findings { recovery, ..findings })
}

/// Another program holds SQLite's write lock for eight seconds.
pub(super) async fn lock(_: &Lab, _: Kind) -> Outcome<Findings> {
    let place = Place::sqlite()?;
    let (ledger, service, load) = under_load(&place).await?;
    let reader = service.admin().await?;
    let other = place.connect().await?;
    other.execute_unprepared("PRAGMA busy_timeout = 10000").await?;
    other.execute_unprepared("BEGIN IMMEDIATE").await?;
    let locked = Instant::now();
    while locked.elapsed() < Duration::from_secs(8) {
        let me = reader.me().await?;
        me.must_succeed()?;
        in_time(me.took, Duration::from_secs(7), || "`me`".to_owned());
        sleep(PAUSE).await;
    }
    other.execute_unprepared("COMMIT").await?;
    let recovery = Some(recovered(&ledger, Instant::now()).await?);
    load.stop().await;
    // Five seconds for the writer's queue and five for the lock; the request timeout is ten seconds.
    ledger.check_answers(BUSY, Duration::from_secs(12), false)?;
    because(refused(&ledger) > 0, || "no client noticed the lock".to_owned())?;
    let findings = ledger.compare(&place, &service.client()).await?;
    service.check_log()?;
    Ok(Findings { recovery, ..findings })
}

async fn under_load(place: &Place) -> Outcome<(Arc<Ledger>, Service, Load)> {
    let service = Service::start(place, &[]).await?;
    let ledger = Arc::new(Ledger::default());
    let load = Load::start(&ledger, &service.admin().await?, (3, 3), PAUSE);
    sleep(Duration::from_secs(2)).await;
    Ok((ledger, service, load))
}

/// Waits until a write is acknowledged again.
async fn recovered(ledger: &Ledger, since: Instant) -> Outcome<Duration> {
    let before = ledger.acknowledged();
    wait_until(RECOVERY, async || Ok(ledger.acknowledged() > before && ledger.success_after(since).is_some())).await
}

fn refused(ledger: &Ledger) -> usize {
    ledger.answers().iter().filter(|seen| seen.code.as_deref() == Some(BUSY[0])).count()
}
