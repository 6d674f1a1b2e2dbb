//! Actions on several users: a question with the users concerned, and the result for each.

use askama::Template;
use axum::response::Response;
use uuid::Uuid;

use super::super::Failure;
use super::super::frame::Frame;
use super::StaffForm;
use super::question::Question;
use super::shell::{Page, Screen, Shell};
use super::user_actions::Allowed;
use super::users::Row;
use crate::domain::users::remove::Outcome;
use crate::domain::users::send_link::{self, LinkKind};
use crate::domain::users::viewer_can::UserAction;
use crate::domain::users::{delete, list, set_active};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;

const LIST: &str = "/console/users";
const PATH: &str = "/console/users/selected";

/// An action on several users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    SendLink,
    Deactivate,
    Delete,
}

impl Task {
    fn named(name: &str) -> Option<Self> {
        match name {
            "link" => Some(Self::SendLink),
            "deactivate" => Some(Self::Deactivate),
            "delete" => Some(Self::Delete),
            _ => None,
        }
    }

    fn check(self) -> UserAction {
        match self {
            Self::SendLink => UserAction::SendLink,
            Self::Deactivate => UserAction::ToggleActive,
            Self::Delete => UserAction::Delete,
        }
    }

    /// The reason to leave out a user in this state.
    fn unfit(self, user: &user::Model) -> Option<Text> {
        match self {
            Self::SendLink => (!user.is_active).then(|| Text::new("link-account-deactivated")),
            Self::Deactivate => (!user.is_active).then(|| Text::new("console-already-inactive")),
            Self::Delete => None,
        }
    }

    fn title(self, count: usize) -> Text {
        let title = match self {
            Self::SendLink => Text::new("console-selected-link"),
            Self::Deactivate => Text::new("console-selected-deactivate"),
            Self::Delete => Text::new("console-selected-delete"),
        };
        title.with("count", count)
    }

    fn effect(self) -> Text {
        match self {
            Self::SendLink => Text::new("console-link-effect"),
            Self::Deactivate => Text::new("console-deactivate-effect"),
            Self::Delete => Text::new("console-delete-effect"),
        }
    }
}

/// `POST /console/users/selected`: asks first, and acts if the form says that it was asked.
pub(super) async fn act(form: StaffForm) -> Response {
    let Some(task) = Task::named(form.field("do")) else { return form.staff.visit.redirect(LIST) };
    match sort_out(&form, task).await {
        Ok(users) if form.field("confirmed").is_empty() || users.to_do.is_empty() => {
            form.staff.show(&question(&form, task, users))
        }
        Ok(users) => match run(&form, task, users).await {
            Ok(results) => form.staff.show(&results),
            Err(error) if StaffForm::needs_proof(&error) => form.ask_for_proof(None).await,
            Err(error) => form.staff.refuse(Screen::Users, error),
        },
        Err(error) => form.staff.refuse(Screen::Users, error),
    }
}

/// The selected users.
struct Selected {
    to_do: Vec<user::Model>,
    /// Users left out, with the reason.
    left_out: Vec<(user::Model, Text)>,
}

async fn sort_out(form: &StaffForm, task: Task) -> Result<Selected> {
    let visit = &form.staff.visit;
    let ids: Vec<Uuid> = form.values("id").filter_map(|id| id.parse().ok()).collect();
    let staff = form.staff.staff()?;
    let mut found = list::find_many(&visit.app.db, &staff, &ids).await?;
    let mut selected = Selected { to_do: Vec::new(), left_out: Vec::new() };
    for user in ids.iter().filter_map(|id| found.remove(id)) {
        let locked = Allowed::of(&staff, &visit.now, &user, task.check()).lock();
        match locked.or_else(|| task.unfit(&user)) {
            Some(reason) => selected.left_out.push((user, reason)),
            None => selected.to_do.push(user),
        }
    }
    Ok(selected)
}

fn question(form: &StaffForm, task: Task, users: Selected) -> Question<'_> {
    let now = &form.staff.visit.now;
    let count = users.to_do.len();
    let mut question = Question::new(&form.staff, &task.title(count), PATH, LIST);
    if users.to_do.is_empty() && users.left_out.is_empty() {
        let none = Refusal::new(Code::Required, "console-selected-none");
        question.shell = question.shell.failing(&Failure::from(Error::from(none)));
        return question;
    }
    question.paragraphs.push(task.effect());
    let fields = [("do", form.field("do").to_owned()), ("confirmed", "1".to_owned())];
    let ids = users.to_do.iter().map(|user| ("id", user.id.to_string()));
    question.hidden = fields.into_iter().chain(ids).map(|(name, value)| (name.to_owned(), value)).collect();
    question.people = users.to_do.into_iter().map(|user| Row::of(now, user)).collect();
    question.left_out =
        users.left_out.into_iter().map(|(user, reason)| (Row::of(now, user), reason.english())).collect();
    question.button = (count > 0).then(|| task.title(count));
    question.is_dangerous = task != Task::SendLink;
    question
}

/// The first sentence about a failure.
fn text_of(failure: Failure) -> Text {
    let refused = failure.refusals.into_iter().next().map(|refusal| refusal.text);
    failure.notice.or(refused).unwrap_or(Text::new("internal-error"))
}

/// Does it for each user.
async fn run(form: &StaffForm, task: Task, users: Selected) -> Result<Results<'_>> {
    let visit = &form.staff.visit;
    let (app, staff) = (&visit.app, form.staff.staff()?);
    let ids: Vec<String> = users.to_do.iter().map(|user| user.id.to_string()).collect();
    let mut outcomes: Vec<(Uuid, Text, bool)> = Vec::new();
    match task {
        Task::SendLink => {
            for user in &users.to_do {
                let kind = if user.password_hash.is_none() { LinkKind::Invitation } else { LinkKind::PasswordReset };
                let id = user.id.to_string();
                let sent = send_link::send(&app.db, &visit.now, staff, &app.limits, &id, kind).await;
                outcomes.push(match sent {
                    Ok(user) => (user.id, Text::new("console-result-link"), true),
                    Err(error) => (user.id, text_of(Failure::from(error)), false),
                });
            }
        }
        Task::Deactivate => {
            for (id, outcome) in set_active::set_active(&app.db, &visit.now, staff, &ids, false).await? {
                let id = id.parse().unwrap_or_default();
                outcomes.push(match outcome {
                    Ok(_) => (id, Text::new("console-result-deactivated"), true),
                    Err(refusal) => (id, refusal.text, false),
                });
            }
        }
        Task::Delete => {
            for (id, outcome) in delete::delete(&app.db, &visit.now, *staff, &app.media, "id", &ids).await? {
                let text = match outcome {
                    Outcome::Deleted => Text::new("console-result-deleted"),
                    Outcome::Anonymized => Text::new("console-result-anonymized"),
                };
                outcomes.push((id, text, true));
            }
        }
    }
    let done = outcomes.iter().filter(|(.., is_done)| *is_done).count();
    let row = |user: user::Model| {
        let (_, text, is_done) = outcomes.iter().find(|(id, ..)| *id == user.id)?;
        Some((Row::of(&visit.now, user), text.english(), *is_done))
    };
    let title = Text::new("console-results-title").with("count", done).with("total", ids.len());
    Ok(Results {
        frame: form.staff.frame(),
        shell: Shell::new(Screen::Users, title.english()),
        rows: users.to_do.into_iter().filter_map(row).collect(),
    })
}

/// The result for each user: the user, its text, and true if the action was done.
#[derive(Template)]
#[template(path = "console/results.html", config = "src/http/pages/askama.toml")]
struct Results<'a> {
    frame: Frame<'a>,
    shell: Shell,
    rows: Vec<(Row, String, bool)>,
}

impl Page for Results<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}
