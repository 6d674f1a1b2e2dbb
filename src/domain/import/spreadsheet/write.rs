//! New and changed accounts, written in batches with their audit events and mails.

use std::borrow::Cow;
use std::collections::HashSet;

use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait as _};

use super::columns::Target;
use super::entries::{Entries, Entry};
use super::mapping::MatchBy;
use super::matching::{self, RowAction, RowActions};
use super::problems::{Errors, Fault};
use super::{BATCH, Begun, Progress, Watch};
use crate::domain::rate_limits::{self, Limits};
use crate::domain::users::account_change::AccountChange;
use crate::domain::users::reserved::{self, WrittenAccount};
use crate::domain::users::search_terms::searchable;
use crate::domain::users::username_allocator::UsernameAllocator;
use crate::domain::users::{Names, blank, retry_on_conflict};
use crate::domain::{audit, outbox};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Context of all steps.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) txn: &'a DatabaseTransaction,
    pub(super) now: &'a Now,
    pub(super) by: &'a Begun<'a>,
    pub(super) match_by: MatchBy,
    pub(super) send_welcome: bool,
    pub(super) watch: &'a Watch<'a>,
}

/// Writes the new and changed accounts.
pub(super) async fn write(writing: Writing<'_>, entries: &Entries, actions: &RowActions) -> Result<()> {
    let (new, changed) = (actions.of(RowAction::New, entries), actions.of(RowAction::Changed, entries));
    let mut done = entries.0.len() + (entries.0.len() - new.len() - changed.len());
    let mut advance = |steps: usize| {
        done += steps;
        (writing.watch)(Progress::Done(done, 2 * entries.0.len()));
    };
    // Changed usernames first, so that generated ones cannot collide with them.
    for batch in changed.chunks(BATCH) {
        change(writing, batch).await?;
        advance(batch.len());
    }
    let given = entries.0.iter().filter_map(|entry| entry.username.as_ref()).map(|(_, key)| Cow::Borrowed(&**key));
    let mut names = UsernameAllocator::without(given);
    for batch in new.chunks(BATCH) {
        insert(writing, batch, &mut names).await?;
        advance(batch.len());
    }
    Ok(())
}

/// Counts the welcome mails to new users. An import counts as one list of any length. The limit per address applies, so
/// that repeated deletion and import of a user does not fill their mailbox.
pub(super) async fn take_welcomes(
    txn: &DatabaseTransaction,
    now: &Now,
    limits: &Limits,
    new: &[&Entry],
    errors: &mut Errors,
) -> Result<()> {
    for batch in new.chunks(BATCH) {
        let refused = rate_limits::take_welcomes(txn, now, limits, batch.iter().map(|entry| &*entry.email)).await?;
        let refused: HashSet<&str> = refused.into_iter().collect();
        for entry in batch.iter().filter(|entry| refused.contains(&*entry.email)) {
            let fault = Fault::of(entry.row, Target::Email, &entry.email);
            errors.add(fault, &Refusal::new(Code::Invalid, "too-many-welcome-mails"));
        }
    }
    Ok(())
}

async fn insert(writing: Writing<'_>, batch: &[&Entry], names: &mut UsernameAllocator<'_>) -> Result<()> {
    let Writing { txn, now, by, .. } = writing;
    let unnamed = batch.iter().filter(|entry| entry.username.is_none()).count();
    let mut neutral = names.neutral(txn, now, unnamed).await?.into_iter();
    let given = |entry: &&Entry| entry.username.as_ref().map(|(name, _)| name.to_string());
    let usernames = batch.iter().filter_map(|entry| given(entry).or_else(|| neutral.next()));
    let (mut rows, mut mails, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, username) in batch.iter().zip(usernames) {
        let [first_name, last_name, bio, phone, address] = entry.texts.each_ref().map(ToString::to_string);
        let row = blank(now, Names { email: entry.email.to_string(), username, first_name, last_name });
        let id = row.id.clone().take().unwrap_or_default();
        rows.push(user::ActiveModel {
            bio: Set(bio),
            phone: Set(phone),
            address: Set(address),
            external_id: Set(entry.external_id.as_ref().map(ToString::to_string)),
            role: entry.role.map_or(row.role, Set),
            permission: entry.permission.map_or(row.permission, Set),
            is_active: entry.is_active.map_or(row.is_active, Set),
            ..row
        });
        events.push(by.event(Action::UserCreated, Some(id)));
        mails.push((entry.email.to_string(), id));
    }
    let users: Vec<user::Model> = rows.iter().cloned().map(user::Model::try_from).collect::<Result<_, _>>()?;
    user::Entity::insert_many(rows.into_iter().map(searchable))
        .exec_without_returning(txn)
        .await
        .map_err(retry_on_conflict)?;
    let written: Vec<WrittenAccount<'_>> = users.iter().map(WrittenAccount::new).collect();
    reserved::claim_all(txn, now, &written).await?;
    audit::record_all(txn, now, events).await?;
    if writing.send_welcome {
        outbox::enqueue_all(txn, now, Kind::Welcome, mails).await?;
    }
    Ok(())
}

async fn change(writing: Writing<'_>, batch: &[&Entry]) -> Result<()> {
    let Writing { txn, now, by, match_by, .. } = writing;
    let accounts = matching::accounts(txn, match_by, batch).await?;
    let change = |entry: &&Entry| Some(matching::change(match_by, entry, accounts.get(entry.key(match_by))?));
    let changes: Vec<AccountChange> = batch.iter().filter_map(change).collect();
    let mut events = Vec::new();
    for change in &changes {
        let (before, after) = (change.before(), change.after());
        events.extend(change.actions().map(|action| by.event(action, Some(after.id)).changing(before, after)));
    }
    AccountChange::write_all(txn, now, &changes).await?;
    audit::record_all(txn, now, events).await
}
