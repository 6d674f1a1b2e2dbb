//! Data loaders. Each request has its own, so that nothing visible to one caller reaches another.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use uuid::Uuid;

use crate::app::App;
use crate::domain::auth::passkeys;
use crate::domain::auth::second_factor::factors;
use crate::domain::{samples, users};
use crate::entity::{factor, passkey, sample, user};
use crate::error::Error;
use crate::graphql::context::Request;
use crate::graphql::errors::{Answer, Failure};
use crate::graphql::nodes::{Node, Nodes};
use crate::graphql::passkeys::Passkey;
use crate::graphql::second_factor::Factor;
use crate::graphql::users::User;

/// Loaders of one request.
pub(crate) struct Loaders {
    users: DataLoader<Users>,
    samples: DataLoader<Samples>,
    recent_samples: DataLoader<RecentSamples>,
    nodes: DataLoader<Nodes>,
    factors: DataLoader<Factors>,
    passkeys: DataLoader<Passkeys>,
    recovery_codes: DataLoader<RecoveryCodes>,
}

impl Loaders {
    /// Creates the loaders for the caller of the request.
    pub(crate) fn new(app: &Arc<App>, request: &Arc<Request>) -> Self {
        let users = Users { app: Arc::clone(app), request: Arc::clone(request) };
        let samples = Samples { app: Arc::clone(app), request: Arc::clone(request) };
        let recent_samples = RecentSamples { app: Arc::clone(app) };
        let nodes = Nodes { app: Arc::clone(app), request: Arc::clone(request) };
        Self {
            users: DataLoader::new(users, tokio::spawn),
            samples: DataLoader::new(samples, tokio::spawn),
            recent_samples: DataLoader::new(recent_samples, tokio::spawn),
            nodes: DataLoader::new(nodes, tokio::spawn),
            factors: DataLoader::new(Factors { app: Arc::clone(app) }, tokio::spawn),
            passkeys: DataLoader::new(Passkeys { app: Arc::clone(app) }, tokio::spawn),
            recovery_codes: DataLoader::new(RecoveryCodes { app: Arc::clone(app) }, tokio::spawn),
        }
    }
}

/// User with this id; `None` without an id, and if the user does not exist or is not visible.
pub(crate) async fn user(ctx: &Context<'_>, id: Option<Uuid>) -> Answer<Option<User>> {
    let Some(id) = id else { return Ok(None) };
    let found = ctx.data_unchecked::<Loaders>().users.load_one(id).await.map_err(Failure::from)?;
    Ok(found.map(User))
}

/// Sample with this id; `None` if the viewer may not see it.
pub(crate) async fn sample(ctx: &Context<'_>, id: Uuid) -> Answer<Option<sample::Model>> {
    Ok(ctx.data_unchecked::<Loaders>().samples.load_one(id).await?)
}

/// Samples that this user modified last.
pub(crate) async fn samples_by_modifier(ctx: &Context<'_>, user: Uuid, first: u64) -> Answer<Vec<sample::Model>> {
    let found = ctx.data_unchecked::<Loaders>().recent_samples.load_one((user, first)).await.map_err(Failure::from)?;
    Ok(found.unwrap_or_default())
}

/// Objects with these ids that the viewer may read.
pub(crate) async fn nodes(ctx: &Context<'_>, ids: impl IntoIterator<Item = Uuid>) -> Answer<HashMap<Uuid, Node>> {
    Ok(ctx.data_unchecked::<Loaders>().nodes.load_many(ids).await?)
}

/// Second factors of a user who is visible to the viewer.
pub(crate) async fn factors(ctx: &Context<'_>, user: &user::Model) -> Answer<Vec<Factor>> {
    if !user.has_second_factor {
        return Ok(Vec::new());
    }
    let found = ctx.data_unchecked::<Loaders>().factors.load_one(user.id).await?;
    Ok(found.into_iter().flatten().map(Factor).collect())
}

/// Passkeys of a user who is visible to the viewer.
pub(crate) async fn passkeys(ctx: &Context<'_>, user: &user::Model) -> Answer<Vec<Passkey>> {
    if !user.has_second_factor {
        return Ok(Vec::new());
    }
    let found = ctx.data_unchecked::<Loaders>().passkeys.load_one(user.id).await?;
    Ok(found.into_iter().flatten().map(Passkey).collect())
}

/// Number of unused recovery codes of a user who is visible to the viewer.
pub(crate) async fn recovery_codes_left(ctx: &Context<'_>, user: &user::Model) -> Answer<i32> {
    if !user.has_second_factor {
        return Ok(0);
    }
    let left = ctx.data_unchecked::<Loaders>().recovery_codes.load_one(user.id).await?;
    Ok(left.and_then(|left| i32::try_from(left).ok()).unwrap_or_default())
}

/// Users by id, limited to those visible to the viewer.
struct Users {
    app: Arc<App>,
    request: Arc<Request>,
}

impl Loader<Uuid> for Users {
    type Value = user::Model;
    type Error = Error;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, user::Model>, Error> {
        let Ok(viewer) = self.request.viewer() else { return Ok(HashMap::new()) };
        users::list::find_many(&self.app.db, viewer, ids).await
    }
}

/// Samples by id, limited to those visible to the viewer.
struct Samples {
    app: Arc<App>,
    request: Arc<Request>,
}

impl Loader<Uuid> for Samples {
    type Value = sample::Model;
    type Error = Error;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, sample::Model>, Error> {
        let Ok(viewer) = self.request.viewer() else { return Ok(HashMap::new()) };
        samples::find_many(&self.app.db, viewer, ids).await
    }
}

/// Latest samples of users, by user and number.
struct RecentSamples {
    app: Arc<App>,
}

impl Loader<(Uuid, u64)> for RecentSamples {
    type Value = Vec<sample::Model>;
    type Error = Error;

    async fn load(&self, keys: &[(Uuid, u64)]) -> Result<HashMap<(Uuid, u64), Vec<sample::Model>>, Error> {
        let mut users_by_count: HashMap<u64, Vec<Uuid>> = HashMap::new();
        for (user, first) in keys {
            users_by_count.entry(*first).or_default().push(*user);
        }
        let mut found = HashMap::new();
        for (first, users) in users_by_count {
            let samples = samples::recent(&self.app.db, &users, first).await?;
            found.extend(samples.into_iter().map(|(user, samples)| ((user, first), samples)));
        }
        Ok(found)
    }
}

/// Second factors of users.
struct Factors {
    app: Arc<App>,
}

impl Loader<Uuid> for Factors {
    type Value = Vec<factor::Model>;
    type Error = Error;

    async fn load(&self, users: &[Uuid]) -> Result<HashMap<Uuid, Vec<factor::Model>>, Error> {
        factors::list(&self.app.db, users).await
    }
}

/// Passkeys of users.
struct Passkeys {
    app: Arc<App>,
}

impl Loader<Uuid> for Passkeys {
    type Value = Vec<passkey::Model>;
    type Error = Error;

    async fn load(&self, users: &[Uuid]) -> Result<HashMap<Uuid, Vec<passkey::Model>>, Error> {
        passkeys::list::list(&self.app.db, users).await
    }
}

/// Numbers of unused recovery codes of users.
struct RecoveryCodes {
    app: Arc<App>,
}

impl Loader<Uuid> for RecoveryCodes {
    type Value = i64;
    type Error = Error;

    async fn load(&self, users: &[Uuid]) -> Result<HashMap<Uuid, i64>, Error> {
        factors::recovery_codes_left(&self.app.db, users).await
    }
}
