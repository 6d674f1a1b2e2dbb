//! Whether strangers can find out who has an account, by what is answered or by how long it takes.
//!
//! The program starts the service on a fresh database, with passwords hashed as by default, and puts the same questions about
//! those who have an account and those who have none, in random order, each name once. It compares the answers byte by byte,
//! and the times by the probability that an answer about one kind of name takes longer than one about the other (the area
//! under the ROC curve, Mann and Whitney's U divided by the number of pairs): 0.5 where time tells nothing, 0 or 1 where it
//! tells all. What is further from 0.5 than 0.15 is measured anew, with other names, and counts as told at the third time:
//! with 120 names of each kind, chance alone goes that far once in thousands of times.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a check may end at once and say why")]

mod people;
mod questions;
mod service;
mod statistics;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use people::{Kind, People};
use questions::{QUESTIONS, Question};
use service::Service;
use statistics::{further_than_chance, longer};
use wire::{Answer, Browser};

/// How many names of each kind are asked for in one measurement.
const SAMPLES: usize = 120;

/// How often something may be measured before it counts.
const ATTEMPTS: usize = 3;

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "settings of the check, not of the service")]
    let (mut arguments, postgres) = (std::env::args().skip(1), std::env::var("VESTIBULE_TEST_POSTGRES_URL").ok());
    let (program, only) = (arguments.next(), arguments.next().unwrap_or_default());
    // It is started in a folder of its own.
    let program = program.and_then(|program| std::path::absolute(program).ok()?.into_os_string().into_string().ok());
    let Some(program) = program else {
        println!("name the program to measure and, where not all questions are to be put, a part of their names");
        return ExitCode::FAILURE;
    };
    let mut told = measure("SQLite", Service::on_sqlite(&program), &only);
    match postgres.filter(|url| !url.is_empty()) {
        Some(server) => told += measure("PostgreSQL", Service::on_postgres(&program, &server), &only),
        None => println!("\nPostgreSQL was left out: VESTIBULE_TEST_POSTGRES_URL names no server"),
    }
    match told {
        0 => ExitCode::SUCCESS,
        _ => {
            println!("\n{told} of these tell strangers who has an account");
            ExitCode::FAILURE
        }
    }
}

/// Puts the questions with this part of a name to a service, prints what they tell, and returns how many tell anything.
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

/// Puts a question until time tells nothing, or has told often enough; returns how many kinds it tells apart.
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
                    "  TOLD"
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

/// What was answered about one kind of names, and how long it took.
#[derive(Default)]
struct Sample {
    answers: Vec<Answer>,
    times: Vec<Duration>,
}

/// Asks for fresh names of each kind, in random order.
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
