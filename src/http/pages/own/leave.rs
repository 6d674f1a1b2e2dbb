//! Deactivating and deleting the account, each with the current password.

use axum::response::Response;

use super::super::form;
use super::super::view::{Field, Form, View};
use super::sign_out::signed_out;
use super::{OwnForm, OwnVisit};
use crate::domain::account::delete;
use crate::texts::Text;

/// `GET /account/deactivate`
pub(in crate::http::pages) async fn deactivate_form(own: OwnVisit) -> Response {
    own.show(own.caller.session_user().map(|_| deactivate_view()), Text::new("page-deactivate-title"))
}

/// `POST /account/deactivate`
pub(in crate::http::pages) async fn deactivate(own: OwnForm) -> Response {
    let (visit, password) = (&own.sent.visit, own.sent.field("currentPassword"));
    let leaving = async {
        let owner = own.caller.session_user()?;
        delete::deactivate(&visit.app.db, &visit.now, owner, &visit.app.passwords, password).await
    };
    match leaving.await {
        Ok(()) => signed_out(visit, visit.redirect("/account/sign-in?done=deactivated")),
        Err(error) => own.fail(deactivate_view(), error),
    }
}

/// `GET /account/delete`
pub(in crate::http::pages) async fn delete_form(own: OwnVisit) -> Response {
    own.show(own.caller.session_user().map(|_| delete_view()), Text::new("page-delete-title"))
}

/// `POST /account/delete`
pub(in crate::http::pages) async fn delete(own: OwnForm) -> Response {
    let (visit, password) = (&own.sent.visit, own.sent.field("currentPassword"));
    let app = &visit.app;
    let leaving = async {
        let owner = own.caller.session_user()?;
        delete::delete(&app.db, &visit.now, owner, &app.passwords, &app.media, password).await
    };
    match Box::pin(leaving).await {
        Ok(_) => signed_out(visit, visit.redirect("/account/sign-in?done=deleted")),
        Err(error) => own.fail(delete_view(), error),
    }
}

fn password_field() -> Field {
    Field::password("currentPassword", Text::new("page-label-current-password"), "current-password")
}

fn deactivate_view() -> View {
    let leave = Form {
        fields: vec![password_field()],
        is_dangerous: true,
        ..form("/account/deactivate", Text::new("page-button-deactivate"))
    };
    View {
        paragraphs: vec![Text::new("page-deactivate-effect")],
        form: Some(leave),
        ..View::own(Text::new("page-deactivate-title"))
    }
}

fn delete_view() -> View {
    let leave = Form {
        fields: vec![password_field()],
        is_dangerous: true,
        ..form("/account/delete", Text::new("page-button-delete"))
    };
    View {
        paragraphs: vec![Text::new("page-delete-effect")],
        form: Some(leave),
        links: vec![(Text::new("page-link-data-first"), "/account/data".to_owned())],
        ..View::own(Text::new("page-delete-title"))
    }
}
