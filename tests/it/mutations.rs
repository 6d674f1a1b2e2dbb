//! The table of guards fits the code, so that `tests/mutations/run` can remove each.

#[path = "../mutations/table.rs"]
mod table;

use std::path::Path;

use libtest_mimic::{Failed, Trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("mutations::every_guard_of_the_table_is_found_once", every_guard_is_found)]
}

fn every_guard_is_found() -> Result<(), Failed> {
    let (guards, files) = table::read(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    assert!(guards.iter().all(|guard| !guard.name.is_empty() && guard.test.contains(' ')));
    table::plant(&guards, files).map_err(|problems| problems.join("\n"))?;
    Ok(())
}
