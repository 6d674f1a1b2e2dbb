//! Database URLs as arguments. They must not contain a password, because every user of the machine can read arguments
//! in the process list.

use std::io::Read as _;

use crate::config::DatabaseUrl;
use crate::error::{Error, Result};

/// Maximum length of a URL in bytes.
const MAX: u64 = 64 * 1024;

/// Text of an argument: the argument itself, the content of a file for `@FILE`, or standard input for `-`.
///
/// # Errors
/// One line that names the argument and never quotes the text; also if the argument itself contains a password.
pub(super) fn read(name: &str, argument: &str) -> Result<String> {
    let failed = |error: std::io::Error| Error::Command(format!("{name}: cannot read the database URL: {error}"));
    let mut text = String::new();
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => std::io::stdin().take(MAX).read_to_string(&mut text).map_err(failed)?,
        (_, Some(file)) => {
            let file = std::fs::File::open(file).map_err(failed)?;
            file.take(MAX).read_to_string(&mut text).map_err(failed)?
        }
        _ if argument.parse::<DatabaseUrl>().is_ok_and(|url| url.has_password()) => {
            let problem = "every user of this machine could read the password in the process list";
            return Err(Error::Command(format!("{name}: {problem}. Use @FILE, or - for standard input, instead.")));
        }
        _ => return Ok(argument.to_owned()),
    };
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
