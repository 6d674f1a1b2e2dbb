//! Finding users.

use async_graphql::{Context, Enum, ID, InputObject, Object};

use super::{User, UserRole};
use crate::domain::paging::PageArgs;
use crate::domain::users::list::{self, Field, Filter, List};
use crate::graphql::context::{app, exporter, request, staff, viewer};
use crate::graphql::errors::Answer;
use crate::graphql::paging::{Connection, CountQuery, list_complexity};
use crate::graphql::scalars::{Date, DateTime};

/// Which users are wanted: those to whom all of this applies. What is left out does not matter.
#[derive(InputObject, Default)]
pub(crate) struct UserFilter {
    /// The id that the user had in the system they were moved in from, letter by letter.
    external_id: Option<String>,
    /// Whether the account may be used.
    is_active: Option<bool>,
    /// Whether the user has the staff flag.
    is_staff: Option<bool>,
    /// Whether the e-mail address was confirmed.
    is_verified: Option<bool>,
    /// Whether the user was active within the last five minutes.
    is_online: Option<bool>,
    /// What the user is in the organisation.
    role: Option<UserRole>,
    /// The UTC day on which the user joined.
    joined_on: Option<Date>,
    /// The user joined after this time.
    joined_after: Option<DateTime>,
    /// The user joined before this time.
    joined_before: Option<DateTime>,
}

/// One thing to order users by.
#[derive(InputObject)]
pub(crate) struct UserOrder {
    /// What to order by.
    field: UserOrderField,
    /// Which way.
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

/// What users can be ordered by. Names and addresses are ordered without regard to case.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Field")]
pub(crate) enum UserOrderField {
    /// The id: the order in which accounts were made.
    Id,
    /// The username.
    Username,
    /// The e-mail address.
    Email,
    /// Given name.
    FirstName,
    /// Family name.
    LastName,
    /// When the account was made.
    DateJoined,
    /// When the user was last seen; those who never were count as the longest ago.
    LastActivity,
}

/// Which end of an order comes first.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// From the lowest to the highest: A to Z, the oldest first.
    Asc,
    /// From the highest to the lowest: Z to A, the newest first.
    Desc,
}

#[derive(Default)]
pub(crate) struct UsersQuery;

#[Object]
impl UsersQuery {
    /// The signed-in user.
    async fn me(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        Ok(Some(User(viewer(ctx)?.user().clone())))
    }

    /// The user with this id: staff. Null where there is none.
    async fn user(&self, ctx: &Context<'_>, #[graphql(desc = "The user's id.")] id: ID) -> Answer<Option<User>> {
        Ok(list::find(&app(ctx).db, staff(ctx)?, &id).await?.map(User))
    }

    /// The users, newest first where no order is given: staff. A page has 20 where no number is given, and 200 at most.
    /// Cursors hold for the order in which they were given. `offset` leads to any page by its number, but costs more the
    /// further it goes.
    #[graphql(complexity = "list_complexity(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "the schema has them")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
        #[graphql(desc = "The last so many of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "The cursor before which the page ends.")] before: Option<String>,
        #[graphql(desc = "How many to leave out at the beginning; with `first` alone.")] offset: Option<i32>,
        #[graphql(desc = "A part of the username, the e-mail address, or first and last name, in any case: 100 \
                          characters at most.")]
        search: Option<String>,
        #[graphql(desc = "Which users are wanted; left out, all.")] filter: Option<UserFilter>,
        #[graphql(
            desc = "What to order by, the first first. Users who are equal in all of it are ordered by id.",
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
            window: PageArgs { first, after, last, before, offset },
        };
        let page = list::page(&app(ctx).db, &request(ctx).now, staff(ctx)?, &list).await?;
        Ok(Some(Connection::new(page, CountQuery::Users(list), User)))
    }

    /// The e-mail addresses of all users in one text, to paste into a mail program: staff; of API tokens, those
    /// with the scope EXPORT. Leaves an audit event.
    async fn all_emails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What stands between two addresses: 10 characters at most.", default = ";")] separator: String,
    ) -> Answer<Option<String>> {
        let (app, now) = (app(ctx), &request(ctx).now);
        Ok(Some(list::all_emails(&app.db, now, exporter(ctx)?, &app.limits, &separator).await?))
    }
}
