//! Deletion of personal data after its retention period. Other tables are cleaned up in the modules that own them.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _};

use crate::config::RetentionConfig;
use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::account::undo_email_change;
use crate::domain::users::reserved;
use crate::entity::mail::Status;
use crate::entity::one_time_token::{self, Purpose};
use crate::entity::{audit_event, mail, user};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// Number of accounts at a time whose unconfirmed new address is removed.
const BATCH: u64 = 100;

/// Deletes data after its retention period: client addresses in the audit trail, finished mails, expired links with the
/// addresses to be confirmed by them, and reserved usernames.
pub async fn sweep(db: &Db, now: &Now, keep: &RetentionConfig) -> Result<()> {
    forget_clients(db, now.at.minus(keep.keep_clients)).await?;
    for status in [Status::Sent, Status::Failed, Status::Cancelled] {
        // Ids are in the order of creation, so the index by status and id finds the oldest. The time has no index.
        let old = Condition::all()
            .add(mail::Column::Status.eq(status))
            .add(mail::Column::Id.lt(now.at.minus(keep.keep_mails).first_id()));
        batch_delete::delete::<mail::Entity>(db, mail::PrimaryKey::Id, &old).await?;
    }
    expire_email_changes(db, now).await?;
    undo_email_change::sweep(db, now).await?;
    reserved::sweep(db, now).await?;
    let dead = Condition::all()
        .add(one_time_token::Column::ExpiresAt.lte(now.at))
        .add(one_time_token::Column::Purpose.ne(Purpose::EmailChange));
    batch_delete::delete::<one_time_token::Entity>(db, one_time_token::PrimaryKey::Digest, &dead).await?;
    Ok(())
}

/// Removes client addresses and user agents from the audit trail up to this time.
async fn forget_clients(db: &Db, until: Timestamp) -> Result<()> {
    let none = || Expr::value(Option::<String>::None);
    let known =
        Condition::all().add(audit_event::Column::Ip.is_not_null()).add(audit_event::Column::CreatedAt.lte(until));
    let forget = audit_event::Entity::update_many()
        .col_expr(audit_event::Column::Ip, none())
        .col_expr(audit_event::Column::UserAgent, none())
        .filter(batch_delete::step::<audit_event::Entity>(audit_event::PrimaryKey::Id, &known));
    batch_delete::in_steps(db, forget.as_query()).await?;
    Ok(())
}

/// Removes new addresses that were not confirmed in time. The account is locked first, as at the start of an email
/// change, so that a concurrent new change is not affected.
async fn expire_email_changes(db: &Db, now: &Now) -> Result<()> {
    let dead = one_time_token::Entity::find()
        .filter(one_time_token::Column::Purpose.eq(Purpose::EmailChange))
        .filter(one_time_token::Column::ExpiresAt.lte(now.at))
        .limit(BATCH);
    for token in dead.all(db.reader()).await? {
        let (txn, _) = db.begin(now).await?;
        user::Entity::find_for_update(token.user_id).one(&txn).await?;
        let gone = one_time_token::Entity::delete_many()
            .filter(one_time_token::Column::Digest.eq(token.digest))
            .exec(&txn)
            .await?;
        if gone.rows_affected > 0 {
            user::Entity::update_many()
                .col_expr(user::Column::PendingEmail, Expr::value(Option::<String>::None))
                .filter(user::Column::Id.eq(token.user_id))
                .exec(&txn)
                .await?;
        }
        txn.commit().await?;
    }
    Ok(())
}
