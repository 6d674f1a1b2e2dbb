//! The command line of Vestibule.

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::cli::run()
}
