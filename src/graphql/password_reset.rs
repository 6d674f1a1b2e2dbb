//! Reset of a forgotten password.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::domain::account::password_reset::{self, Confirm, Link};
use crate::domain::auth::passwords::NewPassword;
use crate::domain::auth::sign_in::SignedIn;
use crate::graphql::context::{app, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::second_factor::SignInChallenge;
use crate::graphql::sign_in::{AuthTokens, RefreshTokenTransport, hand_out};
use crate::graphql::user_errors::outcome;
use crate::texts::Text;

/// Account to reset the password of.
#[derive(InputObject)]
pub(crate) struct RequestResetInput {
    /// Email address of the account, in any case.
    email: String,
}

/// Result of `requestReset`, the same for addresses with and without an account.
#[derive(SimpleObject)]
pub(crate) struct RequestResetPayload {
    /// True if the request was accepted.
    success: bool,
    /// Text to show to the user, in English; empty if there are errors.
    message: String,
    /// REQUIRED or INVALID if the input is not an email address.
    errors: Vec<UserError>,
}

/// New password with the link that allows setting it.
#[derive(InputObject)]
pub(crate) struct ConfirmResetInput {
    /// `uid` of the link in the email.
    uid: ID,
    /// `token` of the link in the email.
    #[graphql(secret)]
    token: String,
    /// New password; see `passwordPolicy`.
    #[graphql(secret)]
    new_password: String,
    /// Repeat of the new password. If omitted, no comparison is made.
    #[graphql(secret)]
    new_password_confirm: Option<String>,
    /// True to sign the user in as well: a user with a second factor gets a `challenge`. Staff are never signed in by a
    /// reset.
    #[graphql(default)]
    login: bool,
    /// Location of the refresh token in the response. By default it depends on the kind of client.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// Result of `confirmReset`.
#[derive(SimpleObject)]
pub(crate) struct ConfirmResetPayload {
    /// True if the new password was set.
    success: bool,
    /// Text to show to the user, in English; empty if there are errors.
    message: String,
    /// Tokens of a new session; null unless `login` was set, the user is not staff and has no second factor.
    tokens: Option<AuthTokens>,
    /// Second step of the sign-in, if `login` was set and the user, who is not staff, has a second factor.
    challenge: Option<SignInChallenge>,
    /// INVALID_TOKEN if the link is no longer valid; PASSWORD_… if the password is rejected, and the link stays valid;
    /// INVALID for a `refreshTokenIn` that this client cannot use.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct ResetQuery;

#[Object]
impl ResetQuery {
    /// Returns true if the link of a reset or welcome email is still valid. Public; POST only. The check does not use
    /// up the link.
    async fn reset_token_is_valid(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "`uid` of the link.")] uid: ID,
        #[graphql(desc = "`token` of the link.", secret)] token: String,
    ) -> Answer<Option<bool>> {
        let link = Link { uid: &uid, token: &token };
        let (app, request) = (app(ctx), request(ctx));
        Ok(Some(password_reset::is_valid(&app.db, &request.now, &request.client, &app.limits, link).await?))
    }
}

#[derive(Default)]
pub(crate) struct ResetMutation;

#[Object]
impl ResetMutation {
    /// Requests an email with a link to set a new password. Public. The response and its timing never reveal whether
    /// the address has an account; only active accounts get the email.
    async fn request_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account to reset the password of.")] input: RequestResetInput,
    ) -> Answer<Option<RequestResetPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let limits = &app.limits;
        let asked = password_reset::request(&app.db, &request.now, &request.client, limits, &input.email).await;
        let (done, errors) = outcome(ctx, asked)?;
        let message = done.map(|()| Text::new("reset-requested").english()).unwrap_or_default();
        Ok(Some(RequestResetPayload { success: done.is_some(), message, errors }))
    }

    /// Sets a new password with the link of a reset or welcome email. Public. The link is used up, and all sessions and
    /// API tokens of the user are invalidated. Second factors stay.
    async fn confirm_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "New password with the link that allows setting it.")] input: ConfirmResetInput,
    ) -> Answer<Option<ConfirmResetPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let new = NewPassword {
            password: &input.new_password,
            confirm: input.new_password_confirm.as_deref(),
            fields: ("newPassword", "newPasswordConfirm"),
        };
        let confirm =
            Confirm { link: Link { uid: &input.uid, token: &input.token }, new, login: input.login, form: None };
        let rules = app.sign_in_rules();
        let confirmed = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            Ok((transport, password_reset::confirm(&app.db, &request.now, &request.client, rules, confirm).await?))
        };
        let (done, errors) = outcome(ctx, confirmed.await)?;
        let text = done.as_ref().map(|(_, signed_in)| match signed_in {
            None => Text::new("reset-completed"),
            Some(SignedIn::Challenge(_)) => Text::new("reset-completed-challenged"),
            Some(SignedIn::Session(..)) => Text::new("reset-completed-signed-in"),
        });
        let message = text.map(|text| text.english()).unwrap_or_default();
        let success = done.is_some();
        let (tokens, challenge) = match done.and_then(|(transport, signed_in)| Some((transport, signed_in?))) {
            Some((transport, SignedIn::Session(session, user))) => {
                (Some(hand_out(ctx, transport, &session, &user)), None)
            }
            Some((_, SignedIn::Challenge(challenge))) => (None, Some(challenge.into())),
            None => (None, None),
        };
        Ok(Some(ConfirmResetPayload { success, message, tokens, challenge, errors }))
    }
}
