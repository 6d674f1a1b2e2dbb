//! Data loaders. Each request has its own, so that nothing visible to one caller reaches another.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use uuid::Uuid;

use crate::app::App;
use crate::domain::auth::identity::Viewer;
use crate::domain::auth::second_factor::factors;
use crate::domain::auth::{api_tokens, passkeys, sessions};
use crate::domain::{samples, users};
use crate::entity::{api_token, factor, passkey, sample, session, user};
use crate::error::Error;
use crate::graphql::api_tokens::ApiToken;
use crate::graphql::context::{Request, app, reader};
use crate::graphql::errors::{Answer, Failure};
use crate::graphql::nodes::{Node, Nodes};
use crate::graphql::passkeys::Passkey;
use crate::graphql::second_factor::Factor;
use crate::graphql::sessions::Session;
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
    sessions: DataLoader<Sessions>,
    api_tokens: DataLoader<ApiTokens>,
}

impl Loaders {
    /// Creates the loaders for the caller of the request.
    pub(crate) fn new(app: &Arc<App>, request: &Arc<Request>) -> Self {
        let users = Users { app: Arc::clone(app), request: Arc::clone(request) };
        let samples = Samples { app: Arc::clone(app), request: Arc::clone(request) };
        let recent_samples = RecentSamples { app: Arc::clone(app) };
        let sessions = Sessions { app: Arc::clone(app), request: Arc::clone(request) };
        let api_tokens = ApiTokens { app: Arc::clone(app), request: Arc::clone(request) };
        let nodes = Nodes { app: Arc::clone(app), request: Arc::clone(request) };
        Self {
            users: DataLoader::new(users, tokio::spawn),
            samples: DataLoader::new(samples, tokio::spawn),
            recent_samples: DataLoader::new(recent_samples, tokio::spawn),
            nodes: DataLoader::new(nodes, tokio::spawn),
            factors: DataLoader::new(Factors { app: Arc::clone(app) }, tokio::spawn),
            passkeys: DataLoader::new(Passkeys { app: Arc::clone(app) }, tokio::spawn),
            recovery_codes: DataLoader::new(RecoveryCodes { app: Arc::clone(app) }, tokio::spawn),
            sessions: DataLoader::new(sessions, tokio::spawn),
            api_tokens: DataLoader::new(api_tokens, tokio::spawn),
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

/// Valid sessions of a user who is visible to the viewer; `None` by API token.
pub(crate) async fn sessions(ctx: &Context<'_>, user: Uuid) -> Answer<Option<Vec<Session>>> {
    let Ok(viewer) = reader(ctx)?.session_user() else { return Ok(None) };
    let found = ctx.data_unchecked::<Loaders>().sessions.load_one(user).await?;
    let lives = &app(ctx).config.sessions;
    let show = |session| Session::new(lives, viewer.session(), session);
    Ok(Some(found.into_iter().flatten().map(show).collect()))
}

/// API tokens of a user who is visible to the viewer.
pub(crate) async fn api_tokens(ctx: &Context<'_>, user: Uuid) -> Answer<Vec<ApiToken>> {
    let found = ctx.data_unchecked::<Loaders>().api_tokens.load_one(user).await?;
    Ok(found.into_iter().flatten().map(ApiToken).collect())
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

/// Valid sessions of users, limited to those visible to the viewer.
struct Sessions {
    app: Arc<App>,
    request: Arc<Request>,
}

impl Loader<Uuid> for Sessions {
    type Value = Vec<session::Model>;
    type Error = Error;

    async fn load(&self, users: &[Uuid]) -> Result<HashMap<Uuid, Vec<session::Model>>, Error> {
        let Ok(viewer) = self.request.reader().and_then(Viewer::session_user) else { return Ok(HashMap::new()) };
        let lives = &self.app.config.sessions;
        sessions::of_users(&self.app.db, &self.request.now, viewer, lives, users).await
    }
}

/// API tokens of users, limited to those visible to the viewer.
struct ApiTokens {
    app: Arc<App>,
    request: Arc<Request>,
}

impl Loader<Uuid> for ApiTokens {
    type Value = Vec<api_token::Model>;
    type Error = Error;

    async fn load(&self, users: &[Uuid]) -> Result<HashMap<Uuid, Vec<api_token::Model>>, Error> {
        let Ok(viewer) = self.request.reader() else { return Ok(HashMap::new()) };
        api_tokens::of_users(&self.app.db, viewer, users).await
    }
}
