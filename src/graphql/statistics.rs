//! Figures for staff.

use async_graphql::{Context, Object, SimpleObject};

use crate::domain::statistics::{self, Day};
use crate::graphql::context::{app, request, staff};
use crate::graphql::errors::Answer;
use crate::graphql::paging::list_complexity;
use crate::graphql::scalars::Date;

/// Figures about users, sign-ins and emails. Superusers, and events and emails about them, are counted for superusers only.
#[derive(SimpleObject)]
pub(crate) struct Statistics {
    /// Number of users.
    users: u64,
    /// Number of active users.
    active: u64,
    /// Number of users with a confirmed email address.
    verified: u64,
    /// Number of users active within the last five minutes.
    online: u64,
    /// Number of users with staff rights: by flag, by the role ADMIN, or as a superuser.
    staff: u64,
    /// Number of users with staff rights and no second factor.
    staff_without_second_factor: u64,
    /// Number of emails that wait for delivery.
    mails_waiting: u64,
    /// Number of emails that are held back.
    mails_held: u64,
    /// Number of failed emails that are still stored.
    mails_failed: u64,
    /// Figures by day, oldest first; the last one is the current day, until now.
    days: Vec<DayStatistics>,
}

/// Figures of a day in UTC.
#[derive(SimpleObject)]
struct DayStatistics {
    /// Day.
    day: Date,
    /// Number of sign-ins.
    sign_ins: u64,
    /// Number of failed sign-ins.
    failed_sign_ins: u64,
    /// Number of submitted registrations, confirmed or not.
    registrations: u64,
}

impl From<Day> for DayStatistics {
    fn from(day: Day) -> Self {
        let Day { start, sign_ins, failed_sign_ins, registrations } = day;
        Self { day: Date(start), sign_ins, failed_sign_ins, registrations }
    }
}

#[derive(Default)]
pub(crate) struct StatisticsQuery;

#[Object]
impl StatisticsQuery {
    /// Returns figures about users, sign-ins and emails. Staff only; API tokens need the scope READ. Figures by day are
    /// for 1 to 90 days in UTC, the current day included.
    #[graphql(complexity = "list_complexity(days, child_complexity)")]
    async fn statistics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of days: at most 90.", default = 30)] days: i32,
    ) -> Answer<Option<Statistics>> {
        let app = app(ctx);
        let now = &request(ctx).now;
        let found = statistics::count(&app.db, now, staff(ctx)?, &app.presence, &app.past_days, days).await?;
        Ok(Some(Statistics {
            users: found.users,
            active: found.active,
            verified: found.verified,
            online: found.online,
            staff: found.staff,
            staff_without_second_factor: found.staff_without_second_factor,
            mails_waiting: found.mails_waiting,
            mails_held: found.mails_held,
            mails_failed: found.mails_failed,
            days: found.days.into_iter().map(Into::into).collect(),
        }))
    }
}
