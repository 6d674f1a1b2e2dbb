//! Check of `docs/settings.md`: it lists every setting with the program's default, and no other setting.

use std::process::Command;

use crate::Outcome;

const PAGE: &str = include_str!("../../docs/settings.md");

#[test]
fn the_manual_lists_every_setting_with_its_default() -> Outcome {
    let help = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["serve", "--help"]).output()?;
    let help = String::from_utf8(help.stdout)?;
    let mut problems = Vec::new();
    let mut lines = help.lines().map(str::trim).peekable();
    let mut settings = Vec::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("[env: ").map(|rest| rest.trim_end_matches([']', '='])) else { continue };
        settings.push(name);
        let default = lines.peek().and_then(|line| line.strip_prefix("[default: ")?.strip_suffix(']'));
        let default = default.map(|default| default.trim_matches('"'));
        match listed(name) {
            None => problems.push(format!("{name} is missing")),
            Some(listed) if default.is_some_and(|default| listed != format!("`{default}`")) => {
                problems.push(format!("{name} = {}, not {listed}", default.unwrap_or_default()));
            }
            Some(_) => {}
        }
    }
    assert!(settings.len() > 50, "the help lists no settings");
    let is_name = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    for name in PAGE.split(|letter| !is_name(letter)).filter(|word| word.starts_with("VESTIBULE_")) {
        // The prefix alone is in the description of names.
        if name != "VESTIBULE_" && !settings.contains(&name) {
            problems.push(format!("{name} does not exist"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(format!("docs/settings.md: {problems:#?}").into()) }
}

/// Default on the page: in a row with several settings, the one at the same position, or the only one.
fn listed(name: &str) -> Option<String> {
    let quoted = format!("`{name}`");
    PAGE.lines().filter_map(|line| line.strip_prefix("| ")).find_map(|row| {
        let mut cells = row.split(" | ");
        let place = parts(cells.next()?).iter().position(|part| *part == quoted)?;
        let defaults = parts(cells.next()?);
        defaults.get(place).or(defaults.first()).cloned()
    })
}

/// Parts of a cell, separated by commas outside backticks.
fn parts(cell: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    for letter in cell.chars() {
        is_quoted ^= letter == '`';
        match parts.last_mut() {
            Some(part) if letter != ',' || is_quoted => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}
