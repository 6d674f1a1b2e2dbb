//! The manual knows every setting, and its defaults are those of the program.

use std::process::Command;

use libtest_mimic::{Failed, Trial};

const MANUAL: &str = include_str!("../../README.md");

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("settings::the_manual_tells_every_setting_with_its_default", the_manual_tells_all)]
}

fn the_manual_tells_all() -> Result<(), Failed> {
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

/// The default that the manual gives for a setting: of a row with several settings, the one at its place, or the only one.
fn in_manual(name: &str) -> Option<String> {
    let quoted = format!("`{name}`");
    MANUAL.lines().filter_map(|line| line.strip_prefix("| ")).find_map(|row| {
        let mut cells = row.split(" | ");
        let place = parts(cells.next()?).iter().position(|part| *part == quoted)?;
        let defaults = parts(cells.next()?);
        defaults.get(place).or(defaults.first()).cloned()
    })
}

/// The parts of a cell, with commas between them; those within backticks are no such commas.
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
