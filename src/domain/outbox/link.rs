//! The links in mails: their validity begins when the mail is delivered, however long it waited.
//!
//! The secret of a link is created at the first attempt. While its mail waits, the link is valid for [`WAITS_FOR`];
//! once the mail was sent or given up, it is valid for the time in its text.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::entity::mail::{self, Kind};
use crate::entity::{email_undo, one_time_token, registration};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// Maximum wait of a mail with a requested link. After that it is dropped, because nobody expects it any more.
pub const WAITS_FOR: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// A link in a mail.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    /// Table of the link.
    pub(super) table: LinkTable,
    /// Digest of its secret.
    pub(super) digest: Vec<u8>,
    /// Its validity.
    pub(super) life: Duration,
}

/// Table that stores a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkTable {
    OneTimeTokens,
    Registrations,
    EmailUndos,
}

impl Issued {
    /// Starts the validity of the link. Does nothing if the link was revoked meanwhile.
    pub(super) async fn begin(&self, txn: &DatabaseTransaction, now: &Now) -> Result<()> {
        let (digest, ends) = (self.digest.clone(), Expr::value(now.at.plus(self.life)));
        match self.table {
            LinkTable::OneTimeTokens => {
                use one_time_token::Column;
                let update = one_time_token::Entity::update_many().col_expr(Column::ExpiresAt, ends);
                update.filter(Column::Digest.eq(digest)).filter(Column::ExpiresAt.gt(now.at)).exec(txn).await?;
            }
            LinkTable::Registrations => {
                use registration::Column;
                let update = registration::Entity::update_many().col_expr(Column::ExpiresAt, ends);
                let update = update.col_expr(Column::LinkMadeAt, Expr::value(now.at));
                update.filter(Column::Digest.eq(digest)).filter(Column::ExpiresAt.gt(now.at)).exec(txn).await?;
            }
            LinkTable::EmailUndos => {
                use email_undo::Column;
                let update = email_undo::Entity::update_many().col_expr(Column::ExpiresAt, ends);
                update.filter(Column::Digest.eq(digest)).filter(Column::ExpiresAt.gt(now.at)).exec(txn).await?;
            }
        }
        Ok(())
    }
}

/// Expiry of a link whose mail waits.
pub(super) fn end_while_waiting(now: &Now, life: Duration) -> Timestamp {
    now.at.plus(life.max(WAITS_FOR))
}

/// True if a mail has waited so long that its link is no longer expected.
pub(super) fn is_stale(mail: &mail::Model, now: &Now) -> bool {
    let is_asked_for = matches!(mail.kind, Kind::ResetPassword | Kind::VerifyEmail | Kind::ConfirmNewEmail);
    is_asked_for && now.at > mail.queued_at.plus(WAITS_FOR)
}
