//! `vestibule create-superuser`

use std::io::Read as _;

use crate::config::Config;
use crate::domain::operator::{self, Operator};
use crate::domain::users::superuser::{self, FirstPassword, Username};
use crate::error::{Error, Result};
use crate::tools::clock::Clock;

/// Who becomes a superuser.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The email address
    #[arg(long)]
    email: String,

    /// The username [default: a neutral one such as `user-7kqm3xvd`]
    #[arg(long)]
    username: Option<String>,

    /// Make the existing user with this address a superuser, who keeps their password
    #[arg(long, conflicts_with_all = ["username", "password_stdin"])]
    promote: bool,

    /// Read the password from standard input, instead of making a random one and printing it
    #[arg(long)]
    password_stdin: bool,
}

/// Makes the account.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    if options.promote {
        let db = super::reach(&config).await?;
        let user = operator::users::promote(&db, &Clock::System.now(), &Operator::new(), &options.email).await?;
        super::say(&format!("{} is a superuser, named {}", user.email, user.username));
        return Ok(());
    }
    let password = match options.password_stdin {
        true => FirstPassword::Chosen(read_password()?),
        false => FirstPassword::generate(),
    };
    let app = super::open(config).await?;
    let now = app.clock.now();
    let username = options.username.as_deref().map_or(Username::Neutral, Username::Given);
    let row = superuser::prepare(&now, &app.passwords, &options.email, username, password.clone()).await?;
    let (txn, now) = app.db.begin(&now).await?;
    let user = superuser::insert(&txn, &now, row).await?;
    txn.commit().await?;
    super::say(&format!("{} is a superuser, named {}", user.email, user.username));
    if let Some(password) = password.generated() {
        super::say(&format!("password: {password}"));
        super::say(super::TEMPORARY);
    }
    Ok(())
}

/// The password on standard input, without the line break at its end.
fn read_password() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text).map_err(Error::internal)?;
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
}
