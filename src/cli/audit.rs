//! `vestibule audit …`

use std::collections::HashMap;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sea_orm::{ActiveEnum as _, Iterable as _};
use uuid::Uuid;

use super::table::Format;
use crate::config::Config;
use crate::database::Db;
use crate::domain::audit::list::Filter;
use crate::domain::operator::{self, Operator};
use crate::domain::paging::PageArgs;
use crate::entity::audit_event::{Action, Model};
use crate::error::Result;
use crate::tools::clock::{Clock, Timestamp};

/// Interval between checks for new events.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Number of events read per query.
const STEP: i32 = 200;

const HEADINGS: [&str; 8] = ["TIME", "ACTION", "ACTOR", "TARGET", "REASON", "CHANGES", "ADDRESS", "PROGRAM"];

#[derive(clap::Subcommand)]
pub(super) enum AuditCommand {
    /// List events of the audit trail, newest first
    List(ListOptions),
}

/// Options of `audit list`.
#[derive(clap::Args)]
pub(super) struct ListOptions {
    /// Only events by or about the user with this id, username or email address
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Only events with this action, such as `LOGIN_FAILED`
    #[arg(long, value_name = "ACTION", value_parser = action(), ignore_case = true)]
    action: Option<Action>,

    /// Only events since this time (`2026-01-31T12:00:00Z`) or within this duration (`2h`, `7d`)
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Since>,

    /// Maximum number of events, up to 200
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=200))]
    first: i32,

    /// Number of events to skip
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    offset: i32,

    /// Print new events as they are recorded, until interrupted
    #[arg(long, conflicts_with = "offset")]
    follow: bool,

    #[command(flatten)]
    format: Format,
}

/// Start of a time range.
#[derive(Clone, Copy, Debug)]
enum Since {
    Time(Timestamp),
    Ago(Duration),
}

/// Parser for names of actions, ignoring case.
fn action() -> impl TypedValueParser<Value = Action> {
    let names: Vec<String> = Action::iter().map(|action| action.to_value()).collect();
    let names = PossibleValuesParser::new(names).map(|name| Action::try_from_value(&name.to_uppercase()));
    names.try_map(|action| action.map_err(|_| "unknown action"))
}

fn parse_since(text: &str) -> Result<Since, String> {
    let time = || Timestamp::parse(text).map(Since::Time);
    let ago = || humantime::parse_duration(text).ok().map(Since::Ago);
    time()
        .or_else(ago)
        .ok_or_else(|| "expected a time such as 2026-01-31T12:00:00Z, or a duration such as 2h or 7d".to_owned())
}

/// Runs the command.
pub(super) async fn run(config: Config, command: AuditCommand) -> Result<()> {
    let AuditCommand::List(options) = command;
    let operator = Operator::new();
    let db = super::open_migrated(&config).await?;
    let user = match &options.user {
        Some(who) => Some(operator::users::find(&db, &operator, who).await?.id.to_string()),
        None => None,
    };
    let after = options.since.map(|since| match since {
        // The filter excludes the time itself.
        Since::Time(time) => time.minus(Duration::from_millis(1)),
        Since::Ago(span) => Clock::System.now().at.minus(span),
    });
    let filter = Filter { user, action: options.action, after, before: None, ip: None };
    let args = PageArgs { first: Some(options.first), offset: Some(options.offset), ..PageArgs::default() };
    let page = operator::audit::page(&db, &operator, &filter, &args).await?;
    let mut events: Vec<Model> = page.rows.into_iter().map(|(event, _)| event).collect();
    if options.follow {
        events.reverse();
        return follow(&db, &operator, filter, events, options.format).await;
    }
    options.format.print(&HEADINGS, &rows(&db, &operator, &events).await?);
    if page.has_next {
        options.format.note("more events exist; use --offset to list them");
    }
    Ok(())
}

async fn follow(db: &Db, operator: &Operator, filter: Filter, seen: Vec<Model>, format: Format) -> Result<()> {
    let mut last = seen.last().map(|event| event.id);
    format.print_more(&HEADINGS, &rows(db, operator, &seen).await?);
    // Without a reader, as after `head`, it would never end.
    while !super::is_output_lost() {
        tokio::time::sleep(FOLLOW_INTERVAL).await;
        let new = newer(db, operator, &filter, last).await?;
        last = new.last().map(|event| event.id).or(last);
        format.print_more(&HEADINGS, &rows(db, operator, &new).await?);
    }
    Ok(())
}

/// Events after `last`, oldest first; without it, at most one page.
async fn newer(db: &Db, operator: &Operator, filter: &Filter, last: Option<Uuid>) -> Result<Vec<Model>> {
    let mut args = PageArgs { first: Some(STEP), ..PageArgs::default() };
    let mut new = Vec::new();
    loop {
        let page = operator::audit::page(db, operator, filter, &args).await?;
        let is_new = |event: &Model| last.is_none_or(|last| event.id > last);
        let reaches_known = page.rows.last().is_none_or(|(event, _)| !is_new(event));
        args.after = page.rows.last().map(|(_, cursor)| cursor.clone());
        new.extend(page.rows.into_iter().map(|(event, _)| event).filter(is_new));
        if reaches_known || !page.has_next || last.is_none() {
            break;
        }
    }
    new.reverse();
    Ok(new)
}

async fn rows(db: &Db, operator: &Operator, events: &[Model]) -> Result<Vec<Vec<String>>> {
    let addresses = operator::audit::addresses(db, operator, events).await?;
    Ok(events.iter().map(|event| row(event, &addresses)).collect())
}

fn row(event: &Model, addresses: &HashMap<Uuid, String>) -> Vec<String> {
    let who = |id: Option<Uuid>| match id {
        Some(id) => addresses.get(&id).cloned().unwrap_or_else(|| id.to_string()),
        None => String::new(),
    };
    vec![
        event.created_at.to_string(),
        event.action.to_value(),
        who(event.actor_id),
        who(event.target_id),
        event.reason.map(|reason| reason.to_value()).unwrap_or_default(),
        event.changes.as_ref().map(ToString::to_string).unwrap_or_default(),
        event.ip.clone().unwrap_or_default(),
        event.user_agent.clone().unwrap_or_default(),
    ]
}
