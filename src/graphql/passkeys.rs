//! Passkeys. Types and fields have the names of the JSON in Web Authentication Level 3, so that browsers take and make
//! them as they are.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::domain::account::passkeys::register::{self, CreationOptions, NewPasskey};
use crate::domain::account::passkeys::{delete, rename};
use crate::domain::auth::passkeys::assertion::{self, PasskeyAnswer, RequestOptions};
use crate::domain::auth::passkeys::ceremony;
use crate::domain::auth::passkeys::sign_in::{self, PasskeySignIn};
use crate::entity::passkey;
use crate::error::{Code, Refusal};
use crate::graphql::context::{app, enrolling, present, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::scalars::DateTime;
use crate::graphql::sign_in::{LoginPayload, RefreshTokenTransport, hand_out};
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;
use crate::tools::webauthn::Algorithm;

/// Passkey, as its row has it.
#[derive(Clone)]
pub(crate) struct Passkey(pub(crate) passkey::Model);

/// A passkey of a user.
#[Object]
impl Passkey {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Name given by its user; may be empty.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// True if it is copied to other devices of its user, such as by a password manager.
    async fn is_synced(&self) -> bool {
        self.0.is_synced
    }

    /// Time of its registration.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Time of its last use; null if there was none after the registration.
    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used_at.map(DateTime)
    }
}

/// Options for `navigator.credentials.create`: pass them to `PublicKeyCredential.parseCreationOptionsFromJSON`.
#[derive(SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasskeyCreationOptions {
    /// This service.
    rp: PasskeyRelyingParty,
    /// You.
    user: PasskeyUser,
    /// Challenge in base64url. Single-use; expires after `timeout`.
    challenge: String,
    /// Accepted algorithms, preferred ones first.
    pub_key_cred_params: Vec<PasskeyParameters>,
    /// Time until the challenge expires, in milliseconds.
    timeout: u32,
    /// Your passkeys, so that no authenticator gets a second one.
    exclude_credentials: Vec<PasskeyDescriptor>,
    /// Requirements of the authenticator.
    authenticator_selection: PasskeyAuthenticatorSelection,
    /// Requested attestation: always `none`.
    attestation: &'static str,
}

/// The service as authenticators know it.
#[derive(SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasskeyRelyingParty {
    /// Domain.
    id: String,
    /// Name of the site.
    name: String,
}

/// User as authenticators show them.
#[derive(SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasskeyUser {
    /// Handle in base64url.
    id: String,
    /// Email address.
    name: String,
    /// Full name, or the username.
    display_name: String,
}

/// Accepted algorithm of a passkey.
#[derive(SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasskeyParameters {
    /// Always `public-key`.
    r#type: &'static str,
    /// Number in the COSE registry.
    alg: i32,
}

/// Reference to a passkey.
#[derive(SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasskeyDescriptor {
    /// Always `public-key`.
    r#type: &'static str,
    /// Credential id in base64url.
    id: String,
    /// Ways to reach its authenticator, such as `internal` and `usb`.
    transports: Vec<String>,
}

/// Requirements of an authenticator.
#[derive(SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasskeyAuthenticatorSelection {
    /// Always `required`: the passkey is found without a username.
    resident_key: &'static str,
    /// Always true.
    require_resident_key: bool,
    /// Always `required`: by a PIN or biometrics.
    user_verification: &'static str,
}

/// Options for `navigator.credentials.get`: pass them to `PublicKeyCredential.parseRequestOptionsFromJSON`.
#[derive(SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasskeyRequestOptions {
    /// Challenge in base64url. Single-use; expires after `timeout`.
    challenge: String,
    /// Time until the challenge expires, in milliseconds.
    timeout: u32,
    /// Domain.
    rp_id: String,
    /// Passkeys that may be used; empty for any of this service.
    allow_credentials: Vec<PasskeyDescriptor>,
    /// Always `required`: by a PIN or biometrics.
    user_verification: &'static str,
}

fn timeout() -> u32 {
    u32::try_from(ceremony::LIFETIME.as_millis()).unwrap_or(u32::MAX)
}

fn descriptors(passkeys: Vec<passkey::Model>) -> Vec<PasskeyDescriptor> {
    let descriptor = |passkey: passkey::Model| PasskeyDescriptor {
        r#type: "public-key",
        id: URL_SAFE_NO_PAD.encode(&passkey.credential_id),
        transports: passkey.transports.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    };
    passkeys.into_iter().map(descriptor).collect()
}

impl From<CreationOptions> for PasskeyCreationOptions {
    fn from(options: CreationOptions) -> Self {
        let CreationOptions { challenge, domain, site, user, excluded } = options;
        Self {
            rp: PasskeyRelyingParty { id: domain, name: site },
            user: PasskeyUser {
                id: URL_SAFE_NO_PAD.encode(user.id.as_bytes()),
                name: user.email,
                display_name: user.name,
            },
            challenge: URL_SAFE_NO_PAD.encode(challenge),
            pub_key_cred_params: Algorithm::ALL
                .map(|algorithm| PasskeyParameters { r#type: "public-key", alg: algorithm.number() })
                .into(),
            timeout: timeout(),
            exclude_credentials: descriptors(excluded),
            authenticator_selection: PasskeyAuthenticatorSelection {
                resident_key: "required",
                require_resident_key: true,
                user_verification: "required",
            },
            attestation: "none",
        }
    }
}

impl From<RequestOptions> for PasskeyRequestOptions {
    fn from(options: RequestOptions) -> Self {
        let RequestOptions { challenge, domain, allowed } = options;
        Self {
            challenge: URL_SAFE_NO_PAD.encode(challenge),
            timeout: timeout(),
            rp_id: domain,
            allow_credentials: descriptors(allowed),
            user_verification: "required",
        }
    }
}

/// New passkey: `toJSON()` of what `navigator.credentials.create` returns. Only `response.clientDataJSON`,
/// `response.attestationObject` and `response.transports` are used.
#[derive(InputObject)]
pub(crate) struct PasskeyRegistrationInput {
    /// Credential id in base64url.
    id: String,
    /// The same.
    raw_id: String,
    /// `public-key`.
    r#type: String,
    /// `platform` or `cross-platform`.
    authenticator_attachment: Option<String>,
    /// Results of extensions. None are requested.
    client_extension_results: Option<PasskeyExtensionResultsInput>,
    /// Response of the authenticator.
    response: PasskeyAttestationInput,
}

/// Results of extensions, which are ignored.
#[derive(InputObject)]
pub(crate) struct PasskeyExtensionResultsInput {
    /// Properties of the credential.
    cred_props: Option<PasskeyPropertiesInput>,
}

/// Properties of a credential, which are ignored.
#[derive(InputObject)]
pub(crate) struct PasskeyPropertiesInput {
    /// True if it is found without a username.
    rk: Option<bool>,
}

/// Response of an authenticator that created a passkey.
#[derive(InputObject)]
pub(crate) struct PasskeyAttestationInput {
    /// Data of the browser, in base64url.
    #[graphql(name = "clientDataJSON")]
    client_data_json: String,
    /// Data of the authenticator with the public key, in base64url.
    attestation_object: String,
    /// Data of the authenticator, in base64url.
    authenticator_data: Option<String>,
    /// Public key, in base64url.
    public_key: Option<String>,
    /// Number of the algorithm in the COSE registry.
    public_key_algorithm: Option<i32>,
    /// Ways to reach the authenticator.
    #[graphql(default)]
    transports: Vec<String>,
}

/// Proof by a passkey: `toJSON()` of what `navigator.credentials.get` returns.
#[derive(InputObject)]
pub(crate) struct PasskeyAssertionInput {
    /// Credential id in base64url.
    id: String,
    /// The same.
    raw_id: String,
    /// `public-key`.
    r#type: String,
    /// `platform` or `cross-platform`.
    authenticator_attachment: Option<String>,
    /// Results of extensions. None are requested.
    client_extension_results: Option<PasskeyExtensionResultsInput>,
    /// Response of the authenticator.
    response: PasskeySignatureInput,
}

/// Signed response of an authenticator.
#[derive(InputObject)]
pub(crate) struct PasskeySignatureInput {
    /// Data of the browser, in base64url.
    #[graphql(name = "clientDataJSON")]
    client_data_json: String,
    /// Data of the authenticator, in base64url.
    authenticator_data: String,
    /// Signature, in base64url.
    signature: String,
    /// Handle of the user, in base64url.
    user_handle: Option<String>,
}

/// Bytes of a base64url text, with or without padding.
fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, Refusal> {
    let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    decoded.map_err(|_| Refusal::new(Code::Invalid, "passkey-base64").of(field))
}

impl PasskeyRegistrationInput {
    /// The new passkey, from the input fields of its credential and its name.
    ///
    /// # Errors
    /// [`Code::Invalid`] for a text that is not base64url.
    pub(crate) fn read(
        self,
        fields: (&'static str, &'static str),
        name: Option<String>,
    ) -> Result<NewPasskey, Refusal> {
        Ok(NewPasskey {
            fields,
            name: name.unwrap_or_default(),
            client_data: bytes(fields.0, &self.response.client_data_json)?,
            attestation: bytes(fields.0, &self.response.attestation_object)?,
            transports: self.response.transports,
        })
    }
}

impl PasskeyAssertionInput {
    /// The answer.
    ///
    /// # Errors
    /// [`Code::Invalid`] of `passkey` for a text that is not base64url.
    pub(crate) fn read(&self) -> Result<PasskeyAnswer, Refusal> {
        let response = &self.response;
        Ok(PasskeyAnswer {
            credential_id: bytes("passkey", &self.id)?,
            client_data: bytes("passkey", &response.client_data_json)?,
            authenticator_data: bytes("passkey", &response.authenticator_data)?,
            signature: bytes("passkey", &response.signature)?,
            user_handle: response.user_handle.as_deref().map(|text| bytes("passkey", text)).transpose()?,
        })
    }
}

/// Result of `startPasskeyRegistration`.
#[derive(SimpleObject)]
pub(crate) struct StartPasskeyRegistrationPayload {
    /// Options for the browser; null if there are errors.
    options: Option<PasskeyCreationOptions>,
    /// REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Passkey to register.
#[derive(InputObject)]
pub(crate) struct FinishPasskeyRegistrationInput {
    /// Credential from the browser.
    credential: PasskeyRegistrationInput,
    /// Name to recognize it by: 100 characters at most.
    name: Option<String>,
}

/// Result of `finishPasskeyRegistration`.
#[derive(SimpleObject)]
pub(crate) struct FinishPasskeyRegistrationPayload {
    /// New passkey; null if there are errors.
    passkey: Option<Passkey>,
    /// Ten recovery codes, returned only here, if this is your first second factor; otherwise null.
    recovery_codes: Option<Vec<String>>,
    /// INVALID_TOKEN if the challenge has expired or was used: start again. ALREADY_EXISTS if the passkey is registered;
    /// INVALID if it cannot be verified, or you have too many; TOO_LONG for `name`; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

/// Result of `startPasskeyLogin`.
#[derive(SimpleObject)]
pub(crate) struct StartPasskeyLoginPayload {
    /// Options for the browser.
    options: PasskeyRequestOptions,
}

/// Passkey to sign in with.
#[derive(InputObject)]
pub(crate) struct LoginWithPasskeyInput {
    /// Proof from the browser.
    passkey: PasskeyAssertionInput,
    /// Location of the refresh token in the response. By default it depends on the kind of client.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// New name of a passkey.
#[derive(InputObject)]
pub(crate) struct RenamePasskeyInput {
    /// Id of the passkey.
    id: ID,
    /// Name to recognize it by: 100 characters at most.
    name: String,
}

/// Result of `renamePasskey`.
#[derive(SimpleObject)]
pub(crate) struct RenamePasskeyPayload {
    /// Passkey; null if there are errors.
    passkey: Option<Passkey>,
    /// NOT_FOUND if you have no such passkey; REQUIRED, INVALID or TOO_LONG for `name`.
    errors: Vec<UserError>,
}

/// Passkey to remove.
#[derive(InputObject)]
pub(crate) struct DeletePasskeyInput {
    /// Id of the passkey.
    id: ID,
}

/// Result of `deletePasskey`.
#[derive(SimpleObject)]
pub(crate) struct DeletePasskeyPayload {
    /// Id of the removed passkey; null if there are errors.
    deleted_id: Option<ID>,
    /// NOT_FOUND if you have no such passkey; INVALID for your last way to sign in; REAUTHENTICATION_REQUIRED.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct PasskeysMutation;

#[Object]
impl PasskeysMutation {
    /// Starts the registration of a passkey. Requires a session with a recent proof. Nothing changes until
    /// `finishPasskeyRegistration`. FORBIDDEN if second factors are off, or the service has no domain.
    async fn start_passkey_registration(&self, ctx: &Context<'_>) -> Answer<Option<StartPasskeyRegistrationPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, enrolling(ctx)?);
        let site = app.config.site_name.as_str();
        let started = register::start(&app.db, now, owner, app.sign_in_rules(), site).await;
        let (options, errors) = outcome(ctx, started)?;
        Ok(Some(StartPasskeyRegistrationPayload { options: options.map(Into::into), errors }))
    }

    /// Registers a passkey. Requires a session with a recent proof. From then on your password alone does not sign you
    /// in. You are notified by email.
    async fn finish_passkey_registration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Passkey to register.")] input: FinishPasskeyRegistrationInput,
    ) -> Answer<Option<FinishPasskeyRegistrationPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, enrolling(ctx)?);
        let registered = async {
            let new = input.credential.read(("credential", "name"), input.name)?;
            register::finish(&app.db, now, owner, app.sign_in_rules(), &new).await
        };
        let (registered, errors) = outcome(ctx, registered.await)?;
        if registered.is_some() {
            request(ctx).keep_device();
        }
        let (passkey, recovery_codes) =
            registered.map(|registered| (Passkey(registered.passkey), registered.recovery_codes)).unzip();
        Ok(Some(FinishPasskeyRegistrationPayload { passkey, recovery_codes: recovery_codes.flatten(), errors }))
    }

    /// Starts a sign-in, or another proof, with a passkey. Public; stores nothing. FORBIDDEN if the service has no
    /// domain. With `mediation: "conditional"`, browsers offer passkeys in the username field.
    async fn start_passkey_login(&self, ctx: &Context<'_>) -> Answer<Option<StartPasskeyLoginPayload>> {
        let (app, now) = (app(ctx), &request(ctx).now);
        let options = assertion::request(now, app.second_factor_rules())?.into();
        Ok(Some(StartPasskeyLoginPayload { options }))
    }

    /// Signs in with a passkey alone, which counts as two factors. Public. The refresh token is returned as by `login`. The
    /// user is notified by email of a new device, as by `completeLogin`.
    async fn login_with_passkey(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Passkey to sign in with.")] input: LoginWithPasskeyInput,
    ) -> Answer<Option<LoginPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let replaces = request.browser.cookie;
        let opened = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            let answer = input.passkey.read()?;
            let input = PasskeySignIn { answer: &answer, replaces, form: None };
            let rules = app.sign_in_rules();
            let opened = sign_in::sign_in(&app.db, &request.now, &request.client, rules, input).await?;
            Ok((transport, opened))
        };
        let (opened, errors) = outcome(ctx, opened.await)?;
        if replaces.is_some() && matches!(opened, Some((RefreshTokenTransport::Body, _))) {
            // The session of the cookie was replaced.
            request.forget();
        }
        let give = |(transport, (session, user))| {
            request.keep_device();
            (hand_out(ctx, transport, &session, &user), User(user))
        };
        let (tokens, user) = opened.map(give).unzip();
        Ok(Some(LoginPayload { tokens, user, challenge: None, errors }))
    }

    /// Renames one of your passkeys. Requires a session.
    async fn rename_passkey(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "New name of a passkey.")] input: RenamePasskeyInput,
    ) -> Answer<Option<RenamePasskeyPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, present(ctx)?);
        let renamed = rename::rename(&app.db, now, owner, &input.id, &input.name).await;
        let (passkey, errors) = outcome(ctx, renamed)?;
        Ok(Some(RenamePasskeyPayload { passkey: passkey.map(Passkey), errors }))
    }

    /// Removes one of your passkeys; with the last second factor, also your recovery codes. Requires a session with a
    /// recent proof. You are notified by email.
    async fn delete_passkey(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Passkey to remove.")] input: DeletePasskeyInput,
    ) -> Answer<Option<DeletePasskeyPayload>> {
        let (app, now, owner) = (app(ctx), &request(ctx).now, present(ctx)?);
        let (deleted, errors) = outcome(ctx, delete::delete(&app.db, now, owner, &input.id).await)?;
        Ok(Some(DeletePasskeyPayload { deleted_id: deleted.map(|passkey| passkey.id.into()), errors }))
    }
}
