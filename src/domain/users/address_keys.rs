//! Renewal of address keys stored in the form of an earlier version. Version 0.1.0 kept a domain in its `xn--` form, as
//! browsers send it. So the Unicode form did not find the account, and one mailbox could have two accounts.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::search_terms;
use crate::entity::{instance, user};
use crate::error::Result;
use crate::tools::identifier;

/// Current form of the keys, counted from 0.
const FORM: i32 = 1;

/// Number of accounts updated per batch.
const BATCH: u64 = 500;

/// Maximum number of accounts returned by [`doubles`].
const MAX_DOUBLES: u64 = 20;

/// Converts addresses and their keys to the current form, unless that was done before. If another account has the same
/// key, the account stays unchanged and is logged at each start until one of them changes. Only one instance at a time
/// may run the transaction.
pub async fn renew(txn: &DatabaseTransaction) -> Result<()> {
    let outdated = instance::Column::AddressKeys.lt(FORM);
    if instance::Entity::find().filter(outdated.clone()).one(txn).await?.is_none() {
        return Ok(());
    }
    let mut last = None;
    let mut doubles = 0;
    loop {
        let batch = user::Entity::find().filter(user::Column::EmailKey.contains("xn--"));
        let batch = batch.filter(sea_orm::Condition::all().add_option(last.map(|last| user::Column::Id.gt(last))));
        let batch = batch.order_by_asc(user::Column::Id).limit(BATCH).all(txn).await?;
        let Some(user) = batch.last() else { break };
        last = Some(user.id);
        for user in &batch {
            doubles += u32::from(!renew_one(txn, user).await?);
        }
    }
    if doubles == 0 {
        let done = instance::Entity::update_many().col_expr(instance::Column::AddressKeys, Expr::value(FORM));
        done.filter(outdated).exec(txn).await?;
    }
    Ok(())
}

/// Returns true if the address and key of the account are in the current form.
async fn renew_one(txn: &DatabaseTransaction, user: &user::Model) -> Result<bool> {
    let email = identifier::email(&user.email).unwrap_or_else(|_| user.email.clone());
    let key = identifier::fold(&email);
    let same = user::Entity::find().filter(user::Column::EmailKey.eq(&key)).filter(user::Column::Id.ne(user.id));
    if let Some(other) = same.one(txn).await? {
        tracing::warn!(user = %user.id, %other.id, "two accounts have the same email address; change or delete one");
        return Ok(false);
    }
    if (&email, &key) != (&user.email, &user.email_key) {
        let update = user::Entity::update_many()
            .col_expr(user::Column::SearchTerms, Expr::value(search_terms::with_address(user, &email, &key)))
            .col_expr(user::Column::Email, Expr::value(email))
            .col_expr(user::Column::EmailKey, Expr::value(key));
        update.filter(user::Column::Id.eq(user.id)).exec(txn).await?;
    }
    Ok(true)
}

/// The addresses of accounts that cannot be found by them, because another account has the same; the first 20.
pub async fn doubles(db: &impl ConnectionTrait) -> Result<Vec<String>> {
    let encoded = user::Entity::find().filter(user::Column::EmailKey.contains("xn--")).order_by_asc(user::Column::Id);
    let addresses: Vec<(String, String)> = encoded
        .select_only()
        .columns([user::Column::Email, user::Column::EmailKey])
        .limit(MAX_DOUBLES * BATCH)
        .into_tuple()
        .all(db)
        .await?;
    let doubles = addresses.into_iter().filter(|(email, key)| identifier::fold(email) != *key);
    Ok(doubles.map(|(email, _)| email).take(usize::try_from(MAX_DOUBLES).unwrap_or(usize::MAX)).collect())
}
