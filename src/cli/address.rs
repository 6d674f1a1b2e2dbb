//! Addresses of databases as arguments, which must not hold a password there: every user of the machine can read them in the
//! list of processes.

use std::io::Read as _;

use crate::config::DatabaseUrl;
use crate::error::{Error, Result};

/// No address is longer, in bytes.
const MAX: u64 = 64 * 1024;

/// The text that an argument stands for: itself, the content of a file where it is `@FILE`, or standard input where it is `-`.
///
/// # Errors
/// One line that names the argument and never repeats what was read; where the argument itself holds a password.
pub(super) fn read(name: &str, argument: &str) -> Result<String> {
    let failed = |error: std::io::Error| Error::BadInput(format!("{name}: the address cannot be read: {error}"));
    let mut text = String::new();
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => std::io::stdin().take(MAX).read_to_string(&mut text).map_err(failed)?,
        (_, Some(file)) => {
            let file = std::fs::File::open(file).map_err(failed)?;
            file.take(MAX).read_to_string(&mut text).map_err(failed)?
        }
        _ if argument.parse::<DatabaseUrl>().is_ok_and(|url| url.has_password()) => {
            let problem = "every user of this machine could read the password in the list of processes";
            return Err(Error::BadInput(format!("{name}: {problem}. Give @FILE, or - for standard input, instead.")));
        }
        _ => return Ok(argument.to_owned()),
    };
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
