//! The published schema.

use std::process::Command;

use crate::Outcome;

#[test]
fn the_file_matches_the_code() -> Outcome {
    let file = include_str!("../../schema.graphql");
    let exported = vestibule::graphql::sdl();
    if file.trim_end() == exported.trim_end() {
        return Ok(());
    }
    Err("schema.graphql is out of date: `cargo run -- schema > schema.graphql`".into())
}

/// Each type, field, argument, input field and enum value has a description.
#[test]
fn everything_is_described() -> Outcome {
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

/// The command's exit code reports breaking changes.
#[test]
fn differences_are_reported() -> Outcome {
    let folder = tempfile::tempdir()?;
    let diff = |old: &str, more: &[&str]| -> Result<(bool, String), Box<dyn std::error::Error>> {
        let path = folder.path().join("old.graphql");
        std::fs::write(&path, old)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.current_dir(folder.path()).args(["schema", "diff"]).arg(&path).args(more);
        let output = command.output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    };
    let sdl = vestibule::graphql::sdl();
    let (passes, text) = diff(&sdl, &["--strict"])?;
    assert!(passes && text == "0 breaking, 0 dangerous, 0 safe\n", "{text}");
    let (passes, text) = diff(&sdl.replace("enum UserRole {", "enum UserRole { OWNER"), &[])?;
    assert!(!passes && text.starts_with("breaking   UserRole.OWNER: removed\n1 breaking, "), "{text}");
    let older = sdl.replace("  \"\"\"\n  View and download.\n  \"\"\"\n  DOWNLOAD\n", "");
    let (passes, text) = diff(&older, &[])?;
    assert!(passes && text.starts_with("dangerous  UserPermission.DOWNLOAD: added\n"), "{text}");
    assert!(!diff(&older, &["--strict"])?.0);
    let (passes, text) = diff("{ me { id } }", &[])?;
    assert!(!passes && text.contains("old.graphql: not a valid schema: error at line 1, column 1"), "{text}");
    Ok(())
}
