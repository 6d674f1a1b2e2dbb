//! Recovering a forgotten password.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::domain::account::password_reset::{self, Confirm, Link};
use crate::domain::auth::passwords::NewPassword;
use crate::graphql::context::{app, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::sign_in::{AuthTokens, RefreshTokenTransport, hand_out};
use crate::graphql::user_errors::outcome;

/// Who has forgotten a password.
#[derive(InputObject)]
pub(crate) struct RequestResetInput {
    /// The account's e-mail address, in any case.
    email: String,
}

/// The outcome of `requestReset`: the same whether or not the address has an account.
#[derive(SimpleObject)]
pub(crate) struct RequestResetPayload {
    /// Whether the request was taken on.
    success: bool,
    /// What to tell the person, in an English sentence; empty where there are errors.
    message: String,
    /// REQUIRED or INVALID where the input is no e-mail address.
    errors: Vec<UserError>,
}

/// A new password, and the link that allows it.
#[derive(InputObject)]
pub(crate) struct ConfirmResetInput {
    /// The `uid` of the link in the mail.
    uid: ID,
    /// The `token` of the link in the mail.
    #[graphql(secret)]
    token: String,
    /// The new password; see `passwordPolicy`.
    #[graphql(secret)]
    new_password: String,
    /// The new password, typed a second time; left out, it is not compared.
    #[graphql(secret)]
    new_password_confirm: Option<String>,
    /// Whether to sign the user in at once. Staff have to sign in themselves all the same.
    #[graphql(default)]
    login: bool,
    /// Where to put the refresh token of that session; chosen by the kind of client where it is left out.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// The outcome of `confirmReset`.
#[derive(SimpleObject)]
pub(crate) struct ConfirmResetPayload {
    /// Whether the new password holds.
    success: bool,
    /// What to tell the person, in an English sentence; empty where there are errors.
    message: String,
    /// The tokens of a new session, where that was asked for and the user is not staff.
    tokens: Option<AuthTokens>,
    /// INVALID_TOKEN where the link is no longer good; PASSWORD_… where the password is refused and the link stays good;
    /// INVALID of a `refreshTokenIn` that this client cannot have.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct ResetQuery;

#[Object]
impl ResetQuery {
    /// Whether the link of a reset or welcome mail is still good: anyone may ask, by POST, and asking does not spend it.
    async fn reset_token_is_valid(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `uid` of the link.")] uid: ID,
        #[graphql(desc = "The `token` of the link.", secret)] token: String,
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
    /// Asks for a mail with a link to set a new password: anyone may call it. Neither the answer nor the time it takes
    /// tells whether the address has an account; only active accounts get the mail.
    async fn request_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who has forgotten a password.")] input: RequestResetInput,
    ) -> Answer<Option<RequestResetPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let limits = &app.limits;
        let asked = password_reset::request(&app.db, &request.now, &request.client, limits, &input.email).await;
        let (done, errors) = outcome(ctx, asked)?;
        let message = done.map_or("", |()| "If this address has an account, a mail with a link is on its way to it.");
        Ok(Some(RequestResetPayload { success: done.is_some(), message: message.to_owned(), errors }))
    }

    /// Sets a new password with the link of a reset or welcome mail: anyone may call it. The link is spent, and all
    /// sessions and API tokens of the user end.
    async fn confirm_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new password, and the link that allows it.")] input: ConfirmResetInput,
    ) -> Answer<Option<ConfirmResetPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let new = NewPassword {
            password: &input.new_password,
            confirm: input.new_password_confirm.as_deref(),
            fields: ("newPassword", "newPasswordConfirm"),
        };
        let confirm =
            Confirm { link: Link { uid: &input.uid, token: &input.token }, new, login: input.login, form: None };
        let rules = (&app.passwords, &app.config.sessions);
        let confirmed = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            Ok((transport, password_reset::confirm(&app.db, &request.now, &request.client, rules, confirm).await?))
        };
        let (done, errors) = outcome(ctx, confirmed.await)?;
        let message = match &done {
            None => "",
            Some((_, None)) => "Your new password is set: sign in with it.",
            Some((_, Some(_))) => "Your new password is set, and you are signed in.",
        };
        let success = done.is_some();
        let signed_in = done.and_then(|(transport, signed_in)| Some((transport, signed_in?)));
        let tokens = signed_in.map(|(transport, (session, user))| hand_out(ctx, transport, &session, &user));
        Ok(Some(ConfirmResetPayload { success, message: message.to_owned(), tokens, errors }))
    }
}
