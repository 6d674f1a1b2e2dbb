//! Rows and the accounts there are: which are new, which change, and which may not.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::entries::{Entries, Entry, look_alike};
use super::rights::{Rights, RightsChange};
use super::{Actor, BATCH, Counts, Errors, Progress, Watch};
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::users::reserved::{self, ReservationHolder};
use crate::entity::user::{self, Column};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// What is to become of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowAction {
    /// It becomes an account.
    New,
    /// Its account is changed.
    Changed,
    /// Its account is as it says.
    Same,
}

/// What is to become of the entries, in their order, and the rights that change by that.
#[derive(Debug)]
pub(super) struct RowActions {
    fates: Vec<RowAction>,
    /// The changes of rights, in the order of the rows.
    pub(super) rights: Vec<RightsChange>,
}

impl RowActions {
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for fate in &self.fates {
            match fate {
                RowAction::New => counts.created += 1,
                RowAction::Changed => counts.updated += 1,
                RowAction::Same => counts.unchanged += 1,
            }
        }
        counts
    }

    /// The entries of this fate.
    pub(super) fn of<'a>(&self, fate: RowAction, entries: &'a Entries) -> Vec<&'a Entry> {
        let with_fates = entries.0.iter().zip(&self.fates);
        with_fates.filter(|(_, its)| **its == fate).map(|(entry, _)| entry).collect()
    }
}

/// Finds out what is to become of the entries. The accounts that they name are locked until the transaction ends, in
/// the order of their addresses, so that two imports do not wait for each other.
pub(super) async fn fates(
    (txn, now): (&DatabaseTransaction, &Now),
    by: &Actor<'_>,
    Entries(entries): &Entries,
    errors: &mut Errors,
    watch: &Watch<'_>,
) -> Result<RowActions> {
    let mut fates = Vec::with_capacity(entries.len());
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
                let other = match is_hidden(by, alike) {
                    true => "the one of an account that you cannot see".to_owned(),
                    false => format!("the address of another account, {}", alike.email),
                };
                errors.add(entry.row, "email", look_alike(&entry.email, &other));
            }
            let (id, own) = (account.map_or_else(Uuid::nil, |user| user.id), (&*entry.email_key, &*entry.email));
            if account.is_none() && reserved.iter().any(|undo| reserved::bars(undo, id, own, ReservationHolder::Other))
            {
                errors.add(entry.row, "email", Refusal::new(Code::AlreadyExists, reserved::RETURNS));
            }
            rights.extend(rights_changes(entry, account));
            let changes = account.map(|account| Changes::of(entry, account));
            if entry.is_staff.unwrap_or(false) != account.is_some_and(|account| account.is_staff)
                && entry.is_staff.is_some()
            {
                let message = "The staff flag is not imported: change it with `toggleStaff`.";
                errors.add(entry.row, "is_staff", Refusal::new(Code::Invalid, message));
            }
            match (account, &changes) {
                (Some(account), Some(changes)) => {
                    if let Err((column, refusal)) = changes.check(by, account) {
                        errors.add(entry.row, column, refusal);
                    }
                    fates.push(if changes.is_empty() { RowAction::Same } else { RowAction::Changed });
                }
                _ => fates.push(RowAction::New),
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
                errors.add(*row, "username", reserved::username_taken());
            }
        }
        for name in taken_names(txn, names.keys().copied()).await? {
            if let Some((row, _)) = names.get(name.as_str()) {
                let message = "There is an account with this username already.";
                errors.add(*row, "username", Refusal::new(Code::AlreadyExists, message));
            }
        }
        watch(Progress::Done(fates.len(), 2 * entries.len()));
    }
    rights.sort_by_key(|change| change.row);
    Ok(RowActions { fates, rights })
}

/// Whether an account does not show to whoever imports.
fn is_hidden(by: &Actor<'_>, account: &user::Model) -> bool {
    matches!(by, Actor::Staff(staff) if account.is_superuser && !staff.user().is_superuser)
}

/// The rights that change where this entry is carried out.
fn rights_changes(entry: &Entry, account: Option<&user::Model>) -> Vec<RightsChange> {
    let (before, after) = match account {
        Some(account) => (Rights::of(account), Rights::of(&Changes::of(entry, account).after)),
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

/// The accounts that these entries name, by their folded address, locked.
pub(super) async fn accounts(txn: &DatabaseTransaction, entries: &[&Entry]) -> Result<HashMap<String, user::Model>> {
    let keys = entries.iter().map(|entry| &*entry.email_key);
    let found = user::Entity::find().filter(Column::EmailKey.is_in(keys)).order_by_asc(Column::EmailKey);
    let found = found.lock_exclusive().all(txn).await?;
    Ok(found.into_iter().map(|account| (account.email_key.clone(), account)).collect())
}

/// Which of these folded usernames an account has.
pub(super) async fn taken_names<'a>(
    txn: &DatabaseTransaction,
    names: impl Iterator<Item = &'a str>,
) -> Result<HashSet<String>> {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let taken = user::Entity::find().filter(Column::UsernameKey.is_in(names));
    let taken = taken.select_only().column(Column::UsernameKey).into_tuple::<String>().all(txn).await?;
    Ok(taken.into_iter().collect())
}

/// How an entry differs from its account.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    /// The account as it becomes.
    pub(super) after: user::Model,
    /// The first column that differs and gives nobody a right.
    detail: Option<&'static str>,
    has_other_role: bool,
    has_other_permission: bool,
    /// Whether the active flag changes.
    pub(super) is_toggled: bool,
}

impl Changes {
    pub(super) fn of(entry: &Entry, account: &user::Model) -> Self {
        let mut after = account.clone();
        let mut detail = None;
        if let Some((name, key)) = &entry.username {
            set(&mut after.username, name, "username", &mut detail);
            after.username_key = String::from(&**key);
        }
        let [first_name, last_name, bio, phone, address] = &entry.texts;
        for (field, text, column) in [
            (&mut after.first_name, first_name, "first_name"),
            (&mut after.last_name, last_name, "last_name"),
            (&mut after.bio, bio, "bio"),
            (&mut after.phone, phone, "phone"),
            (&mut after.address, address, "address"),
        ] {
            if !text.is_empty() {
                set(field, text, column, &mut detail);
            }
        }
        after.role = entry.role.unwrap_or(account.role);
        after.permission = entry.permission.unwrap_or(account.permission);
        after.is_active = entry.is_active.unwrap_or(account.is_active);
        let has_other_role = after.role != account.role;
        let has_other_permission = after.permission != account.permission;
        let is_toggled = after.is_active != account.is_active;
        Self { after, detail, has_other_role, has_other_permission, is_toggled }
    }

    fn is_empty(&self) -> bool {
        !self.is_of_details() && !self.is_toggled
    }

    /// Whether anything changes but the active flag.
    pub(super) fn is_of_details(&self) -> bool {
        self.detail.is_some() || self.has_other_role || self.has_other_permission
    }

    /// Whether all this may be done.
    fn check(&self, by: &Actor<'_>, account: &user::Model) -> Result<(), (&'static str, Refusal)> {
        // Staff cannot see superusers, and shall not find out by guessing what changes nothing.
        let asked = [
            (is_hidden(by, account), "email", Change::Details),
            (self.detail.is_some(), self.detail.unwrap_or_default(), Change::Details),
            (self.has_other_role, "role", Change::Role(self.after.role)),
            (self.has_other_permission, "permission", Change::Permission(self.after.permission)),
            (self.is_toggled, "is_active", Change::Active(self.after.is_active)),
        ];
        for (_, column, change) in asked.into_iter().filter(|(is_asked, _, _)| *is_asked) {
            guard_rails::check(by.id(), account, change).map_err(|refusal| (column, refusal))?;
        }
        Ok(())
    }
}

fn set(field: &mut String, to: &str, column: &'static str, detail: &mut Option<&'static str>) {
    if field != to {
        to.clone_into(field);
        *detail = detail.or(Some(column));
    }
}
