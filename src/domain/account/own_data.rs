//! The user's own data as files of an archive: profile, sessions, API tokens, second factors, events, samples and avatar.
//! Long lists are read in pages, one statement each, so that an archive takes little memory.

use std::collections::VecDeque;

use sea_orm::{
    ActiveEnum as _, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::{Caller, SessionUser};
use crate::domain::auth::passkeys;
use crate::domain::auth::second_factor::factors;
use crate::domain::auth::{api_tokens, authenticate, sessions};
use crate::domain::avatars::name::FileName;
use crate::domain::exports::Grant;
use crate::domain::rate_limits::{self, Limits};
use crate::entity::audit_change::Changes;
use crate::entity::audit_event::{self, Action, Column};
use crate::entity::{sample, user};
use crate::error::Result;
use crate::tools::archive::Part;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::device;
use crate::tools::media::MediaStore;

/// Number of rows read at a time.
const PAGE: u64 = 500;

/// The data of a user, of which the archive is not complete yet.
#[derive(Clone, Debug)]
pub struct OwnData {
    granted_to: Caller,
    user: user::Model,
    lives: SessionConfig,
    steps: VecDeque<Step>,
}

/// A part of the archive that is still to be read.
#[derive(Clone, Debug)]
enum Step {
    Profile,
    Avatar(FileName),
    Sessions,
    ApiTokens,
    Factors,
    List { of: List, after: Option<Uuid>, has_rows: bool },
}

/// A list that may be long.
#[derive(Clone, Copy, Debug)]
enum List {
    /// Events by the user.
    Acts,
    /// Events about the user, by others or by nobody who was signed in.
    Incidents,
    Samples,
}

/// Grants the user their own data, and records it.
///
/// # Errors
/// [`crate::error::Code::ReauthenticationRequired`]; [`crate::error::Error::RateLimited`] after too many exports.
pub async fn export(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    limits: &Limits,
    lives: &SessionConfig,
) -> Result<OwnData> {
    rate_limits::take_bulk(db, now, &owner, limits).await?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    authorized.check_recent_proof(now)?;
    let user = authorized.user().clone();
    audit::record(txn, now, Event::by(&authorized, Action::Exported, user.id)).await?;
    authorized.commit().await?;
    let avatar = user.avatar.as_deref().and_then(|name| name.parse().ok());
    let list = |of| Step::List { of, after: None, has_rows: false };
    let steps = [Step::Profile, Step::Sessions, Step::ApiTokens, Step::Factors]
        .into_iter()
        .chain(avatar.map(Step::Avatar))
        .chain([list(List::Acts), list(List::Incidents), list(List::Samples)]);
    Ok(OwnData { granted_to: owner.caller(), steps: steps.collect(), user, lives: *lives })
}

impl OwnData {
    /// Its grant, for an archive that is sent after all parts were read.
    pub fn grant(&self) -> Grant {
        Grant::of_own(self.granted_to.clone())
    }

    /// The next part of the archive; `None` at the end.
    ///
    /// # Errors
    /// [`crate::error::Error::Unauthenticated`] if the session or the account has ended since.
    pub async fn next(&mut self, db: &Db, now: &Now, store: &MediaStore) -> Result<Option<Part>> {
        let Some(step) = self.steps.pop_front() else { return Ok(None) };
        let caller = authenticate::still_alive(db, now, &self.granted_to).await?;
        let owner = caller.session_user()?;
        let id = self.user.id;
        let part = match step {
            Step::Profile => file("profile.json", &profile(&self.user)),
            Step::Avatar(name) => {
                let extension = name.path().rsplit('.').next().unwrap_or_default().to_owned();
                // It may have been replaced meanwhile.
                let bytes = store.get(&name.path()).await?.unwrap_or_default();
                Part { file: format!("avatar.{extension}"), bytes }
            }
            Step::Sessions => {
                let sessions = sessions::list(db, now, owner, &self.lives).await?;
                file("sessions.json", &sessions.iter().map(session).collect::<Value>())
            }
            Step::ApiTokens => {
                let tokens = api_tokens::list(db, &owner).await?;
                file("api-tokens.json", &tokens.iter().map(api_token).collect::<Value>())
            }
            Step::Factors => {
                let apps = factors::list(db, &[id]).await?.remove(&id).unwrap_or_default();
                let passkeys = passkeys::list::list(db, &[id]).await?.remove(&id).unwrap_or_default();
                let apps = apps.iter().map(|app| factor("TOTP", "", app.created_at, app.last_used_at));
                let passkeys =
                    passkeys.iter().map(|key| factor("PASSKEY", &key.name, key.created_at, key.last_used_at));
                file("second-factors.json", &apps.chain(passkeys).collect::<Value>())
            }
            Step::List { of, after, has_rows } => {
                let (rows, last) = of.page(db, id, after).await?;
                if last.is_some() {
                    self.steps.push_front(Step::List { of, after: last, has_rows: has_rows || !rows.is_empty() });
                }
                let start = if after.is_none() { "[" } else { "" };
                let end = if last.is_none() { "\n]\n" } else { "" };
                let rows = rows.iter().enumerate().map(|(index, row)| {
                    let comma = if has_rows || index > 0 { "," } else { "" };
                    format!("{comma}\n{row}")
                });
                let text = format!("{start}{}{end}", rows.collect::<String>());
                Part { file: of.file().to_owned(), bytes: text.into_bytes() }
            }
        };
        Ok(Some(part))
    }
}

impl List {
    fn file(self) -> &'static str {
        match self {
            Self::Acts => "events-by-you.json",
            Self::Incidents => "events-about-you.json",
            Self::Samples => "samples.json",
        }
    }

    /// The rows after this one, with the last of them unless the list ends.
    async fn page(self, db: &Db, user: Uuid, after: Option<Uuid>) -> Result<(Vec<Value>, Option<Uuid>)> {
        let (rows, last) = match self {
            Self::Samples => {
                let beyond = Condition::all().add_option(after.map(|after| sample::Column::Id.gt(after)));
                let samples = sample::Entity::find().filter(sample::Column::ModifiedBy.eq(user)).filter(beyond);
                let samples = samples.order_by_asc(sample::Column::Id).limit(PAGE).all(db.reader()).await?;
                (samples.iter().map(recorded).collect::<Vec<_>>(), samples.last().map(|sample| sample.id))
            }
            Self::Acts | Self::Incidents => {
                let are_acts = matches!(self, Self::Acts);
                let role = if are_acts { Column::ActorId } else { Column::TargetId };
                let beyond = Condition::all().add(role.eq(user)).add_option(after.map(|after| Column::Id.gt(after)));
                let events = audit_event::Entity::find().filter(beyond).order_by_asc(Column::Id);
                let events = events.limit(PAGE).all(db.reader()).await?;
                let is_new = |event: &&audit_event::Model| are_acts || event.actor_id != Some(user);
                let last = events.last().map(|event| event.id);
                let rows = events.iter().filter(is_new).map(|event| happened(event, user)).collect();
                return Ok((rows, last.filter(|_| events.len() as u64 == PAGE)));
            }
        };
        let is_full = rows.len() as u64 == PAGE;
        Ok((rows, last.filter(|_| is_full)))
    }
}

fn file(name: &str, content: &Value) -> Part {
    Part { file: name.to_owned(), bytes: format!("{content:#}\n").into_bytes() }
}

fn text(at: impl Into<Option<Timestamp>>) -> Option<String> {
    at.into().map(|at| at.to_string())
}

fn profile(user: &user::Model) -> Value {
    json!({
        "id": user.id.to_string(),
        "username": user.username,
        "email": user.email,
        "pendingEmail": user.pending_email,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "phone": user.phone,
        "address": user.address,
        "bio": user.bio,
        "role": user.role.to_value(),
        "permission": user.permission.to_value(),
        "isStaff": user.is_staff,
        "isVerified": user.is_verified,
        "externalId": user.external_id,
        "dateJoined": text(user.date_joined),
        "updatedAt": text(user.updated_at),
        "lastLogin": text(user.last_login),
        "lastActivity": text(user.last_activity),
    })
}

fn session(session: &crate::entity::session::Model) -> Value {
    json!({
        "id": session.id.to_string(),
        "deviceName": device::name(session.user_agent.as_deref()),
        "ip": session.ip,
        "userAgent": session.user_agent,
        "createdAt": text(session.created_at),
        "authenticatedAt": text(session.authenticated_at),
        "lastUsedAt": text(session.last_used_at),
        "expiresAt": text(session.expires_at),
    })
}

fn api_token(token: &crate::entity::api_token::Model) -> Value {
    json!({
        "id": token.id.to_string(),
        "name": token.name,
        "scopes": token.scopes.to_string(),
        "prefix": token.prefix,
        "createdAt": text(token.created_at),
        "lastUsedAt": text(token.last_used_at),
        "expiresAt": text(token.expires_at),
    })
}

fn factor(kind: &str, name: &str, created_at: Timestamp, last_used_at: Option<Timestamp>) -> Value {
    json!({ "kind": kind, "name": name, "createdAt": text(created_at), "lastUsedAt": text(last_used_at) })
}

fn recorded(sample: &sample::Model) -> Value {
    json!({
        "id": sample.id.to_string(),
        "key": sample.key,
        "title": sample.title,
        "createdAt": text(sample.created_at),
        "modifiedAt": text(sample.modified_at),
    })
}

/// An event. The address and program of somebody else who was signed in are theirs.
fn happened(event: &audit_event::Model, user: Uuid) -> Value {
    let is_of_others = event.actor_id.is_some_and(|actor| actor != user);
    let changes = event.changes.iter().flat_map(Changes::iter);
    json!({
        "action": event.action.to_value(),
        "createdAt": text(event.created_at),
        "ip": event.ip.as_ref().filter(|_| !is_of_others),
        "userAgent": event.user_agent.as_ref().filter(|_| !is_of_others),
        "reason": event.reason.as_ref().map(sea_orm::ActiveEnum::to_value),
        "changes": changes.map(|change| json!({
            "field": change.field.to_value(),
            "before": change.before,
            "after": change.after,
        })).collect::<Value>(),
    })
}
