//! Second factors and recovery codes of users.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::auth::identity::Viewer;
use crate::domain::auth::second_factor::SecondFactorRules;
use crate::entity::factor::{self, Kind};
use crate::entity::{passkey, recovery_code, user};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::recovery_code::RecoveryCode;
use crate::tools::secret::MasterKeys;
use crate::tools::totp::{CodeForm, TimeStep, TotpSecret};

/// Number of recovery codes that a user gets at a time.
pub const RECOVERY_CODES: usize = 10;

/// The factors of these users, oldest first.
pub async fn list(db: &Db, users: &[Uuid]) -> Result<HashMap<Uuid, Vec<factor::Model>>> {
    let factors = factor::Entity::find().filter(factor::Column::UserId.is_in(users.iter().copied()));
    let factors = factors.order_by_asc(factor::Column::CreatedAt).order_by_asc(factor::Column::Id);
    let mut found: HashMap<Uuid, Vec<factor::Model>> = HashMap::new();
    for factor in factors.all(db.reader()).await? {
        found.entry(factor.user_id).or_default().push(factor);
    }
    Ok(found)
}

/// The factors with these ids whose users are visible to the viewer, in one statement.
pub async fn find_many(db: &Db, viewer: &Viewer, ids: &[Uuid]) -> Result<HashMap<Uuid, factor::Model>> {
    let users =
        Query::select().column(user::Column::Id).from(user::Entity).cond_where(user::visible_to(viewer.user())).take();
    let factors = factor::Entity::find()
        .filter(factor::Column::Id.is_in(ids.iter().copied()))
        .filter(factor::Column::UserId.in_subquery(users));
    Ok(factors.all(db.reader()).await?.into_iter().map(|factor| (factor.id, factor)).collect())
}

/// The numbers of unused recovery codes of these users.
pub async fn recovery_codes_left(db: &Db, users: &[Uuid]) -> Result<HashMap<Uuid, i64>> {
    let counts = recovery_code::Entity::find()
        .filter(recovery_code::Column::UserId.is_in(users.iter().copied()))
        .select_only()
        .column(recovery_code::Column::UserId)
        .column_as(recovery_code::Column::Digest.count(), "number")
        .group_by(recovery_code::Column::UserId);
    let counts: Vec<(Uuid, i64)> = counts.into_tuple().all(db.reader()).await?;
    Ok(counts.into_iter().collect())
}

/// Adds a confirmed authenticator app in place of an earlier one, to a user whose row is locked. The code that confirmed
/// it is used up.
pub(in crate::domain) async fn put_totp(
    txn: &DatabaseTransaction,
    now: &Now,
    rules: SecondFactorRules<'_>,
    user: Uuid,
    secret: &TotpSecret,
    confirmed_by: TimeStep,
) -> Result<factor::Model> {
    let earlier = factor::Entity::delete_many().filter(factor::Column::UserId.eq(user));
    earlier.filter(factor::Column::Kind.eq(Kind::Totp)).exec(txn).await?;
    let row = totp_row(now, rules.master_keys, user, secret, confirmed_by);
    let factor = factor::Entity::insert(row).exec_with_returning(txn).await?;
    mark(txn, user).await?;
    Ok(factor)
}

/// The row of an authenticator app whose codes up to this step are used up.
pub(super) fn totp_row(
    now: &Now,
    master_keys: &MasterKeys,
    user: Uuid,
    secret: &TotpSecret,
    last_step: TimeStep,
) -> factor::ActiveModel {
    let id = now.id();
    factor::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        kind: Set(Kind::Totp),
        sealed_secret: Set(master_keys.seal(&seal_context(id), secret.reveal())),
        digits: Set(secret.form().digits()),
        period: Set(secret.form().period()),
        last_step: Set(last_step.0),
        created_at: Set(now.at),
        last_used_at: Set(None),
    }
}

/// The secret of an authenticator app; `None` if it cannot be unsealed.
pub(in crate::domain) fn secret_of(master_keys: &MasterKeys, factor: &factor::Model) -> Option<TotpSecret> {
    let bytes = master_keys.unseal(&seal_context(factor.id), &factor.sealed_secret)?;
    Some(TotpSecret::from_bytes(&bytes)?.in_form(CodeForm::new(factor.digits, factor.period)?))
}

/// The context under which the secret of a factor is sealed.
pub(in crate::domain) fn seal_context(factor: Uuid) -> String {
    format!("factor {factor}")
}

/// Replaces the recovery codes of a user whose row is locked. Returns the texts, which are not stored.
pub(in crate::domain) async fn renew_recovery_codes(
    txn: &DatabaseTransaction,
    now: &Now,
    user: Uuid,
) -> Result<Vec<String>> {
    recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user)).exec(txn).await?;
    let codes: Vec<RecoveryCode> = (0..RECOVERY_CODES).map(|_| RecoveryCode::random()).collect();
    let rows = codes.iter().map(|code| recovery_code::ActiveModel {
        digest: Set(code.digest()),
        user_id: Set(user),
        created_at: Set(now.at),
        sealed_code: Set(None),
    });
    recovery_code::Entity::insert_many(rows).exec_without_returning(txn).await?;
    Ok(codes.iter().map(RecoveryCode::to_text).collect())
}

/// Removes a factor of a user whose row is locked; with the last one, also the recovery codes. Returns false if the user
/// has no such factor.
pub(in crate::domain) async fn remove(txn: &DatabaseTransaction, user: Uuid, factor: Uuid) -> Result<bool> {
    let theirs = factor::Column::UserId.eq(user);
    let removed = factor::Entity::delete_many().filter(theirs.clone()).filter(factor::Column::Id.eq(factor));
    if removed.exec(txn).await?.rows_affected == 0 {
        return Ok(false);
    }
    settle(txn, user).await?;
    Ok(true)
}

/// Updates a user whose row is locked after the removal of a factor or passkey: with the last one, the recovery codes
/// go as well.
pub(in crate::domain) async fn settle(txn: &DatabaseTransaction, user: Uuid) -> Result<()> {
    if !mark(txn, user).await? {
        recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user)).exec(txn).await?;
    }
    Ok(())
}

/// Removes all factors, passkeys and recovery codes of a user whose row is locked.
pub(in crate::domain) async fn remove_all(txn: &DatabaseTransaction, user: Uuid) -> Result<()> {
    factor::Entity::delete_many().filter(factor::Column::UserId.eq(user)).exec(txn).await?;
    passkey::Entity::delete_many().filter(passkey::Column::UserId.eq(user)).exec(txn).await?;
    settle(txn, user).await
}

/// Age below which a passkey ends with the access of an intruder, who may have added it: unlike a code of an app, it signs
/// in alone. The owner was notified when it was added.
const YOUNG: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Removes the young passkeys of these users, whose rows are locked.
pub(in crate::domain) async fn remove_young_passkeys(
    txn: &DatabaseTransaction,
    now: &Now,
    users: &[Uuid],
) -> Result<()> {
    let theirs = passkey::Column::UserId.is_in(users.iter().copied());
    let young = theirs.and(passkey::Column::CreatedAt.gt(now.at.minus(YOUNG)));
    let removed = passkey::Entity::delete_many().filter(young).exec_with_returning(txn).await?;
    let losers: BTreeSet<Uuid> = removed.into_iter().map(|passkey| passkey.user_id).collect();
    for user in losers {
        settle(txn, user).await?;
    }
    Ok(())
}

/// True if this user has a passkey.
pub(in crate::domain) async fn has_passkey(db: &impl ConnectionTrait, user: Uuid) -> Result<bool> {
    let one = passkey::Entity::find().filter(passkey::Column::UserId.eq(user)).one(db).await?;
    Ok(one.is_some())
}

/// Records in the row of a user, which is locked, if they have a second factor, and returns it. Their unfinished enrolments
/// and sign-ins end.
pub(in crate::domain) async fn mark(txn: &DatabaseTransaction, user: Uuid) -> Result<bool> {
    let app = factor::Entity::find().filter(factor::Column::UserId.eq(user)).one(txn).await?;
    let has_second_factor = app.is_some() || has_passkey(txn, user).await?;
    user::Entity::update_many()
        .col_expr(user::Column::HasSecondFactor, Expr::value(has_second_factor))
        .col_expr(user::Column::AccessGeneration, Expr::col(user::Column::AccessGeneration).add(1))
        .filter(user::Column::Id.eq(user))
        .exec(txn)
        .await?;
    Ok(has_second_factor)
}
