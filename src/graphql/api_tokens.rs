//! The tokens that users make for scripts.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use crate::domain::auth::api_tokens::{self, Create, Rules};
use crate::entity::api_token::{self, Scope};
use crate::graphql::context::{app, present, request, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;
use crate::tools::api_token::ApiToken as Secret;

/// A token that a user made for a script, to send as `Authorization: Bearer …`. It acts as its owner, within its scopes.
pub(crate) struct ApiToken(api_token::Model);

/// A token that a user made for a script, to send as `Authorization: Bearer …`. It acts as its owner, within its scopes.
#[Object]
impl ApiToken {
    /// Its id, opaque and never given twice.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// What its owner calls it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it may be used for.
    async fn scopes(&self) -> Vec<ApiTokenScope> {
        self.0.scopes.iter().map(Into::into).collect()
    }

    /// How its secret begins, to recognise it by.
    async fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it was last used, to the minute; null where that never happened.
    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used_at.map(DateTime)
    }

    /// When it ends. Every token has an end; null only for one that an older version of the service created during an upgrade.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }
}

/// What an API token may be used for; none includes another. Whatever its scopes, it can change no password, address,
/// session or token, and not end the account.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Scope")]
pub(crate) enum ApiTokenScope {
    /// Queries.
    Read,
    /// Mutations of your own data: `updateMe` without the email address, your avatar, `recordSample`.
    Write,
    /// Whole lists: `/export/samples.csv`, and for staff `/export/users.csv`, `/export/users.xlsx` and `allEmails`.
    Export,
    /// Administering users, for staff: `createUser`, `updateUser`, `toggleActive` and `retryMail`. It covers the username, names,
    /// phone, address, bio and active flag of others who are not staff; never role, permission, staff rights, password, email
    /// address, or your own account.
    ManageUsers,
}

/// A token to make.
#[derive(InputObject)]
pub(crate) struct CreateApiTokenInput {
    /// What you call it: 100 characters at most.
    name: String,
    /// What it may be used for; one scope at least.
    #[graphql(default_with = "vec![ApiTokenScope::Export]")]
    scopes: Vec<ApiTokenScope>,
    /// When it ends, no later than the service allows (a year from now, unless it is set otherwise). Left out, the latest that
    /// is allowed.
    expires_at: Option<DateTime>,
}

/// The outcome of `createApiToken`.
#[derive(SimpleObject)]
pub(crate) struct CreateApiTokenPayload {
    /// The new token; null where there are errors.
    api_token: Option<ApiToken>,
    /// What to send as `Authorization: Bearer …`, shown this once and kept nowhere; null where there are errors.
    secret: Option<String>,
    /// REQUIRED, INVALID or TOO_LONG of `name`, REQUIRED of `scopes`, INVALID of `expiresAt` where that has passed or is later
    /// than the service allows; or INVALID of no field where you have 50 tokens already.
    errors: Vec<UserError>,
}

/// Which token to renew.
#[derive(InputObject)]
pub(crate) struct RotateApiTokenInput {
    /// The token's id.
    id: ID,
}

/// The outcome of `rotateApiToken`.
#[derive(SimpleObject)]
pub(crate) struct RotateApiTokenPayload {
    /// The token; null where there are errors.
    api_token: Option<ApiToken>,
    /// The new secret, shown this once and kept nowhere; null where there are errors.
    secret: Option<String>,
    /// NOT_FOUND, or INVALID where the token has run out: make a new one then.
    errors: Vec<UserError>,
}

/// Which token to delete.
#[derive(InputObject)]
pub(crate) struct DeleteApiTokenInput {
    /// The token's id.
    id: ID,
}

/// The outcome of `deleteApiToken`.
#[derive(SimpleObject)]
pub(crate) struct DeleteApiTokenPayload {
    /// The token as it was; null where there are errors.
    api_token: Option<ApiToken>,
    /// NOT_FOUND.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct ApiTokensQuery;

#[Object]
impl ApiTokensQuery {
    /// The signed-in user's API tokens, the newest first: 50 at most. Their secrets are not among what is known of them.
    #[graphql(complexity = "20 * child_complexity")]
    async fn api_tokens(&self, ctx: &Context<'_>) -> Answer<Option<Vec<ApiToken>>> {
        let tokens = api_tokens::list(&app(ctx).db, viewer(ctx)?).await?;
        Ok(Some(tokens.into_iter().map(ApiToken).collect()))
    }
}

#[derive(Default)]
pub(crate) struct ApiTokensMutation;

#[Object]
impl ApiTokensMutation {
    /// Creates an API token, and tells you by mail: signed-in users, by a session and not by an API token. RATE_LIMITED where
    /// you have created or rotated too many.
    async fn create_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token to make.")] input: CreateApiTokenInput,
    ) -> Answer<Option<CreateApiTokenPayload>> {
        let input = Create {
            name: input.name,
            scopes: input.scopes.into_iter().map(Into::into).collect(),
            expires_at: input.expires_at.map(|time| time.0),
        };
        let app = app(ctx);
        let rules = Rules { longest_life: app.config.api_tokens.api_token_ttl, limits: &app.limits };
        let created = api_tokens::create(&app.db, &request(ctx).now, present(ctx)?, rules, input).await;
        let (created, errors) = outcome(ctx, created)?;
        let (api_token, secret) = created.map(show).unzip();
        Ok(Some(CreateApiTokenPayload { api_token, secret, errors }))
    }

    /// Gives an API token a new secret: its owner, by a session and not by an API token. The old secret is dead at once;
    /// name, scopes and end stay. A mail tells you. RATE_LIMITED where you have created or rotated too many.
    async fn rotate_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which token to renew.")] input: RotateApiTokenInput,
    ) -> Answer<Option<RotateApiTokenPayload>> {
        let app = app(ctx);
        let rotated = api_tokens::rotate(&app.db, &request(ctx).now, present(ctx)?, &app.limits, &input.id).await;
        let (rotated, errors) = outcome(ctx, rotated)?;
        let (api_token, secret) = rotated.map(show).unzip();
        Ok(Some(RotateApiTokenPayload { api_token, secret, errors }))
    }

    /// Deletes an API token, which is dead at once: its owner, by a session and not by an API token.
    async fn delete_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which token to delete.")] input: DeleteApiTokenInput,
    ) -> Answer<Option<DeleteApiTokenPayload>> {
        let deleted = api_tokens::delete(&app(ctx).db, &request(ctx).now, present(ctx)?, &input.id).await;
        let (deleted, errors) = outcome(ctx, deleted)?;
        Ok(Some(DeleteApiTokenPayload { api_token: deleted.map(ApiToken), errors }))
    }
}

/// A token with the text of its secret.
fn show((token, secret): (api_token::Model, Secret)) -> (ApiToken, String) {
    (ApiToken(token), secret.to_text())
}
