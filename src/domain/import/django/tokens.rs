//! API tokens of Django REST framework, imported with the scope EXPORT so that scripts continue to work. They do not
//! expire in Django, but do so here, like every token.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{Problem, Report, write};
use crate::domain::audit::{self, Event};
use crate::domain::auth::api_tokens::TOKENS_PER_USER;
use crate::entity::api_token::{self, Column, Scope, Scopes};
use crate::entity::audit_event::Action;
use crate::entity::{imported_id, user};
use crate::error::Result;
use crate::texts::Text;
use crate::tools::api_token::MovedToken;
use crate::tools::clock::Now;

/// Name of imported tokens in their owner's list.
const NAME: &str = "Imported from Django";

/// An account after the import of its user, with the user's token in Django.
pub(super) struct Owner<'a> {
    pub(super) account: user::Model,
    pub(super) token: Option<&'a MovedToken>,
}

/// Imports new tokens of active users, and deletes imported ones that no longer exist in Django. A token that was
/// deleted, renewed or revoked by a password reset here is not imported again.
pub(super) async fn write(
    txn: &DatabaseTransaction,
    now: &Now,
    owners: &[Owner<'_>],
    life: Duration,
    report: &mut Report,
) -> Result<()> {
    let users = Column::UserId.is_in(owners.iter().map(|owner| owner.account.id));
    let present = api_token::Entity::find().filter(users).all(txn).await?;
    let digests: Vec<Vec<u8>> = owners.iter().filter_map(|owner| owner.token.map(MovedToken::digest)).collect();
    let all = present.iter().map(|token| token.digest.clone()).chain(digests);
    let moved = imported_id::Entity::find().filter(imported_id::Column::Digest.is_in(all)).all(txn).await?;
    let moved: HashSet<Vec<u8>> = moved.into_iter().map(|row| row.digest).collect();
    let mut theirs: HashMap<Uuid, Vec<api_token::Model>> = HashMap::new();
    for token in present {
        theirs.entry(token.user_id).or_default().push(token);
    }

    let (mut rows, mut ended, mut taken, mut events) = (Vec::new(), Vec::new(), HashSet::new(), Vec::new());
    for Owner { account, token } in owners {
        let digest = token.map(MovedToken::digest);
        let present = theirs.remove(&account.id).unwrap_or_default();
        let count = present.len() as u64;
        for token in present.into_iter().filter(|token| moved.contains(&token.digest)) {
            if Some(&token.digest) != digest.as_ref() {
                events.push(Event::by_operator(Action::ApiTokenDeleted, account.id));
                ended.push(token.id);
            }
        }
        let (Some(token), Some(digest), true) = (token, digest, account.is_active) else { continue };
        if moved.contains(&digest) || !taken.insert(digest.clone()) {
            continue;
        }
        if count >= TOKENS_PER_USER {
            let id = account.external_id.clone().unwrap_or_default();
            let message = Text::new("django-token-limit").with("max", TOKENS_PER_USER).english();
            report.notes.push(Problem { id, field: Some("token"), message });
            continue;
        }
        events.push(Event::by_operator(Action::ApiTokenCreated, account.id));
        rows.push(api_token::ActiveModel {
            id: Set(now.id()),
            user_id: Set(account.id),
            name: Set(NAME.to_owned()),
            scopes: Set(Scopes::new([Scope::Export])),
            digest: Set(digest),
            prefix: Set(token.prefix()),
            created_at: Set(now.at),
            last_used_at: Set(None),
            expires_at: Set(Some(now.at.plus(life))),
        });
    }
    if !ended.is_empty() {
        api_token::Entity::delete_many().filter(Column::Id.is_in(ended)).exec(txn).await?;
    }
    report.tokens += rows.len();
    write::remember(txn, rows.iter().filter_map(|row| row.digest.clone().take())).await?;
    if !rows.is_empty() {
        api_token::Entity::insert_many(rows).exec_without_returning(txn).await?;
    }
    audit::record_all(txn, now, events).await
}
