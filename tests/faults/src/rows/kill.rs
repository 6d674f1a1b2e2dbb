//! Sudden death of the process or the machine.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::database::{Kind, Place};
use crate::inside;
use crate::load::{Ledger, Load, create};
use crate::outcome::{Findings, Outcome, because, in_time};
use crate::rows::Lab;
use crate::service::Service;

/// Kills the service three times while eight clients write.
pub(super) async fn under_writes(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let place = lab.place(kind).await?;
    let ledger = Arc::new(Ledger::default());
    let mut slowest = Duration::ZERO;
    for span in [1000, 1700, 2400] {
        let service = Service::start(&place, &[]).await?;
        let admin = service.admin().await?;
        let load = Load::start(&ledger, &admin, (8, 0), Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(span)).await;
        service.kill().await?;
        drop(load);
        place.check_integrity().await?;
        let started = Instant::now();
        let again = Service::start(&place, &[]).await?;
        again.admin().await?;
        slowest = slowest.max(started.elapsed());
        again.kill().await?;
    }
    let service = Service::start(&place, &[]).await?;
    let findings = ledger.compare(&place, &service.client()).await?;
    ledger.check_answers(&[], Duration::from_secs(30), true)?;
    service.check_log()?;
    in_time(slowest, Duration::from_secs(15), || "a restart".to_owned());
    Ok(Findings { recovery: Some(slowest), ..findings })
}

/// Kills the service between the commit of a refresh and its response, and repeats the refresh.
pub(super) async fn after_refresh(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let place = lab.place(kind).await?;
    let mut service = Service::start_faulty(&place, inside::DIE_AFTER_REFRESH).await?;
    let client = service.admin().await?;
    because(client.refreshed().await.is_err(), || "the refresh got a response".to_owned())?;
    service.ended(Duration::from_secs(30)).await?;
    let counters = place.texts("SELECT CAST(counter AS TEXT) FROM sessions").await?;
    because(counters == ["1"], || format!("the refresh was not committed: {counters:?}"))?;

    let started = Instant::now();
    let service = Service::start(&place, &[]).await?;
    let client = client.at(&service.address).refreshed().await?;
    let recovery = Some(started.elapsed());
    client.me().await?.must_succeed()?;
    let client = client.refreshed().await?;
    client.me().await?.must_succeed()?;
    service.check_log()?;
    Ok(Findings { acknowledged: 1, recovery, ..Findings::default() })
}

/// Counts fsync calls, and opens copies of the files taken while clients write.
pub(super) async fn power_loss(_: &Lab, _: Kind) -> Outcome<Findings> {
    count_syncs().await?;
    let place = Place::sqlite()?;
    let service = Service::start(&place, &[]).await?;
    let ledger = Arc::new(Ledger::default());
    let admin = service.admin().await?;
    let load = Load::start(&ledger, &admin, (8, 0), Duration::ZERO);
    let mut all = Findings::default();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        // Copied while the process is suspended, like a snapshot of the disk; the database first and its log last.
        service.signal(Signal::STOP)?;
        let copy = Place::sqlite()?;
        let copied = ["", "-wal"].iter().try_for_each(|end| {
            let from = format!("{}{end}", place.file().display());
            std::fs::copy(from, format!("{}{end}", copy.file().display())).map(|_| ())
        });
        let acknowledged = ledger.acknowledged();
        service.signal(Signal::CONT)?;
        copied?;
        copy.check_integrity().await?;
        let there = copy.texts("SELECT email FROM users WHERE email LIKE 'writer-%'").await?.len();
        all.acknowledged += acknowledged;
        all.lost += acknowledged.saturating_sub(there);
    }
    load.stop().await;
    let compared = ledger.compare(&place, &service.client()).await?;
    service.check_log()?;
    Ok(Findings { lost: all.lost + compared.lost, duplicates: compared.duplicates, ..all })
}

/// Sequential writes, each of which needs its own fsync.
async fn count_syncs() -> Outcome<()> {
    let strace = ["/usr/bin/strace", "/usr/local/bin/strace"].into_iter().find(|path| Path::new(path).is_file());
    let Some(strace) = strace else {
        return crate::skip("faults: fsync calls in power-loss: strace is not installed");
    };
    let place = Place::sqlite()?;
    let calls = place.folder.path().join("calls");
    let program =
        [strace.into(), "-fqq".into(), "-e".into(), "trace=fsync,fdatasync".into(), "-o".into(), calls.clone().into()];
    let service = Service::start_under(&program, &place, &[]).await?;
    let admin = service.admin().await?;
    let count = || {
        Ok::<_, std::io::Error>(std::fs::read_to_string(&calls)?.lines().filter(|line| line.contains("sync(")).count())
    };
    let before = count()?;
    let writes = 50;
    for number in 0..writes {
        create(
            &admin,
            json!({ "email": format!("synced-{number}@example.com"), "password": crate::service::PASSWORD }),
        )
        .await?;
    }
    let made = count()? - before;
    // A terminated strace also ends its child.
    service.signal(Signal::TERM)?;
    because(made >= writes, || format!("{made} fsync calls for {writes} acknowledged writes"))
}
