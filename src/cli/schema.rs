//! `vestibule schema`

use crate::error::Result;
use crate::graphql;

/// Prints the schema; needs no database.
#[expect(clippy::unnecessary_wraps, reason = "all commands return the same")]
pub(super) fn run() -> Result<()> {
    super::say(graphql::sdl().trim_end());
    Ok(())
}
