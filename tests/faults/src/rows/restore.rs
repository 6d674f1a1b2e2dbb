//! Backups under load, restored by the manual.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::client::Client;
use crate::database::{Kind, Place, run};
use crate::load::{Ledger, Load};
use crate::outcome::{Findings, Outcome, because};
use crate::rows::Lab;
use crate::service::{PASSWORD, Service};

/// Duration of writes before a backup starts.
const BEFORE: Duration = Duration::from_secs(2);

/// Takes a backup by each method during writes, drops the database, and starts the service on the restored one.
pub(super) async fn by_the_manual(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let mut all = Findings::default();
    let dumps = match kind {
        Kind::Sqlite => [false].as_slice(),
        Kind::Postgres => [false, true].as_slice(),
    };
    for is_dump in dumps {
        let place = lab.place(kind).await?;
        let backup = place.folder.path().join("backup");
        let service = Service::start(&place, &[]).await?;
        let admin = service.admin().await?;
        let ledger = Arc::new(Ledger::default());
        let load = Load::start(&ledger, &admin, (4, 4), Duration::ZERO);
        sleep(BEFORE).await;
        let acknowledged = ledger.acknowledged();
        match is_dump {
            true => dump(lab, &place, &backup).await?,
            false => Service::run(&place, &["backup", &backup.display().to_string()]).await?,
        }
        because(ledger.acknowledged() > acknowledged, || "no write succeeded meanwhile".to_owned())?;
        load.stop().await;
        ledger.check_answers(&[], Duration::from_secs(5), false)?;
        service.check_log()?;
        service.kill().await?;

        let began = Instant::now();
        let restored = lab.place(kind).await?;
        match (kind, is_dump) {
            (Kind::Sqlite, _) => std::fs::copy(&backup, restored.file()).map(|_| ())?,
            (Kind::Postgres, true) => restore(lab, &restored, &backup).await?,
            (Kind::Postgres, false) => copy(&backup, &restored).await?,
        }
        let service = Service::start(&restored, &[]).await?;
        all.recovery = all.recovery.max(Some(began.elapsed()));
        all.acknowledged += acknowledged;
        let there = restored.texts("SELECT email FROM users WHERE email LIKE 'writer-%'").await?;
        all.lost += acknowledged.saturating_sub(there.len());
        goes_on(&service, &admin.at(&service.address)).await?;
        restored.check_integrity().await?;
        service.check_log()?;
    }
    Ok(all)
}

/// Checks that sessions are still valid, and that users can sign in and write.
async fn goes_on(service: &Service, before: &Client) -> Outcome<()> {
    before.me().await?.must_succeed()?;
    let next = before.refreshed().await?;
    let input = serde_json::json!({ "email": "afterwards@example.com", "password": PASSWORD });
    crate::load::create(&next, input).await?;
    service.client().sign_in("afterwards@example.com", PASSWORD).await?.me().await?.must_succeed()
}

async fn dump(lab: &Lab, place: &Place, backup: &Path) -> Outcome<()> {
    let mut command = lab.cluster().await?.client("pg_dump");
    run(command.arg("--format=custom").arg("--file").arg(backup).arg(&place.url))
}

async fn restore(lab: &Lab, place: &Place, backup: &Path) -> Outcome<()> {
    let mut command = lab.cluster().await?.client("pg_restore");
    run(command.arg("--no-owner").arg("--exit-on-error").arg("--dbname").arg(&place.url).arg(backup))
}

/// Copies the output of `vestibule backup` to an empty database.
async fn copy(backup: &Path, target: &Place) -> Outcome<()> {
    let source = Place { url: format!("sqlite://{}", backup.display()), ..Place::sqlite()? };
    Service::run(&source, &["copy", "--to", &target.url]).await
}
