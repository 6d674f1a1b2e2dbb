//! The load driver: what one core of the service does in a second.
//!
//! `cargo bench --bench load -- [SECONDS]` starts the release binary on a fresh SQLite file and, where
//! `VESTIBULE_TEST_POSTGRES_URL` names a server, on a fresh PostgreSQL database; sends requests over kept connections; and
//! prints how many were answered by the clock and for each second of processor time that the service spent. Beside the
//! figures stand references from the same run, because absolute figures move with the machine.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers may say what it finds, or end")]

mod cores;
mod idle;
mod reference;
#[expect(dead_code, reason = "each driver needs another part of it")]
mod service;
#[expect(dead_code, reason = "each driver needs another part of it")]
mod wire;

use std::time::Duration;

use idle::Idle;
use service::Service;
use wire::{Figures, Wire};

/// How many connections ask at the same time.
const CLIENTS: usize = 16;

const PASSWORD: &str = "a rather long phrase of mine";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().any(|argument| argument == service::REFERENCE) {
        return reference::serve().await;
    }
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let span = Duration::from_secs(seconds);
    println!("{:<34}{:>12}{:>14}{:>9}{:>9}{:>9}", "", "by the clock", "per CPU-second", "p50 ms", "p99 ms", "max ms");
    let (plain, bare) = reference::hashes(span);
    println!("{:<34}{:>12}{plain:>14.0}", "argon2 alone, one thread", "");
    println!("{:<34}{:>12}{bare:>14.0}", "argon2-rust alone, one thread", "");
    let (single, together) = reference::sqlite_commits(span, CLIENTS.try_into().unwrap());
    println!("{:<34}{single:>12.0}", "SQLite alone, commits of one");
    println!("{:<34}{together:>12.0}", "SQLite alone, commits of sixteen");
    let alone = Service::reference();
    let plain = wire::get("/");
    run(&alone, "axum alone", span, |_| plain.clone()).await;
    let hello = wire::post(None, "{ hello }");
    run(&alone, "async-graphql alone, { hello }", span, |_| hello.clone()).await;
    alone.stop().await;
    measure("SQLite", Service::on_sqlite(), span, bare).await;
    match service::postgres_url() {
        Some(server) => {
            let service = Service::on_postgres(&server).await;
            let commits = reference::postgres_commits(&service.database_url(), span, CLIENTS).await;
            println!("{:<34}{commits:>12.0}", "PostgreSQL alone, one statement");
            measure("PostgreSQL", service, span, bare).await;
        }
        None => println!("PostgreSQL was left out: set VESTIBULE_TEST_POSTGRES_URL to a server to measure it as well"),
    }
}

async fn measure(name: &str, service: Service, span: Duration, bare: f64) {
    println!("{name}: idle {} MiB, first answer after {:?}", service.memory(), service.started_in);
    let health = wire::get("/healthz");
    run(&service, "/healthz", span, |_| health.clone()).await;
    let typename = wire::post(None, "{ __typename }");
    run(&service, "{ __typename }", span, |_| typename.clone()).await;

    let mut sessions = Vec::new();
    for _ in 0..CLIENTS {
        sessions.push(Wire::connect(&service).await.sign_in(PASSWORD).await);
    }
    let me: Vec<Vec<u8>> =
        sessions.iter().map(|tokens| wire::post(Some(&tokens.access), "{ me { id username email } }")).collect();
    run(&service, "me", span, |client| me[client].clone()).await;

    let before = service.memory();
    let mut idle = Idle::open(&service, &sessions[0].access).await;
    let (took, count) = (idle.opened_in, idle::CONNECTIONS);
    println!("{name}: {count} idle connections take {} MiB, opened in {took:.1?}", service.memory() - before);
    run(&service, "me, with them", span, |client| me[client].clone()).await;
    assert_eq!(idle.count(), usize::from(count), "all are still open");
    drop(idle);

    let refreshed = wire::refresh_all(&service, sessions, span).await;
    print("refresh", &refreshed);

    let login = wire::login(PASSWORD);
    let figures = run(&service, "login", span, |_| login.clone()).await;
    println!("{:<34}{:>26.2} of argon2-rust alone", "", figures.per_cpu_second / bare);
    println!("{name}: {} MiB afterwards", service.memory());
    service.stop().await;
}

async fn run(service: &Service, name: &str, span: Duration, request: impl Fn(usize) -> Vec<u8>) -> Figures {
    let figures = wire::ask_all(service, CLIENTS, span, request).await;
    print(name, &figures);
    figures
}

fn print(name: &str, figures: &Figures) {
    let Figures { per_second, per_cpu_second, p50, p99, max } = figures;
    println!("  {name:<32}{per_second:>12.0}{per_cpu_second:>14.0}{p50:>9.2}{p99:>9.2}{max:>9.2}");
}
