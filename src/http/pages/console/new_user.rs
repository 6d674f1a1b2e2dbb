//! Creating a user, with an invitation or a password.

use askama::Template;
use axum::response::Response;
use sea_orm::ActiveEnum as _;

use super::super::frame::Frame;
use super::super::{Failure, password_hint};
use super::fields::{Control, Field};
use super::shell::{Page, Screen, Shell};
use super::{StaffForm, StaffVisit, words};
use crate::domain::users::create::{self, Create};
use crate::entity::user::{self, Permission, Role};
use crate::error::{Code, Refusal, Result};
use crate::texts::Text;

/// Value of the field `access` for an account with a password.
const WITH_PASSWORD: &str = "password";

/// `GET /console/users/new`
pub(super) async fn form(staff: StaffVisit) -> Response {
    staff.show(&page(&staff, &|_| String::new(), None))
}

/// `POST /console/users/new`
pub(super) async fn create(form: StaffForm) -> Response {
    match try_create(&form).await {
        Ok(user) => form.staff.visit.redirect(&format!("/console/users/{}?done=created", user.id)),
        Err(error) if StaffForm::needs_proof(&error) => form.ask_for_proof(None).await,
        Err(error) => {
            let failure = Failure::from(error);
            failure.delay(form.staff.show(&page(&form.staff, &|name| form.field(name).to_owned(), Some(&failure))))
        }
    }
}

async fn try_create(form: &StaffForm) -> Result<user::Model> {
    let visit = &form.staff.visit;
    let text = |name| form.field(name).to_owned();
    let with_password = form.field("access") == WITH_PASSWORD;
    if with_password && form.field("password").is_empty() {
        return Err(Refusal::new(Code::Required, "console-password-required").of("password").into());
    }
    let unknown = |field| Refusal::new(Code::Invalid, "console-choice-unknown").of(field);
    let input = Create {
        email: text("email"),
        username: Some(text("username")).filter(|name| !name.is_empty()),
        password: with_password.then(|| text("password")),
        first_name: text("firstName"),
        last_name: text("lastName"),
        phone: text("phone"),
        address: super::fields::plain(form.field("address")),
        role: Role::try_from_value(&text("role")).map_err(|_| unknown("role"))?,
        permission: Permission::try_from_value(&text("permission")).map_err(|_| unknown("permission"))?,
        is_active: true,
        is_staff: form.field("isStaff") == "true",
    };
    let (app, staff) = (&visit.app, form.staff.staff()?);
    create::create(&app.db, &visit.now, staff, &app.passwords, &app.limits, input).await
}

#[derive(Template)]
#[template(path = "console/new_user.html", config = "src/http/pages/askama.toml")]
struct NewUserPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    person: Vec<Field>,
    access: Vec<Field>,
    rights: Vec<Field>,
}

impl Page for NewUserPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

fn page<'a>(staff: &'a StaffVisit, typed: &dyn Fn(&str) -> String, failure: Option<&Failure>) -> NewUserPage<'a> {
    let mut shell = Shell::new(Screen::Users, Text::new("console-new-user").english());
    if let Some(failure) = failure {
        shell = shell.failing(failure);
    }
    let line = |name, label, kind| Field::new(name, label, Control::Line(kind), typed(name));
    let person = vec![
        line("email", Text::new("console-label-email"), "email").required(),
        line("firstName", Text::new("console-label-first-name"), ""),
        line("lastName", Text::new("console-label-last-name"), ""),
        line("username", Text::new("console-label-username"), "").hinting(Text::new("console-hint-username")),
        line("phone", Text::new("console-label-phone"), "tel"),
        Field::new("address", Text::new("console-label-address"), Control::Lines, typed("address")),
    ];
    let ways = vec![
        ("invitation", Text::new("console-access-invitation")),
        (WITH_PASSWORD, Text::new("console-access-password")),
    ];
    let way = if typed("access") == WITH_PASSWORD { WITH_PASSWORD } else { "invitation" };
    let password = Field::new("password", Text::new("console-label-password"), Control::Password("new-password"), "");
    let access = vec![
        Field::new("access", Text::new("console-access"), Control::Radio(ways), way),
        password.hinting(password_hint(&staff.visit)),
    ];
    let choice = |name, label, options: Vec<(&'static str, Text)>| {
        let value = Some(typed(name)).filter(|value| !value.is_empty());
        let first = || options.first().map(|(value, _)| (*value).to_owned());
        let value = value.or_else(first).unwrap_or_default();
        Field::new(name, label, Control::Choice(options), value)
    };
    let rights = vec![
        choice("role", Text::new("console-label-role"), words::roles()),
        choice("permission", Text::new("console-label-permission"), words::permissions()),
        Field::new("isStaff", Text::new("console-label-staff"), Control::Flag, typed("isStaff"))
            .hinting(Text::new("console-hint-staff")),
    ];
    let checked = |fields: Vec<Field>| fields.into_iter().map(|field| field.with_error(&shell.refusals)).collect();
    let (person, access, rights) = (checked(person), checked(access), checked(rights));
    NewUserPage { frame: staff.frame(), shell, person, access, rights }
}
