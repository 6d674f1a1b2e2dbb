//! A mail server that is down, slow, stuck or rejects emails, and a kill of the service while it sends.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::database::{Kind, Place, until_none};
use crate::load::create;
use crate::outcome::{Findings, Outcome, because, in_time, p95, wait_until};
use crate::rows::Lab;
use crate::service::Service;
use crate::sink::{Manner, Sink, TARPIT};

const REGISTER: &str = "mutation($input: RegisterInput!) { register(input: $input) { success errors { code } } }";
const QUEUED: &str = "SELECT COUNT(*) FROM mails WHERE status = 'QUEUED'";

async fn start(place: &Place, sink: &Sink) -> Outcome<Service> {
    Service::start(place, &[("VESTIBULE_MAIL_URL", &sink.url())]).await
}

/// Registers addresses, each of which gets an email, and returns the latencies.
async fn register(client: &Client, prefix: &str, count: usize) -> Outcome<Duration> {
    let mut times = Vec::new();
    for number in 0..count {
        let input = json!({ "email": format!("{prefix}-{number}@example.com"), "password": crate::service::PASSWORD });
        let answer = client.ask(REGISTER, &json!({ "input": input })).await?;
        answer.must_succeed()?;
        times.push(answer.took);
    }
    Ok(p95(times))
}

/// Results of sending emails.
fn findings(sink: &Sink, prefix: &str, acknowledged: usize) -> Findings {
    let (all, different) = sink.count(prefix);
    Findings {
        acknowledged,
        lost: acknowledged.saturating_sub(different),
        duplicates: all - different,
        ..Findings::default()
    }
}

pub(super) async fn down(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    let service = start(&place, &sink).await?;
    let up = register(&service.client(), "up", 50).await?;
    wait_until(Duration::from_secs(30), async || Ok(sink.count("up").1 == 50)).await?;
    let port = sink.port;
    drop(sink);
    let down = register(&service.client(), "down", 100).await?;
    in_time(down, up * 3 + Duration::from_millis(100), || "responses".to_owned());
    // Long enough for some retries.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let (sink, back) = (Sink::start_at(port).await?, Instant::now());
    wait_until(Duration::from_secs(45), async || Ok(sink.count("down").1 == 100)).await?;
    let recovery = Some(back.elapsed());
    until_none(&place, QUEUED, Duration::from_secs(10)).await?;
    service.check_log()?;
    Ok(Findings { recovery, ..findings(&sink, "down", 100) })
}

pub(super) async fn tarpit(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    let service = start(&place, &sink).await?;
    register(&service.client(), TARPIT, 1).await?;
    let begun = Instant::now();
    register(&service.client(), "good", 50).await?;
    wait_until(Duration::from_secs(25), async || Ok(sink.count("good").1 == 50)).await?;
    service.check_log()?;
    Ok(Findings { recovery: Some(begun.elapsed()), ..findings(&sink, "good", 50) })
}

pub(super) async fn slow(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    sink.set(Manner::Slow);
    let service = start(&place, &sink).await?;
    register(&service.client(), "slow", 50).await?;
    let begun = Instant::now();
    wait_until(Duration::from_secs(40), async || Ok(sink.count("slow").1 == 50)).await?;
    let recovery = Some(begun.elapsed());
    until_none(&place, QUEUED, Duration::from_secs(10)).await?;
    service.check_log()?;
    Ok(Findings { recovery, ..findings(&sink, "slow", 50) })
}

pub(super) async fn refusing(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    let service = start(&place, &sink).await?;
    sink.set(Manner::Never);
    register(&service.client(), "never", 10).await?;
    until_none(&place, QUEUED, Duration::from_secs(20)).await?;
    sink.set(Manner::Later);
    register(&service.client(), "later", 20).await?;
    until_none(&place, "SELECT COUNT(*) FROM mails WHERE status = 'QUEUED' AND attempts = 0", Duration::from_secs(20))
        .await?;
    sink.set(Manner::Accepting);
    let back = Instant::now();
    wait_until(Duration::from_secs(30), async || Ok(sink.count("later").1 == 20)).await?;
    let recovery = Some(back.elapsed());
    until_none(&place, QUEUED, Duration::from_secs(10)).await?;
    let never = place.texts("SELECT last_error FROM mails WHERE status = 'FAILED' AND attempts = 1").await?;
    because(never.len() == 10 && never.iter().all(|error| error.starts_with("550")), || {
        format!("given up: {never:?}")
    })?;
    service.check_log()?;
    Ok(Findings { recovery, ..findings(&sink, "later", 20) })
}

pub(super) async fn kill(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    sink.set(Manner::Slow);
    let service = start(&place, &sink).await?;
    let admin = service.admin().await?;
    for number in 0..200 {
        create(&admin, json!({ "email": format!("killed-{number}@example.com") })).await?;
    }
    wait_until(Duration::from_secs(20), async || Ok(sink.count("killed").0 >= 20)).await?;
    let before = sink.count("killed").0;
    service.kill().await?;
    because(before < 200, || "all emails were sent before the kill".to_owned())?;
    sink.set(Manner::Accepting);
    let (service, back) = (start(&place, &sink).await?, Instant::now());
    wait_until(Duration::from_secs(75), async || Ok(sink.count("killed").1 == 200)).await?;
    until_none(&place, QUEUED, Duration::from_secs(75)).await?;
    let recovery = Some(back.elapsed());
    service.check_log()?;
    Ok(Findings { recovery, allowed_duplicates: 10, ..findings(&sink, "killed", 200) })
}
