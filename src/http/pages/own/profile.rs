//! Names and other details of the user.

use axum::response::Response;

use super::super::view::{Field, Form, View};
use super::super::{Visit, form};
use super::{OwnForm, OwnVisit, photo};
use crate::domain::account::profile::{self, Profile};
use crate::domain::users::details::Details;
use crate::entity::user;
use crate::error::Error;
use crate::texts::Text;

/// `GET /account/profile`
pub(in crate::http::pages) async fn page(own: OwnVisit) -> Response {
    let notice = match own.visit.parameter("done") {
        "saved" => Some(Text::new("page-profile-saved")),
        "photo" => Some(Text::new("page-photo-saved")),
        "photo-removed" => Some(Text::new("page-photo-removed")),
        _ => None,
    };
    let shown = own.caller.session_user().map(|owner| View { notice, ..view(&own.visit, owner.user(), &|_| None) });
    own.show(shown, Text::new("page-profile-title"))
}

/// `POST /account/profile`
pub(in crate::http::pages) async fn save(own: OwnForm) -> Response {
    let (visit, sent) = (&own.sent.visit, &own.sent);
    let typed = |name: &str| Some(sent.field(name).to_owned());
    let input = Profile {
        details: Details {
            username: typed("username"),
            first_name: typed("firstName"),
            last_name: typed("lastName"),
            phone: typed("phone"),
            address: typed("address"),
            bio: typed("bio"),
        },
        ..Profile::default()
    };
    let saving = async { profile::update(&visit.app.db, &visit.now, own.viewer()?, &visit.app.passwords, input).await };
    match saving.await {
        Ok(_) => visit.redirect("/account/profile?done=saved"),
        Err(error) => fail(&own, error, &|name| sent.given(name)),
    }
}

/// The form with the error, and with the typed values in place of the stored ones.
pub(super) fn fail(own: &OwnForm, error: Error, typed: &dyn Fn(&str) -> Option<String>) -> Response {
    match own.user() {
        Ok(owner) => own.fail(view(&own.sent.visit, owner.user(), typed), error),
        Err(error) => own.fail(View::own(Text::new("page-profile-title")), error),
    }
}

/// The page with these typed values in place of the stored ones.
pub(super) fn view(visit: &Visit, user: &user::Model, typed: &dyn Fn(&str) -> Option<String>) -> View {
    let valued =
        |field: Field, stored: &str| Field { value: typed(field.name).unwrap_or_else(|| stored.to_owned()), ..field };
    let username = Field {
        required: true,
        hint: Some(Text::new("page-hint-own-username")),
        ..Field::new("username", Text::new("page-label-username"), "username")
    };
    let phone = Field { inputmode: "tel", ..Field::new("phone", Text::new("page-label-phone"), "tel") };
    let bio =
        Field { hint: Some(Text::new("page-hint-bio")), ..Field::lines("bio", Text::new("page-label-bio"), "off") };
    let fields = vec![
        valued(Field::new("firstName", Text::new("page-label-first-name"), "given-name"), &user.first_name),
        valued(Field::new("lastName", Text::new("page-label-last-name"), "family-name"), &user.last_name),
        valued(username, &user.username),
        valued(phone, &user.phone),
        valued(Field::lines("address", Text::new("page-label-address"), "street-address"), &user.address),
        valued(bio, &user.bio),
    ];
    View {
        form: Some(Form { fields, ..form("/account/profile", Text::new("page-button-save")) }),
        sections: vec![photo::section(visit, user)],
        ..View::own(Text::new("page-profile-title"))
    }
}
