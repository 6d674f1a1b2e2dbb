//! The email address of the user, and a change that waits for confirmation.

use axum::response::Response;

use super::super::view::{Field, Form, Section, View};
use super::super::{form, without_fields};
use super::{OwnForm, OwnVisit};
use crate::domain::account::pending_email;
use crate::domain::account::profile::{self, Profile};
use crate::entity::user;
use crate::error::Error;
use crate::texts::Text;

/// `GET /account/email`
pub(in crate::http::pages) async fn page(own: OwnVisit) -> Response {
    let notice = match own.visit.parameter("done") {
        "sent" => Some(Text::new("page-email-sent")),
        "saved" => Some(Text::new("page-email-saved")),
        "withdrawn" => Some(Text::new("page-email-withdrawn")),
        _ => None,
    };
    let shown = own.caller.session_user().map(|owner| View { notice, ..view(owner.user(), "") });
    own.show(shown, Text::new("page-email-title"))
}

/// `POST /account/email`
pub(in crate::http::pages) async fn change(own: OwnForm) -> Response {
    let (visit, email) = (&own.sent.visit, own.sent.field("email"));
    let input = Profile {
        email: Some(email.to_owned()),
        current_password: Some(own.sent.field("currentPassword").to_owned()),
        ..Profile::default()
    };
    let changing =
        async { profile::update(&visit.app.db, &visit.now, own.viewer()?, &visit.app.passwords, input).await };
    match changing.await {
        Ok(user) if user.pending_email.is_some() => visit.redirect("/account/email?done=sent"),
        Ok(_) => visit.redirect("/account/email?done=saved"),
        Err(error) => fail(&own, email, error),
    }
}

/// `POST /account/email/resend`
pub(in crate::http::pages) async fn resend(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let sending = async {
        let owner = own.caller.session_user()?;
        pending_email::resend(&visit.app.db, &visit.now, owner, &visit.app.limits).await
    };
    match sending.await {
        Ok(_) => visit.redirect("/account/email?done=sent"),
        Err(error) => fail(&own, "", without_fields(error)),
    }
}

/// `POST /account/email/withdraw`
pub(in crate::http::pages) async fn withdraw(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let withdrawing = async { pending_email::withdraw(&visit.app.db, &visit.now, own.caller.session_user()?).await };
    match withdrawing.await {
        Ok(_) => visit.redirect("/account/email?done=withdrawn"),
        Err(error) => fail(&own, "", without_fields(error)),
    }
}

fn fail(own: &OwnForm, email: &str, error: Error) -> Response {
    match own.user() {
        Ok(owner) => own.fail(view(owner.user(), email), error),
        Err(error) => own.fail(View::own(Text::new("page-email-title")), error),
    }
}

fn view(user: &user::Model, typed: &str) -> View {
    let fields = vec![
        Field {
            inputmode: "email",
            required: true,
            value: typed.to_owned(),
            hint: Some(Text::new("page-hint-new-email")),
            ..Field::new("email", Text::new("page-label-new-email"), "email")
        },
        Field::password("currentPassword", Text::new("page-label-current-password"), "current-password"),
    ];
    let change = Section {
        forms: vec![Form { fields, ..form("/account/email", Text::new("page-button-email-change")) }],
        ..Section::new(Text::new("page-email-change-heading"))
    };
    let sections = user.pending_email.as_deref().map(pending).into_iter().chain([change]).collect();
    View {
        paragraphs: vec![Text::new("page-email-present").with("email", user.email.as_str())],
        sections,
        ..View::own(Text::new("page-email-title"))
    }
}

fn pending(email: &str) -> Section {
    let resend = Form { is_quiet: true, ..form("/account/email/resend", Text::new("page-button-email-resend")) };
    let withdraw = Form {
        is_quiet: true,
        is_dangerous: true,
        ..form("/account/email/withdraw", Text::new("page-button-email-withdraw"))
    };
    Section {
        paragraphs: vec![Text::new("page-email-pending").with("email", email)],
        forms: vec![resend, withdraw],
        ..Section::new(Text::new("page-email-pending-heading"))
    }
}
