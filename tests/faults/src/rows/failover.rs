//! Failover to another database server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio::time::sleep;

use crate::bouncer::Bouncer;
use crate::client::Client;
use crate::database::{Cluster, Kind, Place};
use crate::load::{Ledger, Load, create};
use crate::outcome::{Findings, Outcome, because, in_time, wait_until};
use crate::relay::Relay;
use crate::rows::Lab;
use crate::service::Service;

const BUSY: &[&str] = &["SERVICE_UNAVAILABLE"];

/// About twenty requests a second, half of them writes.
const PAUSE: Duration = Duration::from_millis(200);

/// Time limit until writes reach the new server.
const TAKE_OVER: Duration = Duration::from_secs(15);

/// Time limit for stopping.
const STOP: Duration = Duration::from_secs(10);

/// Number of consecutive writes that must succeed.
const IN_A_ROW: usize = 50;

/// Freezes the primary permanently during writes of two instances, and promotes its standby.
pub(super) async fn freeze_primary(_: &Lab, _: Kind) -> Outcome<Findings> {
    let primary = Cluster::start()?;
    let standby = primary.standby()?;
    let relay = Relay::start(primary.port).await?;
    let place = place_behind(&primary, &relay).await?;
    primary.wait_for_standby(&place).await?;
    let (mut one, mut two) = (Service::start(&place, &[]).await?, Service::start(&place, &[]).await?);
    let admin = one.admin().await?;
    let ledger = Arc::new(Ledger::default());
    let load = [&admin, &admin.at(&two.address)].map(|client| Load::start(&ledger, client, (4, 2), PAUSE));
    sleep(Duration::from_secs(2)).await;
    primary.freeze(true)?;
    standby.control(&["promote", "--wait"])?;
    relay.lead_to(standby.port);
    let before = ledger.acknowledged();
    let recovery = wait_until(TAKE_OVER, async || Ok(ledger.acknowledged() > before)).await?;
    for client in [&admin, &admin.at(&two.address)] {
        let number = ledger.acknowledged();
        wait_until(TAKE_OVER, async || writes(client, &format!("later-{number}")).await).await?;
    }
    for load in load {
        load.stop().await;
    }
    ledger.check_answers(BUSY, Duration::from_secs(12), false)?;
    all_succeed(&admin, "after").await?;
    let ready = one.client().get("/readyz").await?;
    because(ready.status == 200, || format!("/readyz: {}", ready.status))?;
    let findings = ledger.compare(&place, &one.client()).await?;
    one.check_log()?;
    for service in [&mut one, &mut two] {
        service.signal(Signal::TERM)?;
        because(service.ended(STOP).await?, || "the service did not exit cleanly".to_owned())?;
    }
    Ok(Findings { recovery: Some(recovery), ..findings })
}

/// Freezes the only server, and stops the service meanwhile.
pub(super) async fn stop_amid_freeze(_: &Lab, _: Kind) -> Outcome<Findings> {
    let primary = Cluster::start()?;
    let place = primary.place().await?;
    let mut service = Service::start(&place, &[]).await?;
    let ledger = Arc::new(Ledger::default());
    let load = Load::start(&ledger, &service.admin().await?, (6, 6), PAUSE);
    sleep(Duration::from_secs(1)).await;
    primary.freeze(true)?;
    sleep(Duration::from_secs(1)).await;
    service.signal(Signal::TERM)?;
    let told = Instant::now();
    because(service.ended(STOP).await?, || "the service did not exit cleanly".to_owned())?;
    let recovery = Some(told.elapsed());
    drop(load);
    Ok(Findings { acknowledged: ledger.acknowledged(), recovery, ..Findings::default() })
}

/// Switches to a standby for a while, and back.
pub(super) async fn lead_to_standby(_: &Lab, _: Kind) -> Outcome<Findings> {
    let primary = Cluster::start()?;
    let standby = primary.standby()?;
    let relay = Relay::start(primary.port).await?;
    let place = place_behind(&primary, &relay).await?;
    primary.wait_for_standby(&place).await?;
    let service = Service::start(&place, &[]).await?;
    let admin = service.admin().await?;
    all_succeed(&admin, "before").await?;
    let ledger = Arc::new(Ledger::default());
    let load = Load::start(&ledger, &admin, (3, 3), PAUSE);
    sleep(Duration::from_secs(1)).await;
    relay.lead_to(standby.port);
    relay.cut();
    let is_away = async || Ok(service.client().get("/readyz").await?.status == 503);
    wait_until(Duration::from_secs(5), is_away).await.map_err(|error| format!("/readyz: {error}"))?;
    let printed = Service::printed(&place, &["doctor", "--time", "2ms"]).await?;
    because(printed.contains("FAIL  database  the database server is a standby"), || printed)?;
    sleep(Duration::from_secs(2)).await;
    relay.lead_to(primary.port);
    let recovery = wait_until(TAKE_OVER, async || writes(&admin, "back").await).await?;
    load.stop().await;
    ledger.check_answers(BUSY, Duration::from_secs(12), false)?;
    all_succeed(&admin, "after").await?;
    let findings = ledger.compare(&place, &service.client()).await?;
    service.check_log()?;
    Ok(Findings { recovery: Some(recovery), ..findings })
}

/// PgBouncer in its two modes.
pub(super) async fn behind_pgbouncer(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, cluster) = (lab.place(kind).await?, lab.cluster().await?);
    let url = |port: u16| place.url.replace(&format!(":{}", cluster.port), &format!(":{port}"));
    let by_transaction = Bouncer::start(cluster.port, "transaction").await?;
    let behind = |port: u16| Ok::<_, std::io::Error>(Place { url: url(port), folder: tempfile::tempdir()?, kind });
    let refused = Service::start(&behind(by_transaction.port)?, &[]).await.err().map(|error| error.to_string());
    let refused = refused.unwrap_or_else(|| "it started".to_owned());
    because(refused.contains("set pool_mode = session"), || refused.clone())?;
    let by_session = Bouncer::start(cluster.port, "session").await?;
    let there = behind(by_session.port)?;
    let service = Service::start(&there, &[]).await?;
    let admin = service.admin().await?;
    all_succeed(&admin, "pooled").await?;
    // PostgreSQL's own timeout is active, although PgBouncer does not forward the parameter.
    let outside = place.connect().await?;
    outside.execute_unprepared("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await?;
    let me = admin.me().await?;
    me.must_be(BUSY[0])?;
    in_time(me.took, Duration::from_secs(8), || "`me`".to_owned());
    outside.execute_unprepared("ROLLBACK").await?;
    all_succeed(&admin, "again").await?;
    service.check_log()?;
    Ok(Findings { acknowledged: 2 * IN_A_ROW, ..Findings::default() })
}

async fn place_behind(primary: &Cluster, relay: &Relay) -> Outcome<Place> {
    let place = primary.place().await?;
    let url = place.url.replace(&format!(":{}", primary.port), &format!(":{}", relay.port));
    Ok(Place { url, ..place })
}

/// True if an account can be created, or exists already.
async fn writes(client: &Client, name: &str) -> Outcome<bool> {
    let input = json!({ "input": { "email": format!("{name}@example.com") } });
    let document = "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } } }";
    let answer = client.ask(document, &input).await?;
    Ok(answer.code().is_none_or(|code| code == "ALREADY_EXISTS"))
}

/// Creates accounts sequentially, none of which may fail.
async fn all_succeed(client: &Client, name: &str) -> Outcome<()> {
    for number in 0..IN_A_ROW {
        create(client, json!({ "email": format!("{name}-{number}@example.com") })).await?;
    }
    Ok(())
}
