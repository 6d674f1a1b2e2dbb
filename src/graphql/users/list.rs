//! Queries for users.

use async_graphql::{Context, Enum, ID, InputObject, Object};

use super::{User, UserRole};
use crate::domain::paging::PageArgs;
use crate::domain::users::list::{self, Field, Filter, List};
use crate::graphql::context::{app, exporter, request, staff, viewer};
use crate::graphql::errors::Answer;
use crate::graphql::paging::{Connection, CountQuery, page_complexity};
use crate::graphql::scalars::{Date, DateTime};

/// Filter for users. All given conditions must match.
#[derive(InputObject, Default)]
pub(crate) struct UserFilter {
    /// Id of the user in the system they were imported from, matched exactly.
    external_id: Option<String>,
    /// True for active accounts, false for inactive ones.
    is_active: Option<bool>,
    /// True for users with the staff flag, false for those without.
    is_staff: Option<bool>,
    /// True for users with a confirmed email address, false for those without.
    is_verified: Option<bool>,
    /// True for users with a second factor, false for those without.
    has_second_factor: Option<bool>,
    /// True for users active within the last five minutes, false for all others.
    is_online: Option<bool>,
    /// Role in the organization.
    role: Option<UserRole>,
    /// Day in UTC on which the user joined.
    joined_on: Option<Date>,
    /// Only users who joined after this time.
    joined_after: Option<DateTime>,
    /// Only users who joined before this time.
    joined_before: Option<DateTime>,
}

/// A sort key.
#[derive(InputObject)]
pub(crate) struct UserOrder {
    /// Field to sort by.
    field: UserOrderField,
    /// Direction.
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

/// Fields to sort users by. Names and email addresses are sorted ignoring case.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Field")]
pub(crate) enum UserOrderField {
    /// Id, which follows the order of creation.
    Id,
    /// Username.
    Username,
    /// Email address.
    Email,
    /// Given name.
    FirstName,
    /// Family name.
    LastName,
    /// Time of creation.
    DateJoined,
    /// Time of last activity; users without any sort as the oldest.
    LastActivity,
}

/// Direction of a sort.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// Ascending: A to Z, oldest first.
    Asc,
    /// Descending: Z to A, newest first.
    Desc,
}

#[derive(Default)]
pub(crate) struct UsersQuery;

#[Object]
impl UsersQuery {
    /// Returns your own account. API tokens need the scope READ.
    async fn me(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        Ok(Some(User(viewer(ctx)?.user().clone())))
    }

    /// Returns the user with this id; null if it does not exist. Staff only; API tokens need the scope READ.
    async fn user(&self, ctx: &Context<'_>, #[graphql(desc = "Id of the user.")] id: ID) -> Answer<Option<User>> {
        Ok(list::find(&app(ctx).db, staff(ctx)?, &id).await?.map(User))
    }

    /// Returns users, newest first by default. Staff only; API tokens need the scope READ. A page has 20 users by
    /// default and at most 200. Cursors are valid only for the order in which they were returned. `offset` reaches any
    /// page by its number, but its cost grows with the offset.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "the schema has them")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of items from the start of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "Cursor after which the page starts.")] after: Option<String>,
        #[graphql(desc = "Number of items from the end of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "Cursor before which the page ends.")] before: Option<String>,
        #[graphql(desc = "Number of items to skip; with `first` only.")] offset: Option<i32>,
        #[graphql(
            desc = "Words that all match, in any order: each a part of the username, the email address, a name, \
                          the telephone number or the external id, in any case and spelling (`Grossmann` finds \
                          Größmann). At most 100 characters."
        )]
        search: Option<String>,
        #[graphql(desc = "Filter; by default all users match.")] filter: Option<UserFilter>,
        #[graphql(
            desc = "Sort keys, most significant first. Ties are sorted by id.",
            default_with = "vec![UserOrder { field: UserOrderField::DateJoined, direction: OrderDirection::Desc }]"
        )]
        order_by: Vec<UserOrder>,
    ) -> Answer<Option<Connection<User>>> {
        let filter = filter.unwrap_or_default();
        let list = List {
            search,
            filter: Filter {
                is_staff_member: None,
                external_id: filter.external_id,
                is_active: filter.is_active,
                is_staff: filter.is_staff,
                is_verified: filter.is_verified,
                has_second_factor: filter.has_second_factor,
                is_online: filter.is_online,
                role: filter.role.map(Into::into),
                joined_on: filter.joined_on.map(|day| day.0),
                joined_after: filter.joined_after.map(|time| time.0),
                joined_before: filter.joined_before.map(|time| time.0),
            },
            order: order_by
                .into_iter()
                .map(|order| (order.field.into(), order.direction == OrderDirection::Desc))
                .collect(),
            page: PageArgs { first, after, last, before, offset },
        };
        let page = list::page(&app(ctx).db, &request(ctx).now, staff(ctx)?, &list).await?;
        Ok(Some(Connection::new(page, CountQuery::Users(list), User)))
    }

    /// Returns the email addresses of all users as one string, for pasting into an email program. Staff only; API
    /// tokens need the scope EXPORT. Recorded in the audit trail.
    async fn all_emails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Separator between addresses: at most 10 characters.", default = ";")] separator: String,
    ) -> Answer<Option<String>> {
        let (app, now) = (app(ctx), &request(ctx).now);
        Ok(Some(list::all_emails(&app.db, now, exporter(ctx)?, &app.limits, &separator).await?))
    }
}
