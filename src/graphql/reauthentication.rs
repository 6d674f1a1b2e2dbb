//! New proofs of identity within a session.

use async_graphql::{Context, InputObject, Object, OneofObject, SimpleObject};

use crate::domain::account::reauthenticate;
use crate::graphql::context::{app, present, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::sessions::Session;
use crate::graphql::sign_in::AuthTokens;
use crate::graphql::user_errors::outcome;

/// Proof of identity: exactly one of these. More kinds may be added.
#[derive(OneofObject)]
pub(crate) enum ProofInput {
    /// Password of the account.
    #[graphql(secret)]
    Password(String),
}

/// New proof of identity.
#[derive(InputObject)]
pub(crate) struct ReauthenticateInput {
    /// Proof of identity.
    proof: ProofInput,
}

/// Result of `reauthenticate`.
#[derive(SimpleObject)]
pub(crate) struct ReauthenticatePayload {
    /// New access token, with the new time of the proof; null if there are errors. Its `refreshToken` is null: the
    /// refresh token of the session stays valid.
    tokens: Option<AuthTokens>,
    /// Your session; null if there are errors.
    session: Option<Session>,
    /// PASSWORD_INCORRECT or PASSWORD_EXPIRED for `password`.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct ReauthenticationMutation;

#[Object]
impl ReauthenticationMutation {
    /// Proves again who you are, after REAUTHENTICATION_REQUIRED. Requires a session. Repeat the refused operation
    /// afterwards: see `Session.proofValidUntil`. RATE_LIMITED after too many wrong passwords.
    async fn reauthenticate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "New proof of identity.")] input: ReauthenticateInput,
    ) -> Answer<Option<ReauthenticatePayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, present(ctx)?);
        let ProofInput::Password(password) = input.proof;
        let proved = reauthenticate::reauthenticate(&app.db, now, owner, &app.passwords, &password).await;
        let (proved, errors) = outcome(ctx, proved)?;
        let (tokens, session) = proved
            .map(|(session, user)| {
                let tokens = app.token_issuer().tokens(now, &session, &user);
                (AuthTokens::access_only(tokens), Session::new(&app.config.sessions, owner.session(), session))
            })
            .unzip();
        Ok(Some(ReauthenticatePayload { tokens, session, errors }))
    }
}
