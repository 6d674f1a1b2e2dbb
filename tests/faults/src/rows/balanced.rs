//! Two instances behind nginx under load: a kill of one, restarts of both, and a rotation of the signing key.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::sleep;
use vestibule::tools::clock::Clock;

use crate::database::{Kind, Place};
use crate::outcome::{Findings, Outcome, because, percentile, wait_until};
use crate::proxy::{Passed, Proxy};
use crate::rows::Lab;
use crate::service::Service;
use crate::traffic::{Fate, Note, Traffic};

/// Duration of each phase.
const WHILE: Duration = Duration::from_secs(6);

/// Number of restarts of each instance.
const RESTARTS: usize = 3;

/// Tolerance for nginx, which updates its clock and notices closed connections once per event loop.
const LAG: i64 = 20;

/// Listen addresses of the instances, which the system never assigns to client connections.
pub(super) fn addresses() -> Outcome<[String; 2]> {
    let free = |ip| Ok::<_, std::io::Error>(std::net::TcpListener::bind((ip, 0))?.local_addr()?.to_string());
    Ok([free("127.0.0.2")?, free("127.0.0.3")?])
}

/// Starts an instance behind a proxy of this machine.
pub(super) async fn start(place: &Place, address: &str, settings: &[(&str, &str)]) -> Outcome<Service> {
    let own = [("VESTIBULE_LISTEN", address), ("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1/32")];
    Service::start(place, &[&own, settings].concat()).await
}

/// A phase of the trial.
struct Stretch {
    what: &'static str,
    began: Instant,
}

/// The trial.
struct Trial {
    place: Place,
    addresses: [String; 2],
    proxy: Proxy,
    stretches: Vec<Stretch>,
}

/// Start and end of the kill of an instance, in milliseconds since the epoch.
struct Killed {
    from: i64,
    to: i64,
}

fn now() -> i64 {
    Clock::System.now().at.millis()
}

impl Trial {
    fn begin(&mut self, what: &'static str) {
        self.stretches.push(Stretch { what, began: Instant::now() });
    }

    /// Waits until nginx gets a response from this instance again.
    async fn until_used(&self, address: &str) -> Outcome<Duration> {
        let since = now();
        let used = |passed: &Passed| {
            passed.began >= since && passed.status == 200 && passed.instances.last().is_some_and(|last| last == address)
        };
        let again = async || Ok(self.proxy.passed()?.iter().any(used));
        Ok(wait_until(Duration::from_secs(20), again).await.map_err(|error| format!("nginx and {address}: {error}"))?)
    }

    /// Stops an instance gracefully and starts it again.
    async fn restart(&self, service: &mut Service) -> Outcome<()> {
        let address = service.address.clone();
        service.signal(Signal::TERM)?;
        because(service.ended(Duration::from_secs(15)).await?, || "it did not end well".to_owned())?;
        *service = start(&self.place, &address, &[]).await?;
        self.until_used(&address).await?;
        Ok(())
    }

    /// Prints the results of the requests that started in each phase.
    fn print(&self, notes: &[Note], ended: Instant) {
        crate::say("requests started in phase           seconds  requests      per s      p50      p99  failed");
        let ends = self.stretches.iter().skip(1).map(|next| next.began).chain([ended]);
        for (Stretch { what, began }, end) in self.stretches.iter().zip(ends) {
            let within: Vec<&Note> = notes.iter().filter(|note| note.began >= *began && note.began < end).collect();
            let failed = within.iter().filter(|note| !matches!(note.fate, Fate::Done)).count();
            let times: Vec<Duration> = within.iter().map(|note| note.took).collect();
            let [p50, p99] = [50, 99].map(|of_100| percentile(times.clone(), of_100).as_millis());
            let (seconds, count) = ((end - *began).as_secs_f64(), within.len());
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let rate = count as f64 / seconds;
            crate::say(&format!(
                "{what:<35} {seconds:>7.1} {count:>9} {rate:>10.0} {p50:>5} ms {p99:>5} ms {failed:>7}"
            ));
        }
    }

    /// Counts unexpected failures, and requests that nginx sent twice. A failure is expected if the request was in
    /// flight at the killed instance and nginx must not repeat it.
    fn judge(&self, notes: &[Note], killed: &Killed) -> Outcome<(usize, usize)> {
        let passed = self.proxy.passed()?;
        let (failed, answered): (Vec<&Passed>, Vec<&Passed>) = passed.iter().partition(|passed| passed.status >= 499);
        let was_at_it = |passed: &Passed| {
            let is_first = passed.instances.first().is_some_and(|first| *first == self.addresses[0]);
            is_first && passed.began <= killed.to + LAG && passed.ended >= killed.from - LAG
        };
        let (excused, strange): (Vec<&Passed>, Vec<&Passed>) =
            failed.iter().partition(|passed| was_at_it(passed) && passed.method == "POST");
        let (repeated, just_answered): (Vec<&Passed>, Vec<&Passed>) =
            answered.iter().filter(|passed| was_at_it(passed)).partition(|passed| passed.instances.len() == 2);
        crate::say(&format!(
            "At the one that was killed when it was: {} POSTs, which failed, as they must not be sent twice; {} requests that the other \
             one answered; {} that had just been answered.",
            excused.len(),
            repeated.len(),
            just_answered.len(),
        ));
        for Passed { began, status, method, instances, .. } in &strange {
            let after = began - killed.from;
            crate::say(&format!("{method} failed with {status} at {instances:?}, started {after} ms after the kill"));
        }
        let (mut refused, mut unanswered) = (0, 0);
        for note in notes {
            match &note.fate {
                Fate::Done => {}
                Fate::Unanswered => unanswered += 1,
                Fate::Refused(answer) => {
                    refused += 1;
                    crate::say(&format!("refused: {answer}"));
                }
            }
        }
        because(failed.len() == unanswered, || {
            format!("nginx returned {} errors, but clients saw {unanswered}", failed.len())
        })?;
        because(excused.len() + repeated.len() > 0, || "no request was in flight at the killed instance".to_owned())?;
        let sent_twice = passed.iter().filter(|passed| passed.method == "POST" && passed.was_sent_twice).count();
        Ok((refused + strange.len(), sent_twice))
    }
}

/// Kills one instance under load, restarts it, restarts both gracefully, and rotates the signing key.
pub(super) async fn under_load(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, addresses) = (lab.place(kind).await?, addresses()?);
    let (one, two) = tokio::join!(start(&place, &addresses[0], &[]), start(&place, &addresses[1], &[]));
    let (mut one, mut two) = (one?, two?);
    because(one.made_superuser != two.made_superuser, || {
        "not exactly one instance created the first superuser".to_owned()
    })?;
    let keys = place.texts("SELECT kid FROM signing_keys").await?.len();
    because(keys == 1, || format!("{keys} signing keys were created"))?;
    let proxy = Proxy::start([&addresses[0], &addresses[1]]).await?;
    let admin = one.admin().await?.at(&proxy.address);
    let mut trial = Trial { place, addresses, proxy, stretches: Vec::new() };
    let traffic = Traffic::start(&admin).await?;

    trial.begin("both up");
    sleep(WHILE).await;
    trial.begin("one killed");
    let from = now();
    one.kill().await?;
    let killed = Killed { from, to: now() };
    sleep(WHILE).await;
    trial.begin("it is restarting");
    let started = Instant::now();
    one = start(&trial.place, &trial.addresses[0], &[]).await?;
    trial.until_used(&trial.addresses[0]).await?;
    let recovery = Some(started.elapsed());
    trial.begin("both up again");
    sleep(WHILE).await;
    trial.begin("rolling restarts");
    for _ in 0..RESTARTS {
        trial.restart(&mut two).await?;
        trial.restart(&mut one).await?;
    }
    trial.begin("key rotation and one restart");
    Service::run(&trial.place, &["keys", "rotate", "--now"]).await?;
    // It signs with the new key from its start; the other instance learns the key from a token.
    trial.restart(&mut one).await?;
    sleep(WHILE).await;
    for service in [&one, &two] {
        let known = service.client().get("/.well-known/jwks.json").await?.body["keys"].as_array().map_or(0, Vec::len);
        because(known == 2, || format!("an instance knows {known} keys"))?;
    }
    let ended = Instant::now();
    let (notes, compared) = traffic.stop(&trial.place).await?;

    trial.print(&notes, ended);
    let (failed, sent_twice) = trial.judge(&notes, &killed)?;
    one.check_log()?;
    two.check_log()?;
    admin.data("{ me { id } }", &Value::Null).await?;
    Ok(Findings {
        acknowledged: compared.acknowledged,
        lost: compared.lost + failed,
        duplicates: compared.doubled + sent_twice,
        recovery,
        ..Findings::default()
    })
}
