//! Limits on what can be asked for: rows in the database, so that they hold across restarts and instances, and counted
//! for each execution of a field, so that aliases and batches do not get around them.
//!
//! A limit of three an hour lets three through at once and then one each twenty minutes. That needs one number a row,
//! the time when everything is given back (the generic cell rate algorithm, ITU-T I.371), and one statement to decide.

use std::net::IpAddr;
use std::time::Duration;

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::config::{Limit, LimitConfig};
use crate::database::Db;
use crate::domain::access::Client;
use crate::entity::limit::{self, Column};
use crate::error::{Error, Result};
use crate::tools::clock::Moment;
use crate::tools::identifier;
use crate::tools::secret;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Mails that strangers can have sent to an address: resets, verifications.
    MailToAddress,
    /// Requests from one client that send mails.
    MailFromClient,
}

/// Takes one request for a mail to this address: of the address's limit and of the client's.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait, the same whether or not the address has an account.
pub async fn take_mail(db: &Db, now: &Moment, client: &Client, limits: &LimitConfig, email: &str) -> Result<()> {
    if !limits.limits {
        return Ok(());
    }
    let client = network(client);
    take(db, now, (What::MailFromClient, &client), limits.limit_mail_client).await?;
    take(db, now, (What::MailToAddress, &identifier::fold(email)), limits.limit_mail_address).await
}

/// Takes one of a limit.
async fn take(db: &Db, now: &Moment, (what, who): (What, &str), limit: Limit) -> Result<()> {
    let key = secret::digest_text(&format!("{what:?}\0{who}"));
    let step = limit.per / limit.count;
    let row = limit::ActiveModel { key: Set(key.clone()), full_until: Set(now.at.plus(step)) };
    let from = CaseStatement::new().case(Column::FullUntil.gt(now.at), Expr::col((limit::Entity, Column::FullUntil)));
    let next = Expr::expr(from.finally(now.at)).add(i64::try_from(step.as_millis()).unwrap_or(i64::MAX));
    let room = now.at.plus(limit.per).minus(step);
    let taken = OnConflict::column(Column::Key)
        .value(Column::FullUntil, next)
        .action_and_where(Column::FullUntil.lte(room))
        .to_owned();
    let taken = limit::Entity::insert(row).on_conflict(taken).exec_without_returning(db.writer()).await?;
    if taken > 0 {
        return Ok(());
    }
    let full = limit::Entity::find_by_id(key).one(db.reader()).await?;
    let wait = full.map_or(1, |row| row.full_until.millis() - room.millis());
    tracing::warn!(?what, "a limit was reached");
    Err(Error::RateLimited(Duration::from_millis(u64::try_from(wait).unwrap_or(1))))
}

/// Removes the rows of limits of which nothing is taken any more.
pub async fn sweep(db: &Db, now: &Moment) -> Result<()> {
    limit::Entity::delete_many().filter(Column::FullUntil.lte(now.at)).exec(db.writer()).await?;
    Ok(())
}

/// The network that a client counts as: its address or, with IPv6, the first 64 bits, of which one household has all.
fn network(client: &Client) -> String {
    match client.ip.as_deref().and_then(|ip| ip.parse().ok()) {
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(IpAddr::V4(ip)) => ip.to_string(),
        None => "unknown".to_owned(),
    }
}
