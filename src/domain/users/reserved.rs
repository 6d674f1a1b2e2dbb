//! Usernames and addresses that are reserved for somebody who does not have them at present.
//!
//! - A username that was given up, by a rename or with the account, is reserved for its former owner for
//!   [`USERNAME_RESERVED`]: nobody else can pose as the person whom others know by it.
//! - While a change of address can be undone, nobody else gets an address that looks like the old one, which would make the
//!   undo impossible. The old address itself is free for a `ReservationHolder::Reader` alone: who reads its mail is its owner. An
//!   account that staff, an API token or an import make there could be a thief's.
//!
//! Every path that writes a username or an address calls `claim` (or `claim_all`) after the write and in its
//! transaction. On PostgreSQL a write waits for another transaction that is giving the name up, so only a look after it
//! sees what that transaction reserved.

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

/// The time for which a username stays reserved for its former owner.
pub const USERNAME_RESERVED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The most usernames that are reserved for one user by renames of their own. Otherwise one account could keep any number
/// of names from others.
const MOST_RESERVED: usize = 10;

/// Somebody who takes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum ReservationHolder {
    /// Its reader, who followed a link that was mailed there.
    Reader,
    /// Anybody else: staff, an API token, an import, the operator.
    Other,
}

/// Takes the username and the address that an account got by a write, and reserves the username that it gave up.
/// `before` is the account before the write; none for a new account.
///
/// # Errors
/// [`Code::AlreadyExists`] of `username` or `email` where either is reserved for somebody else.
pub(in crate::domain) async fn claim(
    txn: &DatabaseTransaction,
    now: &Now,
    (before, after): (Option<&user::Model>, &user::Model),
    by: ReservationHolder,
) -> Result<()> {
    let one = [(before.cloned(), after.clone())];
    match conflict(txn, now, &one, by).await? {
        Some(Conflict::Username) => return Err(username_taken().into()),
        Some(Conflict::Address) => return Err(Refusal::new(Code::AlreadyExists, RETURNS).of("email").into()),
        None => {}
    }
    release_all(txn, now, given_up(&one)).await
}

/// What is wrong with an address that another account may return to.
pub(in crate::domain) const RETURNS: &str = "This address, or one that looks like it, belonged to another account until a \
    few days ago, which may return to it. Wait until its undo link expires, or let the reader of the address register.";

/// The same for many accounts of an import, whose rows were looked through before.
///
/// # Errors
/// [`Error::Unavailable`] where a username or an address was reserved since.
pub(in crate::domain) async fn claim_all(
    txn: &DatabaseTransaction,
    now: &Now,
    written: &[(Option<user::Model>, user::Model)],
) -> Result<()> {
    if conflict(txn, now, written, ReservationHolder::Other).await?.is_some() {
        return Err(Error::Unavailable(Duration::from_secs(1)));
    }
    release_all(txn, now, given_up(written)).await
}

/// Reserves the username of an account that is removed.
pub(in crate::domain) async fn release(txn: &DatabaseTransaction, now: &Now, user: &user::Model) -> Result<()> {
    release_all(txn, now, vec![(user.id, user.username_key.as_str())]).await
}

/// Refuses a rename by the user themself, or by an API token, where too many usernames are reserved for them already.
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

/// Which of these usernames, given by their keys, are reserved, and for whom.
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

/// The refusal of a username that is reserved for somebody else.
pub(in crate::domain) fn username_taken() -> Refusal {
    let message = "This username is not available: it belonged to another account until recently. Choose another one.";
    Refusal::new(Code::AlreadyExists, message).of("username")
}

/// Frees usernames whose time is over.
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
    written: &[(Option<user::Model>, user::Model)],
    by: ReservationHolder,
) -> Result<Option<Conflict>> {
    let changed = |key: fn(&user::Model) -> &str| {
        let is_other = move |(before, after): &&(Option<user::Model>, user::Model)| {
            before.as_ref().is_none_or(|before| key(before) != key(after))
        };
        written.iter().filter(is_other).map(|(_, after)| after)
    };
    let renamed: Vec<&user::Model> = changed(|user| &user.username_key).collect();
    let former = usernames(txn, now, renamed.iter().map(|user| user.username_key.as_str())).await?;
    if renamed.iter().any(|user| former.get(&user.username_key).is_some_and(|owner| *owner != user.id)) {
        return Ok(Some(Conflict::Username));
    }
    let moved: Vec<&user::Model> = changed(|user| &user.email_key).collect();
    let old = addresses(txn, now, moved.iter().map(|user| user.email_key.as_str())).await?;
    let is_taken =
        moved.iter().any(|user| old.iter().any(|row| bars(row, user.id, (&user.email_key, &user.email), by)));
    Ok(is_taken.then_some(Conflict::Address))
}

/// Whether an open undo bars this user from an address: it is another user's, and the addresses look alike. Equal ones bar
/// everybody but the reader of the address.
pub(in crate::domain) fn bars(
    undo: &email_undo::Model,
    user: Uuid,
    (key, email): (&str, &str),
    by: ReservationHolder,
) -> bool {
    let is_its_reader = by == ReservationHolder::Reader && identifier::same_address(&undo.email, email);
    undo.email_key == key && undo.user_id != user && !is_its_reader
}

fn given_up(written: &[(Option<user::Model>, user::Model)]) -> Vec<(Uuid, &str)> {
    let given_up = |(before, after): &'_ (Option<user::Model>, user::Model)| {
        before.as_ref().is_some_and(|before| before.username_key != after.username_key)
    };
    let given_up = written.iter().filter(|pair| given_up(pair));
    given_up.filter_map(|(before, _)| before.as_ref().map(|user| (user.id, user.username_key.as_str()))).collect()
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
