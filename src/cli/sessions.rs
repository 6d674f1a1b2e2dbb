//! `vestibule sessions …`

use super::table::Format;
use crate::config::Config;
use crate::domain::operator::{self, Operator, api_tokens, sessions};
use crate::entity::session;
use crate::error::Result;
use crate::tools::clock::Clock;

#[derive(clap::Subcommand)]
pub(super) enum SessionsCommand {
    /// List the sessions of a user
    List {
        /// Id, username or email address of the user
        #[arg(value_name = "USER")]
        who: String,

        #[command(flatten)]
        format: Format,
    },
    /// End one session, or all sessions of a user; API tokens stay valid
    End(EndOptions),
    /// End the sessions of all users; API tokens stay valid unless `--api-tokens` is given
    Revoke(RevokeOptions),
}

/// Options of `sessions end`.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct EndOptions {
    /// Id of the session
    id: Option<String>,

    /// End all sessions of the user with this id, username or email address
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

/// Options of `sessions revoke`.
#[derive(clap::Args)]
pub(super) struct RevokeOptions {
    /// Confirm ending the sessions of all users
    #[arg(long, required = true)]
    all: bool,

    /// Also revoke the API tokens of all users
    #[arg(long)]
    api_tokens: bool,
}

/// Runs the command.
pub(super) async fn run(config: Config, command: SessionsCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::open_migrated(&config).await?;
    match command {
        SessionsCommand::List { who, format } => {
            let user = operator::users::find(&db, &operator, &who).await?;
            print_all(sessions::list(&db, &now, &operator, user.id, &config.sessions).await?, format);
            return Ok(());
        }
        SessionsCommand::End(EndOptions { id: Some(id), .. }) => {
            sessions::end(&db, &now, &operator, sessions::Which::One(id)).await?;
            super::say("1 session ended");
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

/// Prints a list of sessions.
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
