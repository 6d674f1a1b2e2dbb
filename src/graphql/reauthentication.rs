//! New proofs of identity within a session.

use async_graphql::{Context, InputObject, Object, OneofObject, SimpleObject};

use crate::domain::account::reauthenticate::{self, TypedProof};
use crate::domain::auth::second_factor::SecondProof;
use crate::graphql::context::{app, enrolling, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::passkeys::PasskeyAssertionInput;
use crate::graphql::sessions::Session;
use crate::graphql::sign_in::AuthTokens;
use crate::graphql::user_errors::outcome;

/// Proof of identity: exactly one of these. More kinds may be added.
#[derive(OneofObject)]
pub(crate) enum ProofInput {
    /// Password of the account.
    #[graphql(secret)]
    Password(String),
    /// Current code of the authenticator app: six digits.
    #[graphql(secret)]
    TotpCode(String),
    /// Unused recovery code.
    #[graphql(secret)]
    RecoveryCode(String),
    /// Proof from the browser, by the options of `startPasskeyLogin`.
    Passkey(PasskeyAssertionInput),
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
    /// PASSWORD_INCORRECT or PASSWORD_EXPIRED for `password`; SECOND_FACTOR_INCORRECT for a code or passkey, also if you
    /// have none; TOTP_STOPPED after too many wrong codes.
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
        let (app, now, owner) = (app(ctx), &request(ctx).now, enrolling(ctx)?);
        let prove = async |proof| reauthenticate::reauthenticate(&app.db, now, owner, app.sign_in_rules(), proof).await;
        let proved = match &input.proof {
            ProofInput::Password(password) => prove(TypedProof::Password(password)).await,
            ProofInput::TotpCode(code) => prove(TypedProof::Code(SecondProof::Totp(code))).await,
            ProofInput::RecoveryCode(code) => prove(TypedProof::Code(SecondProof::Recovery(code))).await,
            ProofInput::Passkey(passkey) => match passkey.read() {
                Ok(answer) => prove(TypedProof::Code(SecondProof::Passkey(&answer))).await,
                Err(refusal) => Err(refusal.into()),
            },
        };
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
