//! The audit trail.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use sea_orm::{ActiveEnum as _, Iterable as _};
use uuid::Uuid;

use super::super::frame::Frame;
use super::pager::Pager;
use super::shell::{Page, Screen, Shell};
use super::time::Time;
use super::{StaffVisit, words};
use crate::domain::audit::list as audit;
use crate::domain::users::list;
use crate::entity::audit_change::Changes;
use crate::entity::audit_event::{self, Action};
use crate::entity::user;
use crate::error::Result;
use crate::http::event_selection::{self, NAMES};
use crate::texts::Text;

const PATH: &str = "/console/audit";

/// `GET /console/audit`
pub(super) async fn list(staff: StaffVisit) -> Response {
    match load(&staff).await {
        Ok(page) => staff.show(&page),
        Err(error) => staff.refuse(Screen::Audit, error),
    }
}

async fn load(staff: &StaffVisit) -> Result<AuditPage<'_>> {
    let (db, viewer) = (&staff.visit.app.db, staff.staff()?);
    let pager = Pager::of(PATH, &NAMES, |name| staff.visit.parameter(name));
    let filter = event_selection::read(db, *viewer, |name| pager.value(name).unwrap_or_default()).await?;
    let page = audit::page(db, *viewer, &filter, &pager.page()).await?;
    let ids: Vec<Uuid> = page.rows.iter().flat_map(|(event, _)| [event.actor_id, event.target_id]).flatten().collect();
    let people = list::find_many(db, &viewer, &ids).await?;
    let link = |has: bool, name, row: Option<&(audit_event::Model, String)>| {
        row.filter(|_| has).map(|(_, cursor)| pager.address(name, cursor))
    };
    let (newer, older) =
        (link(page.has_previous, "before", page.rows.first()), link(page.has_next, "after", page.rows.last()));
    Ok(AuditPage {
        frame: staff.frame(),
        shell: Shell::new(Screen::Audit, Text::new("console-audit-title").english()),
        rows: page.rows.into_iter().map(|(event, _)| Row::of(event, &people)).collect(),
        pager,
        newer,
        older,
    })
}

#[derive(Template)]
#[template(path = "console/audit.html", config = "src/http/pages/askama.toml")]
struct AuditPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    pager: Pager,
    rows: Vec<Row>,
    newer: Option<String>,
    older: Option<String>,
}

impl Page for AuditPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

impl AuditPage<'_> {
    fn value(&self, name: &str) -> &str {
        self.pager.value(name).unwrap_or_default()
    }

    /// The actions: value, label, and true for the chosen one.
    fn actions(&self) -> Vec<(String, String, bool)> {
        let choice = |action: Action| {
            let value = action.to_value();
            let is_chosen = self.pager.value("action") == Some(value.as_str());
            (value, words::action(action).english(), is_chosen)
        };
        let mut actions: Vec<_> = Action::iter().map(choice).collect();
        actions.sort_by(|one, other| one.1.cmp(&other.1));
        actions
    }

    fn export(&self) -> String {
        format!("{}/export/audit.csv{}", self.frame.base(), self.pager.query("bom", "true"))
    }
}

/// An event.
struct Row {
    at: Time,
    action: String,
    actor: Person,
    target: Person,
    /// Reason and changes.
    details: String,
    ip: String,
    program: String,
}

/// A user in an event: name, and id while the account exists.
#[derive(Default)]
struct Person {
    name: String,
    id: Option<String>,
}

impl Person {
    fn of(id: Option<Uuid>, people: &HashMap<Uuid, user::Model>) -> Self {
        let Some(id) = id else { return Self::default() };
        match people.get(&id) {
            Some(user) => Self { name: user.name(), id: Some(id.to_string()) },
            None => Self { name: Text::new("console-somebody-deleted").english(), id: None },
        }
    }
}

impl Row {
    fn of(event: audit_event::Model, people: &HashMap<Uuid, user::Model>) -> Self {
        let reason = event.reason.map(|reason| words::reason(reason).english());
        let changes = event.changes.iter().flat_map(Changes::iter).map(words::change);
        let details: Vec<String> = reason.into_iter().chain(changes).collect();
        Self {
            at: Time::minute(event.created_at),
            action: words::action(event.action).english(),
            actor: Person::of(event.actor_id, people),
            target: Person::of(event.target_id, people),
            details: details.join(", "),
            ip: event.ip.unwrap_or_default(),
            program: event.user_agent.unwrap_or_default(),
        }
    }
}
