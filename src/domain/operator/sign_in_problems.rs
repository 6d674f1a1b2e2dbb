//! Reasons that keep a user from signing in.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use super::Operator;
use super::limits::{self as usage, LimitOwner, Usage};
use crate::database::Db;
use crate::domain::auth::passwords;
use crate::domain::rate_limits::Limits;
use crate::entity::audit_event::{self, Action};
use crate::entity::mail::{self, Status};
use crate::entity::{registration, user};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::identifier;

/// Number of reported failed sign-ins, and of reported mails.
const RECENT: u64 = 5;

/// A reason for failing sign-ins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The account is deactivated.
    Inactive,
    /// The email address is not confirmed.
    Unverified,
    /// The account has no password yet.
    NoPassword,
    /// The temporary password has expired.
    TemporaryPasswordExpired,
    /// A limit is exhausted.
    Exhausted(Usage),
}

/// The state of a user's sign-ins.
#[derive(Clone, Debug)]
pub struct Report {
    /// The reasons; empty if the right password signs the user in.
    pub problems: Vec<Problem>,
    /// Recent failed sign-ins and exhausted limits, newest first.
    pub failures: Vec<audit_event::Model>,
    /// Recent mails to the user that were not delivered, newest first.
    pub undelivered: Vec<mail::Model>,
}

/// Finds the reasons that keep a user from signing in, and recent failures. A temporary password expires only if others
/// can reach the service.
pub async fn report(
    db: &Db,
    now: &Now,
    operator: &Operator,
    limits: &Limits,
    is_reachable: bool,
    user: &user::Model,
) -> Result<Report> {
    let states = [
        (!user.is_active, Problem::Inactive),
        (user.password_hash.is_none(), Problem::NoPassword),
        (!user.is_verified, Problem::Unverified),
        (is_reachable && passwords::has_expired(user, now), Problem::TemporaryPasswordExpired),
    ];
    let whose = LimitOwner::User(Box::new(user.clone()));
    let used = usage::list(db, now, operator, limits, &whose).await?;
    let exhausted = used.into_iter().filter(|usage| usage.exhausted_until.is_some()).map(Problem::Exhausted);
    let states = states.into_iter().filter_map(|(holds, problem)| holds.then_some(problem));
    let failures = audit_event::Entity::find()
        .filter(audit_event::Column::TargetId.eq(user.id))
        .filter(audit_event::Column::Action.is_in([Action::LoginFailed, Action::LimitReached]))
        .order_by_desc(audit_event::Column::Id)
        .limit(RECENT);
    let undelivered = mail::Entity::find()
        .filter(mail::Column::RecipientKey.eq(identifier::fold(&user.email)))
        .filter(mail::Column::Status.is_in([Status::Queued, Status::Failed]))
        .order_by_desc(mail::Column::Id)
        .limit(RECENT);
    Ok(Report {
        problems: states.chain(exhausted).collect(),
        failures: failures.all(db.reader()).await?,
        undelivered: undelivered.all(db.reader()).await?,
    })
}

/// The pending registration for this address, if no account has it yet.
pub async fn waiting_registration(
    db: &Db,
    now: &Now,
    _operator: &Operator,
    email: &str,
) -> Result<Option<registration::Model>> {
    let key = registration::Column::EmailKey.eq(identifier::fold(email));
    let alive = registration::Column::ExpiresAt.gt(now.at);
    Ok(registration::Entity::find().filter(key).filter(alive).one(db.reader()).await?)
}
