//! Registration without a password: address, account and passkey come into being together, by the client that follows the
//! link.

// Accounts without a password.
mod accounts;
// The pages of the registration.
mod pages;
// The registration.
mod registration;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::entity::{passkey, session, sign_in_challenge, user};

use crate::authenticator::Authenticator;
use crate::parity::registration::token;
use crate::passkeys::origin;
use crate::test_app::TestApp;
use crate::test_client::Client;

const REGISTER: &str = "mutation($input: RegisterWithoutPasswordInput!) { registerWithoutPassword(input: $input) {
    success message registrationSecret errors { code field message }
} }";

const START: &str = "mutation($input: StartPasskeySignUpInput!) { startPasskeySignUp(input: $input) {
    options {
        challenge timeout attestation rp { id name } user { id name displayName } pubKeyCredParams { type alg }
        excludeCredentials { type id transports }
        authenticatorSelection { residentKey requireResidentKey userVerification }
    }
    errors { code field }
} }";

const VERIFY: &str = "mutation($input: VerifyEmailInput!) { verifyEmail(input: $input) {
    user { id username email firstName isVerified hasPassword hasSecondFactor } tokens { accessToken refreshToken }
    recoveryCodes errors { code field message }
} }";

const RESEND: &str = "mutation($email: String!) { resendVerification(input: { email: $email }) { success } }";

const ME: &str = "{ me { email hasPassword passkeys { id name } recoveryCodesLeft } sessions { isCurrent methods } }";

const CHANGE_EMAIL: &str = "mutation($current: String) {
    updateMe(input: { email: \"countess@example.com\", currentPassword: $current }) { errors { code field } }
}";

const LOGIN: &str = "mutation($name: String!, $password: String!) {
    login(input: { identifier: $name, password: $password }) { tokens { accessToken } errors { code field message } }
}";

/// The reader of a mail: the token of its link, and the secret of the client that registered, if this is the one.
#[derive(Clone)]
struct Reader {
    token: String,
    secret: Option<String>,
}

impl Reader {
    /// Another client that reads the same mail.
    fn elsewhere(&self) -> Self {
        Self { secret: None, ..self.clone() }
    }

    async fn start(&self, app: &TestApp) -> Value {
        let input = json!({ "input": { "token": self.token, "registrationSecret": self.secret } });
        app.anyone().data(START, input).await["startPasskeySignUp"].clone()
    }

    async fn options(&self, app: &TestApp) -> Value {
        let started = self.start(app).await;
        assert_eq!(started["errors"], json!([]));
        started["options"].clone()
    }

    async fn verify(&self, app: &TestApp, more: Value) -> Value {
        let mut input = json!({ "token": self.token, "registrationSecret": self.secret });
        let Value::Object(more) = more else { panic!("{more} is no input") };
        input.as_object_mut().unwrap().extend(more);
        app.anyone().data(VERIFY, json!({ "input": input })).await["verifyEmail"].clone()
    }

    async fn with_passkey(&self, app: &TestApp, credential: &Value) -> Value {
        self.verify(app, json!({ "passkey": credential, "passkeyName": "Ada's phone" })).await
    }

    /// Follows the link with a new passkey of this authenticator.
    async fn join(&self, app: &TestApp, authenticator: &mut Authenticator) -> Value {
        let credential = authenticator.create(&self.options(app).await);
        self.with_passkey(app, &credential).await
    }
}

/// A new authenticator in a browser at the service.
fn phone_of(app: &TestApp) -> Authenticator {
    Authenticator::new(&origin(app))
}

fn named(email: &str) -> Value {
    json!({ "input": { "email": email, "username": "ada", "firstName": "Ada", "lastName": "Lovelace" } })
}

/// Registers without a password, and returns the secret of the client.
async fn sign_up(app: &TestApp, email: &str) -> String {
    let registered = app.anyone().data(REGISTER, named(email)).await["registerWithoutPassword"].clone();
    assert_eq!((&registered["success"], &registered["errors"]), (&json!(true), &json!([])));
    registered["registrationSecret"].as_str().unwrap().to_owned()
}

/// The same, with the link of the only mail.
async fn invited(app: &TestApp, email: &str) -> Reader {
    let secret = Some(sign_up(app, email).await);
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    Reader { token: token(&mails[0]), secret }
}

/// A client that has just registered with a passkey.
async fn joined(app: &TestApp, email: &str) -> (Client, Authenticator) {
    let mut phone = phone_of(app);
    let verified = invited(app, email).await.join(app, &mut phone).await;
    assert_eq!(verified["errors"], json!([]));
    app.mails().await;
    (app.anyone().with_token(verified["tokens"]["accessToken"].as_str().unwrap()), phone)
}

fn code(payload: &Value) -> &str {
    payload["errors"][0]["code"].as_str().unwrap_or("none")
}

fn refusal(payload: &Value) -> (&str, &str) {
    (code(payload), payload["errors"][0]["field"].as_str().unwrap_or("none"))
}

/// Numbers of users besides the superuser, passkeys, sessions, and spent challenges.
async fn rows(app: &TestApp) -> [u64; 4] {
    [
        user::Entity::find().count(app.db()).await.unwrap() - 1,
        passkey::Entity::find().count(app.db()).await.unwrap(),
        session::Entity::find().count(app.db()).await.unwrap(),
        sign_in_challenge::Entity::find().count(app.db()).await.unwrap(),
    ]
}
