//! The parts of a user's page below the form, each of one or two statements.

use std::collections::HashMap;

use uuid::Uuid;

use super::table::{Cell, Table};
use super::time::Time;
use super::user_actions::Task;
use super::{StaffVisit, words};
use crate::app::App;
use crate::domain::auth::identity::Manager;
use crate::domain::auth::second_factor::factors;
use crate::domain::auth::{api_tokens, passkeys, sessions};
use crate::domain::paging::PageArgs;
use crate::domain::users::list;
use crate::domain::{audit, outbox, samples};
use crate::entity::audit_change::Changes;
use crate::entity::mail::Status;
use crate::entity::{audit_event, mail, user};
use crate::error::Result;
use crate::texts::Text;

/// Maximum number of rows of a part.
const ROWS: i32 = 10;

/// The tables, most needed first.
pub(super) async fn tables(staff: &StaffVisit, user: &user::Model) -> Result<Vec<Table>> {
    let (app, viewer) = (&*staff.visit.app, staff.staff()?);
    Ok(vec![
        sessions(staff, user).await?,
        factors(app, user).await?,
        tokens(app, viewer, user).await?,
        mails(app, viewer, user).await?,
        events(app, viewer, user).await?,
        samples(app, user).await?,
    ])
}

fn newest() -> PageArgs {
    PageArgs { first: Some(ROWS), ..PageArgs::default() }
}

async fn sessions(staff: &StaffVisit, user: &user::Model) -> Result<Table> {
    let (app, viewer) = (&staff.visit.app, staff.staff()?);
    let (owner, lives) = (viewer.session_user()?, &app.config.sessions);
    let found = sessions::of_users(&app.db, &staff.visit.now, owner, lives, &[user.id]).await?;
    let found = found.into_values().next().unwrap_or_default();
    let columns = vec![
        Text::new("console-column-device"),
        Text::new("console-column-ip"),
        Text::new("console-column-since"),
        Text::new("console-column-used"),
        Text::new("console-column-do"),
    ];
    let mut table = Table::new("sessions", Text::new("console-sessions"), Text::new("console-sessions-none"), columns);
    if !found.is_empty() {
        table.action = Some((Task::EndSessions.path(user.id), Task::EndSessions.label()));
    }
    Ok(table.with_rows(found.into_iter().map(|session| {
        let unknown = || Text::new("console-unknown-device").english();
        let device = session.user_agent.unwrap_or_else(unknown);
        let end = format!("{}?item={}", Task::EndSession.path(user.id), session.id);
        let shown = match session.id == owner.session() {
            true => Text::new("console-this-session").with("device", device.as_str()).english(),
            false => device.clone(),
        };
        vec![
            Cell::Plain(shown),
            Cell::Plain(session.ip.unwrap_or_default()),
            Cell::At(Some(Time::minute(session.created_at))),
            Cell::At(Some(Time::minute(session.last_used_at))),
            Cell::Action(end, Task::EndSession.label(), device),
        ]
    })))
}

async fn tokens(app: &App, viewer: Manager<'_>, user: &user::Model) -> Result<Table> {
    let found = api_tokens::of_users(&app.db, &viewer, &[user.id]).await?.into_values().next().unwrap_or_default();
    let columns = vec![
        Text::new("console-column-token"),
        Text::new("console-column-scopes"),
        Text::new("console-column-used"),
        Text::new("console-column-expires"),
        Text::new("console-column-do"),
    ];
    let table = Table::new("tokens", Text::new("console-tokens"), Text::new("console-tokens-none"), columns);
    Ok(table.with_rows(found.into_iter().map(|token| {
        let revoke = format!("{}?item={}", Task::RevokeToken.path(user.id), token.id);
        vec![
            Cell::Plain(token.name.clone()),
            Cell::Plain(token.scopes.to_string().replace(',', ", ")),
            Cell::At(token.last_used_at.map(Time::minute)),
            Cell::At(token.expires_at.map(Time::minute)),
            Cell::Action(revoke, Task::RevokeToken.label(), token.name),
        ]
    })))
}

async fn factors(app: &App, user: &user::Model) -> Result<Table> {
    let ids = [user.id];
    let columns =
        vec![Text::new("console-column-factor"), Text::new("console-column-added"), Text::new("console-column-used")];
    let table = Table::new("factors", Text::new("console-factors"), Text::new("console-factors-none"), columns);
    if !user.has_second_factor {
        return Ok(table);
    }
    let row = |name: String, added, used: Option<_>| {
        vec![Cell::Plain(name), Cell::At(Some(Time::minute(added))), Cell::At(used.map(Time::minute))]
    };
    let apps = factors::list(&app.db, &ids).await?.remove(&user.id).unwrap_or_default();
    let apps =
        apps.into_iter().map(|one| row(Text::new("console-factor-app").english(), one.created_at, one.last_used_at));
    let keys = passkeys::list::list(&app.db, &ids).await?.remove(&user.id).unwrap_or_default();
    let keys = keys.into_iter().map(|key| {
        let name = match key.name.as_str() {
            "" => Text::new("page-passkey-nameless").english(),
            name => Text::new("console-factor-passkey").with("name", name).english(),
        };
        row(name, key.created_at, key.last_used_at)
    });
    let left = factors::recovery_codes_left(&app.db, &ids).await?.remove(&user.id).unwrap_or_default();
    let codes = Text::new("console-factor-codes").with("count", u64::try_from(left).unwrap_or_default());
    let codes = vec![Cell::Plain(codes.english()), Cell::At(None), Cell::At(None)];
    Ok(table.with_rows(apps.chain(keys).chain([codes])))
}

async fn mails(app: &App, viewer: Manager<'_>, user: &user::Model) -> Result<Table> {
    let filter = outbox::list::Filter { user: Some(user.id), ..outbox::list::Filter::default() };
    let page = outbox::list::page(&app.db, *viewer, &filter, &newest()).await?;
    let columns =
        vec![Text::new("console-column-mail"), Text::new("console-column-status"), Text::new("console-column-time")];
    let table = Table::new("mails", Text::new("console-mails"), Text::new("console-mails-none"), columns);
    Ok(table.with_rows(page.rows.into_iter().map(|(mail, _)| mail_row(&mail))))
}

fn mail_row(mail: &mail::Model) -> Vec<Cell> {
    let kind = match mail.status {
        Status::Sent => "good",
        Status::Queued | Status::Held => "plain",
        Status::Failed => "bad",
        Status::Cancelled => "warn",
    };
    let status = words::mail_status(mail.status);
    vec![
        Cell::Plain(words::mail_kind(mail.kind).english()),
        Cell::State(kind, status.english()),
        Cell::At(Some(Time::minute(mail.sent_at.unwrap_or(mail.created_at)))),
    ]
}

async fn events(app: &App, viewer: Manager<'_>, user: &user::Model) -> Result<Table> {
    let filter = audit::list::Filter { user: Some(user.id.to_string()), ..audit::list::Filter::default() };
    let page = audit::list::page(&app.db, *viewer, &filter, &newest()).await?;
    let ids: Vec<Uuid> = page.rows.iter().flat_map(|(event, _)| [event.actor_id, event.target_id]).flatten().collect();
    let people = list::find_many(&app.db, &viewer, &ids).await?;
    let columns = vec![
        Text::new("console-column-time"),
        Text::new("console-column-event"),
        Text::new("console-column-details"),
        Text::new("console-column-actor"),
        Text::new("console-column-ip"),
    ];
    let table = Table::new("events", Text::new("console-events"), Text::new("console-events-none"), columns);
    Ok(table.with_rows(page.rows.into_iter().map(|(event, _)| event_row(event, user, &people))))
}

fn event_row(event: audit_event::Model, user: &user::Model, people: &HashMap<Uuid, user::Model>) -> Vec<Cell> {
    let named = |id: Option<Uuid>| match id.map(|id| (id, people.get(&id))) {
        Some((id, Some(person))) if id != user.id => Cell::Linked(format!("/console/users/{id}"), person.name()),
        Some((_, Some(person))) => Cell::Plain(person.name()),
        Some((_, None)) => Cell::Plain(Text::new("console-somebody-deleted").english()),
        None => Cell::At(None),
    };
    let reason = event.reason.map(|reason| words::reason(reason).english());
    let target = event.target_id.filter(|id| *id != user.id).and_then(|id| people.get(&id)).map(user::Model::name);
    let changes = event.changes.iter().flat_map(Changes::iter).map(words::change);
    let details: Vec<String> = reason.into_iter().chain(target).chain(changes).collect();
    vec![
        Cell::At(Some(Time::minute(event.created_at))),
        Cell::Plain(words::action(event.action).english()),
        Cell::Plain(details.join(", ")),
        named(event.actor_id),
        Cell::Plain(event.ip.unwrap_or_default()),
    ]
}

async fn samples(app: &App, user: &user::Model) -> Result<Table> {
    let rows = u64::try_from(ROWS).unwrap_or_default();
    let samples = samples::recent(&app.db, &[user.id], rows).await?.remove(&user.id).unwrap_or_default();
    let columns =
        vec![Text::new("console-column-sample"), Text::new("console-column-key"), Text::new("console-column-modified")];
    let table = Table::new("samples", Text::new("console-samples"), Text::new("console-samples-none"), columns);
    Ok(table.with_rows(samples.into_iter().map(|sample| {
        vec![Cell::Plain(sample.title), Cell::Plain(sample.key), Cell::At(Some(Time::minute(sample.modified_at)))]
    })))
}
