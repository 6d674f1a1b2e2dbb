//! `vestibule api-tokens …`

use super::table::Format;
use crate::config::Config;
use crate::database::Db;
use crate::domain::operator::api_tokens::{self, Which};
use crate::domain::operator::{Operator, users};
use crate::entity::{api_token, user};
use crate::error::Result;
use crate::tools::clock::{Clock, Now, Timestamp};

#[derive(clap::Subcommand)]
pub(super) enum ApiTokensCommand {
    /// List the API tokens of one or all users, newest first, without their secrets
    List(ListOptions),
    /// Revoke one API token, those of a user, or those of all users, with immediate effect
    Revoke(RevokeOptions),
}

/// Options of `api-tokens list`.
#[derive(clap::Args)]
pub(super) struct ListOptions {
    /// Id, username or email address of the owner [default: all users]
    #[arg(value_name = "USER")]
    who: Option<String>,

    /// Maximum number of API tokens to list, up to 200
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    first: u32,

    /// Number of API tokens to skip
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    offset: u32,

    #[command(flatten)]
    format: Format,
}

/// Options of `api-tokens revoke`.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct RevokeOptions {
    /// Id of the API token
    id: Option<String>,

    /// Revoke all API tokens of the user with this id, username or email address
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Revoke the API tokens of all users
    #[arg(long)]
    all: bool,
}

/// Runs the command.
pub(super) async fn run(config: Config, command: ApiTokensCommand) -> Result<()> {
    let (operator, now) = (Operator::new(), Clock::System.now());
    let db = super::open_migrated(&config).await?;
    match command {
        ApiTokensCommand::List(options) => list(&db, &operator, options).await,
        ApiTokensCommand::Revoke(RevokeOptions { id: Some(id), .. }) => {
            revoke(&db, &now, &operator, Which::One(id)).await
        }
        ApiTokensCommand::Revoke(RevokeOptions { user: Some(who), .. }) => {
            let user = users::find(&db, &operator, &who).await?;
            revoke(&db, &now, &operator, Which::Of(user.id)).await
        }
        ApiTokensCommand::Revoke(RevokeOptions { .. }) => revoke(&db, &now, &operator, Which::All).await,
    }
}

/// Revokes API tokens and prints their number.
pub(super) async fn revoke(db: &Db, now: &Now, operator: &Operator, which: Which) -> Result<()> {
    let revoked = api_tokens::revoke(db, now, operator, which).await?;
    super::say(&super::counted(revoked, "API token revoked", "API tokens revoked"));
    Ok(())
}

async fn list(db: &Db, operator: &Operator, options: ListOptions) -> Result<()> {
    let owner = match options.who {
        Some(who) => Some(users::find(db, operator, &who).await?.id),
        None => None,
    };
    let mut tokens = api_tokens::list(db, operator, owner, options.first, options.offset).await?;
    let shown = options.first as usize;
    let has_more = tokens.len() > shown;
    tokens.truncate(shown);
    let rows: Vec<Vec<String>> = tokens.into_iter().map(|(token, owner)| row(token, owner)).collect();
    options.format.print(&["TOKEN", "OWNER", "NAME", "SCOPES", "PREFIX", "CREATED", "LAST USED", "ENDS"], &rows);
    if has_more {
        options.format.note("more API tokens exist; use --offset to list them");
    }
    Ok(())
}

fn row(token: api_token::Model, owner: Option<user::Model>) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let owner = owner.map(|owner| owner.email).unwrap_or_default();
    let (created, used, ends) = (token.created_at.to_string(), time(token.last_used_at), time(token.expires_at));
    vec![token.id.to_string(), owner, token.name, token.scopes.to_string(), token.prefix, created, used, ends]
}
