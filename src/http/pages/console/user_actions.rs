//! Actions on a user: each asks first, and is done by the form of the question.

use axum::extract::Path;
use axum::response::Response;
use uuid::Uuid;

use super::super::{Failure, password_hint};
use super::fields::{Control, Field};
use super::question::Question;
use super::shell::Screen;
use super::user::find;
use super::users::Row;
use super::{StaffForm, StaffVisit, missing};
use crate::domain::auth::identity::Viewer;
use crate::domain::users::end_sessions::{self, EndSessions};
use crate::domain::users::remove::Outcome;
use crate::domain::users::send_link::{self, LinkKind};
use crate::domain::users::toggle::{self, Flag, Toggle};
use crate::domain::users::update::{self, Update};
use crate::domain::users::viewer_can::{self, UserAction};
use crate::domain::users::{delete, reset_factors, revoke_api_token};
use crate::entity::user;
use crate::error::{Code, Result};
use crate::texts::Text;
use crate::tools::clock::Now;

/// Right to an action.
pub(super) enum Allowed {
    /// It is allowed.
    Yes,
    /// It is allowed after a proof of identity.
    AfterProof,
    /// It is refused for this reason.
    Locked(Text),
}

impl Allowed {
    /// The right of a viewer to an action on a user, by the rules of the operation itself.
    pub(super) fn of(viewer: &Viewer, now: &Now, user: &user::Model, action: UserAction) -> Self {
        match viewer_can::check(viewer, now, user, action) {
            Ok(()) => Self::Yes,
            Err(Some(Code::ReauthenticationRequired)) => Self::AfterProof,
            Err(code) => Self::Locked(reason(action, code)),
        }
    }

    /// The reason of a refusal.
    pub(super) fn lock(self) -> Option<Text> {
        match self {
            Self::Locked(reason) => Some(reason),
            Self::Yes | Self::AfterProof => None,
        }
    }
}

fn reason(action: UserAction, code: Option<Code>) -> Text {
    match (code, action) {
        (Some(Code::CannotEditSuperuser), _) => Text::new("superuser-protected"),
        (Some(_), UserAction::ToggleStaff) => Text::new("own-staff-rights"),
        (Some(_), UserAction::ToggleActive) => Text::new("own-deactivation"),
        (Some(_), UserAction::Delete) => Text::new("own-deletion"),
        (Some(_), UserAction::SetPassword) => Text::new("console-own-credentials"),
        (Some(_), UserAction::ResetFactors) => Text::new("console-own-factors"),
        _ => Text::new("page-not-available"),
    }
}

/// An action on a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    SendInvitation,
    SendReset,
    SetPassword,
    EndSessions,
    EndSession,
    RevokeToken,
    ResetFactors,
    Activate,
    Deactivate,
    Delete,
}

impl Task {
    /// All actions, in the order of the page.
    const ALL: [Self; 10] = [
        Self::SendInvitation,
        Self::SendReset,
        Self::SetPassword,
        Self::EndSessions,
        Self::EndSession,
        Self::RevokeToken,
        Self::ResetFactors,
        Self::Activate,
        Self::Deactivate,
        Self::Delete,
    ];

    /// Its name in the address.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SendInvitation => "send-invitation",
            Self::SendReset => "send-reset",
            Self::SetPassword => "set-password",
            Self::EndSessions => "end-sessions",
            Self::EndSession => "end-session",
            Self::RevokeToken => "revoke-token",
            Self::ResetFactors => "reset-factors",
            Self::Activate => "activate",
            Self::Deactivate => "deactivate",
            Self::Delete => "delete",
        }
    }

    /// The action with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// Path of its page on this service.
    pub(super) fn path(self, user: Uuid) -> String {
        format!("/console/users/{user}/{}", self.name())
    }

    fn check(self) -> UserAction {
        match self {
            Self::SendInvitation | Self::SendReset => UserAction::SendLink,
            Self::SetPassword => UserAction::SetPassword,
            Self::EndSessions | Self::EndSession => UserAction::EndSessions,
            Self::RevokeToken => UserAction::RevokeApiTokens,
            Self::ResetFactors => UserAction::ResetFactors,
            Self::Activate | Self::Deactivate => UserAction::ToggleActive,
            Self::Delete => UserAction::Delete,
        }
    }

    /// True if the page of a user in this state links to it. Actions on a single session or token are beside it.
    fn fits(self, user: &user::Model) -> bool {
        match self {
            Self::SendInvitation => user.is_active && user.password_hash.is_none(),
            Self::SendReset => user.is_active && user.password_hash.is_some(),
            Self::Activate => !user.is_active,
            Self::Deactivate => user.is_active,
            Self::ResetFactors => user.has_second_factor,
            Self::SetPassword | Self::Delete => true,
            Self::EndSessions | Self::EndSession | Self::RevokeToken => false,
        }
    }

    /// True if users lose something by it.
    pub(super) fn is_dangerous(self) -> bool {
        !matches!(self, Self::SendInvitation | Self::SendReset | Self::SetPassword | Self::Activate)
    }

    /// Label of the link, and of the button.
    pub(super) fn label(self) -> Text {
        match self {
            Self::SendInvitation => Text::new("console-send-invitation"),
            Self::SendReset => Text::new("console-send-reset"),
            Self::SetPassword => Text::new("console-set-password"),
            Self::EndSessions => Text::new("console-end-sessions"),
            Self::EndSession => Text::new("console-end-session"),
            Self::RevokeToken => Text::new("console-revoke-token"),
            Self::ResetFactors => Text::new("console-reset-factors"),
            Self::Activate => Text::new("console-activate"),
            Self::Deactivate => Text::new("console-deactivate"),
            Self::Delete => Text::new("console-delete"),
        }
    }

    fn title(self) -> Text {
        match self {
            Self::SendInvitation => Text::new("console-send-invitation-title"),
            Self::SendReset => Text::new("console-send-reset-title"),
            Self::SetPassword => Text::new("console-set-password-title"),
            Self::EndSessions => Text::new("console-end-sessions-title"),
            Self::EndSession => Text::new("console-end-session-title"),
            Self::RevokeToken => Text::new("console-revoke-token-title"),
            Self::ResetFactors => Text::new("console-reset-factors-title"),
            Self::Activate => Text::new("console-activate-title"),
            Self::Deactivate => Text::new("console-deactivate-title"),
            Self::Delete => Text::new("console-delete-title"),
        }
    }

    fn effect(self) -> Text {
        match self {
            Self::SendInvitation => Text::new("console-send-invitation-effect"),
            Self::SendReset => Text::new("console-send-reset-effect"),
            Self::SetPassword => Text::new("console-set-password-effect"),
            Self::EndSessions => Text::new("console-end-sessions-effect"),
            Self::EndSession => Text::new("console-end-session-effect"),
            Self::RevokeToken => Text::new("console-revoke-token-effect"),
            Self::ResetFactors => Text::new("console-reset-factors-effect"),
            Self::Activate => Text::new("console-activate-effect"),
            Self::Deactivate => Text::new("console-deactivate-effect"),
            Self::Delete => Text::new("console-delete-effect"),
        }
    }

    /// The notice after it.
    pub(super) fn done(self) -> Text {
        match self {
            Self::SendInvitation | Self::SendReset => Text::new("console-done-link"),
            Self::SetPassword => Text::new("console-done-password"),
            Self::EndSessions => Text::new("console-done-sessions"),
            Self::EndSession => Text::new("console-done-session"),
            Self::RevokeToken => Text::new("console-done-token"),
            Self::ResetFactors => Text::new("console-done-factors"),
            Self::Activate => Text::new("console-done-activated"),
            Self::Deactivate => Text::new("console-done-deactivated"),
            Self::Delete => Text::new("console-done-anonymized"),
        }
    }
}

/// A link to an action on the page of a user.
pub(super) struct Link {
    pub(super) task: Task,
    /// Reason why it is refused.
    pub(super) locked: Option<Text>,
}

/// The actions for a user in this state.
pub(super) fn links(viewer: &Viewer, now: &Now, user: &user::Model) -> Vec<Link> {
    let fitting = Task::ALL.into_iter().filter(|task| task.fits(user));
    fitting.map(|task| Link { task, locked: Allowed::of(viewer, now, user, task.check()).lock() }).collect()
}

/// `GET /console/users/{id}/{action}`
pub(super) async fn ask(Path((id, action)): Path<(String, String)>, staff: StaffVisit) -> Response {
    let Some(task) = Task::named(&action) else { return missing(&staff) };
    match find(&staff, &id).await {
        Ok(Some(user)) => staff.show(&question(&staff, task, user, staff.visit.parameter("item"), None)),
        Ok(None) => missing(&staff),
        Err(error) => staff.refuse(Screen::Users, error),
    }
}

/// The question before an action, on one item of the user or, without one, on the user.
fn question<'a>(
    staff: &'a StaffVisit,
    task: Task,
    user: user::Model,
    item: &str,
    failure: Option<&Failure>,
) -> Question<'a> {
    let visit = &staff.visit;
    let title = task.title().with("name", user.name());
    let mut question = Question::new(staff, &title, &task.path(user.id), &format!("/console/users/{}", user.id));
    if !item.is_empty() {
        question.hidden.push(("item".to_owned(), item.to_owned()));
    }
    if let Some(failure) = failure {
        question.shell = question.shell.failing(failure);
    }
    question.paragraphs.push(task.effect());
    let allowed = staff.staff().map(|viewer| Allowed::of(&viewer, &visit.now, &user, task.check()));
    match allowed.ok().and_then(Allowed::lock) {
        Some(reason) => question.paragraphs = vec![reason],
        None => question.button = Some(task.label()),
    }
    if task == Task::SetPassword && question.button.is_some() {
        let label = Text::new("page-label-new-password");
        let field = Field::new("password", label, Control::Password("new-password"), "");
        question.fields.push(field.required().hinting(password_hint(visit)).with_error(&question.shell.refusals));
    }
    question.is_dangerous = task.is_dangerous();
    question.people.push(Row::of(&visit.now, user));
    question
}

/// `POST /console/users/{id}/{action}`
pub(super) async fn act(Path((id, action)): Path<(String, String)>, form: StaffForm) -> Response {
    let Some(task) = Task::named(&action) else { return missing(&form.staff) };
    let error = match run(&form, task, &id).await {
        Ok(page) => return form.staff.visit.redirect(&page),
        Err(error) if StaffForm::needs_proof(&error) => return form.ask_for_proof(None).await,
        Err(error) => error,
    };
    match find(&form.staff, &id).await {
        Ok(Some(user)) => {
            let failure = Failure::from(error);
            failure.delay(form.staff.show(&question(&form.staff, task, user, form.field("item"), Some(&failure))))
        }
        Ok(None) => missing(&form.staff),
        Err(error) => form.staff.refuse(Screen::Users, error),
    }
}

/// Does it, and returns the page to show then.
async fn run(form: &StaffForm, task: Task, id: &str) -> Result<String> {
    let visit = &form.staff.visit;
    let (app, now, staff) = (&visit.app, &visit.now, form.staff.staff()?);
    let item = form.field("item");
    match task {
        Task::SendInvitation => {
            send_link::send(&app.db, now, staff, &app.limits, id, LinkKind::Invitation).await?;
        }
        Task::SendReset => {
            send_link::send(&app.db, now, staff, &app.limits, id, LinkKind::PasswordReset).await?;
        }
        Task::EndSessions | Task::EndSession => {
            let session = (task == Task::EndSession).then(|| item.to_owned());
            let ended = EndSessions { id: id.to_owned(), session };
            end_sessions::end(&app.db, now, *staff, &app.config.sessions, &ended).await?;
        }
        Task::RevokeToken => drop(revoke_api_token::revoke(&app.db, now, *staff, item).await?),
        Task::Activate | Task::Deactivate => {
            let to = Some(task == Task::Activate);
            toggle::toggle(&app.db, now, staff, Toggle { id: id.to_owned(), flag: Flag::Active, to }).await?;
        }
        Task::SetPassword => {
            let password = Some(form.field("password").to_owned());
            let change = Update { id: id.to_owned(), password, ..Update::default() };
            update::update(&app.db, now, staff, &app.passwords, change).await?;
        }
        Task::ResetFactors => drop(reset_factors::reset_factors(&app.db, now, *staff, id).await?),
        Task::Delete => {
            let ids = [id.to_owned()];
            let deleted = delete::delete(&app.db, now, *staff, &app.media, "id", &ids).await?;
            let is_deleted = deleted.iter().all(|(_, outcome)| *outcome == Outcome::Deleted);
            return Ok(format!("/console/users?done={}", if is_deleted { "deleted" } else { "anonymized" }));
        }
    }
    Ok(format!("/console/users/{id}?done={}", task.name()))
}
