//! Matching of rows with existing accounts, and checks of the changes.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::columns::Target;
use super::entries::{Entries, Entry};
use super::mapping::MatchBy;
use super::problems::{Errors, Fault};
use super::rights::{Rights, RightsChange};
use super::{BATCH, Counts, ImportedBy, Progress, Watch};
use crate::domain::users::account_change::{AccountChange, ChangedBy};
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::users::reserved::{self, ReservationHolder, WantedAddress};
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
    pub(super) match_by: MatchBy,
    pub(super) watch: &'a Watch<'a>,
}

/// Determines the effects of the entries. Their accounts are locked until the transaction ends, in the order of their
/// keys, to avoid deadlocks.
pub(super) async fn plan_rows(
    planning: Planning<'_>,
    Entries(entries): &Entries,
    errors: &mut Errors,
) -> Result<RowActions> {
    let Planning { txn, now, by, match_by, watch } = planning;
    let mut actions = Vec::with_capacity(entries.len());
    let mut rights = Vec::new();
    for batch in entries.chunks(BATCH) {
        let batch: Vec<&Entry> = batch.iter().collect();
        let accounts = accounts(txn, match_by, &batch).await?;
        let reserved = reserved::addresses(txn, now, batch.iter().map(|entry| &*entry.email_key)).await?;
        let mut wanted = Wanted::default();
        for entry in &batch {
            let alike = accounts.get(entry.key(match_by));
            let account = alike.filter(|account| is_same(match_by, account, entry));
            if let (Some(other), None, MatchBy::Email) = (alike, account, match_by) {
                add_address_of(by, entry, &Owner::of(other), errors);
            }
            let user = account.map(|account| account.id);
            if account.is_none_or(|account| match_by != MatchBy::Email && account.email_key != *entry.email_key) {
                let key = &entry.email_key;
                let address = WantedAddress {
                    user: user.unwrap_or_default(),
                    email: &entry.email,
                    key,
                    by: ReservationHolder::Other,
                };
                if reserved.iter().any(|undo| reserved::bars(undo, address)) {
                    let refusal = Refusal::new(Code::AlreadyExists, reserved::RETURNS);
                    errors.add(Fault::of(entry.row, Target::Email, &entry.email), &refusal);
                }
                if match_by != MatchBy::Email {
                    wanted.add(MatchBy::Email, entry, user);
                }
            }
            if account.is_none() && entry.email.is_empty() {
                let refusal = Refusal::new(Code::Required, "new-account-without-email");
                errors.add(Fault::of(entry.row, Target::Email, ""), &refusal);
            }
            let change = account.map(|account| change(match_by, entry, account));
            rights.extend(rights_changes(entry, change.as_ref()));
            if let Some(flag) = entry.is_staff
                && flag != account.is_some_and(|account| account.is_staff)
            {
                let refusal = Refusal::new(Code::Invalid, "staff-flag-not-imported");
                errors.add(Fault::named(entry.row, "is_staff", &flag.to_string()), &refusal);
            }
            match &change {
                Some(change) => {
                    if let Err((column, refusal)) = check(by, match_by, change) {
                        errors.add(Fault::named(entry.row, column, &entry.value_of(column)), &refusal);
                    }
                    actions.push(if change.is_empty() { RowAction::Same } else { RowAction::Changed });
                }
                None => actions.push(RowAction::New),
            }
            if account.is_none_or(|account| *account.username_key != *entry.username_key()) {
                wanted.add(MatchBy::Username, entry, user);
            }
            let known_id = account.and_then(|account| account.external_id.as_deref());
            match (known_id, entry.external_id.as_deref()) {
                (Some(known), Some(given)) if known != given => {
                    let refusal = Refusal::new(Code::Invalid, "external-id-differs").with("id", known);
                    errors.add(Fault::of(entry.row, Target::ExternalId, given), &refusal);
                }
                (None, Some(_)) => wanted.add(MatchBy::ExternalId, entry, user),
                _ => {}
            }
        }
        wanted.check(txn, now, by, errors).await?;
        watch(Progress::Done(actions.len(), 2 * entries.len()));
    }
    rights.sort_by_key(|change| change.row);
    Ok(RowActions { actions, rights })
}

/// Unique values that entries of a batch shall get, each with its entry and the account of the entry.
#[derive(Default)]
struct Wanted<'a> {
    emails: HashMap<&'a str, (&'a Entry, Option<Uuid>)>,
    usernames: HashMap<&'a str, (&'a Entry, Option<Uuid>)>,
    external_ids: HashMap<&'a str, (&'a Entry, Option<Uuid>)>,
}

impl<'a> Wanted<'a> {
    fn add(&mut self, what: MatchBy, entry: &'a Entry, user: Option<Uuid>) {
        let values = match what {
            MatchBy::Email => &mut self.emails,
            MatchBy::Username => &mut self.usernames,
            MatchBy::ExternalId => &mut self.external_ids,
        };
        let key = entry.key(what);
        if !key.is_empty() {
            values.insert(key, (entry, user));
        }
    }

    /// Reports the values that other accounts have, or that are reserved for others.
    async fn check(&self, txn: &DatabaseTransaction, now: &Now, by: ImportedBy<'_>, errors: &mut Errors) -> Result<()> {
        for (name, owner) in reserved::usernames(txn, now, self.usernames.keys().copied()).await? {
            if let Some((entry, user)) = self.usernames.get(name.as_str())
                && *user != Some(owner)
            {
                let fault = Fault::of(entry.row, Target::Username, entry.shown_key(MatchBy::Username));
                errors.add(fault, &reserved::username_taken());
            }
        }
        for (what, values, text) in [
            (MatchBy::Email, &self.emails, ""),
            (MatchBy::Username, &self.usernames, "row-username-taken"),
            (MatchBy::ExternalId, &self.external_ids, "row-external-id-taken"),
        ] {
            for owner in owners(txn, what, values.keys().copied()).await? {
                let Some((entry, user)) = values.get(owner.key.as_str()) else { continue };
                if *user == Some(owner.id) {
                    continue;
                }
                if what == MatchBy::Email {
                    add_address_of(by, entry, &owner, errors);
                    continue;
                }
                let fault = Fault::of(entry.row, what.target(), entry.shown_key(what));
                errors.add(fault.against_user(owner.shown_to(by)), &Refusal::new(Code::AlreadyExists, text));
            }
        }
        Ok(())
    }
}

/// An account that has a unique value.
#[derive(FromQueryResult)]
struct Owner {
    key: String,
    id: Uuid,
    email: String,
    is_superuser: bool,
}

impl Owner {
    fn of(account: &user::Model) -> Self {
        let user::Model { id, email, email_key, is_superuser, .. } = account.clone();
        Self { key: email_key, id, email, is_superuser }
    }

    /// The id, if the actor may see the account.
    fn shown_to(&self, by: ImportedBy<'_>) -> Option<Uuid> {
        (!is_hidden(by, self.is_superuser)).then_some(self.id)
    }
}

/// The accounts that have these values.
async fn owners<'a>(
    txn: &DatabaseTransaction,
    what: MatchBy,
    keys: impl Iterator<Item = &'a str>,
) -> Result<Vec<Owner>> {
    let (column, keys): (_, Vec<&str>) = (column_of(what), keys.collect());
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found = user::Entity::find().filter(column.is_in(keys)).select_only().column_as(column, "key");
    let found = found.columns([Column::Id, Column::Email, Column::IsSuperuser]);
    Ok(found.into_model::<Owner>().all(txn).await?)
}

/// Reports an address that another account has, or one that looks alike.
fn add_address_of(by: ImportedBy<'_>, entry: &Entry, owner: &Owner, errors: &mut Errors) {
    let refusal = if identifier::same_address(&owner.email, &entry.email) {
        Refusal::new(Code::AlreadyExists, "email-of-account")
    } else if is_hidden(by, owner.is_superuser) {
        Refusal::new(Code::AlreadyExists, "email-resembles-hidden-account").with("email", &*entry.email)
    } else {
        let refusal = Refusal::new(Code::AlreadyExists, "email-resembles-account").with("email", &*entry.email);
        refusal.with("other", owner.email.as_str())
    };
    let fault = Fault::of(entry.row, Target::Email, &entry.email);
    errors.add(fault.against_user(owner.shown_to(by)), &refusal);
}

/// True if the actor cannot see an account.
fn is_hidden(by: ImportedBy<'_>, is_superuser: bool) -> bool {
    matches!(by, ImportedBy::Staff(staff) if is_superuser && !staff.user().is_superuser)
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
        email: account.filter(|_| entry.email.is_empty()).map_or_else(|| entry.email.to_string(), |a| a.email.clone()),
        field,
        before: account.map(|_| before),
        after,
    });
    changes.collect()
}

/// The column of a key, as compared.
fn column_of(match_by: MatchBy) -> Column {
    match match_by {
        MatchBy::Email => Column::EmailKey,
        MatchBy::Username => Column::UsernameKey,
        MatchBy::ExternalId => Column::ExternalId,
    }
}

/// True if an account with the key of an entry is its account: keys only refuse, equality identifies.
fn is_same(match_by: MatchBy, account: &user::Model, entry: &Entry) -> bool {
    let given = entry.shown_key(match_by);
    match match_by {
        MatchBy::Email => identifier::same_address(&account.email, given),
        MatchBy::Username => identifier::same_username(&account.username, given),
        MatchBy::ExternalId => account.external_id.as_deref() == Some(given),
    }
}

/// The accounts of these entries by their keys, locked.
pub(super) async fn accounts(
    txn: &DatabaseTransaction,
    match_by: MatchBy,
    entries: &[&Entry],
) -> Result<HashMap<String, user::Model>> {
    let column = column_of(match_by);
    let keys = entries.iter().map(|entry| entry.key(match_by));
    let found = user::Entity::find().filter(column.is_in(keys)).order_by_asc(column);
    let found = found.lock_exclusive().all(txn).await?;
    let key = |account: &user::Model| match match_by {
        MatchBy::Email => account.email_key.clone(),
        MatchBy::Username => account.username_key.clone(),
        MatchBy::ExternalId => account.external_id.clone().unwrap_or_default(),
    };
    Ok(found.into_iter().map(|account| (key(&account), account)).collect())
}

/// The change of an account by an entry. The key by which it was matched stays as it is spelled.
pub(super) fn change(match_by: MatchBy, entry: &Entry, account: &user::Model) -> AccountChange {
    let mut after = account.clone();
    if match_by != MatchBy::Email && !entry.email.is_empty() {
        after.email = entry.email.to_string();
    }
    if let (Some((name, _)), true) = (&entry.username, match_by != MatchBy::Username) {
        after.username = name.to_string();
    }
    if let (Some(id), None) = (&entry.external_id, &account.external_id) {
        after.external_id = Some(id.to_string());
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
fn check(by: ImportedBy<'_>, match_by: MatchBy, change: &AccountChange) -> Result<(), (&'static str, Refusal)> {
    // Staff cannot see superusers, and must not learn their details by guessing values that change nothing.
    let is_hidden = is_hidden(by, change.before().is_superuser);
    let hidden = is_hidden.then_some((match_by.target().name(), Change::Details));
    hidden.into_iter().chain(change.guarded()).try_for_each(|(column, asked)| {
        guard_rails::check(by.actor(), change.before(), asked).map_err(|refusal| (column, refusal))
    })
}
