//! The links in mails: their life begins when the mail is handed over, however long it waited for that.
//!
//! The secret of a link is made at the first attempt. While its mail waits, the link holds for [`WAITS_FOR`]; once the mail
//! was sent or given up, it holds for as long as its text says.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::entity::mail::{self, Kind};
use crate::entity::{email_undo, one_time_token, registration};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// Time for which a mail with a link that somebody asked for may wait: after that it is dropped, for nobody expects it any
/// more.
pub const WAITS_FOR: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// A link that is in a mail.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    /// The table that it is in.
    pub(super) table: LinkTable,
    /// The digest of its secret.
    pub(super) digest: Vec<u8>,
    /// Its life.
    pub(super) life: Duration,
}

/// The table that holds a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkTable {
    OneTimeTokens,
    Registrations,
    EmailUndos,
}

impl Issued {
    /// Lets the life of the link begin. Nothing happens where the link ended meanwhile.
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

/// The end of a link whose mail waits.
pub(super) fn end_while_waiting(now: &Now, life: Duration) -> Timestamp {
    now.at.plus(life.max(WAITS_FOR))
}

/// Checks for a mail that waited so long that nobody expects its link any more.
pub(super) fn is_stale(mail: &mail::Model, now: &Now) -> bool {
    let is_asked_for = matches!(mail.kind, Kind::ResetPassword | Kind::VerifyEmail | Kind::ConfirmNewEmail);
    is_asked_for && now.at > mail.queued_at.plus(WAITS_FOR)
}
