//! `vestibule limits …`

use std::net::IpAddr;

use super::table::Format;
use crate::config::Config;
use crate::database::Db;
use crate::domain::operator::limits::{self, LimitOwner, Usage};
use crate::domain::operator::{Operator, users};
use crate::domain::rate_limits::Limits;
use crate::error::Result;
use crate::tools::clock::Clock;

#[derive(clap::Subcommand)]
pub(super) enum LimitsCommand {
    /// Show the rate limits that a user or a client has partly or fully used
    Show {
        #[command(flatten)]
        of: Of,

        #[command(flatten)]
        format: Format,
    },
    /// Lift the rate limits of a user or a client
    Lift {
        #[command(flatten)]
        of: Of,
    },
}

/// A user or a client.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Of {
    /// Limits of the user with this id, username or email address, and of the clients of their last failed sign-ins
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Limits of the client with this IP address
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
}

/// Runs the command.
pub(super) async fn run(config: Config, command: LimitsCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::open_migrated(&config).await?;
    let limits = Limits::new(config.limits);
    match command {
        LimitsCommand::Show { of, format } => {
            let whose = whose(&db, &operator, of).await?;
            let used = limits::list(&db, &now, &operator, &limits, &whose).await?;
            let rows: Vec<Vec<String>> = used.iter().map(row).collect();
            format.print(&["LIMIT", "USED", "OF", "PER", "EXHAUSTED UNTIL"], &rows);
        }
        LimitsCommand::Lift { of } => {
            let whose = whose(&db, &operator, of).await?;
            let lifted = limits::lift(&db, &now, &operator, &limits, &whose).await?;
            super::say(&super::counted(lifted, "limit lifted", "limits lifted"));
        }
    }
    Ok(())
}

async fn whose(db: &Db, operator: &Operator, of: Of) -> Result<LimitOwner> {
    Ok(match of.client {
        Some(ip) => LimitOwner::Client(ip),
        None => LimitOwner::User(Box::new(users::find(db, operator, &of.user.unwrap_or_default()).await?)),
    })
}

/// Name of the setting for a limit.
pub(super) fn setting(usage: &Usage) -> String {
    format!("VESTIBULE_LIMIT_{}", usage.what.name().to_uppercase())
}

fn row(usage: &Usage) -> Vec<String> {
    let until = usage.exhausted_until.map(|until| until.to_string()).unwrap_or_default();
    let per = humantime::format_duration(usage.per).to_string();
    vec![setting(usage), usage.used.to_string(), usage.count.to_string(), per, until]
}
