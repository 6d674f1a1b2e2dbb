//! `vestibule users …`

use sea_orm::ActiveEnum as _;

use super::limits::setting;
use super::table::Format;
use crate::config::Config;
use crate::database::Db;
use crate::domain::operator::sign_in_problems;
use crate::domain::operator::{self, Operator};
use crate::domain::paging::PageArgs;
use crate::domain::rate_limits::Limits;
use crate::domain::users::list::{Filter, List};
use crate::domain::users::sign_in_problems::{Problem, Rules};
use crate::entity::user::Model;
use crate::error::Result;
use crate::tools::clock::{Clock, Timestamp};
use crate::tools::text::plain;

#[derive(clap::Subcommand)]
pub(super) enum UsersCommand {
    /// List users, newest first
    List(ListOptions),
    /// Show a user and their sessions
    Show {
        #[command(flatten)]
        who: Who,

        #[command(flatten)]
        format: Format,
    },
    /// Explain why a user cannot sign in, and suggest fixes
    Why {
        #[command(flatten)]
        who: Who,

        #[command(flatten)]
        format: Format,
    },
    /// Deactivate a user and sign them out everywhere
    Disable(Who),
    /// Activate a user
    Enable(Who),
    /// Email a user a link to set a new password
    Reset(Who),
    /// Remove the second factors of a user who lost them, and sign them out everywhere
    ResetFactors(Who),
}

/// A user.
#[derive(clap::Args)]
pub(super) struct Who {
    /// Id, username or email address of the user
    #[arg(value_name = "USER")]
    who: String,
}

/// Options of `users list`.
#[derive(clap::Args)]
pub(super) struct ListOptions {
    /// Only users with these words in a name, email address, telephone number or external id
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// Only deactivated users
    #[arg(long)]
    inactive: bool,

    /// Only users with staff rights: the staff flag or the role ADMIN
    #[arg(long)]
    staff: bool,

    /// Maximum number of users, up to 200
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=200))]
    first: i32,

    /// Number of users to skip
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    offset: i32,

    #[command(flatten)]
    format: Format,
}

/// Runs the command.
pub(super) async fn run(config: Config, command: UsersCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::open_migrated(&config).await?;
    let find = async |who: Who| operator::users::find(&db, &operator, &who.who).await;
    match command {
        UsersCommand::List(options) => list(&db, &operator, options).await,
        UsersCommand::Show { who, format } => show(&config, &db, &operator, find(who).await?, format).await,
        UsersCommand::Why { who, format } => why(&config, &db, &operator, &who.who, format).await,
        UsersCommand::Disable(who) => set_active(&db, &operator, find(who).await?, false).await,
        UsersCommand::Enable(who) => set_active(&db, &operator, find(who).await?, true).await,
        UsersCommand::ResetFactors(who) => {
            let user = find(who).await?;
            let is_changed = operator::users::reset_factors(&db, &now, &operator, user.id).await?;
            super::say(&match is_changed {
                true => format!("{} has no second factor now, and is signed out everywhere", plain(&user.email)),
                false => format!("{} had no second factor", plain(&user.email)),
            });
            Ok(())
        }
        UsersCommand::Reset(who) => {
            let user = find(who).await?;
            operator::users::send_reset(&db, &now, &operator, user.id).await?;
            super::say(&format!("queued an email to {}", plain(&user.email)));
            Ok(())
        }
    }
}

async fn list(db: &Db, operator: &Operator, options: ListOptions) -> Result<()> {
    let filter = Filter {
        is_active: options.inactive.then_some(false),
        is_staff_member: options.staff.then_some(true),
        ..Filter::default()
    };
    let page = PageArgs { first: Some(options.first), offset: Some(options.offset), ..PageArgs::default() };
    let list = List { search: options.search, filter, order: Vec::new(), page };
    let (page, total) = operator::users::page(db, &Clock::System.now(), operator, &list).await?;
    let rows: Vec<Vec<String>> = page
        .rows
        .into_iter()
        .map(|(user, _)| {
            let (state, joined, login) = (state(&user), user.date_joined.to_string(), time(user.last_login));
            vec![user.id.to_string(), user.username, user.email, user.role.to_value(), state, joined, login]
        })
        .collect();
    options.format.print(&["ID", "USERNAME", "EMAIL", "ROLE", "STATE", "JOINED", "LAST LOGIN"], &rows);
    options.format.note(&format!("{} of {total}", rows.len()));
    Ok(())
}

async fn show(config: &Config, db: &Db, operator: &Operator, user: Model, format: Format) -> Result<()> {
    let now = Clock::System.now();
    let sessions = operator::sessions::list(db, &now, operator, user.id, &config.sessions).await?;
    let tokens = operator::users::api_tokens(db, &now, operator, user.id).await?;
    let state = state(&user);
    let password = if user.password_hash.is_some() { "set" } else { "none yet" };
    format.print_one(&[
        ("id", user.id.to_string()),
        ("username", user.username),
        ("email", user.email),
        ("moves to", user.pending_email.unwrap_or_default()),
        ("name", format!("{} {}", user.first_name, user.last_name).trim().to_owned()),
        ("role", user.role.to_value()),
        ("permission", user.permission.to_value()),
        ("state", state),
        ("password", password.to_owned()),
        ("second factor", if user.has_second_factor { "set" } else { "none" }.to_owned()),
        ("joined", user.date_joined.to_string()),
        ("changed", user.updated_at.to_string()),
        ("last login", time(user.last_login)),
        ("last seen", time(user.last_activity)),
        ("API tokens", tokens.to_string()),
        ("sessions", sessions.len().to_string()),
    ]);
    if !sessions.is_empty() && !format.is_json() {
        super::sessions::print_all(sessions, format);
    }
    Ok(())
}

/// Explains why a user, or the owner of a pending registration, cannot sign in.
async fn why(config: &Config, db: &Db, operator: &Operator, who: &str, format: Format) -> Result<()> {
    let now = Clock::System.now();
    let user = match operator::users::find(db, operator, who).await {
        Ok(user) => user,
        Err(missing) => {
            let Some(waiting) = sign_in_problems::waiting_registration(db, &now, operator, who).await? else {
                return Err(missing);
            };
            let problem = Problem::PendingRegistration(waiting.expires_at);
            format.print(&PROBLEM, &[advise(&problem, who)]);
            return Ok(());
        }
    };
    let limits = Limits::new(config.limits);
    let rules = Rules { limits: &limits, second_factor: config.second_factor, is_reachable: config.is_reachable() };
    let report = sign_in_problems::report(db, &now, operator, rules, &user).await?;
    let rows: Vec<Vec<String>> = report.problems.iter().map(|problem| advise(problem, &user.id.to_string())).collect();
    if rows.is_empty() {
        format.note(&format!("no problem found: {} can sign in with the right password", plain(&user.email)));
    }
    if !rows.is_empty() || format.is_json() {
        format.print(&PROBLEM, &rows);
    }
    if format.is_json() {
        return Ok(());
    }
    if !report.failures.is_empty() {
        super::say("");
        let failures = report.failures.into_iter().map(|event| {
            let reason = event.reason.map(|reason| reason.to_value()).unwrap_or_default();
            vec![event.created_at.to_string(), event.action.to_value(), reason, event.ip.unwrap_or_default()]
        });
        format.print(&["LAST FAILURES", "ACTION", "REASON", "ADDRESS"], &failures.collect::<Vec<_>>());
    }
    if !report.undelivered.is_empty() {
        super::say("");
        let mails = report.undelivered.into_iter().map(|mail| {
            vec![
                mail.created_at.to_string(),
                mail.kind.to_value(),
                mail.status.to_value(),
                mail.last_error.unwrap_or_default(),
            ]
        });
        format.print(&["UNDELIVERED MAILS", "KIND", "STATUS", "LAST ERROR"], &mails.collect::<Vec<_>>());
    }
    Ok(())
}

const PROBLEM: [&str; 2] = ["PROBLEM", "WHAT TO DO"];

/// Row with a problem and its remedy.
fn advise(problem: &Problem, id: &str) -> Vec<String> {
    let (problem, advice) = match problem {
        Problem::Inactive => ("the account is deactivated".to_owned(), format!("vestibule users enable {id}")),
        Problem::Unverified => (
            "the email address is not confirmed".to_owned(),
            format!("vestibule users reset {id} (its link confirms the address)"),
        ),
        Problem::NoPassword => {
            ("neither a password nor a passkey is set".to_owned(), format!("vestibule users reset {id}"))
        }
        Problem::TemporaryPasswordExpired => {
            ("the temporary password has expired".to_owned(), format!("vestibule users reset {id}"))
        }
        Problem::MustEnroll => (
            "a second factor must be set up first".to_owned(),
            "ask them to sign in on a page of the service, which leads through it".to_owned(),
        ),
        Problem::TotpStopped(until) => (
            format!("codes of the authenticator app are not accepted until {until}"),
            format!("ask them for a recovery code, or vestibule users reset-factors {id}"),
        ),
        Problem::Undelivered(mail) => (
            format!("an email to the user was not delivered: {}", mail.last_error.as_deref().unwrap_or("waiting")),
            format!("vestibule mail retry {}", mail.id),
        ),
        Problem::PendingRegistration(until) => (
            "registered, but has not opened the link in the confirmation email".to_owned(),
            format!("ask them to open it, or to sign up again; the link expires {until}"),
        ),
        Problem::Exhausted(usage) => {
            let until = usage.exhausted_until.map(|until| until.to_string()).unwrap_or_default();
            (
                format!("{} is exhausted until {until}", setting(usage)),
                format!("wait, or vestibule limits lift --user {id}"),
            )
        }
    };
    vec![problem, advice]
}

async fn set_active(db: &Db, operator: &Operator, user: Model, to: bool) -> Result<()> {
    let changed = operator::users::set_active(db, &Clock::System.now(), operator, user.id, to).await?;
    let (was, is) = (if changed { "is" } else { "was" }, if to { "active" } else { "deactivated" });
    let rest = if changed { "" } else { " already" };
    super::say(&format!("{} {was} {is}{rest}", plain(&user.email)));
    Ok(())
}

/// Status and flags of a user, separated by commas.
fn state(user: &Model) -> String {
    let words = [
        (true, if user.is_active { "active" } else { "deactivated" }),
        (!user.is_verified, "unverified"),
        (user.is_staff, "staff"),
        (user.is_superuser, "superuser"),
    ];
    words.into_iter().filter_map(|(is_set, word)| is_set.then_some(word)).collect::<Vec<_>>().join(",")
}

/// A time, or an empty text.
fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}
