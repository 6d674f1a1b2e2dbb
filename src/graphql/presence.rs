//! Presence of users.

use std::sync::Arc;

use async_graphql::{Context, Object, Subscription};
use futures_util::stream::{self, Stream};

use crate::domain::presence::MOST;
use crate::entity::user;
use crate::graphql::context::{app, request, shared_app, viewer};
use crate::graphql::errors::{Answer, Failure};
use crate::graphql::paging::list_complexity;
use crate::graphql::users::User;

#[derive(Default)]
pub(crate) struct PresenceQuery;

#[Object]
impl PresenceQuery {
    /// Returns the users active within the last five minutes, most recent first: at most 200. Staff only; API tokens
    /// need the scope READ.
    #[graphql(complexity = "list_complexity(MOST, child_complexity)")]
    async fn online_users(&self, ctx: &Context<'_>) -> Answer<Option<Vec<User>>> {
        let app = app(ctx);
        let online = app.presence.list(&app.db, &request(ctx).now, viewer(ctx)?.staff()?).await?;
        Ok(Some(users(&online)))
    }

    /// Returns the number of users active within the last five minutes. API tokens need the scope READ.
    async fn online_count(&self, ctx: &Context<'_>) -> Answer<Option<u64>> {
        let app = app(ctx);
        Ok(Some(app.presence.count(&app.db, &request(ctx).now, viewer(ctx)?).await?))
    }
}

#[derive(Default)]
pub(crate) struct PresenceSubscription;

#[Subscription]
#[expect(clippy::unused_async, reason = "resolvers are asynchronous, whether they wait or not")]
impl PresenceSubscription {
    /// Emits the users who are online, first immediately and then on every change, most recent first: at most 200.
    /// Staff only; API tokens need the scope READ. Requests count as activity, an open connection does not.
    #[graphql(complexity = "list_complexity(MOST, child_complexity)")]
    async fn online_users(&self, ctx: &Context<'_>) -> async_graphql::Result<impl Stream<Item = Answer<Vec<User>>>> {
        let app = Arc::clone(shared_app(ctx));
        let staff = viewer(ctx)?.staff().map_err(Failure::from)?;
        let listening = app.presence.listen(staff);
        Ok(stream::unfold(Some((app, listening)), |state| async {
            let (app, mut listening) = state?;
            match listening.next(&app.presence, &app.db, &app.clock.now()).await {
                Ok(online) => Some((Ok(users(&online.users)), Some((app, listening)))),
                Err(error) => Some((Err(Failure::from(error)), None)),
            }
        }))
    }
}

fn users(online: &[user::Model]) -> Vec<User> {
    online.iter().cloned().map(User).collect()
}
