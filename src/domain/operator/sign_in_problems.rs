//! Reasons that keep a user from signing in, with recent failures.

use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use super::Operator;
use crate::database::Db;
use crate::domain::users::sign_in_problems::{self, Problem, Rules};
use crate::entity::audit_event::{self, Action};
use crate::entity::{mail, registration, user};
use crate::error::Result;
use crate::tools::clock::Now;

/// Number of reported failed sign-ins.
const RECENT: u64 = 5;

/// The state of a user's sign-ins.
#[derive(Clone, Debug)]
pub struct Report {
    /// The reasons; empty if the right password or passkey signs the user in.
    pub problems: Vec<Problem>,
    /// Recent failed sign-ins and exhausted limits, newest first.
    pub failures: Vec<audit_event::Model>,
    /// Recent mails to the user that were not delivered, newest first.
    pub undelivered: Vec<mail::Model>,
}

/// Finds the reasons that keep a user from signing in, and recent failures. A temporary password expires only if others
/// can reach the service.
pub async fn report(db: &Db, now: &Now, _operator: &Operator, rules: Rules<'_>, user: &user::Model) -> Result<Report> {
    let failures = audit_event::Entity::find()
        .filter(audit_event::Column::TargetId.eq(user.id))
        .filter(audit_event::Column::Action.is_in([Action::LoginFailed, Action::LimitReached]))
        .order_by_desc(audit_event::Column::Id)
        .limit(RECENT);
    Ok(Report {
        problems: sign_in_problems::of(db, now, rules, user).await?,
        failures: failures.all(db.reader()).await?,
        undelivered: sign_in_problems::undelivered(db, user, Condition::all()).await?,
    })
}

/// The pending registration for this address, if no account has it yet.
pub async fn waiting_registration(
    db: &Db,
    now: &Now,
    _operator: &Operator,
    email: &str,
) -> Result<Option<registration::Model>> {
    sign_in_problems::waiting_registration(db, now, email).await
}
