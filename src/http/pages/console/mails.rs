//! The outbox, and decisions about its emails.

use askama::Template;
use axum::response::Response;
use sea_orm::{ActiveEnum as _, Iterable as _};

use super::super::frame::Frame;
use super::pager::Pager;
use super::question::Question;
use super::shell::{Page, Screen, Shell};
use super::time::Time;
use super::{StaffForm, StaffVisit, words};
use crate::domain::outbox::failure;
use crate::domain::outbox::list::{self, Filter};
use crate::domain::outbox::selected::{self, Decision};
use crate::entity::mail::{self, Kind, Status};
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;

const PATH: &str = "/console/mails";

/// Path of decisions.
const SELECTED: &str = "/console/mails/selected";

/// Names of the filters.
const NAMES: [&str; 3] = ["recipient", "kind", "status"];

/// `GET /console/mails`
pub(super) async fn list(staff: StaffVisit) -> Response {
    let pager = Pager::of(PATH, &NAMES, |name| staff.visit.parameter(name));
    match load(&staff, pager).await {
        Ok(page) => staff.show(&page),
        Err(error) => staff.refuse(Screen::Mails, error),
    }
}

async fn load(staff: &StaffVisit, pager: Pager) -> Result<MailsPage<'_>> {
    let filter = Filter {
        status: pager.value("status").and_then(|text| Status::try_from_value(&text.to_owned()).ok()),
        recipient: pager.value("recipient").map(str::to_owned),
        kind: pager.value("kind").and_then(|text| Kind::try_from_value(&text.to_owned()).ok()),
        user: None,
    };
    let page = list::page(&staff.visit.app.db, *staff.staff()?, &filter, &pager.page()).await?;
    let link = |has: bool, name, row: Option<&(mail::Model, String)>| {
        row.filter(|_| has).map(|(_, cursor)| pager.address(name, cursor))
    };
    let (newer, older) =
        (link(page.has_previous, "before", page.rows.first()), link(page.has_next, "after", page.rows.last()));
    let notice = notice(staff);
    Ok(MailsPage {
        frame: staff.frame(),
        shell: Shell::new(Screen::Mails, Text::new("console-mails-title").english()).noticing(notice),
        rows: page.rows.into_iter().map(|(mail, _)| Row::of(mail)).collect(),
        pager,
        newer,
        older,
    })
}

/// The result of a decision: the number of emails that it applied to, of those selected.
fn notice(staff: &StaffVisit) -> Option<Text> {
    let number = |name: &str| staff.visit.parameter(name).parse::<u64>().ok();
    let done = match staff.visit.parameter("done") {
        "hold" => Text::new("console-done-mails-held"),
        "release" => Text::new("console-done-mails-released"),
        "cancel" => Text::new("console-done-mails-cancelled"),
        "retry" => Text::new("console-done-mails-retried"),
        _ => return None,
    };
    Some(done.with("count", number("count")?).with("total", number("total")?))
}

#[derive(Template)]
#[template(path = "console/mails.html", config = "src/http/pages/askama.toml")]
struct MailsPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    pager: Pager,
    rows: Vec<Row>,
    newer: Option<String>,
    older: Option<String>,
}

impl Page for MailsPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

/// An option of a filter: value, label, and true for the chosen one.
type Choice = (String, String, bool);

impl MailsPage<'_> {
    fn value(&self, name: &str) -> &str {
        self.pager.value(name).unwrap_or_default()
    }

    /// True if a decision may apply to an email of this page.
    fn has_open(&self) -> bool {
        self.rows.iter().any(|row| row.is_open)
    }

    fn kinds(&self) -> Vec<Choice> {
        let mut kinds: Vec<Choice> =
            Kind::iter().map(|kind| self.choice("kind", kind.to_value(), &words::mail_kind(kind))).collect();
        kinds.sort_by(|one, other| one.1.cmp(&other.1));
        kinds
    }

    fn statuses(&self) -> Vec<Choice> {
        Status::iter().map(|status| self.choice("status", status.to_value(), &words::mail_status(status))).collect()
    }

    fn choice(&self, name: &str, value: String, label: &Text) -> Choice {
        let is_chosen = self.pager.value(name) == Some(value.as_str());
        (value, label.english(), is_chosen)
    }
}

/// An email of the list.
struct Row {
    id: String,
    recipient: String,
    /// The user that it is for.
    user: Option<String>,
    kind: String,
    badge: &'static str,
    status: String,
    created: Time,
    /// Time of the next attempt.
    next: Option<Time>,
    /// Reason of the last failed attempt.
    reason: Option<String>,
    /// True if a decision may still apply to it.
    is_open: bool,
}

impl Row {
    fn of(mail: mail::Model) -> Self {
        let is_open = matches!(mail.status, Status::Queued | Status::Held | Status::Failed);
        Self {
            id: mail.id.to_string(),
            user: mail.user_id.map(|id| id.to_string()),
            kind: words::mail_kind(mail.kind).english(),
            badge: words::mail_badge(mail.status),
            status: words::mail_status(mail.status).english(),
            created: Time::minute(mail.created_at),
            next: mail.next_attempt_at.filter(|_| mail.status == Status::Queued).map(Time::minute),
            reason: failure::Failure::of(&mail).filter(|_| is_open).map(|reason| reason.text().english()),
            is_open,
            recipient: mail.recipient,
        }
    }
}

/// `POST /console/mails/selected`: a decision about the selected emails. Cancelling asks first.
pub(super) async fn act(form: StaffForm) -> Response {
    let decision = match form.field("do") {
        "hold" => Some(Decision::Hold),
        "release" => Some(Decision::Release),
        "cancel" => Some(Decision::Cancel),
        "retry" => None,
        _ => return form.staff.visit.redirect(PATH),
    };
    let ids: Vec<String> = form.values("id").map(str::to_owned).collect();
    if ids.is_empty() {
        let none = Error::from(Refusal::new(Code::Required, "console-mails-none-selected"));
        return form.staff.refuse(Screen::Mails, none);
    }
    if decision == Some(Decision::Cancel) && form.field("confirmed").is_empty() {
        return form.staff.show(&question(&form, &ids));
    }
    let done = match decision {
        Some(decision) => decide(&form, &ids, decision).await,
        None => retry(&form, &ids).await,
    };
    match done {
        Ok(count) => {
            let pager = Pager::of(PATH, &NAMES, |name| form.field(name));
            let address = pager.address("done", form.field("do"));
            form.staff.visit.redirect(&format!("{address}&count={count}&total={}", ids.len()))
        }
        Err(error) if StaffForm::needs_proof(&error) => form.ask_for_proof(None).await,
        Err(error) => form.staff.refuse(Screen::Mails, error),
    }
}

fn question<'a>(form: &'a StaffForm, ids: &[String]) -> Question<'a> {
    let title = Text::new("console-mails-cancel").with("count", ids.len());
    let mut question = Question::new(&form.staff, &title, SELECTED, PATH);
    question.shell = Shell::new(Screen::Mails, title.english());
    question.paragraphs.push(Text::new("console-mails-cancel-effect"));
    let fields = [("do", "cancel"), ("confirmed", "1")].into_iter();
    let filters = NAMES.into_iter().map(|name| (name, form.field(name)));
    let ids = ids.iter().map(|id| ("id", id.as_str()));
    question.hidden =
        fields.chain(filters).chain(ids).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    question.button = Some(title);
    question.is_dangerous = true;
    question
}

async fn decide(form: &StaffForm, ids: &[String], decision: Decision) -> Result<usize> {
    let visit = &form.staff.visit;
    Ok(selected::decide(&visit.app.db, &visit.now, form.staff.staff()?, ids, decision).await?.len())
}

/// Queues the emails again, one after the other. An email that cannot be sent again is left out; a limit ends it.
async fn retry(form: &StaffForm, ids: &[String]) -> Result<usize> {
    let visit = &form.staff.visit;
    let mut retried = 0;
    for id in ids {
        match list::retry(&visit.app.db, &visit.now, form.staff.staff()?, &visit.app.limits, id).await {
            Ok(_) => retried += 1,
            Err(Error::Refused(_)) => {}
            Err(Error::RateLimited(_)) if retried > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(retried)
}
