//! Rotating and revoking the keys that sign access tokens, and resealing stored secrets under another secret key.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use super::Operator;
use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::audit;
use crate::domain::auth::second_factor::{factors, imported};
use crate::domain::auth::signing_keys::{self, NOTICE, Start};
use crate::domain::instance;
use crate::entity::audit_event::Action;
use crate::entity::factor;
use crate::entity::mail;
use crate::entity::recovery_code;
use crate::entity::signing_key::{self, Column};
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::secret::{InstanceName, MasterKeys, MasterSecrets};

/// Number of mails per step.
const STEP: u64 = 500;

/// Result of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Id of the new key.
    pub kid: String,
    /// The time from which it signs.
    pub signs_from: Timestamp,
}

/// Adds a key. Earlier keys expire after the last token that they signed. If a published key does not sign yet, an
/// announced rotation returns that key instead, so that two concurrent rotations add one key.
pub async fn rotate(
    db: &Db,
    now: &Now,
    operator: &Operator,
    master_keys: &MasterKeys,
    lives: &SessionConfig,
    start: Start,
) -> Result<Rotation> {
    let txn = db.begin_alone().await?;
    let now = &now.anew();
    let valid = signing_keys::valid(&txn, now).await?;
    let announced = valid.iter().find(|key| key.expires_at.is_none() && key.signs_from > now.at);
    if let (Start::Announced, Some(key)) = (start, announced) {
        return Ok(Rotation { kid: key.kid.clone(), signs_from: key.signs_from });
    }
    let (kid, signs_from) = signing_keys::add(&txn, now, master_keys, start).await?;
    // No key may stay valid for longer after its successor starts to sign, even if the clock was set back since.
    let end = signs_from.plus(lives.access_ttl).plus(NOTICE);
    let longer = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(end));
    signing_key::Entity::update_many()
        .col_expr(Column::ExpiresAt, Expr::value(end))
        .filter(Column::Kid.ne(kid.as_str()))
        .filter(longer)
        .exec(&txn)
        .await?;
    signing_key::Entity::delete_many().filter(Column::ExpiresAt.lte(now.at)).exec(&txn).await?;
    audit::record(&txn, now, operator.did(Action::SigningKeyRotated, None)).await?;
    txn.commit().await?;
    Ok(Rotation { kid, signs_from })
}

/// Removes a key: tokens that it signed become invalid. If it was the signing key, the published successor or a new key
/// signs from now on. Returns the id of the signing key.
///
/// # Errors
/// [`Code::NotFound`] if no key has this id.
pub async fn revoke(db: &Db, now: &Now, operator: &Operator, master_keys: &MasterKeys, kid: &str) -> Result<String> {
    let txn = db.begin_alone().await?;
    let now = &now.anew();
    let mut valid = signing_keys::valid(&txn, now).await?;
    let was_signing = signing_keys::signing(&valid, now.at).is_some_and(|key| key.kid == kid);
    let deleted = signing_key::Entity::delete_by_id(kid).exec(&txn).await?;
    if deleted.rows_affected == 0 {
        return Err(Refusal::new(Code::NotFound, "operator-key-missing").with("kid", kid).into());
    }
    valid.retain(|key| key.kid != kid);
    let youngest = valid.iter().find(|key| key.expires_at.is_none());
    let signs = match (was_signing, youngest, signing_keys::signing(&valid, now.at)) {
        (true, Some(next), _) => set(&txn, &next.kid, Column::SignsFrom, Expr::value(0_i64)).await?,
        // Keys that are about to expire do not return because their successor was removed.
        (true, None, _) | (false, None, None) => signing_keys::add(&txn, now, master_keys, Start::AtOnce).await?.0,
        // Cancels the rotation in progress.
        (false, None, Some(present)) => {
            set(&txn, &present.kid, Column::ExpiresAt, Expr::value(Option::<Timestamp>::None)).await?
        }
        (false, Some(_), present) => present.map(|key| key.kid.clone()).unwrap_or_default(),
    };
    audit::record(&txn, now, operator.did(Action::SigningKeyRevoked, None)).await?;
    txn.commit().await?;
    Ok(signs)
}

async fn set(txn: &sea_orm::DatabaseTransaction, kid: &str, column: Column, value: Expr) -> Result<String> {
    let one = signing_key::Entity::update_many().col_expr(column, value).filter(Column::Kid.eq(kid));
    one.exec(txn).await?;
    Ok(kid.to_owned())
}

/// Numbers of rows that a lost secret made useless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reset {
    /// Signing keys; they are deleted.
    pub signing_keys: u64,
    /// Sessions; they end, because they cannot be refreshed.
    pub sessions: u64,
}

/// Deletes everything that only the lost secret can unseal: signing keys, imported recovery codes, and the secrets of
/// links in waiting mails, which get new ones when they are sent. All sessions end. The next start creates a key under the current secret.
///
/// # Errors
/// [`Error::BadInput`] if the current secret unseals a signing key, so that nothing is lost.
pub async fn reset(db: &Db, now: &Now, operator: &Operator, secrets: Option<&MasterSecrets>) -> Result<Reset> {
    let keys = signing_keys::list(db).await?;
    let instance = instance::find(db.reader()).await?.unwrap_or_default();
    let master_keys = secrets.map(|secrets| MasterKeys::new(secrets, InstanceName { id: instance, public_url: "" }));
    if let Some(master_keys) = master_keys
        && keys.iter().any(|key| master_keys.unseal(&key.kid, &key.sealed_private_key).is_some())
    {
        return Err(Error::BadInput(Text::new("operator-secret-not-lost")));
    }
    let txn = db.begin_alone().await?;
    let signing_keys = signing_key::Entity::delete_many().exec(&txn).await?.rows_affected;
    let sealed = recovery_code::Column::SealedCode.is_not_null();
    recovery_code::Entity::delete_many().filter(sealed).exec(&txn).await?;
    mail::Entity::update_many()
        .col_expr(mail::Column::SealedToken, Expr::value(Option::<Vec<u8>>::None))
        .filter(mail::Column::SealedToken.is_not_null())
        .exec(&txn)
        .await?;
    audit::record(&txn, now, operator.did(Action::SigningKeyRevoked, None)).await?;
    txn.commit().await?;
    let sessions = super::sessions::end_everybodys(db, now, operator).await?;
    Ok(Reset { signing_keys, sessions })
}

/// Numbers of resealed rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Signing keys.
    pub signing_keys: u64,
    /// Secrets of second factors.
    pub factors: u64,
    /// Imported recovery codes.
    pub recovery_codes: u64,
    /// Secrets of links in waiting mails.
    pub mails: u64,
    /// Rows that neither secret unseals.
    pub unreadable: u64,
}

/// Seals everything under the current secret that was sealed under the previous one or by an older version. Each row is
/// updated by its own statement, so that the service keeps running. Repeating an interrupted run continues it.
pub async fn reseal(db: &Db, now: &Now, operator: &Operator, master_keys: &MasterKeys) -> Result<Resealed> {
    let mut done = Resealed::default();
    for key in signing_keys::list(db).await? {
        let Some(sealed) = renewed(master_keys, &key.kid, &key.sealed_private_key, &mut done) else { continue };
        let changed = signing_key::Entity::update_many()
            .col_expr(Column::SealedPrivateKey, Expr::value(sealed))
            .filter(Column::Kid.eq(key.kid.as_str()))
            .filter(Column::SealedPrivateKey.eq(key.sealed_private_key));
        done.signing_keys += changed.exec(db.writer()).await?.rows_affected;
    }
    reseal_factors(db, master_keys, &mut done).await?;
    reseal_recovery_codes(db, master_keys, &mut done).await?;
    let mut last = Uuid::nil();
    loop {
        let next = mail::Entity::find()
            .filter(mail::Column::Id.gt(last))
            .filter(mail::Column::SealedToken.is_not_null())
            .order_by_asc(mail::Column::Id)
            .limit(STEP);
        let mails = next.all(db.reader()).await?;
        let Some(mail) = mails.last() else { break };
        last = mail.id;
        for mail in mails {
            let Some(old) = mail.sealed_token else { continue };
            let Some(sealed) = renewed(master_keys, &mail.id.to_string(), &old, &mut done) else { continue };
            let changed = mail::Entity::update_many()
                .col_expr(mail::Column::SealedToken, Expr::value(sealed))
                .filter(mail::Column::Id.eq(mail.id))
                .filter(mail::Column::SealedToken.eq(old));
            done.mails += changed.exec(db.writer()).await?.rows_affected;
        }
    }
    audit::record(db.writer(), now, operator.did(Action::SecretsResealed, None)).await?;
    Ok(done)
}

async fn reseal_factors(db: &Db, master_keys: &MasterKeys, done: &mut Resealed) -> Result<()> {
    let mut last = Uuid::nil();
    loop {
        let next = factor::Entity::find().filter(factor::Column::Id.gt(last));
        let factors = next.order_by_asc(factor::Column::Id).limit(STEP).all(db.reader()).await?;
        let Some(factor) = factors.last() else { return Ok(()) };
        last = factor.id;
        for factor in factors {
            let (context, old) = (factors::seal_context(factor.id), factor.sealed_secret);
            let Some(sealed) = renewed(master_keys, &context, &old, done) else { continue };
            let changed = factor::Entity::update_many()
                .col_expr(factor::Column::SealedSecret, Expr::value(sealed))
                .filter(factor::Column::Id.eq(factor.id))
                .filter(factor::Column::SealedSecret.eq(old));
            done.factors += changed.exec(db.writer()).await?.rows_affected;
        }
    }
}

async fn reseal_recovery_codes(db: &Db, master_keys: &MasterKeys, done: &mut Resealed) -> Result<()> {
    let mut last = Vec::new();
    loop {
        let next = sealed_codes().filter(recovery_code::Column::Digest.gt(last));
        let codes = next.order_by_asc(recovery_code::Column::Digest).limit(STEP).all(db.reader()).await?;
        let Some(code) = codes.last() else { return Ok(()) };
        last = code.digest.clone();
        for code in codes {
            let Some(old) = code.sealed_code else { continue };
            let context = imported::seal_context(code.user_id);
            let Some(sealed) = renewed(master_keys, &context, &old, done) else { continue };
            let changed = recovery_code::Entity::update_many()
                .col_expr(recovery_code::Column::SealedCode, Expr::value(sealed))
                .filter(recovery_code::Column::Digest.eq(code.digest));
            done.recovery_codes += changed.exec(db.writer()).await?.rows_affected;
        }
    }
}

/// The recovery codes that are sealed: imported ones.
fn sealed_codes() -> Select<recovery_code::Entity> {
    recovery_code::Entity::find().filter(recovery_code::Column::SealedCode.is_not_null())
}

/// The same data, resealed; `None` if that is not needed or not possible.
fn renewed(master_keys: &MasterKeys, context: &str, sealed: &[u8], done: &mut Resealed) -> Option<Vec<u8>> {
    if master_keys.is_sealed_anew(context, sealed) {
        return None;
    }
    let plain = master_keys.unseal(context, sealed);
    done.unreadable += u64::from(plain.is_none());
    Some(master_keys.seal(context, &plain?))
}

/// Number of signing keys, second factors, imported recovery codes and mails that wait for [`reseal`]; at most `STEP` of
/// each kind are counted.
pub async fn count_old_seals(db: &Db, _operator: &Operator, master_keys: &MasterKeys) -> Result<u64> {
    let keys = signing_keys::list(db).await?;
    let old_keys = keys.iter().filter(|key| !master_keys.is_sealed_anew(&key.kid, &key.sealed_private_key)).count();
    let mails =
        mail::Entity::find().filter(mail::Column::SealedToken.is_not_null()).limit(STEP).all(db.reader()).await?;
    let is_old = |mail: &&mail::Model| {
        mail.sealed_token.as_deref().is_some_and(|sealed| !master_keys.is_sealed_anew(&mail.id.to_string(), sealed))
    };
    let factors = factor::Entity::find().limit(STEP).all(db.reader()).await?;
    let is_old_factor =
        |factor: &&factor::Model| !master_keys.is_sealed_anew(&factors::seal_context(factor.id), &factor.sealed_secret);
    let old_factors = factors.iter().filter(is_old_factor).count();
    let codes = sealed_codes().limit(STEP).all(db.reader()).await?;
    let is_old_code = |code: &&recovery_code::Model| {
        let context = imported::seal_context(code.user_id);
        code.sealed_code.as_deref().is_some_and(|sealed| !master_keys.is_sealed_anew(&context, sealed))
    };
    let old_codes = codes.iter().filter(is_old_code).count();
    Ok((old_keys + old_factors + old_codes + mails.iter().filter(is_old).count()) as u64)
}
