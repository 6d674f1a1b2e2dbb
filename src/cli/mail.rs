//! `vestibule mail …`

use sea_orm::ActiveEnum as _;

use super::table::{Format, plain};
use crate::config::Config;
use crate::domain::operator::{self, Operator};
use crate::domain::paging::Window;
use crate::entity::mail::{Model, Status};
use crate::error::Result;
use crate::tools::clock::{Clock, Timestamp};

#[derive(clap::Subcommand)]
pub(super) enum MailCommand {
    /// List mails, the newest first; no text and no link is stored
    List(ListOptions),
    /// Show what became of a mail
    Show {
        /// The mail's id
        id: String,
    },
    /// Put a mail, or all that were given up, in line for the next opportunity
    Retry(RetryOptions),
}

/// Which mails to list.
#[derive(clap::Args)]
pub(super) struct ListOptions {
    /// Only those that wait
    #[arg(long, conflicts_with = "failed")]
    waiting: bool,

    /// Only those that were given up
    #[arg(long)]
    failed: bool,

    /// How many, 200 at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=200))]
    first: i32,

    /// How many to leave out before them
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    offset: i32,

    #[command(flatten)]
    format: Format,
}

/// Which mails to send once more.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct RetryOptions {
    /// The one with this id
    id: Option<String>,

    /// All that were given up
    #[arg(long)]
    all: bool,
}

/// Does what was asked.
pub(super) async fn run(config: Config, command: MailCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::reach(&config).await?;
    match command {
        MailCommand::List(options) => {
            let status = match (options.waiting, options.failed) {
                (true, _) => Some(Status::Queued),
                (_, true) => Some(Status::Failed),
                _ => None,
            };
            let window = Window { first: Some(options.first), offset: Some(options.offset), ..Window::default() };
            let page = operator::mails::page(&db, &operator, status, &window).await?;
            let rows: Vec<Vec<String>> = page.rows.into_iter().map(|(mail, _)| row(mail)).collect();
            options.format.print(&["MAIL", "KIND", "TO", "STATUS", "TRIED", "MADE", "LAST ERROR"], &rows);
            if page.has_next {
                options.format.note("… and more: see --offset");
            }
        }
        MailCommand::Show { id } => show(operator::mails::find(&db, &operator, &id).await?),
        MailCommand::Retry(RetryOptions { id: Some(id), .. }) => {
            let mail = operator::mails::retry(&db, &now, &operator, &id).await?;
            super::say(&format!("the mail to {} is in line again: the service sends it", plain(&mail.recipient)));
        }
        MailCommand::Retry(RetryOptions { .. }) => {
            let retried = operator::mails::retry_all(&db, &now, &operator).await?;
            super::say(&format!("{retried} mails are in line again: the service sends them"));
        }
    }
    Ok(())
}

fn row(mail: Model) -> Vec<String> {
    vec![
        mail.id.to_string(),
        mail.kind.to_value(),
        mail.recipient,
        mail.status.to_value(),
        mail.attempts.to_string(),
        mail.created_at.to_string(),
        mail.last_error.unwrap_or_default(),
    ]
}

/// Prints everything but the sealed secret of the link.
fn show(mail: Model) {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    for (name, value) in [
        ("id", mail.id.to_string()),
        ("kind", mail.kind.to_value()),
        ("to", mail.recipient),
        ("user", mail.user_id.map(|id| id.to_string()).unwrap_or_default()),
        ("status", mail.status.to_value()),
        ("tried", mail.attempts.to_string()),
        ("last error", mail.last_error.unwrap_or_default()),
        ("made", mail.created_at.to_string()),
        ("next attempt", time(mail.next_attempt_at)),
        ("in hand until", time(mail.leased_until)),
        ("sent", time(mail.sent_at)),
    ] {
        super::say(&format!("{name:15}{}", plain(&value)));
    }
}
