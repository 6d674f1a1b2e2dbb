//! The pages for a forgotten password.

use axum::response::Response;

use super::view::{Field, Form, View};
use super::{Outcome, Sent, Visit, form, invalid_link};
use crate::domain::account::password_reset::{self, Confirm, Link};
use crate::domain::auth::passwords::NewPassword;
use crate::error::Error;

/// `GET /account/forgot`
pub(super) async fn forgot_form(visit: Visit) -> Response {
    if visit.parameter("sent").is_empty() {
        let is_undone = visit.parameter("done") == "undone";
        let notice =
            "Your account has its old email address again, and everyone was signed out. Now set a new password.";
        return visit.show(&View { notice: is_undone.then(|| notice.to_owned()), ..forgot_view("") });
    }
    let text = "If this address has an account, a mail with a link is on its way to it. Look into the folder for unwanted \
                mail, too.";
    let links = vec![("Sign in", "/account/sign-in".to_owned()), ("Ask again", "/account/forgot".to_owned())];
    visit.show(&View { title: "Look into your mail", paragraphs: vec![text.to_owned()], links, ..View::default() })
}

/// `POST /account/forgot`
pub(super) async fn forgot(sent: Sent) -> Response {
    let visit = &sent.visit;
    let (app, email) = (&visit.app, sent.field("email"));
    match password_reset::request(&app.db, &visit.now, &visit.client, &app.limits, email).await {
        Ok(()) => visit.lead("/account/forgot?sent=1"),
        Err(error) => visit.refuse(forgot_view(email), error),
    }
}

fn forgot_view(email: &str) -> View {
    let field = Field {
        name: "email",
        label: "E-mail address",
        kind: "text",
        inputmode: "email",
        autocomplete: "email",
        value: email.to_owned(),
        required: true,
        ..Field::default()
    };
    View {
        title: "Forgot your password?",
        paragraphs: vec!["We mail you a link to set a new one.".to_owned()],
        form: Some(Form { fields: vec![field], ..form("/account/forgot", "Send the link") }),
        links: vec![("Back to sign in", "/account/sign-in".to_owned())],
        ..View::default()
    }
}

/// `GET /account/reset?uid=…&token=…`
pub(super) async fn reset_form(visit: Visit) -> Response {
    let (uid, token) = (visit.parameter("uid"), visit.parameter("token"));
    let limits = &visit.app.limits;
    match password_reset::is_valid(&visit.app.db, &visit.now, &visit.client, limits, Link { uid, token }).await {
        Ok(true) => visit.show(&reset_view(&visit, uid, token)),
        Ok(false) => visit.refuse(dead_view(), Error::Refused(invalid_link())),
        Err(error) => visit.refuse(dead_view(), error),
    }
}

/// `POST /account/reset`
pub(super) async fn reset(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let link = Link { uid: sent.field("uid"), token: sent.field("token") };
    let new = NewPassword {
        password: sent.field("newPassword"),
        confirm: Some(sent.field("newPasswordConfirm")),
        fields: ("newPassword", "newPasswordConfirm"),
    };
    let rules = (&app.passwords, &app.config.sessions);
    let confirm = Confirm { link, new, login: false, form: Some(&sent.form) };
    match sent.once(password_reset::confirm(&app.db, &visit.now, &visit.client, rules, confirm)).await {
        Outcome::Done(_) | Outcome::Repeated => visit.lead("/account/sign-in?done=password"),
        Outcome::Failed(Error::Refused(refusals)) if refusals.iter().any(|refusal| refusal.field == Some("token")) => {
            visit.refuse(dead_view(), Error::Refused(invalid_link()))
        }
        Outcome::Failed(error) => visit.refuse(reset_view(visit, link.uid, link.token), error),
    }
}

fn reset_view(visit: &Visit, uid: &str, token: &str) -> View {
    let hint = format!("At least {} characters, and not easy to guess.", visit.app.passwords.policy().min_length);
    let field = |name, label, hint| Field {
        name,
        label,
        kind: "password",
        autocomplete: "new-password",
        hint,
        required: true,
        ..Field::default()
    };
    let fields =
        vec![field("newPassword", "New password", Some(hint)), field("newPasswordConfirm", "The same once more", None)];
    let hidden = vec![("uid", uid.to_owned()), ("token", token.to_owned())];
    View {
        title: "Set a new password",
        form: Some(Form { hidden, fields, ..form("/account/reset", "Set the password") }),
        ..View::default()
    }
}

fn dead_view() -> View {
    View {
        title: "This link does not work",
        links: vec![("Ask for a new mail", "/account/forgot".to_owned()), ("Sign in", "/account/sign-in".to_owned())],
        ..View::default()
    }
}
