//! The pages to sign in, to register, and to confirm an address.

use axum::response::Response;

use super::view::{Field, Form, View};
use super::{Outcome, Sent, Visit, form, invalid_link};
use crate::app::App;
use crate::config::Registration;
use crate::domain::account::registration::register::{self, Register, Rules};
use crate::domain::account::undo_email_change;
use crate::domain::account::verify_email::{self, Confirm, Link, Waiting};
use crate::domain::auth::passwords::NewPassword;
use crate::domain::auth::sign_in::{self, Replacement, SignIn};
use crate::domain::auth::token_issuer::Tokens;
use crate::error::{Error, Refusal, Result};

/// `GET /account/sign-in`
pub(super) async fn sign_in_form(visit: Visit) -> Response {
    let done = match visit.parameter("done") {
        "password" => Some("Your new password is set: sign in with it."),
        "verified" => Some("Your e-mail address is confirmed: you can sign in."),
        "verified-beside" => Some(
            "Your e-mail address is confirmed. This browser is still signed in to another account. Sign in here to switch.",
        ),
        "signed-in" => return visit.show(&signed_in_view(&visit)),
        "changed" => return visit.show(&View { title: "Your new password is set", ..signed_in_view(&visit) }),
        _ => None,
    };
    visit.show(&View { notice: done.map(str::to_owned), ..sign_in_view(&visit, "") })
}

/// `POST /account/sign-in`
pub(super) async fn sign_in(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let token_issuer = app.token_issuer();
    let input = SignIn {
        identifier: sent.field("identifier"),
        password: sent.field("password"),
        replaces: visit.refresh_token(),
        replacement: None,
    };
    let rules = (&app.passwords, &app.config.sessions);
    match sign_in::sign_in(&app.db, &visit.now, &visit.client, rules, input).await {
        Ok((session, user)) => {
            let to = match user.temporary_password_at {
                Some(_) => "/account/password?temporary=1",
                None => "/account/sign-in?done=signed-in",
            };
            visit.lead_signed_in(to, &token_issuer.tokens(&visit.now, &session, &user))
        }
        Err(error) => visit.refuse(sign_in_view(visit, sent.field("identifier")), error),
    }
}

fn identifier_field(identifier: &str) -> Field {
    Field {
        name: "identifier",
        label: "E-mail address or username",
        kind: "text",
        autocomplete: "username",
        value: identifier.to_owned(),
        required: true,
        ..Field::default()
    }
}

/// `GET /account/password`
pub(super) async fn password_form(visit: Visit) -> Response {
    let is_temporary = !visit.parameter("temporary").is_empty();
    let reason = "You are signed in with a temporary password. Others may have read it: replace it now.";
    let notice = is_temporary.then(|| reason.to_owned());
    visit.show(&View { notice, ..password_view(&visit, "") })
}

/// `POST /account/password`: signs in with the old password, so that it works without a cookie, and replaces it.
pub(super) async fn change_password(sent: Sent) -> Response {
    let visit = &sent.visit;
    match sent.once(Box::pin(replace_password(&sent))).await {
        Outcome::Done(tokens) => visit.lead_signed_in("/account/sign-in?done=changed", &tokens),
        Outcome::Repeated => visit.lead("/account/sign-in?done=password"),
        Outcome::Failed(error) => visit.refuse(password_view(visit, sent.field("identifier")), error),
    }
}

async fn replace_password(sent: &Sent) -> Result<Tokens> {
    let Sent { visit, .. } = sent;
    let (app, now) = (&visit.app, &visit.now);
    let new = NewPassword {
        password: sent.field("newPassword"),
        confirm: Some(sent.field("newPasswordConfirm")),
        fields: ("newPassword", "newPasswordConfirm"),
    };
    let input = SignIn {
        identifier: sent.field("identifier"),
        password: sent.field("oldPassword"),
        replaces: visit.refresh_token(),
        replacement: Some(Replacement { new, form: &sent.form }),
    };
    let rules = (&app.passwords, &app.config.sessions);
    let (session, user) = sign_in::sign_in(&app.db, now, &visit.client, rules, input).await?;
    Ok(app.token_issuer().tokens(now, &session, &user))
}

fn password_view(visit: &Visit, identifier: &str) -> View {
    let password = |name, label, autocomplete, hint| Field {
        name,
        label,
        kind: "password",
        autocomplete,
        hint,
        required: true,
        ..Field::default()
    };
    let hint = format!("At least {} characters, and not easy to guess.", visit.app.passwords.policy().min_length);
    let fields = vec![
        identifier_field(identifier),
        password("oldPassword", "Current password", "current-password", None),
        password("newPassword", "New password", "new-password", Some(hint)),
        password("newPasswordConfirm", "Repeat the new password", "new-password", None),
    ];
    View {
        title: "Change your password",
        paragraphs: vec!["All other sessions of yours end.".to_owned()],
        form: Some(Form { fields, ..form("/account/password", "Change the password") }),
        links: vec![("Forgot your password?", "/account/forgot".to_owned())],
        ..View::default()
    }
}

fn sign_in_view(visit: &Visit, identifier: &str) -> View {
    let fields = vec![
        identifier_field(identifier),
        Field {
            name: "password",
            label: "Password",
            kind: "password",
            autocomplete: "current-password",
            required: true,
            ..Field::default()
        },
    ];
    let mut links = vec![("Forgot your password?", "/account/forgot".to_owned())];
    if visit.app.config.registration == Registration::Open {
        links.push(("Create an account", "/account/register".to_owned()));
    }
    View {
        title: "Sign in",
        form: Some(Form { fields, ..form("/account/sign-in", "Sign in") }),
        links,
        ..View::default()
    }
}

fn signed_in_view(visit: &Visit) -> View {
    let mut links = Vec::new();
    if let Some(frontend) = &visit.app.config.frontend_url {
        links.push(("Go on to the site", frontend.as_str().to_owned()));
    }
    if visit.app.config.graphiql {
        links.push(("Explore with GraphiQL", "/graphiql".to_owned()));
    }
    View {
        title: "You are signed in",
        paragraphs: vec!["This browser stays signed in. Pages of this site may go on with it.".to_owned()],
        links,
        ..View::default()
    }
}

/// `GET /account/register`
pub(super) async fn register_form(visit: Visit) -> Response {
    if !visit.parameter("sent").is_empty() {
        let text = "A mail is on its way to you: it tells how to go on. Look into the folder for unwanted mail, too.";
        let links = vec![("Sign in", "/account/sign-in".to_owned())];
        let title = "Look into your mail";
        return visit.show(&View { title, paragraphs: vec![text.to_owned()], links, ..View::default() });
    }
    match visit.app.config.registration {
        Registration::Open => visit.show(&register_view(&visit, &|_| String::new())),
        Registration::Closed => visit.refuse(closed_view(), Error::Forbidden),
    }
}

/// `POST /account/register`
pub(super) async fn register(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let rules = Rules {
        registration: app.config.registration,
        passwords: &app.passwords,
        verify_ttl: app.config.links.verify_ttl,
        limits: &app.limits,
    };
    let wanted = Register {
        email: sent.field("email"),
        username: Some(sent.field("username")).filter(|name| !name.is_empty()),
        password: NewPassword {
            password: sent.field("password"),
            confirm: Some(sent.field("passwordConfirm")),
            fields: ("password", "passwordConfirm"),
        },
        first_name: sent.field("firstName"),
        last_name: sent.field("lastName"),
        phone: "",
    };
    match register::register(&app.db, &visit.now, &visit.client, rules, wanted).await {
        Ok(secret) => visit.lead_registered("/account/register?sent=1", &secret),
        Err(Error::Forbidden) => visit.refuse(closed_view(), Error::Forbidden),
        Err(error) => visit.refuse(register_view(visit, &|name| sent.field(name).to_owned()), error),
    }
}

fn register_view(visit: &Visit, typed: &dyn Fn(&str) -> String) -> View {
    let text = |name, label, autocomplete| Field {
        name,
        label,
        kind: "text",
        autocomplete,
        value: typed(name),
        ..Field::default()
    };
    let password = |name, label, hint| Field {
        name,
        label,
        kind: "password",
        autocomplete: "new-password",
        hint,
        required: true,
        ..Field::default()
    };
    let hint = format!("At least {} characters, and not easy to guess.", visit.app.passwords.policy().min_length);
    let optional = "Leave it empty to get a neutral one.".to_owned();
    let fields = vec![
        Field { inputmode: "email", required: true, ..text("email", "E-mail address", "email") },
        Field { hint: Some(optional), ..text("username", "Username", "username") },
        text("firstName", "First name", "given-name"),
        text("lastName", "Last name", "family-name"),
        password("password", "Password", Some(hint)),
        password("passwordConfirm", "The same once more", None),
    ];
    View {
        title: "Create an account",
        form: Some(Form { fields, ..form("/account/register", "Create the account") }),
        links: vec![("You have one? Sign in", "/account/sign-in".to_owned())],
        ..View::default()
    }
}

fn closed_view() -> View {
    View { title: "Registration is closed", links: vec![("Sign in", "/account/sign-in".to_owned())], ..View::default() }
}

/// `GET /account/verify?token=…`: asks for a click, because programs that look through mails open links too.
pub(super) async fn verify_form(visit: Visit) -> Response {
    let token = visit.parameter("token").to_owned();
    show_verify(&visit, &token, None).await
}

/// `POST /account/verify`
pub(super) async fn verify(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let (token, typed) = (sent.field("token"), sent.field("password"));
    let new = NewPassword {
        password: typed,
        confirm: Some(sent.field("passwordConfirm")),
        fields: ("password", "passwordConfirm"),
    };
    let cookie = visit.registration();
    let input = Confirm {
        link: Link { token, cookie: cookie.as_ref(), registration_secret: None },
        password: (!typed.is_empty()).then_some(new),
        signed_in: visit.signed_in(),
        form: Some(&sent.form),
    };
    let verifying = verify_email::verify_email(&app.db, &visit.now, &visit.client, verify_rules(visit), input);
    match sent.once(Box::pin(verifying)).await {
        Outcome::Done(verified) => match verified.session {
            Some(session) => {
                let tokens = app.token_issuer().tokens(&visit.now, &session, &verified.user);
                visit.lead_signed_in("/account/sign-in?done=signed-in", &tokens)
            }
            None if verified.is_other_present => visit.lead("/account/sign-in?done=verified-beside"),
            None => visit.lead("/account/sign-in?done=verified"),
        },
        Outcome::Repeated => visit.lead("/account/sign-in?done=verified"),
        Outcome::Failed(Error::Refused(refusals)) if refusals.iter().any(|refusal| refusal.field == Some("token")) => {
            visit.refuse(dead_view(), Error::Refused(invalid_link()))
        }
        Outcome::Failed(error) => show_verify(visit, token, Some(error)).await,
    }
}

fn verify_rules(visit: &Visit) -> verify_email::Rules<'_> {
    let App { config, passwords, .. } = &*visit.app;
    verify_email::Rules { registration: config.registration, passwords, lives: &config.sessions }
}

/// Shows what the link confirms and, where the browser is neither the one that registered nor signed in to the account that
/// moves, asks for a password; with what is wrong in the form that was sent. A link in a mail leads here from another site,
/// so that the browser sends no refresh cookie until the form is sent.
async fn show_verify(visit: &Visit, token: &str, error: Option<Error>) -> Response {
    let cookie = visit.registration();
    let link = Link { token, cookie: cookie.as_ref(), registration_secret: None };
    let found =
        verify_email::look_up(&visit.app.db, &visit.now, &visit.client, verify_rules(visit), (link, visit.signed_in()))
            .await;
    match (found, error) {
        (Ok(Some(waiting)), None) => visit.show(&verify_view(visit, token, &waiting)),
        (Ok(Some(waiting)), Some(error)) => visit.refuse(verify_view(visit, token, &waiting), error),
        (Ok(None), _) => visit.refuse(dead_view(), Error::Refused(invalid_link())),
        (Err(failed), error) => visit.refuse(dead_view(), error.unwrap_or(failed)),
    }
}

fn verify_view(visit: &Visit, token: &str, waiting: &Waiting) -> View {
    let site = &visit.app.config.site_name;
    let mut paragraphs = vec![match waiting.is_new {
        true => format!("This confirms {} and creates your account at {site}.", waiting.email),
        false => format!("This makes {} the address of an account at {site}.", waiting.email),
    }];
    let mut fields = Vec::new();
    if waiting.needs_password && !waiting.is_new {
        paragraphs.push(
            "Enter the password of that account. Leave it empty if this browser is signed in to it. If you did not ask \
             for this, close this page: somebody else gave your address."
                .to_owned(),
        );
        fields.push(Field {
            name: "password",
            label: "Password",
            kind: "password",
            autocomplete: "current-password",
            ..Field::default()
        });
    }
    if waiting.needs_password && waiting.is_new {
        paragraphs.push(
            "You did not register with this browser, or somebody else registered with your address. Enter the password \
             that you chose when you registered. If you did not choose one, or forgot it, enter a new one: then only the \
             address is taken from the registration."
                .to_owned(),
        );
        let hint = format!("At least {} characters, and not easy to guess.", visit.app.passwords.policy().min_length);
        for (name, label, hint) in
            [("password", "Password", Some(hint)), ("passwordConfirm", "The same once more", None)]
        {
            let autocomplete = "new-password";
            fields.push(Field {
                name,
                label,
                kind: "password",
                autocomplete,
                hint,
                required: true,
                ..Field::default()
            });
        }
    }
    let hidden = vec![("token", token.to_owned())];
    View {
        title: "Confirm your e-mail address",
        paragraphs,
        form: Some(Form { hidden, fields, ..form("/account/verify", "Confirm the address") }),
        ..View::default()
    }
}

/// `GET /account/undo?token=…`: asks for a click, as [`verify_form`] does.
pub(super) async fn undo_form(visit: Visit) -> Response {
    visit.show(&undo_view(visit.parameter("token")))
}

/// `POST /account/undo`
pub(super) async fn undo(sent: Sent) -> Response {
    let visit = &sent.visit;
    let (app, token) = (&visit.app, sent.field("token"));
    let link = (token, Some(&sent.form));
    match sent.once(undo_email_change::undo(&app.db, &visit.now, &visit.client, &app.limits, link)).await {
        Outcome::Done(_) | Outcome::Repeated => visit.lead("/account/forgot?done=undone"),
        Outcome::Failed(Error::Refused(refusals)) => {
            let shown = refusals.into_iter().map(|refusal| Refusal { field: None, ..refusal }).collect();
            visit.refuse(dead_undo_view(), Error::Refused(shown))
        }
        Outcome::Failed(error) => visit.refuse(undo_view(token), error),
    }
}

fn undo_view(token: &str) -> View {
    let hidden = vec![("token", token.to_owned())];
    View {
        title: "Return to your old email address",
        paragraphs: vec![
            "Your account goes back to the address that this mail was sent to. Everyone is signed out, API tokens end, and \
             the password no longer works: set a new one next."
                .to_owned(),
        ],
        form: Some(Form { hidden, ..form("/account/undo", "Return to the old address") }),
        ..View::default()
    }
}

fn dead_undo_view() -> View {
    View {
        title: "The change cannot be undone",
        links: vec![("Sign in", "/account/sign-in".to_owned())],
        ..View::default()
    }
}

fn dead_view() -> View {
    View {
        title: "This link does not work",
        links: vec![("Register again", "/account/register".to_owned()), ("Sign in", "/account/sign-in".to_owned())],
        ..View::default()
    }
}
