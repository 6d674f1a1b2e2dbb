//! A user: details, rights, and everything else that staff see.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use sea_orm::ActiveEnum as _;

use super::super::Failure;
use super::super::frame::Frame;
use super::fields::{Control, Field, plain};
use super::shell::{Page, Screen, Shell};
use super::table::{Cell, Table};
use super::time::Time;
use super::trouble::{self, Trouble};
use super::user_actions::{self, Allowed, Link, Task};
use super::users::{Badge, badges, initial};
use super::{StaffForm, StaffVisit, missing, user_parts, words};
use crate::domain::avatars::name::FileName;
use crate::domain::users::details::Details;
use crate::domain::users::list;
use crate::domain::users::update::{self, Update};
use crate::domain::users::version;
use crate::domain::users::viewer_can::UserAction;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Code, Refusal, Result};
use crate::texts::Text;

/// Side of the avatar, in pixels.
const AVATAR: u32 = 128;

/// The user with this id; none if there is no such user, or the staff may not see it.
pub(super) async fn find(staff: &StaffVisit, id: &str) -> Result<Option<user::Model>> {
    list::find(&staff.visit.app.db, *staff.staff()?, id).await
}

/// `GET /console/users/{id}`
pub(super) async fn show(Path(id): Path<String>, staff: StaffVisit) -> Response {
    show_with(&staff, &id, None).await
}

async fn show_with(staff: &StaffVisit, id: &str, failed: Option<(&StaffForm, &Failure)>) -> Response {
    let shown = async {
        match find(staff, id).await? {
            Some(user) => Ok(Some(load(staff, user, failed).await?)),
            None => Ok(None),
        }
    };
    match shown.await {
        Ok(Some(page)) => staff.show(&page),
        Ok(None) => missing(staff),
        Err(error) => staff.refuse(Screen::Users, error),
    }
}

/// `POST /console/users/{id}`
pub(super) async fn save(Path(id): Path<String>, form: StaffForm) -> Response {
    match try_save(&form, &id).await {
        Ok(()) => form.staff.visit.redirect(&format!("/console/users/{id}?done=saved")),
        Err(error) if StaffForm::needs_proof(&error) => form.ask_for_proof(None).await,
        Err(error) => {
            let mut failure = Failure::from(error);
            for refusal in &mut failure.refusals {
                if refusal.code == Code::Conflict {
                    *refusal = Refusal::new(Code::Conflict, "console-changed-meanwhile");
                }
            }
            failure.delay(show_with(&form.staff, &id, Some((&form, &failure))).await)
        }
    }
}

async fn try_save(form: &StaffForm, id: &str) -> Result<()> {
    let unknown = |field| Refusal::new(Code::Invalid, "console-choice-unknown").of(field);
    let role = typed(form, "role").map(|value| Role::try_from_value(&value).map_err(|_| unknown("role")));
    let permission = typed(form, "permission");
    let permission = permission.map(|value| Permission::try_from_value(&value).map_err(|_| unknown("permission")));
    let change = Update {
        id: id.to_owned(),
        details: Details {
            username: typed(form, "username"),
            first_name: typed(form, "firstName"),
            last_name: typed(form, "lastName"),
            phone: typed(form, "phone"),
            address: typed(form, "address"),
            bio: typed(form, "bio"),
        },
        email: typed(form, "email"),
        password: None,
        role: role.transpose()?,
        permission: permission.transpose()?,
        is_active: None,
        is_staff: typed(form, "isStaff").map(|value| value == "true"),
        expected_version: form.given("version").map(str::to_owned),
    };
    let visit = &form.staff.visit;
    update::update(&visit.app.db, &visit.now, form.staff.staff()?, &visit.app.passwords, change).await?;
    Ok(())
}

/// The value before the form was filled in.
fn was(form: &StaffForm, name: &str) -> Option<String> {
    form.given(&format!("was-{name}")).map(plain)
}

/// The typed value of a field that was changed. A check box that is not checked is not sent.
fn typed(form: &StaffForm, name: &str) -> Option<String> {
    let was = was(form, name)?;
    let value = match name {
        "isStaff" => (form.field(name) == "true").to_string(),
        _ => plain(form.field(name)),
    };
    (value != was).then_some(value)
}

/// The fields of the form: name, label, element, and stored value.
fn stored(user: &user::Model) -> [(&'static str, Text, Control, String); 10] {
    let line = |name, label, kind, value: &str| (name, label, Control::Line(kind), value.to_owned());
    let lines = |name, label, value: &str| (name, label, Control::Lines, value.to_owned());
    let choice = |name, label, options, value: String| (name, label, Control::Choice(options), value);
    [
        line("firstName", Text::new("console-label-first-name"), "", &user.first_name),
        line("lastName", Text::new("console-label-last-name"), "", &user.last_name),
        line("email", Text::new("console-label-email"), "email", &user.email),
        line("username", Text::new("console-label-username"), "", &user.username),
        line("phone", Text::new("console-label-phone"), "tel", &user.phone),
        lines("address", Text::new("console-label-address"), &user.address),
        lines("bio", Text::new("console-label-bio"), &user.bio),
        choice("role", Text::new("console-label-role"), words::roles(), user.role.to_value()),
        choice("permission", Text::new("console-label-permission"), words::permissions(), user.permission.to_value()),
        ("isStaff", Text::new("console-label-staff"), Control::Flag, user.is_staff.to_string()),
    ]
}

#[derive(Template)]
#[template(path = "console/user.html", config = "src/http/pages/askama.toml")]
struct UserPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    user: user::Model,
    /// The version that the form is based on.
    version: String,
    /// Changes by somebody else since the form was opened.
    changed: Vec<String>,
    avatar: Option<String>,
    badges: Vec<Badge>,
    details: Vec<Field>,
    rights: Vec<Field>,
    problems: Vec<Trouble>,
    actions: Vec<Link>,
    /// Labels and values that are not in the form.
    facts: Vec<(Text, String)>,
    /// Labels and times.
    times: Vec<(Text, Option<Time>)>,
    tables: Vec<Table>,
}

impl Page for UserPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

impl UserPage<'_> {
    fn initial(&self) -> String {
        initial(&self.user.name())
    }

    /// Path of an action on this user.
    fn path_of(&self, task: &Task) -> String {
        task.path(self.user.id)
    }

    /// True if a field can be changed.
    fn can_save(&self) -> bool {
        self.details.iter().chain(&self.rights).any(|field| field.locked.is_none())
    }
}

async fn load<'a>(
    staff: &'a StaffVisit,
    user: user::Model,
    failed: Option<(&StaffForm, &Failure)>,
) -> Result<UserPage<'a>> {
    let (visit, viewer) = (&staff.visit, staff.staff()?);
    let tables = user_parts::tables(staff, &user).await?;
    let mut shell = Shell::new(Screen::Users, user.name()).noticing(notice(visit.parameter("done")));
    if let Some((_, failure)) = failed {
        shell = shell.failing(failure);
    }
    let troubles = trouble::of(staff, &user).await?;
    let is_conflict = shell.refusals.iter().any(|refusal| refusal.code == Code::Conflict);
    // After a conflict the form is based on the new values.
    let base = failed.map(|(form, _)| form).filter(|_| !is_conflict);
    let changed = match failed {
        Some((form, _)) if is_conflict => changes(form, &user),
        _ => Vec::new(),
    };
    let version = base.and_then(|form| form.given("version")).map_or_else(|| version::of(&user), str::to_owned);
    let lock = |action| Allowed::of(&viewer, &visit.now, &user, action).lock();
    let field = |(name, label, control, now): (&'static str, Text, Control, String)| {
        let action = match name {
            "email" => UserAction::SetPassword,
            "role" | "permission" | "isStaff" => UserAction::ToggleStaff,
            _ => UserAction::Update,
        };
        let before = base.and_then(|form| was(form, name)).unwrap_or(now);
        let value = failed.and_then(|(form, _)| typed(form, name)).unwrap_or_else(|| before.clone());
        let mut field = Field::new(name, label, control, value).with_error(&shell.refusals);
        field.was = Some(before);
        field.locked = lock(action).map(|reason| match (reason.id(), name) {
            ("own-staff-rights", "role") => Text::new("own-role"),
            ("own-staff-rights", "permission") => Text::new("own-permission"),
            _ => reason,
        });
        field.required = matches!(name, "email" | "username");
        field
    };
    let mut details: Vec<Field> = stored(&user).into_iter().map(field).collect();
    let rights = details.split_off(7);
    Ok(UserPage {
        frame: staff.frame(),
        avatar: avatar(staff, &user),
        badges: badges(&visit.now, &user),
        details,
        rights,
        actions: user_actions::links(&viewer, &visit.now, &user),
        facts: facts(&user),
        times: times(&user),
        problems: troubles,
        version,
        changed,
        tables,
        shell,
        user,
    })
}

/// The fields that somebody else changed since the form was opened, with their values.
fn changes(form: &StaffForm, user: &user::Model) -> Vec<String> {
    let changed = |(name, label, _, now): (&str, Text, Control, String)| {
        was(form, name).filter(|was| *was != now)?;
        let value = match words::value(&now) {
            value if value.is_empty() => Text::new("console-changed-empty").english(),
            value => value,
        };
        Some(Text::new("console-changed-field").with("field", label.english()).with("value", value).english())
    };
    stored(user).into_iter().filter_map(changed).collect()
}

fn notice(done: &str) -> Option<Text> {
    match done {
        "saved" => Some(Text::new("console-done-saved")),
        "created" => Some(Text::new("console-done-created")),
        task => Task::named(task).map(Task::done),
    }
}

fn avatar(staff: &StaffVisit, user: &user::Model) -> Option<String> {
    let largest: FileName = user.avatar.as_deref()?.parse().ok()?;
    Some(format!("{}/media/{}", staff.visit.app.public_url.path(), largest.at_least(AVATAR).path()))
}

fn facts(user: &user::Model) -> Vec<(Text, String)> {
    let password = match (&user.password_hash, user.temporary_password_at) {
        (None, _) => Text::new("console-password-none"),
        (Some(_), Some(_)) => Text::new("console-password-temporary"),
        (Some(_), None) => Text::new("console-password-set"),
    };
    let facts = [
        Some((Text::new("console-label-password"), password.english())),
        user.pending_email.clone().map(|email| (Text::new("console-label-pending-email"), email)),
        user.external_id.clone().map(|id| (Text::new("console-label-external-id"), id)),
    ];
    facts.into_iter().flatten().collect()
}

fn times(user: &user::Model) -> Vec<(Text, Option<Time>)> {
    vec![
        (Text::new("console-column-joined"), Some(Time::minute(user.date_joined))),
        (Text::new("console-label-last-login"), user.last_login.map(Time::minute)),
        (Text::new("console-column-active"), user.last_activity.map(Time::minute)),
        (Text::new("console-label-updated"), Some(Time::minute(user.updated_at))),
    ]
}
