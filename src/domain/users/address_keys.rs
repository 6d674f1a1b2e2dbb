//! Keys of addresses, made anew where a version before stored them in another form. Version 0.1.0 kept a domain in its `xn--`
//! form, as browsers send it, so that its owner was not found by the form in Unicode, and a mailbox could have two accounts.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::entity::{instance, user};
use crate::error::Result;
use crate::tools::identifier;

/// The present form of keys, counted from 0.
pub const FORM: i32 = 1;

/// Number of accounts that are updated at a time.
const BATCH: u64 = 500;

/// The most accounts that [`doubles`] names.
const MAX_DOUBLES: u64 = 20;

/// Brings addresses and their keys to the present form, where that was not done yet. An account whose key another one has
/// stays as it is, and is reported in the log at each start until one of them is changed. The transaction must be one that
/// only one instance runs at a time.
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

/// Returns whether the account has its address and key in the present form.
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
            .col_expr(user::Column::Email, Expr::value(email))
            .col_expr(user::Column::EmailKey, Expr::value(key));
        update.filter(user::Column::Id.eq(user.id)).exec(txn).await?;
    }
    Ok(true)
}

/// The addresses of accounts that are not found by them, because another account has the same; the first 20.
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
