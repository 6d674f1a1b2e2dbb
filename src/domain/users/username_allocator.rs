//! Allocation of free usernames: neither an account nor a reservation has them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::iter;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};

use super::reserved::{self, ReservationHolder, WrittenAccount};
use super::search_terms::searchable;
use crate::entity::user::{self, Column};
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// Maximum number of digits appended to a taken username.
const MAX_NUMBER_LENGTH: usize = 5;

/// Allocator of usernames for accounts that are written in batches.
#[derive(Debug, Default)]
pub(in crate::domain) struct UsernameAllocator<'a> {
    /// The folded usernames of the import so far.
    used: HashSet<Cow<'a, str>>,
}

impl<'a> UsernameAllocator<'a> {
    /// An allocator without these folded usernames.
    pub(in crate::domain) fn without(keys: impl Iterator<Item = Cow<'a, str>>) -> Self {
        Self { used: keys.collect() }
    }

    /// Takes a folded username. Returns false if it was taken before.
    pub(in crate::domain) fn take(&mut self, key: String) -> bool {
        self.used.insert(Cow::Owned(key))
    }

    /// Allocates this number of neutral usernames, with two statements for each search.
    pub(in crate::domain) async fn neutral(
        &mut self,
        txn: &DatabaseTransaction,
        now: &Now,
        count: usize,
    ) -> Result<Vec<String>> {
        let mut names = Vec::with_capacity(count);
        while names.len() < count {
            let new = iter::repeat_with(identifier::neutral_username).take(count - names.len());
            let new: Vec<(String, String)> = new.map(|name| (identifier::fold(&name), name)).collect();
            let mut unavailable = taken(txn, new.iter().map(|(key, _)| key.as_str())).await?;
            unavailable
                .extend(reserved::usernames(txn, now, new.iter().map(|(key, _)| key.as_str())).await?.into_keys());
            let free = new.into_iter().filter(|(key, _)| !unavailable.contains(key));
            names.extend(free.filter_map(|(key, name)| self.take(key).then_some(name)));
        }
        Ok(names)
    }

    /// Allocates one neutral username.
    pub(in crate::domain) async fn one_neutral(&mut self, txn: &DatabaseTransaction, now: &Now) -> Result<String> {
        let name = self.neutral(txn, now, 1).await?.pop();
        name.ok_or_else(|| Error::internal("no username was allocated"))
    }
}

/// The folded usernames among these that an account has.
pub(in crate::domain) async fn taken<'a>(
    txn: &DatabaseTransaction,
    keys: impl Iterator<Item = &'a str>,
) -> Result<HashSet<String>> {
    let keys: Vec<&str> = keys.collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let taken = user::Entity::find().filter(Column::UsernameKey.is_in(keys));
    let taken = taken.select_only().column(Column::UsernameKey).into_tuple::<String>().all(txn).await?;
    Ok(taken.into_iter().collect())
}

/// An account to insert.
#[derive(Clone, Debug)]
pub(in crate::domain) struct NewAccount<'a> {
    /// The row, with the first username to try.
    pub(in crate::domain) row: user::ActiveModel,
    /// The name to append a number to if it is taken; `None` for neutral ones.
    pub(in crate::domain) wanted: Option<&'a str>,
    /// The party that takes the address.
    pub(in crate::domain) by: ReservationHolder,
}

/// Inserts the row under its username. If that is taken or reserved, a number is appended to the wanted name; without a
/// wanted name, another neutral one is generated. The insert itself finds taken names, so that concurrent ones do not
/// fail.
pub(in crate::domain) async fn insert(
    txn: &DatabaseTransaction,
    now: &Now,
    account: NewAccount<'_>,
) -> Result<user::Model> {
    let NewAccount { mut row, wanted, by } = account;
    loop {
        let key = row.username_key.clone().take().unwrap_or_default();
        let is_free = reserved::usernames(txn, now, [key.as_str()]).await?.is_empty();
        let skip = OnConflict::column(Column::UsernameKey).do_nothing().to_owned();
        let insert = user::Entity::insert(searchable(row.clone())).on_conflict(skip);
        if is_free && insert.exec_without_returning(txn).await.map_err(super::taken)? > 0 {
            let id = row.id.clone().take().unwrap_or_default();
            let user = user::Entity::find_by_id(id).one(txn).await?;
            let user = user.ok_or_else(|| Error::internal("an account that was just made is missing"))?;
            reserved::claim(txn, now, WrittenAccount::new(&user), by).await?;
            return Ok(user);
        }
        let name = wanted.map_or_else(identifier::neutral_username, |wanted| numbered(now, wanted));
        row.username_key = Set(identifier::fold(&name));
        row.username = Set(name);
    }
}

/// The wanted username with a number appended.
fn numbered(now: &Now, wanted: &str) -> String {
    let stem: String = wanted.chars().take(identifier::MAX_USERNAME_LENGTH - MAX_NUMBER_LENGTH).collect();
    let [.., high, low] = now.id().into_bytes();
    format!("{stem}{}", u16::from_be_bytes([high, low]))
}
