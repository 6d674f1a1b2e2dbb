//! Check that `tests/mutations/run` finds each guard of its table in the code.

#[path = "../mutations/table.rs"]
mod table;

use std::path::Path;

use crate::Outcome;

#[test]
fn every_guard_of_the_table_is_found_once() -> Outcome {
    let (guards, files) = table::read(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    assert!(guards.iter().all(|guard| !guard.name.is_empty() && guard.test.contains(' ')));
    table::plant(&guards, files).map_err(|problems| problems.join("\n"))?;
    Ok(())
}
