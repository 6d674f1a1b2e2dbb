//! Showing and lifting limits.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::domain::audit;
use crate::domain::rate_limits::{LimitKind, Limits, Share};
use crate::entity::audit_event::{self, Action};
use crate::entity::limit::{self, Column};
use crate::entity::{api_token, session, user};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::network::Networks;

/// Number of recent failed sign-ins whose networks are included.
const FAILURES: u64 = 200;

/// A user or a client with limits.
#[derive(Clone, Debug)]
pub enum LimitOwner {
    /// All limits of this account, and of the clients of its recent failed sign-ins.
    User(Box<user::Model>),
    /// The limits of the client at this address, for any account.
    Client(IpAddr),
}

/// A limit that is partly or fully used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The limit.
    pub what: LimitKind,
    /// Used part of `count`.
    pub used: u32,
    /// Maximum number per `per`.
    pub count: u32,
    /// Period of `count`.
    pub per: Duration,
    /// Time from which one more is allowed; `None` if it is allowed now.
    pub exhausted_until: Option<Timestamp>,
}

impl Usage {
    fn of(share: &Share, row: &limit::Model, now: &Now) -> Option<Self> {
        let ahead = u128::try_from(row.full_until.millis() - now.at.millis()).ok().filter(|ahead| *ahead > 0)?;
        let step = share.step().as_millis().max(1);
        let room = share.room(now);
        let wait = u64::try_from(row.full_until.millis() - room.millis()).ok().filter(|wait| *wait > 0);
        Some(Self {
            what: share.what,
            used: u32::try_from(ahead.div_ceil(step)).unwrap_or(u32::MAX).min(share.limit.count),
            count: share.limit.count,
            per: share.limit.per,
            exhausted_until: wait.map(|wait| now.at.plus(Duration::from_millis(wait))),
        })
    }
}

/// Used limits, exhausted ones first.
pub async fn list(db: &Db, now: &Now, _operator: &Operator, limits: &Limits, whose: &LimitOwner) -> Result<Vec<Usage>> {
    used(db, now, limits, whose).await
}

/// The same without a proof of rights. An account's limits by network are found for the networks of its recent failed
/// sign-ins.
pub(in crate::domain) async fn used(db: &Db, now: &Now, limits: &Limits, whose: &LimitOwner) -> Result<Vec<Usage>> {
    let shares = shares(db, limits, whose).await?;
    let rows = limit::Entity::find().filter(Column::Key.is_in(shares.iter().map(|share| share.key.as_str())));
    let rows = rows.all(db.reader()).await?;
    let rows: HashMap<&str, &limit::Model> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
    let used = shares.iter().filter_map(|share| Usage::of(share, rows.get(share.key.as_str())?, now));
    let mut used: Vec<Usage> = used.collect();
    used.sort_by_key(|usage| usage.exhausted_until.is_none());
    Ok(used)
}

/// Lifts these limits, with one audit event. Returns the number of limits that were used.
pub async fn lift(db: &Db, now: &Now, operator: &Operator, limits: &Limits, whose: &LimitOwner) -> Result<u64> {
    let shares = shares(db, limits, whose).await?;
    let target = match whose {
        LimitOwner::User(user) => Some(user.id),
        LimitOwner::Client(_) => None,
    };
    let (txn, ref now) = db.begin(now).await?;
    let theirs = Column::Key.is_in(shares.into_iter().map(|share| share.key));
    let lifted = limit::Entity::delete_many().filter(theirs).filter(Column::FullUntil.gt(now.at)).exec(&txn).await?;
    if lifted.rows_affected > 0 {
        audit::record(&txn, now, operator.did(Action::LimitsLifted, target)).await?;
    }
    txn.commit().await?;
    Ok(lifted.rows_affected)
}

async fn shares(db: &Db, limits: &Limits, whose: &LimitOwner) -> Result<Vec<Share>> {
    let user = match whose {
        LimitOwner::Client(ip) => return Ok(limits.of_client(&Networks::of(*ip))),
        LimitOwner::User(user) => user,
    };
    let failures = audit_event::Entity::find()
        .filter(audit_event::Column::TargetId.eq(user.id))
        .filter(audit_event::Column::Action.is_in([Action::LoginFailed, Action::LimitReached]))
        .filter(audit_event::Column::Ip.is_not_null())
        .order_by_desc(audit_event::Column::Id)
        .limit(FAILURES)
        .select_only()
        .column(audit_event::Column::Ip);
    let ips: Vec<Option<String>> = failures.into_tuple().all(db.reader()).await?;
    let ips: HashSet<String> = ips.into_iter().flatten().collect();
    let networks: Vec<Networks> = ips.iter().map(|ip| Networks::of_text(Some(ip))).collect();
    let sessions = session::Entity::find().filter(session::Column::UserId.eq(user.id)).select_only();
    let sessions: Vec<Uuid> = sessions.column(session::Column::Id).into_tuple().all(db.reader()).await?;
    let tokens = api_token::Entity::find().filter(api_token::Column::UserId.eq(user.id)).select_only();
    let tokens: Vec<Uuid> = tokens.column(api_token::Column::Id).into_tuple().all(db.reader()).await?;
    Ok(limits.of_account(user, &networks, &[sessions, tokens].concat()))
}
