//! Load driver: throughput of the service on one core, and latency of reads during other work.
//!
//! `cargo bench --bench load -- [SECONDS] [PART …]` starts the release binary, or that of `VESTIBULE_BIN`, on a fresh SQLite file and, where
//! `VESTIBULE_TEST_POSTGRES_URL` names a server, on a fresh PostgreSQL database. The parts are `speed`, `storm`,
//! `sockets` and `import`; the default is all. The service runs on one core and the driver on the others.
//!
//! `speed` sends requests over keep-alive connections and prints responses per second of wall-clock time and of the
//! service's CPU time. It also prints reference figures from the same run, because absolute figures depend on the
//! machine. The other parts print the latency of reads before and during some work: many simultaneous sign-ins,
//! thousands of idle WebSockets, an import.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers may print and panic")]

mod beside;
mod cores;
mod idle;
mod loaded;
mod reference;
#[expect(dead_code, reason = "each driver uses a different part of it")]
mod service;
mod wire;

use std::time::Duration;

use beside::Beside;
use service::Service;
use vestibule::tools::password::Argon2Engine;
use wire::{Figures, Waits, Wire};

/// Number of parallel connections.
const CLIENTS: usize = 16;

const PASSWORD: &str = "a rather long phrase of mine";

const ME: &str = "{ me { id username email } }";

const PARTS: [&str; 4] = ["speed", "storm", "sockets", "import"];

/// Measurements to run.
struct Plan {
    /// Duration of each measurement.
    span: Duration,
    parts: Vec<&'static str>,
}

impl Plan {
    fn of(arguments: impl Iterator<Item = String>) -> Self {
        let (mut seconds, mut parts) = (5, Vec::new());
        // `cargo bench` itself adds `--bench`.
        for argument in arguments.filter(|argument| !argument.starts_with('-')) {
            match (argument.parse(), PARTS.iter().find(|part| **part == argument)) {
                (Ok(number), _) => seconds = number,
                (_, Some(part)) => parts.push(*part),
                _ => panic!("{argument} is neither a number of seconds nor one of {PARTS:?}"),
            }
        }
        if parts.is_empty() {
            parts.extend(PARTS);
        }
        Self { span: Duration::from_secs(seconds), parts }
    }

    fn has(&self, part: &str) -> bool {
        self.parts.contains(&part)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().any(|argument| argument == service::REFERENCE) {
        return reference::serve().await;
    }
    let plan = Plan::of(std::env::args().skip(1));
    let columns = ["per second", "per CPU-second", "p50 ms", "p95 ms", "p99 ms", "max ms"];
    let [clock, cpu, p50, p95, p99, max] = columns;
    println!("{:<34}{clock:>14}{cpu:>16}{p50:>9}{p95:>9}{p99:>9}{max:>9}", "");
    let bare = if plan.has("speed") { references(plan.span).await } else { f64::NAN };
    measure("SQLite", Service::on_sqlite(), &plan, bare).await;
    match service::postgres_url() {
        Some(server) => {
            let service = Service::on_postgres(&server).await;
            if plan.has("speed") {
                let commits = reference::postgres_commits(&service.database_url(), plan.span, CLIENTS).await;
                println!("{:<34}{commits:>14.0}", "PostgreSQL alone, one statement");
            }
            measure("PostgreSQL", service, &plan, bare).await;
        }
        None => println!("PostgreSQL skipped: set VESTIBULE_TEST_POSTGRES_URL to a server to measure it as well"),
    }
}

/// Prints the reference figures, and returns the hashes per second of the default engine.
async fn references(span: Duration) -> f64 {
    let default = Argon2Engine::default().to_string();
    let mut bare = 0.0;
    for (engine, rate) in reference::hashes(span) {
        println!("{:<34}{:>14}{rate:>16.0}", format!("{engine} alone, one thread"), "");
        if engine == default {
            bare = rate;
        }
    }
    let (single, together) = reference::sqlite_commits(span, CLIENTS.try_into().unwrap());
    println!("{:<34}{single:>14.0}", "SQLite alone, commits of one");
    println!("{:<34}{together:>14.0}", "SQLite alone, commits of sixteen");
    let alone = Service::reference();
    let plain = wire::get("/");
    run(&alone, "axum alone", span, |_| plain.clone()).await;
    let hello = wire::post(None, "{ hello }");
    run(&alone, "async-graphql alone, { hello }", span, |_| hello.clone()).await;
    alone.stop().await;
    bare
}

async fn measure(name: &str, service: Service, plan: &Plan, bare: f64) {
    println!("{name}: idle {} MiB, first response after {:?}", service.memory(), service.started_in);
    if plan.has("speed") {
        speed(&service, plan.span, bare).await;
    }
    if plan.parts.iter().any(|part| *part != "speed") {
        let mut beside = Beside::of(&service).await;
        if plan.has("storm") {
            loaded::storm(name, &service, &mut beside, plan.span).await;
        }
        if plan.has("sockets") {
            loaded::sockets(name, &service, &mut beside, plan.span).await;
        }
        if plan.has("import") {
            loaded::import(name, &service, &mut beside, plan.span).await;
        }
    }
    println!("{name}: {} MiB afterwards", service.memory());
    service.stop().await;
}

async fn speed(service: &Service, span: Duration, bare: f64) {
    let health = wire::get("/healthz");
    run(service, "/healthz", span, |_| health.clone()).await;
    let typename = wire::post(None, "{ __typename }");
    run(service, "{ __typename }", span, |_| typename.clone()).await;

    let mut sessions = Vec::new();
    for _ in 0..CLIENTS {
        sessions.push(Wire::connect(service).await.sign_in(PASSWORD).await);
    }
    let me: Vec<Vec<u8>> = sessions.iter().map(|tokens| wire::post(Some(&tokens.access), ME)).collect();
    run(service, "me", span, |client| me[client].clone()).await;

    print("refresh", &wire::refresh_all(service, sessions, span).await);

    let login = wire::login("admin", PASSWORD);
    let figures = run(service, "login", span, |_| login.clone()).await;
    println!("{:<34}{:>30.2} of the engine alone", "", figures.per_cpu_second / bare);
}

async fn run(service: &Service, name: &str, span: Duration, request: impl Fn(usize) -> Vec<u8>) -> Figures {
    let figures = wire::ask_all(service, CLIENTS, span, request).await;
    print(name, &figures);
    figures
}

fn print(name: &str, figures: &Figures) {
    let Figures { per_second, per_cpu_second, waits } = figures;
    println!("  {name:<32}{per_second:>14.0}{per_cpu_second:>16.0}{}", row(waits));
}

/// Columns of a row with latencies.
fn row(Waits { p50, p95, p99, max }: &Waits) -> String {
    format!("{p50:>9.2}{p95:>9.2}{p99:>9.2}{max:>9.2}")
}
