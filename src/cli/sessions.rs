//! `vestibule sessions …`

use super::table::Format;
use crate::config::Config;
use crate::domain::operator::{self, Operator, api_tokens, sessions};
use crate::entity::session;
use crate::error::Result;
use crate::tools::clock::Clock;

#[derive(clap::Subcommand)]
pub(super) enum SessionsCommand {
    /// List where a user is signed in
    List {
        /// The user's id, username or email address
        #[arg(value_name = "WHO")]
        who: String,

        #[command(flatten)]
        format: Format,
    },
    /// End one session, or all of a user; API tokens go on
    End(EndOptions),
    /// End the sessions of all users; API tokens go on unless told otherwise
    Revoke(RevokeOptions),
}

/// Which sessions to end.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct EndOptions {
    /// The one with this id
    id: Option<String>,

    /// All of the user with this id, username or email address
    #[arg(long, value_name = "WHO")]
    user: Option<String>,
}

/// What to end.
#[derive(clap::Args)]
pub(super) struct RevokeOptions {
    /// The sessions of all users
    #[arg(long, required = true)]
    all: bool,

    /// Also delete the API tokens of all users
    #[arg(long)]
    api_tokens: bool,
}

/// Does what was asked.
pub(super) async fn run(config: Config, command: SessionsCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::reach(&config).await?;
    match command {
        SessionsCommand::List { who, format } => {
            let user = operator::users::find(&db, &operator, &who).await?;
            print_all(sessions::list(&db, &now, &operator, user.id, &config.sessions).await?, format);
            return Ok(());
        }
        SessionsCommand::End(EndOptions { id: Some(id), .. }) => {
            sessions::end(&db, &now, &operator, sessions::Which::One(id)).await?;
            super::say("the session has ended");
        }
        SessionsCommand::End(EndOptions { user, .. }) => {
            let user = operator::users::find(&db, &operator, &user.unwrap_or_default()).await?;
            let ended = sessions::end(&db, &now, &operator, sessions::Which::Of(user.id)).await?;
            super::say(&super::counted(ended as u64, "session ended", "sessions ended"));
        }
        SessionsCommand::Revoke(RevokeOptions { api_tokens: also, .. }) => {
            let ended = sessions::end_everybodys(&db, &now, &operator).await?;
            super::say(&super::counted(ended, "session ended", "sessions ended"));
            if also {
                super::api_tokens::revoke(&db, &now, &operator, api_tokens::Which::All).await?;
            }
        }
    }
    Ok(())
}

/// Prints sessions.
pub(super) fn print_all(sessions: Vec<session::Model>, format: Format) {
    let rows: Vec<Vec<String>> = sessions
        .into_iter()
        .map(|session| {
            let text = |text: Option<String>| text.unwrap_or_default();
            let (created, used) = (session.created_at.to_string(), session.last_used_at.to_string());
            vec![session.id.to_string(), created, used, text(session.ip), text(session.user_agent)]
        })
        .collect();
    format.print(&["SESSION", "SIGNED IN", "LAST USED", "ADDRESS", "PROGRAM"], &rows);
}
