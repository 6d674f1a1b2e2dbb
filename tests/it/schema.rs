//! The schema that clients are promised.

use libtest_mimic::{Failed, Trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("schema::the_file_is_what_the_code_exports", file_is_up_to_date),
        Trial::test("schema::everything_is_described", everything_is_described),
    ]
}

fn file_is_up_to_date() -> Result<(), Failed> {
    let file = include_str!("../../schema.graphql");
    let exported = vestibule::graphql::sdl();
    if file.trim_end() == exported.trim_end() {
        return Ok(());
    }
    Err("schema.graphql is out of date: `cargo run -- schema > schema.graphql`".into())
}

/// Each type, field, argument, input field and enum value is preceded by a description.
fn everything_is_described() -> Result<(), Failed> {
    let exported = vestibule::graphql::sdl();
    let mut bare = Vec::new();
    let (mut described, mut inside) = (false, false);
    for line in exported.lines().map(str::trim) {
        if line == "\"\"\"" {
            inside = !inside;
            described = true;
            continue;
        }
        let skips = inside || line.is_empty() || line.starts_with(['}', ')', '@']) || line.starts_with("schema");
        if skips || line.starts_with("directive") || is_root(line) {
            continue;
        }
        if !described {
            bare.push(line.to_owned());
        }
        described = false;
    }
    if bare.is_empty() { Ok(()) } else { Err(format!("without a description: {bare:#?}").into()) }
}

fn is_root(line: &str) -> bool {
    ["query:", "mutation:", "subscription:"].iter().any(|root| line.starts_with(root))
}
