//! Check of the manual: it lists every setting with the program's default.

use std::process::Command;

use crate::Outcome;

const MANUAL: &str = include_str!("../../README.md");

#[test]
fn the_manual_lists_every_setting_with_its_default() -> Outcome {
    let help = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["serve", "--help"]).output()?;
    let help = String::from_utf8(help.stdout)?;
    let mut untold = Vec::new();
    let mut lines = help.lines().map(str::trim).peekable();
    let mut settings = 0;
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("[env: ").map(|rest| rest.trim_end_matches([']', '='])) else { continue };
        settings += 1;
        let default = lines.peek().and_then(|line| line.strip_prefix("[default: ")?.strip_suffix(']'));
        let default = default.map(|default| default.trim_matches('"'));
        match in_manual(name) {
            None => untold.push(name.to_owned()),
            Some(told) if default.is_some_and(|default| told != format!("`{default}`")) => {
                untold.push(format!("{name} = {}, not {told}", default.unwrap_or_default()));
            }
            Some(_) => {}
        }
    }
    if settings == 0 {
        return Err("the program tells of no settings".into());
    }
    if untold.is_empty() { Ok(()) } else { Err(format!("README.md does not tell: {untold:#?}").into()) }
}

/// Default in the manual: in a row with several settings, the one at the same position, or the only one.
fn in_manual(name: &str) -> Option<String> {
    let quoted = format!("`{name}`");
    MANUAL.lines().filter_map(|line| line.strip_prefix("| ")).find_map(|row| {
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
