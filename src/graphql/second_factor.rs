//! Second factors and recovery codes.

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject, SimpleObject};

use crate::domain::account::second_factor::enroll::{self, Enrollment};
use crate::domain::account::second_factor::{delete, recovery_codes};
use crate::domain::auth::second_factor::SecondProof;
use crate::domain::auth::second_factor::challenge::{self, Challenge, Complete, Completed};
use crate::domain::users::reset_factors;
use crate::entity::factor::{self, Kind};
use crate::entity::session::Method;
use crate::graphql::context::{app, enrolling, present, request, staff};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::passkeys::{PasskeyAssertionInput, PasskeyRequestOptions};
use crate::graphql::scalars::DateTime;
use crate::graphql::sign_in::{LoginPayload, RefreshTokenTransport, hand_out};
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// Second factor, as its row has it.
#[derive(Clone)]
pub(crate) struct Factor(pub(crate) factor::Model);

/// A second factor of a user. Its secret is never returned.
#[Object]
impl Factor {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Kind of factor.
    async fn kind(&self) -> FactorKind {
        self.0.kind.into()
    }

    /// Time of its confirmation.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Time of the last code that was accepted; null if there was none after the confirmation.
    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used_at.map(DateTime)
    }
}

/// Kinds of second factors. More kinds may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Kind")]
pub(crate) enum FactorKind {
    /// Codes of an authenticator app (TOTP, RFC 6238).
    Totp,
}

/// Methods by which users prove who they are. More methods may be added.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Method")]
pub(crate) enum ProofMethod {
    /// Password of the account.
    Password,
    /// Link in an email.
    EmailLink,
    /// Code of an authenticator app.
    Totp,
    /// Recovery code.
    RecoveryCode,
    /// Passkey, which counts as two factors.
    Passkey,
}

/// Second step of a sign-in. Answer it with `completeLogin`.
#[derive(SimpleObject)]
pub(crate) struct SignInChallenge {
    /// Secret for `completeLogin`. Single-use; ends after five wrong codes, and when the account changes.
    token: String,
    /// Time of expiry, ten minutes after the first step.
    expires_at: DateTime,
    /// Methods that answer it. TOTP is missing while codes of the app are not accepted; see TOTP_STOPPED.
    methods: Vec<ProofMethod>,
    /// Options for `navigator.credentials.get`, if a passkey answers it.
    passkey_options: Option<PasskeyRequestOptions>,
}

impl From<Challenge> for SignInChallenge {
    fn from(challenge: Challenge) -> Self {
        Self {
            token: challenge.token,
            expires_at: challenge.expires_at.into(),
            methods: challenge.methods.into_iter().map(Into::into).collect(),
            passkey_options: challenge.passkey.map(Into::into),
        }
    }
}

/// Code of a second factor: exactly one of these. More kinds may be added.
#[derive(OneofObject)]
pub(crate) enum SecondFactorInput {
    /// Current code of the authenticator app: six digits.
    #[graphql(secret)]
    TotpCode(String),
    /// Unused recovery code, in any case, with or without hyphens.
    #[graphql(secret)]
    RecoveryCode(String),
    /// Proof from the browser for the challenge in `passkeyOptions`.
    Passkey(PasskeyAssertionInput),
}

/// Answer to a challenge.
#[derive(InputObject)]
pub(crate) struct CompleteLoginInput {
    /// `token` of the challenge.
    #[graphql(secret)]
    challenge_token: String,
    /// Code of the second factor.
    proof: SecondFactorInput,
    /// Location of the refresh token in the response. By default it depends on the kind of client.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// Authenticator app to add.
#[derive(SimpleObject)]
pub(crate) struct TotpEnrollment {
    /// Secret for `confirmTotpEnrollment`. It ends when your second factors or your password change.
    token: String,
    /// Secret of the app in base32, for typing it.
    secret: String,
    /// The same with the name of the account as an `otpauth` URI, which apps open.
    uri: String,
    /// The URI as a QR code: an SVG element, to be shown without scripts.
    qr_code: String,
    /// Time of expiry.
    expires_at: DateTime,
}

impl From<Enrollment> for TotpEnrollment {
    fn from(enrollment: Enrollment) -> Self {
        let Enrollment { token, secret, uri, qr_code, expires_at } = enrollment;
        Self { token, secret, uri, qr_code, expires_at: expires_at.into() }
    }
}

/// Result of `startTotpEnrollment`.
#[derive(SimpleObject)]
pub(crate) struct StartTotpEnrollmentPayload {
    /// App to add; null if there are errors.
    enrollment: Option<TotpEnrollment>,
    /// REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Confirmation of an authenticator app.
#[derive(InputObject)]
pub(crate) struct ConfirmTotpEnrollmentInput {
    /// `token` of the enrolment.
    #[graphql(secret)]
    enrollment_token: String,
    /// Current code of the app. It is used up.
    #[graphql(secret)]
    totp_code: String,
}

/// Result of `confirmTotpEnrollment`.
#[derive(SimpleObject)]
pub(crate) struct ConfirmTotpEnrollmentPayload {
    /// New factor; null if there are errors.
    factor: Option<Factor>,
    /// Ten new recovery codes, returned only here; null if there are errors.
    recovery_codes: Option<Vec<String>>,
    /// SECOND_FACTOR_INCORRECT for `totpCode`; INVALID_TOKEN if the enrolment has ended: start again;
    /// REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Result of `regenerateRecoveryCodes`.
#[derive(SimpleObject)]
pub(crate) struct RegenerateRecoveryCodesPayload {
    /// Ten new recovery codes, returned only here; null if there are errors.
    recovery_codes: Option<Vec<String>>,
    /// NOT_FOUND if you have no second factor; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Second factor to remove.
#[derive(InputObject)]
pub(crate) struct DeleteFactorInput {
    /// Id of the factor.
    id: ID,
}

/// Result of `deleteFactor`.
#[derive(SimpleObject)]
pub(crate) struct DeleteFactorPayload {
    /// Id of the removed factor; null if there are errors.
    deleted_id: Option<ID>,
    /// NOT_FOUND if you have no such factor; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// User who lost their second factors.
#[derive(InputObject)]
pub(crate) struct ResetFactorsInput {
    /// Id of the user.
    id: ID,
}

/// Result of `resetFactors`.
#[derive(SimpleObject)]
pub(crate) struct ResetFactorsPayload {
    /// User; null if there are errors.
    user: Option<User>,
    /// NOT_FOUND or CANNOT_EDIT_SUPERUSER; INVALID for your own factors: use `deleteFactor`; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SecondFactorMutation;

#[Object]
impl SecondFactorMutation {
    /// Signs in with a code of the second factor, after `login` or `confirmReset` returned a challenge. Public.
    /// The refresh token is returned as by `login`. The user is notified by email of a new device: browsers are known by
    /// an HttpOnly cookie, other clients by their network.
    async fn complete_login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Answer to a challenge.")] input: CompleteLoginInput,
    ) -> Answer<Option<LoginPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let replaces = request.browser.cookie;
        let completed = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            let complete = async |code: SecondProof<'_>| {
                let answer = Complete { token: &input.challenge_token, code, replaces, form: None };
                challenge::complete(&app.db, &request.now, &request.client, app.sign_in_rules(), answer).await
            };
            let completed = match &input.proof {
                SecondFactorInput::TotpCode(code) => complete(SecondProof::Totp(code)).await,
                SecondFactorInput::RecoveryCode(code) => complete(SecondProof::Recovery(code)).await,
                SecondFactorInput::Passkey(passkey) => complete(SecondProof::Passkey(&passkey.read()?)).await,
            };
            Ok((transport, completed?))
        };
        let (completed, errors) = outcome(ctx, completed.await)?;
        if replaces.is_some() && matches!(completed, Some((RefreshTokenTransport::Body, _))) {
            // The session of the cookie was replaced.
            request.forget();
        }
        let give = |(transport, completed): (_, Completed)| {
            request.keep_device();
            (hand_out(ctx, transport, &completed.session, &completed.user), User(completed.user))
        };
        let (tokens, user) = completed.map(give).unzip();
        Ok(Some(LoginPayload { tokens, user, challenge: None, errors }))
    }

    /// Starts the enrolment of an authenticator app as your second factor. Requires a session with a recent proof.
    /// FORBIDDEN if second factors are off. Nothing changes until `confirmTotpEnrollment`; an earlier app keeps working.
    async fn start_totp_enrollment(&self, ctx: &Context<'_>) -> Answer<Option<StartTotpEnrollmentPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, enrolling(ctx)?);
        let site = app.config.site_name.as_str();
        let started = enroll::start(now, owner, app.second_factor_rules(), site);
        let (started, errors) = outcome(ctx, started)?;
        Ok(Some(StartTotpEnrollmentPayload { enrollment: started.map(Into::into), errors }))
    }

    /// Confirms an authenticator app with a code of it. Requires a session with a recent proof. The app replaces an
    /// earlier one, and new recovery codes replace the earlier ones. You are notified by email.
    async fn confirm_totp_enrollment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Confirmation of an authenticator app.")] input: ConfirmTotpEnrollmentInput,
    ) -> Answer<Option<ConfirmTotpEnrollmentPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, enrolling(ctx)?);
        let (token, code) = (&*input.enrollment_token, &*input.totp_code);
        let confirmed = enroll::confirm(&app.db, now, owner, app.second_factor_rules(), token, code).await;
        let (confirmed, errors) = outcome(ctx, confirmed)?;
        if confirmed.is_some() {
            request(ctx).keep_device();
        }
        let (factor, recovery_codes) = confirmed.map(|done| (Factor(done.factor), done.recovery_codes)).unzip();
        Ok(Some(ConfirmTotpEnrollmentPayload { factor, recovery_codes, errors }))
    }

    /// Creates ten new recovery codes in place of all earlier ones. Requires a session with a recent proof. You are
    /// notified by email.
    async fn regenerate_recovery_codes(&self, ctx: &Context<'_>) -> Answer<Option<RegenerateRecoveryCodesPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, present(ctx)?);
        let (recovery_codes, errors) = outcome(ctx, recovery_codes::renew(&app.db, now, owner).await)?;
        Ok(Some(RegenerateRecoveryCodesPayload { recovery_codes, errors }))
    }

    /// Removes one of your second factors; with the last one, also your recovery codes. Requires a session with a recent
    /// proof. You are notified by email.
    async fn delete_factor(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Second factor to remove.")] input: DeleteFactorInput,
    ) -> Answer<Option<DeleteFactorPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, present(ctx)?);
        let (deleted, errors) = outcome(ctx, delete::delete(&app.db, now, owner, &input.id).await)?;
        Ok(Some(DeleteFactorPayload { deleted_id: deleted.map(Into::into), errors }))
    }

    /// Removes all second factors and recovery codes of a user who lost them. Staff only; requires a session with a
    /// recent proof. The user is signed out everywhere immediately and notified by email.
    async fn reset_factors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "User who lost their second factors.")] input: ResetFactorsInput,
    ) -> Answer<Option<ResetFactorsPayload>> {
        let (app, now, staff) = (app(ctx), &request(ctx).now, staff(ctx)?);
        let reset = reset_factors::reset_factors(&app.db, now, staff, &input.id).await;
        let (user, errors) = outcome(ctx, reset)?;
        Ok(Some(ResetFactorsPayload { user: user.map(User), errors }))
    }
}
