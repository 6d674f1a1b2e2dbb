//! Usernames and addresses reserved for a former owner.
//!
//! - A username given up by a rename or a deletion is reserved for its former owner for [`USERNAME_RESERVED`], so that
//!   nobody can impersonate them.
//! - While a change of address can be undone, nobody else gets an address that looks like the old one, which would make
//!   the undo impossible. Only a `ReservationHolder::Reader` may take the old address itself: the reader of its mail is
//!   its owner. An account created there by staff, an API token or an import could be a thief's.
//!
//! Every path that writes a username or an address calls `claim` (or `claim_all`) after the write and in its
//! transaction. On PostgreSQL, a write waits for a transaction that is giving the name up, so only a later lookup sees
//! its reservation.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::database::batch_delete;
use crate::entity::{email_undo, former_username, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::secret::digest_text;

/// Time for which a username stays reserved for its former owner.
pub const USERNAME_RESERVED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Maximum number of usernames reserved for one user by their own renames. Otherwise one account could reserve any
/// number of names.
const MOST_RESERVED: usize = 10;

/// The party that takes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum ReservationHolder {
    /// The reader of the mailbox, who followed a link mailed there.
    Reader,
    /// Any other party: staff, an API token, an import, the operator.
    Other,
}

/// An account that was written.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct WrittenAccount<'a> {
    /// The account before; `None` for a new one.
    before: Option<&'a user::Model>,
    after: &'a user::Model,
}

impl<'a> WrittenAccount<'a> {
    /// A new account.
    pub(in crate::domain) fn new(after: &'a user::Model) -> Self {
        Self { before: None, after }
    }

    /// A changed account.
    pub(in crate::domain) fn changed(before: &'a user::Model, after: &'a user::Model) -> Self {
        Self { before: Some(before), after }
    }

    fn differs(&self, key: fn(&user::Model) -> &str) -> bool {
        self.before.is_none_or(|before| key(before) != key(self.after))
    }

    /// The owner and the key of the username that was given up.
    fn given_up(&self) -> Option<(Uuid, &'a str)> {
        let before = self.before.filter(|before| before.username_key != self.after.username_key)?;
        Some((before.id, before.username_key.as_str()))
    }
}

/// Takes the username and the address that a write gave an account, and reserves the username that it gave up.
///
/// # Errors
/// [`Code::AlreadyExists`] of `username` or `email` if either is reserved for another user.
pub(in crate::domain) async fn claim(
    txn: &DatabaseTransaction,
    now: &Now,
    written: WrittenAccount<'_>,
    by: ReservationHolder,
) -> Result<()> {
    match conflict(txn, now, &[written], by).await? {
        Some(Conflict::Username) => return Err(username_taken().into()),
        Some(Conflict::Address) => return Err(Refusal::new(Code::AlreadyExists, RETURNS).of("email").into()),
        None => {}
    }
    release_all(txn, now, written.given_up().into_iter().collect()).await
}

/// Id of the text about an address that another account may return to.
pub(in crate::domain) const RETURNS: &str = "address-reserved";

/// The same for many accounts of an import, whose rows were checked before.
///
/// # Errors
/// [`Error::Unavailable`] if a username or an address was reserved meanwhile.
pub(in crate::domain) async fn claim_all(
    txn: &DatabaseTransaction,
    now: &Now,
    written: &[WrittenAccount<'_>],
) -> Result<()> {
    if conflict(txn, now, written, ReservationHolder::Other).await?.is_some() {
        return Err(Error::Unavailable(Duration::from_secs(1)));
    }
    release_all(txn, now, written.iter().filter_map(WrittenAccount::given_up).collect()).await
}

/// Reserves the username of a removed account.
pub(in crate::domain) async fn release(txn: &DatabaseTransaction, now: &Now, user: &user::Model) -> Result<()> {
    release_all(txn, now, vec![(user.id, user.username_key.as_str())]).await
}

/// Refuses a rename by the user, or by an API token, if too many usernames are reserved for the user already.
///
/// # Errors
/// [`Error::RateLimited`].
pub(in crate::domain) async fn may_rename(
    txn: &DatabaseTransaction,
    now: &Now,
    user: &user::Model,
    username: &str,
) -> Result<()> {
    let key = identifier::fold(username);
    if key == user.username_key {
        return Ok(());
    }
    let theirs = reserved_at(now).add(former_username::Column::UserId.eq(user.id));
    let theirs = former_username::Entity::find().filter(theirs).all(txn).await?;
    let is_return = theirs.iter().any(|row| row.digest == digest(&key));
    let Some(first) = theirs.iter().map(|row| row.free_at).min() else { return Ok(()) };
    if is_return || theirs.len() < MOST_RESERVED {
        return Ok(());
    }
    let wait = first.millis() - now.at.millis();
    Err(Error::RateLimited(Duration::from_millis(u64::try_from(wait).unwrap_or(1))))
}

/// The reserved ones of these usernames, given by their keys, and their holders.
pub(in crate::domain) async fn usernames<'a>(
    db: &impl ConnectionTrait,
    now: &Now,
    keys: impl IntoIterator<Item = &'a str>,
) -> Result<HashMap<String, Uuid>> {
    let by_digest: HashMap<String, &str> = keys.into_iter().map(|key| (digest(key), key)).collect();
    if by_digest.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted = reserved_at(now).add(former_username::Column::Digest.is_in(by_digest.keys().map(String::as_str)));
    let found = former_username::Entity::find().filter(wanted).all(db).await?;
    let named = found.into_iter().filter_map(|row| Some((by_digest.get(&row.digest)?.to_string(), row.user_id)));
    Ok(named.collect())
}

/// The old addresses with these keys whose change can still be undone.
pub(in crate::domain) async fn addresses<'a>(
    db: &impl ConnectionTrait,
    now: &Now,
    keys: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<email_undo::Model>> {
    let keys: Vec<&str> = keys.into_iter().collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let open =
        Condition::all().add(email_undo::Column::EmailKey.is_in(keys)).add(email_undo::Column::ExpiresAt.gt(now.at));
    Ok(email_undo::Entity::find().filter(open).all(db).await?)
}

/// The refusal of a username that is reserved for another user.
pub(in crate::domain) fn username_taken() -> Refusal {
    Refusal::new(Code::AlreadyExists, "username-reserved").of("username")
}

/// Frees usernames whose reservation has expired.
pub(in crate::domain) async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let free = Condition::all().add(former_username::Column::FreeAt.lte(now.at));
    batch_delete::delete::<former_username::Entity>(db, former_username::PrimaryKey::Digest, &free).await?;
    Ok(())
}

enum Conflict {
    Username,
    Address,
}

async fn conflict(
    txn: &DatabaseTransaction,
    now: &Now,
    written: &[WrittenAccount<'_>],
    by: ReservationHolder,
) -> Result<Option<Conflict>> {
    let changed = |key: fn(&user::Model) -> &str| -> Vec<&user::Model> {
        written.iter().filter(|row| row.differs(key)).map(|row| row.after).collect()
    };
    let renamed = changed(|user| &user.username_key);
    let former = usernames(txn, now, renamed.iter().map(|user| user.username_key.as_str())).await?;
    if renamed.iter().any(|user| former.get(&user.username_key).is_some_and(|owner| *owner != user.id)) {
        return Ok(Some(Conflict::Username));
    }
    let moved = changed(|user| &user.email_key);
    let old = addresses(txn, now, moved.iter().map(|user| user.email_key.as_str())).await?;
    let is_barred = |user: &&user::Model| {
        let wanted = WantedAddress { user: user.id, email: &user.email, key: &user.email_key, by };
        old.iter().any(|undo| bars(undo, wanted))
    };
    Ok(moved.iter().any(is_barred).then_some(Conflict::Address))
}

/// An address that a user shall get.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct WantedAddress<'a> {
    /// The user; nil for a new account.
    pub(in crate::domain) user: Uuid,
    /// The address.
    pub(in crate::domain) email: &'a str,
    /// The same, folded.
    pub(in crate::domain) key: &'a str,
    /// The party that takes it.
    pub(in crate::domain) by: ReservationHolder,
}

/// True if an open undo bars a user from an address: it belongs to another user, and the addresses look alike. An equal
/// address bars everybody except its reader.
pub(in crate::domain) fn bars(undo: &email_undo::Model, wanted: WantedAddress<'_>) -> bool {
    let WantedAddress { user, email, key, by } = wanted;
    let is_its_reader = by == ReservationHolder::Reader && identifier::same_address(&undo.email, email);
    undo.email_key == key && undo.user_id != user && !is_its_reader
}

async fn release_all(txn: &DatabaseTransaction, now: &Now, names: Vec<(Uuid, &str)>) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let rows = names.into_iter().map(|(owner, key)| former_username::ActiveModel {
        digest: Set(digest(key)),
        user_id: Set(owner),
        free_at: Set(now.at.plus(USERNAME_RESERVED)),
    });
    let renew = OnConflict::column(former_username::Column::Digest)
        .update_columns([former_username::Column::UserId, former_username::Column::FreeAt])
        .to_owned();
    former_username::Entity::insert_many(rows).on_conflict(renew).exec_without_returning(txn).await?;
    Ok(())
}

fn reserved_at(now: &Now) -> Condition {
    Condition::all().add(former_username::Column::FreeAt.gt(now.at))
}

fn digest(key: &str) -> String {
    digest_text(&format!("username\0{key}"))
}
