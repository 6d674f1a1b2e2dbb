//! `vestibule create-superuser`

use std::io::Read as _;

use crate::config::Config;
use crate::domain::auth::identity::Actor;
use crate::domain::operator::{self, Operator};
use crate::domain::users::superuser::{self, FirstPassword, Username};
use crate::error::{Error, Result};
use crate::tools::clock::Clock;

/// Options of `create-superuser`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Email address
    #[arg(long)]
    email: String,

    /// Username [default: generated, such as `user-7kqm3xvd`]
    #[arg(long)]
    username: Option<String>,

    /// Promote the existing user with this email address, who keeps their password
    #[arg(long, conflicts_with_all = ["username", "password_stdin"])]
    promote: bool,

    /// Read the password from standard input instead of generating and printing one
    #[arg(long)]
    password_stdin: bool,
}

/// Creates or promotes the superuser.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    if options.promote {
        let db = super::open_migrated(&config).await?;
        let user = operator::users::promote(&db, &Clock::System.now(), &Operator::new(), &options.email).await?;
        super::say(&format!("{} is now a superuser (username {})", user.email, user.username));
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
    let user = superuser::insert(&txn, &now, Actor::Operator, row).await?;
    txn.commit().await?;
    super::say(&format!("{} is now a superuser (username {})", user.email, user.username));
    if let Some(password) = password.generated() {
        super::say(&format!("password: {password}"));
        super::say(super::TEMPORARY);
    }
    Ok(())
}

/// Password from standard input, without the trailing line break.
fn read_password() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text).map_err(Error::internal)?;
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
}
