//! Pages to sign in, register, confirm an email address, and change a password.

use axum::response::Response;

use super::return_to::ReturnTo;
use super::view::{Field, Form, View};
use super::{Outcome, Sent, Visit, form, passkeys, password_hint, second_factor};
use crate::config::Registration;
use crate::domain::account::registration::register::{self, Register};
use crate::domain::account::undo_email_change::{self, Undo};
use crate::domain::auth::passwords::NewPassword;
use crate::domain::auth::sign_in::{self, Replacement, SignIn, SignedIn};
use crate::entity::user;
use crate::error::{Error, Refusal, Result};
use crate::texts::Text;

/// `GET /account/sign-in`
pub(super) async fn sign_in_form(mut visit: Visit) -> Response {
    let notice = match visit.parameter("done") {
        "password" => Some(Text::new("page-password-set")),
        "verified" => Some(Text::new("page-verified")),
        "verified-beside" => Some(Text::new("page-verified-other-account")),
        "deactivated" => Some(Text::new("page-deactivated")),
        "deleted" => Some(Text::new("page-deleted")),
        "signed-out" => Some(Text::new("page-signed-out-notice")),
        _ => None,
    };
    if notice.is_none() && visit.parameter("switch").is_empty() {
        match visit.user().await {
            Ok(user) => return visit.show(&present_view(&visit, &user)),
            Err(Error::Unauthenticated(_)) => {}
            Err(error) => return visit.refuse(sign_in_view(&visit, ""), error),
        }
        if let Some(reload) = visit.reload() {
            return reload;
        }
    }
    visit.show(&View { notice, ..sign_in_view(&visit, "") })
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
    match sign_in::sign_in(&app.db, &visit.now, &visit.client, app.sign_in_rules(), input).await {
        Ok(SignedIn::Session(session, user)) => {
            visit.signed_in_as(&user, &token_issuer.tokens(&visit.now, &session, &user))
        }
        Ok(SignedIn::Challenge(challenge)) => second_factor::ask(visit, challenge),
        Err(error) => visit.refuse(sign_in_view(visit, sent.field("identifier")), error),
    }
}

fn identifier_field(identifier: &str) -> Field {
    Field {
        value: identifier.to_owned(),
        required: true,
        ..Field::new("identifier", Text::new("page-label-identifier"), "username")
    }
}

/// `GET /account/password`
pub(super) async fn password_form(mut visit: Visit) -> Response {
    let is_temporary = !visit.parameter("temporary").is_empty();
    let notice = is_temporary.then(|| Text::new("page-temporary-password"));
    let view = match visit.user().await {
        Ok(user) => own_password_view(&visit, user.email),
        Err(_) => password_view(&visit, ""),
    };
    visit.show(&View { notice, ..view })
}

/// `POST /account/password`: signs in with the old password, so that no cookie is needed, and replaces it.
pub(super) async fn change_password(sent: Sent) -> Response {
    let visit = &sent.visit;
    match sent.once(Box::pin(replace_password(&sent))).await {
        Outcome::Done(SignedIn::Session(session, user)) => {
            let tokens = visit.app.token_issuer().tokens(&visit.now, &session, &user);
            visit.with_session(visit.go_on("/account?done=password"), &tokens)
        }
        Outcome::Done(SignedIn::Challenge(challenge)) => second_factor::ask(visit, challenge),
        Outcome::Repeated => visit.redirect("/account/sign-in?done=password"),
        Outcome::Failed(error) => visit.refuse(password_view(visit, sent.field("identifier")), error),
    }
}

async fn replace_password(sent: &Sent) -> Result<SignedIn> {
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
    let rules = app.sign_in_rules();
    sign_in::sign_in(&app.db, now, &visit.client, rules, input).await
}

/// The form of a user who is signed in and need not type their address.
fn own_password_view(visit: &Visit, email: String) -> View {
    let mut view = View { back: View::own(Text::new("page-account-title")).back, ..password_view(visit, "") };
    if let Some(form) = &mut view.form {
        form.fields.retain(|field| field.name != "identifier");
        form.hidden.push(("identifier", email));
    }
    view
}

fn password_view(visit: &Visit, identifier: &str) -> View {
    let fields = vec![
        identifier_field(identifier),
        Field::password("oldPassword", Text::new("page-label-current-password"), "current-password"),
        Field {
            hint: Some(password_hint(visit)),
            ..Field::password("newPassword", Text::new("page-label-new-password"), "new-password")
        },
        Field::password("newPasswordConfirm", Text::new("page-label-repeat-new-password"), "new-password"),
    ];
    View {
        paragraphs: vec![Text::new("page-change-password-effect")],
        form: Some(Form { fields, ..form("/account/password", Text::new("page-button-change-password")) }),
        links: vec![(Text::new("page-link-forgot"), "/account/forgot".to_owned())],
        ..View::new(Text::new("page-change-password-title"))
    }
}

fn sign_in_view(visit: &Visit, identifier: &str) -> View {
    let section = passkeys::sign_in_section(visit);
    // The browser offers passkeys in this field.
    let autocomplete = if section.is_some() { "username webauthn" } else { "username" };
    let fields = vec![
        Field { autocomplete, ..identifier_field(identifier) },
        Field::password("password", Text::new("page-label-password"), "current-password"),
    ];
    let mut links = vec![(Text::new("page-link-forgot"), "/account/forgot".to_owned())];
    if visit.app.config.registration == Registration::Open {
        links.push((Text::new("page-link-register"), "/account/register".to_owned()));
    }
    View {
        form: Some(Form { fields, has_focus: true, ..form("/account/sign-in", Text::new("page-button-sign-in")) }),
        sections: section.into_iter().collect(),
        links,
        ..View::new(Text::new("page-sign-in-title"))
    }
}

/// The sign-in page of a user who is signed in.
fn present_view(visit: &Visit, user: &user::Model) -> View {
    let go_on = visit.return_to.as_ref().map_or("/account", ReturnTo::address).to_owned();
    View {
        paragraphs: vec![Text::new("page-security-account").with("email", user.email.as_str())],
        links: vec![
            (Text::new("page-link-go-on"), go_on),
            (Text::new("page-link-switch"), "/account/sign-in?switch=1".to_owned()),
        ],
        ..View::new(Text::new("page-signed-in-title"))
    }
}

pub(super) fn sign_in_link() -> (Text, String) {
    (Text::new("page-link-sign-in"), "/account/sign-in".to_owned())
}

/// `GET /account/register`
pub(super) async fn register_form(visit: Visit) -> Response {
    if !visit.parameter("sent").is_empty() {
        return visit.show(&View {
            paragraphs: vec![Text::new("page-registration-sent")],
            links: vec![sign_in_link()],
            ..View::new(Text::new("page-check-email-title"))
        });
    }
    match visit.app.config.registration {
        Registration::Open => {
            let by_passkey = may_register_by_passkey(&visit, visit.parameter("with"));
            visit.show(&register_view(&visit, by_passkey, &|_| String::new()))
        }
        Registration::Closed => visit.refuse(closed_view(), Error::Forbidden),
    }
}

/// `POST /account/register`
pub(super) async fn register(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let by_passkey = may_register_by_passkey(visit, sent.field("with"));
    let wanted = Register {
        email: sent.field("email"),
        username: Some(sent.field("username")).filter(|name| !name.is_empty()),
        password: (!by_passkey).then(|| new_password(&sent)),
        first_name: sent.field("firstName"),
        last_name: sent.field("lastName"),
        phone: "",
    };
    match register::register(&app.db, &visit.now, &visit.client, app.register_rules(), wanted).await {
        Ok(secret) => visit.redirect_registered("/account/register?sent=1", &secret),
        Err(Error::Forbidden) => visit.refuse(closed_view(), Error::Forbidden),
        Err(error) => visit.refuse(register_view(visit, by_passkey, &|name| sent.field(name).to_owned()), error),
    }
}

/// True for a registration without a password, where passkeys are possible.
fn may_register_by_passkey(visit: &Visit, with: &str) -> bool {
    with == "passkey" && passkeys::may_be_added(&visit.app)
}

/// The new password in a form.
pub(super) fn new_password(sent: &Sent) -> NewPassword<'_> {
    NewPassword {
        password: sent.field("password"),
        confirm: Some(sent.field("passwordConfirm")),
        fields: ("password", "passwordConfirm"),
    }
}

/// Fields for a new password.
pub(super) fn new_password_fields(visit: &Visit) -> [Field; 2] {
    [
        Field {
            hint: Some(password_hint(visit)),
            ..Field::password("password", Text::new("page-label-password"), "new-password")
        },
        Field::password("passwordConfirm", Text::new("page-label-repeat-password"), "new-password"),
    ]
}

fn register_view(visit: &Visit, by_passkey: bool, typed: &dyn Fn(&str) -> String) -> View {
    let field = |name, label, autocomplete| Field { value: typed(name), ..Field::new(name, label, autocomplete) };
    let mut fields = vec![
        Field { inputmode: "email", required: true, ..field("email", Text::new("page-label-email"), "email") },
        Field {
            hint: Some(Text::new("page-hint-username")),
            ..field("username", Text::new("page-label-username"), "username")
        },
        field("firstName", Text::new("page-label-first-name"), "given-name"),
        field("lastName", Text::new("page-label-last-name"), "family-name"),
    ];
    let (mut paragraphs, mut hidden, mut links) = (Vec::new(), Vec::new(), Vec::new());
    if by_passkey {
        paragraphs.push(Text::new("page-register-passkey-effect"));
        hidden.push(("with", "passkey".to_owned()));
        links.push((Text::new("page-link-register-password"), "/account/register".to_owned()));
    } else {
        fields.extend(new_password_fields(visit));
        if passkeys::may_be_added(&visit.app) {
            links.push((Text::new("page-link-register-passkey"), "/account/register?with=passkey".to_owned()));
        }
    }
    links.push((Text::new("page-link-sign-in-instead"), "/account/sign-in".to_owned()));
    View {
        paragraphs,
        form: Some(Form { hidden, fields, ..form("/account/register", Text::new("page-button-register")) }),
        links,
        ..View::new(Text::new("page-register-title"))
    }
}

fn closed_view() -> View {
    View { links: vec![sign_in_link()], ..View::new(Text::new("page-registration-closed-title")) }
}

/// `GET /account/undo?token=…`: asks for a click, because mail scanners open links too.
pub(super) async fn undo_form(visit: Visit) -> Response {
    visit.show(&undo_view(visit.parameter("token")))
}

/// `POST /account/undo`
pub(super) async fn undo(sent: Sent) -> Response {
    let visit = &sent.visit;
    let (app, token) = (&visit.app, sent.field("token"));
    let input = Undo { token, form: Some(&sent.form) };
    match sent.once(undo_email_change::undo(&app.db, &visit.now, &visit.client, &app.limits, input)).await {
        Outcome::Done(_) | Outcome::Repeated => visit.redirect("/account/forgot?done=undone"),
        Outcome::Failed(Error::Refused(refusals)) => {
            let shown = refusals.into_iter().map(|refusal| Refusal { field: None, ..refusal }).collect();
            visit.refuse(undo_failed_view(), Error::Refused(shown))
        }
        Outcome::Failed(error) => visit.refuse(undo_view(token), error),
    }
}

fn undo_view(token: &str) -> View {
    let hidden = vec![("token", token.to_owned())];
    View {
        paragraphs: vec![Text::new("page-undo-effect")],
        form: Some(Form { hidden, ..form("/account/undo", Text::new("page-button-undo")) }),
        ..View::new(Text::new("page-undo-title"))
    }
}

fn undo_failed_view() -> View {
    View { links: vec![sign_in_link()], ..View::new(Text::new("page-undo-failed-title")) }
}
