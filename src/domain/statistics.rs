//! Figures about users, sign-ins and mails, for staff. They follow the rules of the lists: superusers are counted for
//! superusers only, and so are their events.
//!
//! Days are those of UTC. Events are never deleted, so the counts of past days are final: they are kept in memory, and only
//! the current day is counted again.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::{Asterisk, Expr, Func, Query, SimpleExpr, UnionType};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use tokio::sync::Mutex;

use crate::database::Db;
use crate::domain::audit;
use crate::domain::auth::identity::Staff;
use crate::domain::outbox;
use crate::domain::presence::Presence;
use crate::domain::users;
use crate::domain::users::list::{Filter, List};
use crate::entity::audit_event::{self, Action, Column};
use crate::entity::mail::Status;
use crate::entity::user::{self, Role};
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::clock::{Now, Timestamp};

/// Maximum number of days.
pub const MAX_DAYS: u32 = 90;

/// One day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Time after midnight for which the day before is counted again: a transaction that began in it may still commit.
const SETTLES_AFTER: Duration = Duration::from_secs(10 * 60);

/// The counted actions, in the order of [`Counts`].
const ACTIONS: [Action; 3] = [Action::Login, Action::LoginFailed, Action::Registered];

/// Numbers of the events of a day, by [`ACTIONS`].
type Counts = [u64; ACTIONS.len()];

/// Figures about the service.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Number of users.
    pub users: u64,
    /// Number of active users.
    pub active: u64,
    /// Number of users with a confirmed address.
    pub verified: u64,
    /// Number of users active within the last five minutes.
    pub online: u64,
    /// Number of users with staff rights.
    pub staff: u64,
    /// Number of those without a second factor.
    pub staff_without_second_factor: u64,
    /// Number of mails that wait for delivery.
    pub mails_waiting: u64,
    /// Number of mails that are held back.
    pub mails_held: u64,
    /// Number of failed mails that are still stored.
    pub mails_failed: u64,
    /// Figures by day, oldest first; the last one is the current day.
    pub days: Vec<Day>,
}

/// Figures of a day.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// Its beginning in UTC.
    pub start: Timestamp,
    /// Number of sign-ins.
    pub sign_ins: u64,
    /// Number of failed sign-ins.
    pub failed_sign_ins: u64,
    /// Number of submitted registrations.
    pub registrations: u64,
}

/// Numbers of events of past days, shared by all requests.
#[derive(Debug, Default)]
pub struct PastDays(Mutex<HashMap<Timestamp, Counts>>);

/// Counts users, mails, and the events of this many days, today included.
///
/// # Errors
/// [`Error::BadInput`] unless the number of days is between 1 and [`MAX_DAYS`].
pub async fn count(
    db: &Db,
    now: &Now,
    staff: Staff<'_>,
    presence: &Presence,
    past: &PastDays,
    days: i32,
) -> Result<Statistics> {
    let days = u32::try_from(days).ok().filter(|days| (1..=MAX_DAYS).contains(days));
    let days = days.ok_or_else(|| Error::BadInput(Text::new("statistics-days").with("max", u64::from(MAX_DAYS))))?;
    let users = async |filter| users::list::count(db, now, staff, &List { filter, ..List::default() }).await;
    let mails = async |status| {
        outbox::list::count(db, staff, &outbox::list::Filter { status: Some(status), ..Default::default() }).await
    };
    let all = users(Filter::default()).await?;
    // The index has the few inactive users only; that of unverified users is the shorter part in most installations.
    let inactive = users(Filter { is_active: Some(false), ..Filter::default() }).await?;
    let unverified = users(Filter { is_verified: Some(false), ..Filter::default() }).await?;
    let (members, without_factor) = count_staff(db, staff).await?;
    Ok(Statistics {
        users: all,
        active: all.saturating_sub(inactive),
        verified: all.saturating_sub(unverified),
        online: presence.count(db, now, &staff).await?,
        staff: members,
        staff_without_second_factor: without_factor,
        mails_waiting: mails(Status::Queued).await?,
        mails_held: mails(Status::Held).await?,
        mails_failed: mails(Status::Failed).await?,
        days: past.count(db, now, staff, days).await?,
    })
}

/// The numbers of visible users with staff rights, and of those without a second factor. They are few, and each condition
/// has an index of its own.
async fn count_staff(db: &Db, staff: Staff<'_>) -> Result<(u64, u64)> {
    let of = |is: SimpleExpr| Query::select().column(user::Column::Id).from(user::Entity).and_where(is).take();
    let mut members = of(Expr::col((user::Entity, user::Column::IsStaff)));
    for others in [of(user::superusers()), of(user::Column::Role.eq(Role::Admin))] {
        members.union(UnionType::Distinct, others);
    }
    let members = user::Entity::find()
        .filter(user::Column::Id.in_subquery(members))
        .filter(user::visible_to_staff(staff.user().is_superuser))
        .select_only()
        .column(user::Column::HasSecondFactor);
    let members: Vec<bool> = members.into_tuple().all(db.reader()).await?;
    let without = members.iter().filter(|has_second_factor| !**has_second_factor).count();
    Ok((members.len() as u64, without as u64))
}

impl PastDays {
    async fn count(&self, db: &Db, now: &Now, staff: Staff<'_>, days: u32) -> Result<Vec<Day>> {
        let today = start_of_day(now.at);
        let first = today.minus(DAY * (days - 1));
        let starts: Vec<Timestamp> = (0..days).map(|day| first.plus(DAY * day)).collect();
        let mut counts = self.all(db, now, &starts).await?;
        if !staff.user().is_superuser {
            for (at, action) in audit::list::hidden(db, first, &ACTIONS).await? {
                let of_day = counts.get_mut(&start_of_day(at));
                if let (Some(counts), Some(place)) = (of_day, ACTIONS.iter().position(|other| *other == action)) {
                    counts[place] = counts[place].saturating_sub(1);
                }
            }
        }
        let day = |start: &Timestamp| {
            let [sign_ins, failed_sign_ins, registrations] = counts.get(start).copied().unwrap_or_default();
            Day { start: *start, sign_ins, failed_sign_ins, registrations }
        };
        Ok(starts.iter().map(day).collect())
    }

    /// The numbers of all events of these days.
    async fn all(&self, db: &Db, now: &Now, starts: &[Timestamp]) -> Result<HashMap<Timestamp, Counts>> {
        // Concurrent requests wait here and share the result.
        let mut known = self.0.lock().await;
        let missing: Vec<Timestamp> = starts.iter().copied().filter(|start| !known.contains_key(start)).collect();
        let counted = count_events(db, &missing).await?;
        let settled = |start: &Timestamp| start.plus(DAY).plus(SETTLES_AFTER) <= now.at;
        known.extend(counted.iter().filter(|(start, _)| settled(start)).map(|(start, counts)| (*start, *counts)));
        if let Some(first) = starts.first().filter(|_| known.len() > MAX_DAYS as usize) {
            let oldest = first.minus(DAY * MAX_DAYS);
            known.retain(|start, _| *start > oldest);
        }
        Ok(starts
            .iter()
            .filter_map(|start| Some((*start, *known.get(start).or_else(|| counted.get(start))?)))
            .collect())
    }
}

/// The numbers of events of these days, by one statement for each action, which reads the action's index only.
async fn count_events(db: &Db, starts: &[Timestamp]) -> Result<HashMap<Timestamp, Counts>> {
    let mut counts: HashMap<Timestamp, Counts> = starts.iter().map(|start| (*start, Counts::default())).collect();
    if starts.is_empty() {
        return Ok(counts);
    }
    for (place, action) in ACTIONS.into_iter().enumerate() {
        let mut statement = Query::select();
        for start in starts {
            let of_day = Query::select()
                .expr(Func::count(Expr::col(Asterisk)))
                .from(audit_event::Entity)
                .and_where(Column::Action.eq(action))
                .and_where(Column::Id.gte(start.first_id()))
                .and_where(Column::Id.lt(start.plus(DAY).first_id()))
                .take();
            statement.expr(Expr::SubQuery(None, Box::new(of_day.into())));
        }
        let row = db.reader().query_one(&statement).await?;
        for (column, start) in starts.iter().enumerate() {
            let number: i64 = row.as_ref().map_or(Ok(0), |row| row.try_get_by_index(column))?;
            if let Some(counts) = counts.get_mut(start) {
                counts[place] = u64::try_from(number).unwrap_or_default();
            }
        }
    }
    Ok(counts)
}

/// The beginning of the day in UTC.
fn start_of_day(at: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.millis().div_euclid(day) * day)
}
