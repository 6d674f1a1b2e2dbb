//! Pages to reset a forgotten password.

use axum::response::Response;

use super::view::{Field, Form, View};
use super::{Outcome, Sent, Visit, form, invalid_link, password_hint};
use crate::domain::account::password_reset::{self, Confirm, Link};
use crate::domain::auth::passwords::NewPassword;
use crate::error::Error;
use crate::texts::Text;

/// `GET /account/forgot`
pub(super) async fn forgot_form(visit: Visit) -> Response {
    if visit.parameter("sent").is_empty() {
        let is_undone = visit.parameter("done") == "undone";
        let notice = is_undone.then(|| Text::new("page-email-change-undone"));
        return visit.show(&View { notice, ..forgot_view("") });
    }
    visit.show(&View {
        paragraphs: vec![Text::new("page-reset-sent")],
        links: vec![
            (Text::new("page-link-sign-in"), "/account/sign-in".to_owned()),
            (Text::new("page-link-send-again"), "/account/forgot".to_owned()),
        ],
        ..View::new(Text::new("page-check-email-title"))
    })
}

/// `POST /account/forgot`
pub(super) async fn forgot(sent: Sent) -> Response {
    let visit = &sent.visit;
    let (app, email) = (&visit.app, sent.field("email"));
    match password_reset::request(&app.db, &visit.now, &visit.client, &app.limits, email).await {
        Ok(()) => visit.redirect("/account/forgot?sent=1"),
        Err(error) => visit.refuse(forgot_view(email), error),
    }
}

fn forgot_view(email: &str) -> View {
    let field = Field {
        inputmode: "email",
        value: email.to_owned(),
        required: true,
        ..Field::new("email", Text::new("page-label-email"), "email")
    };
    View {
        paragraphs: vec![Text::new("page-forgot-effect")],
        form: Some(Form {
            fields: vec![field],
            has_focus: true,
            ..form("/account/forgot", Text::new("page-button-send-link"))
        }),
        links: vec![(Text::new("page-link-back-to-sign-in"), "/account/sign-in".to_owned())],
        ..View::new(Text::new("page-forgot-title"))
    }
}

/// `GET /account/reset?uid=…&token=…`
pub(super) async fn reset_form(visit: Visit) -> Response {
    if let Some(ignored) = visit.ignored() {
        return ignored;
    }
    let (uid, token) = (visit.parameter("uid"), visit.parameter("token"));
    let (app, link) = (&visit.app, Link { uid, token });
    match password_reset::is_valid_when_opened(&app.db, &visit.now, &visit.client, &app.limits, link).await {
        Ok(true) => visit.show(&reset_view(&visit, uid, token)),
        Ok(false) => visit.refuse(invalid_link_view(), Error::Refused(invalid_link())),
        Err(error) => visit.refuse(invalid_link_view(), error),
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
    let rules = app.sign_in_rules();
    let confirm = Confirm { link, new, login: false, form: Some(&sent.form) };
    match sent.once(Box::pin(password_reset::confirm(&app.db, &visit.now, &visit.client, rules, confirm))).await {
        Outcome::Done(_) | Outcome::Repeated => visit.redirect("/account/sign-in?done=password"),
        Outcome::Failed(Error::Refused(refusals)) if refusals.iter().any(|refusal| refusal.field == Some("token")) => {
            visit.refuse(invalid_link_view(), Error::Refused(invalid_link()))
        }
        Outcome::Failed(error) => visit.refuse(reset_view(visit, link.uid, link.token), error),
    }
}

fn reset_view(visit: &Visit, uid: &str, token: &str) -> View {
    let fields = vec![
        Field {
            hint: Some(password_hint(visit)),
            ..Field::password("newPassword", Text::new("page-label-new-password"), "new-password")
        },
        Field::password("newPasswordConfirm", Text::new("page-label-repeat-new-password"), "new-password"),
    ];
    let hidden = vec![("uid", uid.to_owned()), ("token", token.to_owned())];
    View {
        form: Some(Form { hidden, fields, ..form("/account/reset", Text::new("page-button-set-password")) }),
        ..View::new(Text::new("page-reset-title"))
    }
}

fn invalid_link_view() -> View {
    View {
        links: vec![
            (Text::new("page-link-request-new"), "/account/forgot".to_owned()),
            (Text::new("page-link-sign-in"), "/account/sign-in".to_owned()),
        ],
        ..View::new(Text::new("page-link-invalid-title"))
    }
}
