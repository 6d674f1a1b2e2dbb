//! New accounts and changed ones, written in batches, with their audit events and mails.

use std::collections::HashSet;

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, IntoIden as _, Query, TableRef, Value, ValueTuple};
use sea_orm::{ActiveEnum as _, ActiveValue::Set, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _};

use super::entries::{Entries, Entry};
use super::matching::{self, Changes, RowAction, RowActions};
use super::{BATCH, Begun, Errors, Progress, Watch};
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::rate_limits::{self, Limits};
use crate::domain::users::{blank, reserved, retry_on_conflict};
use crate::domain::{audit, outbox};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user::{self, Column};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::{identifier, text};

/// What all steps need.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) txn: &'a DatabaseTransaction,
    pub(super) now: &'a Now,
    pub(super) by: &'a Begun<'a>,
    pub(super) send_welcome: bool,
    pub(super) watch: &'a Watch<'a>,
}

/// Writes what is new or changed.
pub(super) async fn write(writing: Writing<'_>, entries: &Entries, fates: &RowActions) -> Result<()> {
    let (new, changed) = (fates.of(RowAction::New, entries), fates.of(RowAction::Changed, entries));
    let mut done = entries.0.len() + (entries.0.len() - new.len() - changed.len());
    let mut advance = |steps: usize| {
        done += steps;
        (writing.watch)(Progress::Done(done, 2 * entries.0.len()));
    };
    // Names that change come first: a name that is made up must not be one of them.
    for batch in changed.chunks(BATCH) {
        change(writing, batch).await?;
        advance(batch.len());
    }
    let mut names = Names::given(entries);
    for batch in new.chunks(BATCH) {
        insert(writing, batch, &mut names).await?;
        advance(batch.len());
    }
    Ok(())
}

/// Counts the welcome mails to new users. An import counts as one list, however long it is; but no address receives more of
/// them than it may, so that deleting and importing somebody again does not fill their mailbox.
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
            let message = "This address has received too many welcome mails lately. Import it later, or without them.";
            errors.add(entry.row, "email", Refusal::new(Code::Invalid, message));
        }
    }
    Ok(())
}

async fn insert(writing: Writing<'_>, batch: &[&Entry], names: &mut Names<'_>) -> Result<()> {
    let Writing { txn, now, by, .. } = writing;
    let usernames = names.of(txn, now, batch).await?;
    let (mut rows, mut mails, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, username) in batch.iter().zip(usernames) {
        let [first_name, last_name, bio, phone, address] = entry.texts.each_ref().map(ToString::to_string);
        let row = blank(now, (entry.email.to_string(), username), (first_name, last_name));
        let id = row.id.clone().take().unwrap_or_default();
        rows.push(user::ActiveModel {
            bio: Set(bio),
            phone: Set(phone),
            address: Set(address),
            role: entry.role.map_or(row.role, Set),
            permission: entry.permission.map_or(row.permission, Set),
            is_active: entry.is_active.map_or(row.is_active, Set),
            ..row
        });
        events.push(by.event(Action::UserCreated, Some(id)));
        mails.push((entry.email.to_string(), id));
    }
    let written = rows.iter().cloned().map(|row| user::Model::try_from(row).map(|user| (None, user)));
    let written: Vec<_> = written.collect::<Result<_, _>>()?;
    user::Entity::insert_many(rows).exec_without_returning(txn).await.map_err(retry_on_conflict)?;
    reserved::claim_all(txn, now, &written).await?;
    audit::record_all(txn, now, events).await?;
    if writing.send_welcome {
        outbox::enqueue_all(txn, now, Kind::Welcome, mails).await?;
    }
    Ok(())
}

async fn change(writing: Writing<'_>, batch: &[&Entry]) -> Result<()> {
    let Writing { txn, now, by, .. } = writing;
    let accounts = matching::accounts(txn, batch).await?;
    let (mut rows, mut events, mut written) = (Vec::new(), Vec::new(), Vec::new());
    let (mut revoke_access, mut let_in) = (Vec::new(), Vec::new());
    for entry in batch {
        let Some(account) = accounts.get(&*entry.email_key) else { continue };
        let changes = Changes::of(entry, account);
        if changes.is_of_details() {
            events.push(by.event(Action::UserUpdated, Some(account.id)).changing(account, &changes.after));
        }
        if changes.is_toggled {
            let is_active = changes.after.is_active;
            let action = if is_active { Action::Activated } else { Action::Deactivated };
            events.push(by.event(action, Some(account.id)).changing(account, &changes.after));
            if is_active { let_in.push(account.id) } else { revoke_access.push(account.id) }
        }
        written.push((Some(account.clone()), changes.after.clone()));
        rows.push(changes.after);
    }
    store(txn, now, rows).await?;
    reserved::claim_all(txn, now, &written).await?;
    if !revoke_access.is_empty() {
        revocation::revoke(txn, &revoke_access, Cause::Deactivated).await?;
    }
    outbox::release(txn, now, &let_in).await?;
    if !let_in.is_empty() {
        rate_limits::forget_guesses(txn, &let_in).await?;
    }
    audit::record_all(txn, now, events).await
}

/// Stores what an import may change of these accounts, by one statement.
async fn store(txn: &DatabaseTransaction, now: &Now, rows: Vec<user::Model>) -> Result<()> {
    // Both databases name the columns of a list of values so.
    let value = |place: usize| Expr::col((Alias::new("new"), Alias::new(format!("column{place}"))));
    let columns = [
        Column::Username,
        Column::UsernameKey,
        Column::FirstName,
        Column::FirstNameKey,
        Column::LastName,
        Column::LastNameKey,
        Column::Bio,
        Column::Phone,
        Column::Address,
        Column::Role,
        Column::Permission,
        Column::IsActive,
    ];
    let values = rows.into_iter().map(|row| {
        ValueTuple::Many(vec![
            Value::from(row.id),
            row.username.into(),
            row.username_key.into(),
            Value::from(row.first_name.as_str()),
            text::fold(&row.first_name).into(),
            Value::from(row.last_name.as_str()),
            text::fold(&row.last_name).into(),
            row.bio.into(),
            row.phone.into(),
            row.address.into(),
            row.role.to_value().into(),
            row.permission.to_value().into(),
            row.is_active.into(),
        ])
    });
    let mut statement = Query::update();
    statement
        .table(user::Entity)
        .value(Column::UpdatedAt, now.at)
        .values(columns.into_iter().zip(2..).map(|(column, place)| (column, value(place))))
        .from(TableRef::ValuesList(values.collect(), Alias::new("new").into_iden()))
        .and_where(Expr::col((user::Entity, Column::Id)).eq(value(1)));
    txn.execute(&statement).await.map_err(retry_on_conflict)?;
    Ok(())
}

/// Usernames for those whose row gives none.
struct Names<'a> {
    /// The folded names that rows give.
    given: HashSet<&'a str>,
    /// The folded names that were made up.
    made: HashSet<String>,
}

impl<'a> Names<'a> {
    fn given(Entries(entries): &'a Entries) -> Self {
        let given = entries.iter().filter_map(|entry| entry.username.as_ref()).map(|(_, key)| &**key);
        Self { given: given.collect(), made: HashSet::new() }
    }

    /// The usernames of these entries: the one that is given, or a neutral one that is free.
    async fn of(&mut self, txn: &DatabaseTransaction, now: &Now, batch: &[&Entry]) -> Result<Vec<String>> {
        let mut names: Vec<String> = batch
            .iter()
            .map(|entry| match &entry.username {
                Some((name, _)) => name.to_string(),
                None => identifier::neutral_username(),
            })
            .collect();
        let mut open: Vec<usize> =
            (0..).zip(batch).filter(|(_, entry)| entry.username.is_none()).map(|(at, _)| at).collect();
        while !open.is_empty() {
            let keys: Vec<String> =
                open.iter().filter_map(|at| names.get(*at)).map(|name| identifier::fold(name)).collect();
            let mut taken = matching::taken_names(txn, keys.iter().map(String::as_str)).await?;
            taken.extend(reserved::usernames(txn, now, keys.iter().map(String::as_str)).await?.into_keys());
            let mut again = Vec::new();
            for (at, key) in open.into_iter().zip(keys) {
                if taken.contains(&key) || self.given.contains(key.as_str()) || !self.made.insert(key) {
                    if let Some(name) = names.get_mut(at) {
                        *name = identifier::neutral_username();
                    }
                    again.push(at);
                }
            }
            open = again;
        }
        Ok(names)
    }
}
