//! A mail that is being composed: its row, the transaction, and the secret of its link.

use std::sync::OnceLock;
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::domain::account::password_reset;
use crate::domain::account::undo_email_change;
use crate::domain::audit;
use crate::domain::outbox::Mailer;
use crate::domain::outbox::link::{Issued, LinkTable, end_while_waiting};
use crate::entity::mail::{self, Column, Status};
use crate::entity::one_time_token::{self, Purpose};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::mail::{Link, Recipient};
use crate::tools::secret::{MasterKeys, Secret};

/// A mail that is being composed.
#[derive(Clone, Copy)]
pub(super) struct Draft<'a> {
    pub(super) txn: &'a DatabaseTransaction,
    pub(super) now: &'a Now,
    pub(super) master_keys: &'a MasterKeys,
    pub(super) mailer: &'a Mailer,
    pub(super) mail: &'a mail::Model,
    /// The link in the mail, once it exists.
    pub(super) issued: &'a OnceLock<Issued>,
}

impl Draft<'_> {
    /// The secret of the link, if an earlier attempt created one.
    pub(super) fn kept_secret(&self) -> Result<Option<Secret>> {
        let Some(sealed) = &self.mail.sealed_token else { return Ok(None) };
        let bytes = self.master_keys.unseal(&self.context(), sealed).and_then(|bytes| bytes.try_into().ok());
        let secret =
            bytes.map(Secret::new).ok_or_else(|| Error::internal("the secret of a mail cannot be unsealed"))?;
        Ok(Some(secret))
    }

    /// Stores the sealed secret for retries.
    pub(super) async fn keep_secret(&self, secret: &Secret) -> Result<()> {
        let sealed = self.master_keys.seal(&self.context(), &secret.reveal());
        self.note([(Column::SealedToken, Expr::value(sealed))]).await
    }

    /// Records the link that is in the mail.
    pub(super) fn note_link(&self, table: LinkTable, secret: &Secret, life: Duration) {
        // A mail has at most one link, so that none was recorded before.
        let _ = self.issued.set(Issued { table, digest: secret.digest(), life });
    }

    /// The secret of a link of this user: created at the first attempt, the same at each retry. `None` if the mail was
    /// cancelled meanwhile, or a later mail has the valid link.
    pub(super) async fn user_secret(
        &self,
        user: &user::Model,
        purpose: Purpose,
        life: Duration,
    ) -> Result<Option<Secret>> {
        // While the account is locked, its links cannot be revoked.
        user::Entity::find_for_update(user.id).one(self.txn).await?;
        if !self.is_due().await? {
            return Ok(None);
        }
        let secret = match (self.kept_secret()?, self.live_link(user, purpose).await?) {
            (Some(secret), Some(link)) if link.digest == secret.digest() => secret,
            (Some(_), Some(_)) => return Ok(None),
            (_, _) => {
                let ends = end_while_waiting(self.now, life);
                let secret = password_reset::make_link(self.txn, self.now, user.id, purpose, ends).await?;
                self.keep_secret(&secret).await?;
                secret
            }
        };
        self.note_link(LinkTable::OneTimeTokens, &secret, life);
        Ok(Some(secret))
    }

    /// The user's valid link for this purpose.
    async fn live_link(&self, user: &user::Model, purpose: Purpose) -> Result<Option<one_time_token::Model>> {
        let theirs = one_time_token::Entity::find()
            .filter(one_time_token::Column::UserId.eq(user.id))
            .filter(one_time_token::Column::Purpose.eq(purpose))
            .filter(one_time_token::Column::ExpiresAt.gt(self.now.at));
        Ok(theirs.one(self.txn).await?)
    }

    /// True if the mail was not cancelled meanwhile.
    pub(super) async fn is_due(&self) -> Result<bool> {
        // A mail that waits for its account to be activated has no time.
        let queued = mail::Entity::find_by_id(self.mail.id)
            .filter(Column::Status.eq(Status::Queued))
            .filter(Column::NextAttemptAt.is_not_null());
        Ok(queued.one(self.txn).await?.is_some())
    }

    /// The secret of the link that undoes the announced change; `None` if the change can no longer be undone.
    pub(super) async fn undo_secret(&self, life: Duration) -> Result<Option<Secret>> {
        let secret = match self.kept_secret()? {
            Some(secret) => undo_email_change::is_good(self.txn, self.now, &secret).await?.then_some(secret),
            None => {
                let ends = end_while_waiting(self.now, life);
                let secret = undo_email_change::make_link(self.txn, self.now, self.mail.id, ends).await?;
                if let Some(secret) = &secret {
                    self.keep_secret(secret).await?;
                }
                secret
            }
        };
        if let Some(secret) = &secret {
            self.note_link(LinkTable::EmailUndos, secret, life);
        }
        Ok(secret)
    }

    /// Records the recipient, once known, in the mail's row and in the audit event that was recorded with the mail.
    pub(super) async fn found_user(&self, user: &user::Model) -> Result<()> {
        self.note([(Column::UserId, Expr::value(user.id))].into_iter().chain(addressed_to(&user.email))).await?;
        audit::name_target(self.txn, self.mail.id, user.id).await
    }

    /// Updates the mail's row.
    pub(super) async fn note(&self, changes: impl IntoIterator<Item = (Column, Expr)>) -> Result<()> {
        let mut update = mail::Entity::update_many();
        for (column, value) in changes {
            update = update.col_expr(column, value);
        }
        update.filter(Column::Id.eq(self.mail.id)).exec(self.txn).await?;
        Ok(())
    }

    /// The link that confirms the mail's address.
    pub(super) fn verify_link(&self, secret: &Secret, life: Duration) -> Link {
        let url = format!("{}/account/verify?token={}", self.mailer.frontend.as_str(), secret.to_text());
        Link { url, valid_for: life }
    }

    /// The link that undoes a change of address.
    pub(super) fn undo_link(&self, secret: &Secret, life: Duration) -> Link {
        let url = format!("{}/account/undo?token={}", self.mailer.frontend.as_str(), secret.to_text());
        Link { url, valid_for: life }
    }

    fn context(&self) -> String {
        self.mail.id.to_string()
    }
}

/// The address columns of a mail.
pub(super) fn addressed_to(address: &str) -> [(Column, Expr); 2] {
    let key = Expr::value(identifier::fold(address));
    [(Column::Recipient, Expr::value(address.to_owned())), (Column::RecipientKey, key)]
}

/// A user as recipient, at the stored address.
pub(super) fn reader(user: &user::Model) -> Recipient {
    Recipient { address: user.email.clone(), name: user.name() }
}
