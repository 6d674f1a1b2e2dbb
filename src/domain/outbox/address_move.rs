//! The two mails of an account that moves to another address: a link to the new one, and word to the old one.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::domain::outbox::draft::Draft;
use crate::entity::one_time_token::Purpose;
use crate::entity::user::{self, Column};
use crate::error::Result;
use crate::tools::mail::{Content, Recipient};

/// The link to the new address; none where the user has given that up meanwhile, for a link that went there must not
/// prove another.
pub(super) async fn confirm_new(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    let Some(user) = owner(draft).await? else { return Ok(None) };
    if user.pending_email.as_ref() != Some(&draft.mail.recipient) {
        return Ok(None);
    }
    let life = draft.courier.links.verify_ttl;
    let Some(secret) = draft.user_secret(&user, (Purpose::EmailMove, life)).await? else { return Ok(None) };
    Ok(Some((at_that_address(draft, &user), Content::ConfirmNewEmail(draft.verify_link(&secret, life)))))
}

/// Word to the old address.
pub(super) async fn tell_old(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    let Some(user) = owner(draft).await? else { return Ok(None) };
    let content = Content::EmailChanged { new_address: user.email.clone() };
    Ok(Some((at_that_address(draft, &user), content)))
}

async fn owner(draft: Draft<'_>) -> Result<Option<user::Model>> {
    let Some(id) = draft.mail.user_id else { return Ok(None) };
    Ok(user::Entity::find_by_id(id).filter(Column::IsActive.eq(true)).one(draft.txn).await?)
}

/// The user at the address that the mail goes to, which is not, or no longer, the account's.
fn at_that_address(draft: Draft<'_>, user: &user::Model) -> Recipient {
    Recipient { address: draft.mail.recipient.clone(), name: user.name() }
}
