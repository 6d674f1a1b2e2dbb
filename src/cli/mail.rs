//! `vestibule mail …`

use sea_orm::{ActiveEnum as _, Iterable as _};

use super::table::{Format, plain};
use crate::config::Config;
use crate::domain::operator::{self, Operator};
use crate::domain::outbox::list::Filter;
use crate::domain::paging::PageArgs;
use crate::entity::mail::{Kind, Model, Status};
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
    /// Put a mail, or all that were given up or wait for another attempt, in line for the next opportunity
    Retry(RetryOptions),
    /// Hold the waiting mails of a kind back
    Hold(KindOptions),
    /// Put the mails of a kind that were held back in line again
    Release(KindOptions),
    /// Cancel the waiting and the held mails of a kind: they are never sent
    Cancel(KindOptions),
}

/// Mails of a kind.
#[derive(clap::Args)]
pub(super) struct KindOptions {
    /// The kind, as `mail list` shows it, such as WELCOME
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Kind,
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    let kinds: Vec<String> = Kind::iter().map(|kind| kind.to_value()).collect();
    Kind::try_from_value(&text.to_uppercase().replace('-', "_"))
        .map_err(|_| format!("there is no such kind of mail: use one of {}", kinds.join(", ")))
}

/// Which mails to list.
#[derive(clap::Args)]
pub(super) struct ListOptions {
    /// Only those that wait
    #[arg(long, conflicts_with_all = ["failed", "held"])]
    waiting: bool,

    /// Only those that were given up
    #[arg(long, conflicts_with = "held")]
    failed: bool,

    /// Only those that are held back
    #[arg(long)]
    held: bool,

    /// Only those to this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,

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

    /// All that were given up or wait for another attempt
    #[arg(long)]
    all: bool,
}

/// Does what was asked.
pub(super) async fn run(config: Config, command: MailCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::reach(&config).await?;
    match command {
        MailCommand::List(options) => {
            let statuses =
                [(options.waiting, Status::Queued), (options.failed, Status::Failed), (options.held, Status::Held)];
            let status = statuses.into_iter().find(|(is_asked_for, _)| *is_asked_for).map(|(_, status)| status);
            let filter = Filter { status, recipient: options.to };
            let window = PageArgs { first: Some(options.first), offset: Some(options.offset), ..PageArgs::default() };
            let page = operator::mails::page(&db, &operator, &filter, &window).await?;
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
            super::say(&in_line(retried));
        }
        MailCommand::Hold(KindOptions { kind }) => {
            let held = operator::mails::hold(&db, &now, &operator, kind).await?;
            super::say(&mails(held, "held back"));
        }
        MailCommand::Release(KindOptions { kind }) => {
            let released = operator::mails::release(&db, &now, &operator, kind).await?;
            super::say(&in_line(released));
        }
        MailCommand::Cancel(KindOptions { kind }) => {
            let cancelled = operator::mails::cancel(&db, &now, &operator, kind).await?;
            super::say(&mails(cancelled, "cancelled"));
        }
    }
    Ok(())
}

fn in_line(count: u64) -> String {
    format!("{}: the service sends {}", mails(count, "in line again"), if count == 1 { "it" } else { "them" })
}

fn mails(count: u64, what: &str) -> String {
    if count == 1 { format!("1 mail is {what}") } else { format!("{count} mails are {what}") }
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
