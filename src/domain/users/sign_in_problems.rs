//! Reasons that keep a user from signing in. The command line and staff share them.

use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use super::lookup;
use crate::config::SecondFactorPolicy;
use crate::database::Db;
use crate::domain::auth::identity::Staff;
use crate::domain::auth::passwords;
use crate::domain::auth::second_factor::{self, factors};
use crate::domain::operator::limits::{self as usage, LimitOwner, Usage};
use crate::domain::outbox;
use crate::domain::rate_limits::{LimitKind, Limits};
use crate::entity::mail::{self, Status};
use crate::entity::{registration, user};
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;

/// Number of reported mails.
const RECENT: u64 = 5;

/// A reason for failing sign-ins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The account is deactivated.
    Inactive,
    /// The email address is not confirmed.
    Unverified,
    /// The account has neither a password nor a passkey.
    NoPassword,
    /// The temporary password has expired.
    TemporaryPasswordExpired,
    /// The user must first set up a second factor.
    MustEnroll,
    /// Codes of the authenticator app are not accepted until this time, after too many wrong ones.
    TotpStopped(Timestamp),
    /// A limit is exhausted.
    Exhausted(Usage),
    /// The delivery of a mail to the user failed, for good or so far.
    Undelivered(Box<mail::Model>),
    /// There is no account: a registration waits until this time for the confirmation of its address.
    PendingRegistration(Timestamp),
}

/// Rules on which sign-ins depend.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Limits on attempts and mails.
    pub limits: &'a Limits,
    /// The users who must have a second factor.
    pub second_factor: SecondFactorPolicy,
    /// True if others can reach the service, so that temporary passwords expire.
    pub is_reachable: bool,
}

/// The person asked about.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Id of the user.
    pub id: Option<&'a str>,
    /// Username or email address as typed.
    pub identifier: Option<&'a str>,
}

/// The reasons that keep a user from signing in with the right password; empty if there is none. `None` if the staff see
/// no such user, and no registration of such an address waits.
///
/// # Errors
/// [`Error::BadInput`] unless exactly one of id and identifier is given.
pub async fn find(
    db: &Db,
    now: &Now,
    staff: Staff<'_>,
    rules: Rules<'_>,
    person: Person<'_>,
) -> Result<Option<Vec<Problem>>> {
    let found = match (person.id, person.identifier) {
        (Some(id), None) => match Uuid::parse_str(id) {
            Ok(id) => user::Entity::find_by_id(id).one(db.reader()).await?,
            Err(_) => None,
        },
        (None, Some(typed)) => lookup::by_identifier(db.reader(), typed).await?,
        _ => return Err(Error::BadInput(Text::new("sign-in-problems-person"))),
    };
    match (found, person.identifier) {
        (Some(user), _) if user.is_superuser && !staff.user().is_superuser => Ok(None),
        (Some(user), _) => {
            let mut problems = of(db, now, rules, &user).await?;
            // A mail that was just queued is no problem yet.
            let has_failed = Condition::any()
                .add(mail::Column::Status.eq(Status::Failed))
                .add(mail::Column::LastError.is_not_null());
            let mails = undelivered(db, &user, outbox::list::visible_to(staff).add(has_failed)).await?;
            problems.extend(mails.into_iter().map(|mail| Problem::Undelivered(Box::new(mail))));
            Ok(Some(problems))
        }
        (None, Some(typed)) => {
            let waiting = waiting_registration(db, now, typed).await?;
            Ok(waiting.map(|waiting| vec![Problem::PendingRegistration(waiting.expires_at)]))
        }
        (None, None) => Ok(None),
    }
}

/// The states and limits that keep this user from signing in.
pub(in crate::domain) async fn of(db: &Db, now: &Now, rules: Rules<'_>, user: &user::Model) -> Result<Vec<Problem>> {
    let has_none = user.password_hash.is_none() && !factors::has_passkey(db.reader(), user.id).await?;
    let states = [
        (!user.is_active, Problem::Inactive),
        (has_none, Problem::NoPassword),
        (!user.is_verified, Problem::Unverified),
        (rules.is_reachable && passwords::has_expired(user, now), Problem::TemporaryPasswordExpired),
        (second_factor::must_enroll(rules.second_factor, user), Problem::MustEnroll),
    ];
    let whose = LimitOwner::User(Box::new(user.clone()));
    let used = usage::used(db, now, rules.limits, &whose).await?;
    let exhausted = used.into_iter().filter_map(|usage| match (usage.what, usage.exhausted_until) {
        (LimitKind::SecondFactor, Some(until)) => Some(Problem::TotpStopped(until)),
        // Limits of users who are signed in.
        (_, None)
        | (
            LimitKind::Register | LimitKind::Bulk | LimitKind::Welcome | LimitKind::ApiToken | LimitKind::Writes,
            Some(_),
        ) => None,
        (
            LimitKind::MailToAddress
            | LimitKind::MailFromClient
            | LimitKind::SignIn
            | LimitKind::SignInFromClient
            | LimitKind::SignInToAccount
            | LimitKind::Link,
            Some(_),
        ) => Some(Problem::Exhausted(usage)),
    });
    let states = states.into_iter().filter_map(|(holds, problem)| holds.then_some(problem));
    Ok(states.chain(exhausted).collect())
}

/// Recent mails to this user that were not delivered and match a condition, newest first.
pub(in crate::domain) async fn undelivered(db: &Db, user: &user::Model, seen: Condition) -> Result<Vec<mail::Model>> {
    let mails = mail::Entity::find()
        .filter(mail::Column::RecipientKey.eq(identifier::fold(&user.email)))
        .filter(mail::Column::Status.is_in([Status::Queued, Status::Failed]))
        .filter(seen)
        .order_by_desc(mail::Column::Id)
        .limit(RECENT);
    Ok(mails.all(db.reader()).await?)
}

/// The pending registration for this address.
pub(in crate::domain) async fn waiting_registration(
    db: &Db,
    now: &Now,
    email: &str,
) -> Result<Option<registration::Model>> {
    let key = registration::Column::EmailKey.eq(identifier::fold(email));
    let alive = registration::Column::ExpiresAt.gt(now.at);
    Ok(registration::Entity::find().filter(key).filter(alive).one(db.reader()).await?)
}
