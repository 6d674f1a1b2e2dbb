//! Matching of rows with existing accounts, and checks of the changes.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::entries::{Entries, Entry};
use super::rights::{Rights, RightsChange};
use super::{BATCH, Counts, Errors, ImportedBy, Progress, Watch};
use crate::domain::users::account_change::{AccountChange, ChangedBy};
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::users::reserved::{self, ReservationHolder, WantedAddress};
use crate::domain::users::username_allocator;
use crate::entity::user::{self, Column};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// Effect of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowAction {
    /// A new account.
    New,
    /// A change of its account.
    Changed,
    /// None: its account matches already.
    Same,
}

/// Effects of the entries in their order, and the changes of rights.
#[derive(Debug)]
pub(super) struct RowActions {
    actions: Vec<RowAction>,
    /// The changes of rights, in the order of the rows.
    pub(super) rights: Vec<RightsChange>,
}

impl RowActions {
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for action in &self.actions {
            match action {
                RowAction::New => counts.created += 1,
                RowAction::Changed => counts.updated += 1,
                RowAction::Same => counts.unchanged += 1,
            }
        }
        counts
    }

    /// The entries with this effect.
    pub(super) fn of<'a>(&self, action: RowAction, entries: &'a Entries) -> Vec<&'a Entry> {
        let with_actions = entries.0.iter().zip(&self.actions);
        with_actions.filter(|(_, its)| **its == action).map(|(entry, _)| entry).collect()
    }
}

/// Context of the matching.
#[derive(Clone, Copy)]
pub(super) struct Planning<'a> {
    pub(super) txn: &'a DatabaseTransaction,
    pub(super) now: &'a Now,
    pub(super) by: ImportedBy<'a>,
    pub(super) watch: &'a Watch<'a>,
}

/// Determines the effects of the entries. Their accounts are locked until the transaction ends, in the order of their
/// addresses, to avoid deadlocks.
pub(super) async fn plan_rows(
    planning: Planning<'_>,
    Entries(entries): &Entries,
    errors: &mut Errors,
) -> Result<RowActions> {
    let Planning { txn, now, by, watch } = planning;
    let mut actions = Vec::with_capacity(entries.len());
    let mut rights = Vec::new();
    for batch in entries.chunks(BATCH) {
        let batch: Vec<&Entry> = batch.iter().collect();
        let accounts = accounts(txn, &batch).await?;
        let reserved = reserved::addresses(txn, now, batch.iter().map(|entry| &*entry.email_key)).await?;
        let mut names = HashMap::new();
        for entry in &batch {
            let alike = accounts.get(&*entry.email_key);
            let account = alike.filter(|account| identifier::same_address(&account.email, &entry.email));
            if let (Some(alike), None) = (alike, account) {
                let refusal = match is_hidden(by, alike) {
                    true => Refusal::new(Code::AlreadyExists, "email-resembles-hidden-account"),
                    false => {
                        Refusal::new(Code::AlreadyExists, "email-resembles-account").with("other", alike.email.as_str())
                    }
                };
                errors.add(entry.row, "email", &refusal.with("email", &*entry.email));
            }
            let wanted = WantedAddress {
                user: Uuid::nil(),
                email: &entry.email,
                key: &entry.email_key,
                by: ReservationHolder::Other,
            };
            if account.is_none() && reserved.iter().any(|undo| reserved::bars(undo, wanted)) {
                errors.add(entry.row, "email", &Refusal::new(Code::AlreadyExists, reserved::RETURNS));
            }
            let change = account.map(|account| change(entry, account));
            rights.extend(rights_changes(entry, change.as_ref()));
            if entry.is_staff.unwrap_or(false) != account.is_some_and(|account| account.is_staff)
                && entry.is_staff.is_some()
            {
                errors.add(entry.row, "is_staff", &Refusal::new(Code::Invalid, "staff-flag-not-imported"));
            }
            match &change {
                Some(change) => {
                    if let Err((column, refusal)) = check(by, change) {
                        errors.add(entry.row, column, &refusal);
                    }
                    actions.push(if change.is_empty() { RowAction::Same } else { RowAction::Changed });
                }
                None => actions.push(RowAction::New),
            }
            if let Some((_, key)) = &entry.username
                && account.is_none_or(|account| *account.username_key != **key)
            {
                names.insert(&**key, (entry.row, account.map(|account| account.id)));
            }
        }
        for (name, owner) in reserved::usernames(txn, now, names.keys().copied()).await? {
            if let Some((row, user)) = names.get(name.as_str())
                && *user != Some(owner)
            {
                errors.add(*row, "username", &reserved::username_taken());
            }
        }
        for name in username_allocator::taken(txn, names.keys().copied()).await? {
            if let Some((row, _)) = names.get(name.as_str()) {
                errors.add(*row, "username", &Refusal::new(Code::AlreadyExists, "row-username-taken"));
            }
        }
        watch(Progress::Done(actions.len(), 2 * entries.len()));
    }
    rights.sort_by_key(|change| change.row);
    Ok(RowActions { actions, rights })
}

/// True if the actor cannot see the account.
fn is_hidden(by: ImportedBy<'_>, account: &user::Model) -> bool {
    matches!(by, ImportedBy::Staff(staff) if account.is_superuser && !staff.user().is_superuser)
}

/// The changes of rights by an entry.
fn rights_changes(entry: &Entry, change: Option<&AccountChange>) -> Vec<RightsChange> {
    let account = change.map(AccountChange::before);
    let (before, after) = match change {
        Some(change) => (Rights::of(change.before()), Rights::of(change.after())),
        None => (Rights::of_new(None, None), Rights::of_new(entry.role, entry.permission)),
    };
    let changes = after.changes(before).into_iter().map(|(field, before, after)| RightsChange {
        row: entry.row,
        user: account.map(|account| account.id),
        email: entry.email.to_string(),
        field,
        before: account.map(|_| before),
        after,
    });
    changes.collect()
}

/// The accounts of these entries by their folded addresses, locked.
pub(super) async fn accounts(txn: &DatabaseTransaction, entries: &[&Entry]) -> Result<HashMap<String, user::Model>> {
    let keys = entries.iter().map(|entry| &*entry.email_key);
    let found = user::Entity::find().filter(Column::EmailKey.is_in(keys)).order_by_asc(Column::EmailKey);
    let found = found.lock_exclusive().all(txn).await?;
    Ok(found.into_iter().map(|account| (account.email_key.clone(), account)).collect())
}

/// The change of an account by an entry.
pub(super) fn change(entry: &Entry, account: &user::Model) -> AccountChange {
    let mut after = account.clone();
    if let Some((name, _)) = &entry.username {
        after.username = name.to_string();
    }
    let [first_name, last_name, bio, phone, address] = &entry.texts;
    for (field, text) in [
        (&mut after.first_name, first_name),
        (&mut after.last_name, last_name),
        (&mut after.bio, bio),
        (&mut after.phone, phone),
        (&mut after.address, address),
    ] {
        if !text.is_empty() {
            *field = text.to_string();
        }
    }
    after.role = entry.role.unwrap_or(account.role);
    after.permission = entry.permission.unwrap_or(account.permission);
    after.is_active = entry.is_active.unwrap_or(account.is_active);
    AccountChange::new(ChangedBy::Spreadsheet, account, after)
}

/// Checks that the actor may make this change; otherwise returns the column and the refusal.
fn check(by: ImportedBy<'_>, change: &AccountChange) -> Result<(), (&'static str, Refusal)> {
    // Staff cannot see superusers, and must not learn their details by guessing values that change nothing.
    let hidden = is_hidden(by, change.before()).then_some(("email", Change::Details));
    hidden.into_iter().chain(change.guarded()).try_for_each(|(column, asked)| {
        guard_rails::check(by.actor(), change.before(), asked).map_err(|refusal| (column, refusal))
    })
}
