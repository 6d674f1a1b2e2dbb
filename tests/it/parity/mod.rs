//! Feature parity with the replaced services: tests for the rows of `docs/parity.md`.

mod account;
mod api_tokens;
mod avatar;
mod builders;
pub(crate) mod desk;
mod live;
mod import;
pub(crate) mod recovery;
pub(crate) mod registration;
mod sign_in;
mod staff;

use crate::{Outcome, security};

const PAGE: &str = include_str!("../../../docs/parity.md");

#[test]
fn the_page_lists_62_rows_and_existing_tests() -> Outcome {
    let names = security::names()?;
    let mut problems = Vec::new();
    let mut listed = Vec::new();
    let mut numbers = Vec::new();
    for line in PAGE.lines() {
        let Some((number, cells)) = line.strip_prefix("| ").and_then(|row| row.split_once(" | ")) else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        numbers.push(number);
        let (_, last) = cells.trim_end_matches(" |").rsplit_once(" | ").expect("a row has several cells");
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            problems.push(format!("row {number} names no test"));
        }
        listed.extend(tests);
    }
    assert_eq!(numbers, (1..=62).collect::<Vec<_>>());
    for test in &listed {
        if !names.iter().any(|name| name == test) {
            problems.push(format!("test {test} does not exist"));
        }
    }
    for name in names.iter().filter(|name| name.starts_with("parity::")) {
        if !listed.contains(&name.as_str()) {
            problems.push(format!("no row names the test {name}"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}
