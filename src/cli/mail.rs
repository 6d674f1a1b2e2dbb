//! `vestibule mail …`

use sea_orm::{ActiveEnum as _, Iterable as _};

use super::table::Format;
use crate::config::Config;
use crate::domain::operator::{self, Operator};
use crate::domain::outbox::list::Filter;
use crate::domain::paging::PageArgs;
use crate::entity::mail::{Kind, Model, Status};
use crate::error::Result;
use crate::tools::clock::{Clock, Timestamp};
use crate::tools::text::plain;

#[derive(clap::Subcommand)]
pub(super) enum MailCommand {
    /// List emails, newest first; texts and links are not stored
    List(ListOptions),
    /// Show the status of an email
    Show {
        /// Id of the email
        id: String,
    },
    /// Queue one email, or all that failed or wait for a retry, for immediate delivery
    Retry(RetryOptions),
    /// Hold all waiting emails of a kind
    Hold(KindOptions),
    /// Queue all held emails of a kind again
    Release(KindOptions),
    /// Cancel all waiting and held emails of a kind
    Cancel(KindOptions),
}

/// Options of `mail hold`, `release` and `cancel`.
#[derive(clap::Args)]
pub(super) struct KindOptions {
    /// Kind of email as shown by `mail list`, such as WELCOME
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Kind,
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    let kinds: Vec<String> = Kind::iter().map(|kind| kind.to_value()).collect();
    Kind::try_from_value(&text.to_uppercase().replace('-', "_"))
        .map_err(|_| format!("unknown kind of email: use one of {}", kinds.join(", ")))
}

/// Options of `mail list`.
#[derive(clap::Args)]
pub(super) struct ListOptions {
    /// Only emails waiting to be sent
    #[arg(long, conflicts_with_all = ["failed", "held"])]
    waiting: bool,

    /// Only emails that could not be sent
    #[arg(long, conflicts_with = "held")]
    failed: bool,

    /// Only held emails
    #[arg(long)]
    held: bool,

    /// Only emails to this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,

    /// Maximum number of emails, up to 200
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=200))]
    first: i32,

    /// Number of emails to skip
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    offset: i32,

    #[command(flatten)]
    format: Format,
}

/// Options of `mail retry`.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct RetryOptions {
    /// Id of the email
    id: Option<String>,

    /// Retry all emails that failed or wait for a retry
    #[arg(long)]
    all: bool,
}

/// Runs the command.
pub(super) async fn run(config: Config, command: MailCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::open_migrated(&config).await?;
    match command {
        MailCommand::List(options) => {
            let statuses =
                [(options.waiting, Status::Queued), (options.failed, Status::Failed), (options.held, Status::Held)];
            let status = statuses.into_iter().find(|(is_asked_for, _)| *is_asked_for).map(|(_, status)| status);
            let filter = Filter { status, recipient: options.to, ..Filter::default() };
            let args = PageArgs { first: Some(options.first), offset: Some(options.offset), ..PageArgs::default() };
            let page = operator::mails::page(&db, &operator, &filter, &args).await?;
            let rows: Vec<Vec<String>> = page.rows.into_iter().map(|(mail, _)| row(mail)).collect();
            options.format.print(&["MAIL", "KIND", "TO", "STATUS", "TRIED", "MADE", "LAST ERROR"], &rows);
            if page.has_next {
                options.format.note("more emails exist; use --offset to list them");
            }
        }
        MailCommand::Show { id } => show(operator::mails::find(&db, &operator, &id).await?),
        MailCommand::Retry(RetryOptions { id: Some(id), .. }) => {
            let mail = operator::mails::retry(&db, &now, &operator, &id).await?;
            super::say(&format!("queued the email to {}", plain(&mail.recipient)));
        }
        MailCommand::Retry(RetryOptions { .. }) => {
            let retried = operator::mails::retry_all(&db, &now, &operator).await?;
            super::say(&emails(retried, "queued"));
        }
        MailCommand::Hold(KindOptions { kind }) => {
            let held = operator::mails::hold(&db, &now, &operator, kind).await?;
            super::say(&emails(held, "held"));
        }
        MailCommand::Release(KindOptions { kind }) => {
            let released = operator::mails::release(&db, &now, &operator, kind).await?;
            super::say(&emails(released, "queued"));
        }
        MailCommand::Cancel(KindOptions { kind }) => {
            let cancelled = operator::mails::cancel(&db, &now, &operator, kind).await?;
            super::say(&emails(cancelled, "cancelled"));
        }
    }
    Ok(())
}

fn emails(count: u64, done: &str) -> String {
    format!("{} {done}", super::counted(count, "email", "emails"))
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

/// Prints all fields except the sealed secret of the link.
fn show(mail: Model) {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    for (name, value) in [
        ("id", mail.id.to_string()),
        ("kind", mail.kind.to_value()),
        ("to", mail.recipient),
        ("user", mail.user_id.map(|id| id.to_string()).unwrap_or_default()),
        ("status", mail.status.to_value()),
        ("attempts", mail.attempts.to_string()),
        ("last error", mail.last_error.unwrap_or_default()),
        ("created", mail.created_at.to_string()),
        ("next attempt", time(mail.next_attempt_at)),
        ("leased until", time(mail.leased_until)),
        ("sent", time(mail.sent_at)),
    ] {
        super::say(&format!("{name:15}{}", plain(&value)));
    }
}
