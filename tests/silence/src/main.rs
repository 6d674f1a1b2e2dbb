//! Measures whether responses or their timing reveal that an account exists.
//!
//! The program starts the service on a fresh database with default password hashing. It sends the same requests about
//! names with and without an account, in random order, each name once. It compares the responses byte by byte. It
//! compares the times by the probability that a response for one kind of name takes longer than for the other (the area
//! under the ROC curve, Mann and Whitney's U divided by the number of pairs): 0.5 means no information, 0 or 1 full
//! information. A deviation above 0.15 is measured again with other names, and fails at the third time: with 60 names of
//! each kind, chance alone exceeds it once in two hundred measurements, and three times in a row once in millions.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a check may end at once and say why")]

mod people;
mod questions;
mod service;
mod statistics;
mod wire;

use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use people::{Kind, People};
use questions::{QUESTIONS, Question};
use service::Service;
use statistics::{further_than_chance, longer};
use wire::{Answer, Browser};

/// Number of names of each kind in a measurement.
const SAMPLES: usize = 60;

/// Number of measurements with a deviation before it counts as a failure.
const ATTEMPTS: usize = 3;

fn main() -> ExitCode {
    let (mut arguments, postgres) = (std::env::args().skip(1), setting("VESTIBULE_TEST_POSTGRES_URL"));
    let (program, only) = (arguments.next(), arguments.next().unwrap_or_default());
    // The service is started in its own folder.
    let program = program.and_then(|program| std::path::absolute(program).ok()?.into_os_string().into_string().ok());
    let Some(program) = program else {
        println!("Usage: silence PROGRAM [PART OF A REQUEST NAME]");
        return ExitCode::FAILURE;
    };
    let mut told = measure("SQLite", Service::on_sqlite(&program), &only);
    match postgres {
        Some(server) => told += measure("PostgreSQL", Service::on_postgres(&program, &server), &only),
        None => skip("silence: response times on PostgreSQL: VESTIBULE_TEST_POSTGRES_URL is not set"),
    }
    match told {
        0 => ExitCode::SUCCESS,
        _ => {
            println!("\n{told} of these reveal whether an account exists");
            ExitCode::FAILURE
        }
    }
}

/// Value of a variable; `None` if it is empty.
fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "settings of the check, not of the service")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reports something that cannot be checked on this machine, also to the file named by `VESTIBULE_SKIPPED`.
fn skip(what: &str) {
    println!("\nSKIPPED: {what}");
    if let Some(path) = setting("VESTIBULE_SKIPPED") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{what}\n").as_bytes()).unwrap();
    }
}

/// Measures all requests whose names contain this text, prints the results, and returns the number of failures.
fn measure(database: &str, service: Service, only: &str) -> usize {
    println!("\n{database}, {SAMPLES} names of each kind\n");
    println!("{:<22} {:<28} {:<6} {:>5}  {:>9} {:>9}", "operation", "pair", "equal", "AUC", "median", "median");
    let mut people = People::make(&service);
    let mut told = 0;
    for question in QUESTIONS.iter().filter(|question| question.name.contains(only)) {
        told += ask(question, &service, &mut people);
    }
    service.stop();
    told
}

/// Measures a request until its times are equal or have failed often enough; returns the number of failed kinds.
fn ask(question: &Question, service: &Service, people: &mut People) -> usize {
    let mut left: Vec<Kind> = question.kinds.to_vec();
    let mut told = 0;
    for attempt in 1..=ATTEMPTS {
        let mut kinds = vec![Kind::Nobody];
        kinds.extend(&left);
        let samples = sample(question, service, people, &kinds);
        let (nobody, others) = samples.split_first().unwrap();
        let mut again = Vec::new();
        for (kind, sample) in left.iter().zip(others) {
            let equal = sample.answers == nobody.answers && sample.answers.len() == 1;
            let auc = longer(&sample.times, &nobody.times);
            let is_slow = further_than_chance(auc);
            let verdict = match (equal, is_slow, attempt) {
                (true, false, _) => "",
                (true, true, ..ATTEMPTS) => {
                    again.push(*kind);
                    "  again"
                }
                _ => {
                    told += 1;
                    "  REVEALED"
                }
            };
            let pair = format!("nobody, {}", kind.name());
            let equal = if equal { "yes" } else { "NO" };
            let [one, other] = [&nobody.times, &sample.times].map(|times| median(times));
            println!("{:<22} {pair:<28} {equal:<6} {auc:>5.2}  {one:>9} {other:>9}{verdict}", question.name);
            if equal == "NO" {
                println!("  {:?}\n  {:?}", nobody.answers, sample.answers);
            }
        }
        left = again;
        if left.is_empty() {
            break;
        }
    }
    told
}

/// Responses and times for one kind of names.
#[derive(Default)]
struct Sample {
    answers: Vec<Answer>,
    times: Vec<Duration>,
}

/// Sends the request for fresh names of each kind, in random order.
fn sample(question: &Question, service: &Service, people: &mut People, kinds: &[Kind]) -> Vec<Sample> {
    let mut order = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        order.extend(people.draw(service, *kind, SAMPLES).into_iter().map(|person| (index, person)));
    }
    fastrand::shuffle(&mut order);
    let mut browser = Browser::open(&service.address);
    let mut samples: Vec<Sample> = kinds.iter().map(|_| Sample::default()).collect();
    for (index, person) in order {
        let request = question.request(&browser, &person);
        let mut shortest = Duration::MAX;
        for _ in 0..question.times {
            let (answer, time) = browser.send(&request);
            shortest = shortest.min(time);
            let answer = question.without_echo(answer, &person);
            if !samples[index].answers.contains(&answer) {
                samples[index].answers.push(answer);
            }
        }
        samples[index].times.push(shortest);
    }
    samples
}

fn median(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    format!("{:.2} ms", times[times.len() / 2].as_secs_f64() * 1000.0)
}
