//! Mails about a change of address: the link to the new address, the notice to the old address with its undo link, and
//! the notice of an undo.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::domain::outbox::draft::Draft;
use crate::entity::mail::Kind;
use crate::entity::one_time_token::Purpose;
use crate::entity::user::{self, Column};
use crate::error::Result;
use crate::tools::identifier;
use crate::tools::mail::{Content, Recipient};

/// The link to the new address. `None` if the user has given up that address meanwhile: a link that went there must not
/// confirm another.
pub(super) async fn confirm_new(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    let Some(user) = owner(draft).await? else { return Ok(None) };
    if user.pending_email.as_ref() != Some(&draft.mail.recipient) {
        return Ok(None);
    }
    let life = draft.mailer.links.verify_ttl;
    let Some(secret) = draft.user_secret(&user, Purpose::EmailChange, life).await? else { return Ok(None) };
    Ok(Some((at_that_address(draft, &user), Content::ConfirmNewEmail(draft.verify_link(&secret, life)))))
}

/// Removes the pending address whose confirmation is dropped before it had a link. A pending address with a link ends
/// with the link.
pub(super) async fn give_up(draft: Draft<'_>) -> Result<()> {
    let (Kind::ConfirmNewEmail, Some(id), None) = (draft.mail.kind, draft.mail.user_id, &draft.mail.sealed_token)
    else {
        return Ok(());
    };
    // While the account is locked, no newer change begins.
    user::Entity::find_for_update(id).one(draft.txn).await?;
    if draft.is_due().await? {
        let update = user::Entity::update_many().col_expr(Column::PendingEmail, Expr::value(Option::<String>::None));
        update.filter(Column::Id.eq(id)).exec(draft.txn).await?;
    }
    Ok(())
}

/// The notice to the old address, with the undo link. A deactivated account gets it too, because a thief may have
/// deactivated it. `None` if the account has that address again.
pub(super) async fn notify_old_address(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    let Some(user) = anyone(draft).await? else { return Ok(None) };
    if identifier::same_address(&user.email, &draft.mail.recipient) {
        return Ok(None);
    }
    let life = draft.mailer.links.undo_ttl;
    let undo = draft.undo_secret(life).await?.map(|secret| draft.undo_link(&secret, life));
    let recipient = at_that_address(draft, &user);
    Ok(Some((recipient, Content::EmailChanged { new_address: user.email, undo })))
}

/// The notice of an undo, to the address that the account lost.
pub(super) async fn notify_undone(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    let Some(user) = anyone(draft).await? else { return Ok(None) };
    Ok(Some((at_that_address(draft, &user), Content::EmailChangeUndone)))
}

/// The user of the mail, active or not.
async fn anyone(draft: Draft<'_>) -> Result<Option<user::Model>> {
    let Some(id) = draft.mail.user_id else { return Ok(None) };
    Ok(user::Entity::find_by_id(id).one(draft.txn).await?)
}

async fn owner(draft: Draft<'_>) -> Result<Option<user::Model>> {
    let Some(id) = draft.mail.user_id else { return Ok(None) };
    Ok(user::Entity::find_by_id(id).filter(Column::IsActive.eq(true)).one(draft.txn).await?)
}

/// The user at the mail's address, which is not the account's current one.
fn at_that_address(draft: Draft<'_>, user: &user::Model) -> Recipient {
    Recipient { address: draft.mail.recipient.clone(), name: user.name() }
}
