//! API tokens that users create for scripts.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use crate::domain::auth::api_tokens::{self, Create, Rules};
use crate::entity::api_token::{self, Scope};
use crate::graphql::context::{app, present, request, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::paging::list_complexity;
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;
use crate::tools::api_token::ApiToken as Secret;

/// API token, as its row has it.
#[derive(Clone)]
pub(crate) struct ApiToken(pub(crate) api_token::Model);

/// A token for scripts, sent as `Authorization: Bearer …`. It acts as its owner, within its scopes.
#[Object]
impl ApiToken {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Name given by the owner.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Scopes of the token.
    async fn scopes(&self) -> Vec<ApiTokenScope> {
        self.0.scopes.iter().map(Into::into).collect()
    }

    /// First characters of the secret, to recognize the token by.
    async fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Time of creation.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Time of last use, to the minute; null if never used.
    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used_at.map(DateTime)
    }

    /// Time of expiry. Null only for a token that an older version of the service created during an upgrade.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }
}

/// Permissions of an API token; none includes another. No scope allows changing a password, email address, session or
/// token, or deleting the account.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Scope")]
pub(crate) enum ApiTokenScope {
    /// Queries.
    Read,
    /// Mutations of your own data: `updateMe` without the email address, your avatar, `recordSample`.
    Write,
    /// Complete lists: `/export/samples.csv`, and for staff `/export/users.csv`, `/export/users.xlsx` and `allEmails`.
    Export,
    /// Administration of users, for staff: `createUser`, `updateUser`, `toggleActive`, `setUsersActive`, `sendLink`,
    /// `retryMail`, `holdMails`, `releaseMails` and `cancelMails`. It covers the username, names, phone, address, bio and active flag of other users without staff rights. It never covers role,
    /// permission, staff rights, password, email address, or your own account.
    ManageUsers,
}

/// API token to create.
#[derive(InputObject)]
pub(crate) struct CreateApiTokenInput {
    /// Name: at most 100 characters.
    name: String,
    /// Scopes: at least one.
    #[graphql(default_with = "vec![ApiTokenScope::Export]")]
    scopes: Vec<ApiTokenScope>,
    /// Time of expiry, no later than the service allows (one year from now unless configured otherwise). Defaults to
    /// the latest time allowed.
    expires_at: Option<DateTime>,
}

/// Result of `createApiToken`.
#[derive(SimpleObject)]
pub(crate) struct CreateApiTokenPayload {
    /// New token; null if there are errors.
    api_token: Option<ApiToken>,
    /// Secret to send as `Authorization: Bearer …`; null if there are errors. It is returned only once and not stored.
    secret: Option<String>,
    /// REQUIRED, INVALID or TOO_LONG for `name`; REQUIRED for `scopes`, and INVALID for MANAGE_USERS if you are not
    /// staff; INVALID for `expiresAt` in the past or later than allowed; INVALID without a field if you already have 50
    /// tokens; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// API token to rotate.
#[derive(InputObject)]
pub(crate) struct RotateApiTokenInput {
    /// Id of the token.
    id: ID,
}

/// Result of `rotateApiToken`.
#[derive(SimpleObject)]
pub(crate) struct RotateApiTokenPayload {
    /// Token; null if there are errors.
    api_token: Option<ApiToken>,
    /// New secret; null if there are errors. It is returned only once and not stored.
    secret: Option<String>,
    /// NOT_FOUND; INVALID if the token has expired (create a new one), and for MANAGE_USERS if you are not staff;
    /// REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// API token to delete.
#[derive(InputObject)]
pub(crate) struct DeleteApiTokenInput {
    /// Id of the token.
    id: ID,
}

/// Result of `deleteApiToken`.
#[derive(SimpleObject)]
pub(crate) struct DeleteApiTokenPayload {
    /// Deleted token; null if there are errors.
    api_token: Option<ApiToken>,
    /// NOT_FOUND.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct ApiTokensQuery;

#[Object]
impl ApiTokensQuery {
    /// Returns your API tokens without their secrets, newest first: at most 50. API tokens need the scope READ.
    #[graphql(complexity = "list_complexity(20, child_complexity)")]
    async fn api_tokens(&self, ctx: &Context<'_>) -> Answer<Option<Vec<ApiToken>>> {
        let tokens = api_tokens::list(&app(ctx).db, viewer(ctx)?).await?;
        Ok(Some(tokens.into_iter().map(ApiToken).collect()))
    }
}

#[derive(Default)]
pub(crate) struct ApiTokensMutation;

#[Object]
impl ApiTokensMutation {
    /// Creates an API token and notifies you by email. Requires a session. RATE_LIMITED if you created or rotated too
    /// many.
    async fn create_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "API token to create.")] input: CreateApiTokenInput,
    ) -> Answer<Option<CreateApiTokenPayload>> {
        let input = Create {
            name: input.name,
            scopes: input.scopes.into_iter().map(Into::into).collect(),
            expires_at: input.expires_at.map(|time| time.0),
        };
        let app = app(ctx);
        let rules = Rules { longest_life: app.config.api_tokens.api_token_ttl, limits: &app.limits };
        let created = api_tokens::create(&app.db, &request(ctx).now, present(ctx)?, rules, input, None).await;
        let (created, errors) = outcome(ctx, created)?;
        let (api_token, secret) = created.map(show).unzip();
        Ok(Some(CreateApiTokenPayload { api_token, secret, errors }))
    }

    /// Replaces the secret of one of your API tokens and notifies you by email. Requires a session. The old secret is
    /// invalid immediately; name, scopes and expiry stay. RATE_LIMITED if you created or rotated too many.
    async fn rotate_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "API token to rotate.")] input: RotateApiTokenInput,
    ) -> Answer<Option<RotateApiTokenPayload>> {
        let app = app(ctx);
        let (now, owner) = (&request(ctx).now, present(ctx)?);
        let rotated = api_tokens::rotate(&app.db, now, owner, &app.limits, &input.id, None).await;
        let (rotated, errors) = outcome(ctx, rotated)?;
        let (api_token, secret) = rotated.map(show).unzip();
        Ok(Some(RotateApiTokenPayload { api_token, secret, errors }))
    }

    /// Deletes one of your API tokens; it is invalid immediately. Requires a session.
    async fn delete_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "API token to delete.")] input: DeleteApiTokenInput,
    ) -> Answer<Option<DeleteApiTokenPayload>> {
        let deleted = api_tokens::delete(&app(ctx).db, &request(ctx).now, present(ctx)?, &input.id).await;
        let (deleted, errors) = outcome(ctx, deleted)?;
        Ok(Some(DeleteApiTokenPayload { api_token: deleted.map(ApiToken), errors }))
    }
}

/// Token with the text of its secret.
fn show((token, secret): (api_token::Model, Secret)) -> (ApiToken, String) {
    (ApiToken(token), secret.to_text())
}
