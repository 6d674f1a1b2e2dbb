//! Reasons that keep a user from signing in, in words, with the action that helps.

use super::time::Time;
use super::user_actions::Task;
use super::{StaffVisit, words};
use crate::domain::users::sign_in_problems::{self, Person, Problem, Rules};
use crate::entity::user;
use crate::error::Result;
use crate::texts::Text;

/// A reason.
pub(super) struct Trouble {
    pub(super) text: String,
    /// Time at which it ends by itself.
    pub(super) until: Option<Time>,
    /// The action that helps.
    pub(super) remedy: Option<Task>,
}

/// The reasons for a user; empty if there is none.
pub(super) async fn of(staff: &StaffVisit, user: &user::Model) -> Result<Vec<Trouble>> {
    let app = &staff.visit.app;
    let rules =
        Rules { limits: &app.limits, second_factor: app.config.second_factor, is_reachable: app.config.is_reachable() };
    let id = user.id.to_string();
    let person = Person { id: Some(&id), identifier: None };
    let found = sign_in_problems::find(&app.db, &staff.visit.now, *staff.staff()?, rules, person).await?;
    let link = if user.password_hash.is_none() { Task::SendInvitation } else { Task::SendReset };
    let link = Some(link).filter(|_| user.is_active);
    let plain = |text: Text, remedy| Trouble { text: text.english(), until: None, remedy };
    let ends = |text: Text, until| Trouble { text: text.english(), until: Some(Time::minute(until)), remedy: None };
    let trouble = |problem| match problem {
        Problem::Inactive => plain(Text::new("console-problem-inactive"), Some(Task::Activate)),
        Problem::Unverified => plain(Text::new("console-problem-unverified"), link),
        Problem::NoPassword => plain(Text::new("console-problem-no-password"), link),
        Problem::TemporaryPasswordExpired => plain(Text::new("console-problem-temporary"), link),
        Problem::MustEnroll => plain(Text::new("console-problem-enroll"), None),
        Problem::TotpStopped(until) => ends(Text::new("console-problem-totp"), until),
        Problem::Exhausted(usage) => {
            let limit = words::reason(usage.what.reason()).english();
            let text = Text::new("console-problem-limit").with("limit", limit);
            Trouble { until: usage.exhausted_until.map(Time::minute), ..plain(text, None) }
        }
        Problem::Undelivered(mail) => {
            let text = Text::new("console-problem-mail").with("mail", words::mail_kind(mail.kind).english());
            plain(text.with("error", mail.last_error.unwrap_or_default()), None)
        }
        Problem::PendingRegistration(until) => ends(Text::new("console-problem-registration"), until),
    };
    Ok(found.unwrap_or_default().into_iter().map(trouble).collect())
}
