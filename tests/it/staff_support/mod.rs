//! Support of users by staff: sessions, API tokens, links, reasons for failing sign-ins, stale forms, many users at once,
//! and figures.

mod active;
mod api_tokens;
mod links;
mod mails;
mod sessions;
mod sign_in_problems;
mod statistics;
mod versions;

use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use uuid::Uuid;
use vestibule::entity::audit_event::{self, Action};

use crate::test_app::{Person, TestApp};
use crate::test_client::{Answer, Client};

/// The id of the signed-in user.
async fn own_id(client: &Client) -> String {
    client.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned()
}

/// A client of staff with an API token of this scope.
async fn script(app: &TestApp, staff: &Client, scope: &str) -> Client {
    app.anyone().with_token(crate::api_tokens::make(staff, &[scope]).await.1)
}

/// Code of the first error of a response; empty without one.
fn code_of(answer: &Answer) -> String {
    answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
}

/// Number of events of this action about a person.
async fn events_of(app: &TestApp, person: &Person, action: Action) -> u64 {
    let id: Uuid = person.id.parse().unwrap();
    let events = audit_event::Entity::find().filter(audit_event::Column::TargetId.eq(id));
    events.filter(audit_event::Column::Action.eq(action)).count(app.db()).await.unwrap()
}
