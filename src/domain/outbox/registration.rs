//! The reply to a registration: a confirmation link or, if the address has an account, a notice to its owner. Only this
//! mail shows the difference.

use sea_orm::EntityTrait as _;
use sea_orm::sea_query::Expr;

use crate::config::Registration;
use crate::domain::account::registration::pending;
use crate::domain::outbox::draft::{Draft, addressed_to, reader};
use crate::domain::outbox::link::{LinkTable, end_while_waiting};
use crate::entity::mail::{Column, Kind};
use crate::entity::{registration, user};
use crate::error::Result;
use crate::tools::identifier;
use crate::tools::mail::{Content, Recipient};

/// The mail that replies to a registration or to a request for another link; `None` if there is no pending
/// registration.
pub(super) async fn answer(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    if draft.mailer.registration == Registration::Closed {
        return Ok(None);
    }
    let Some(waiting) = waiting(draft).await? else { return Ok(None) };
    let owner = user::Entity::find_by_identifier(&identifier::fold(&waiting.email)).one(draft.txn).await?;
    match owner {
        Some(owner) if identifier::same_address(&owner.email, &waiting.email) => {
            already_registered(draft, &waiting, &owner).await
        }
        // The address only resembles that of an account; the account's owner is not involved.
        Some(_) => {
            pending::remove(draft.txn, waiting.id).await?;
            Ok(None)
        }
        None => verify_email(draft, &waiting).await,
    }
}

/// The notice to the owner of an account whose address somebody tried to register again.
pub(super) async fn repeat_already_registered(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    let Some(id) = draft.mail.user_id else { return Ok(None) };
    let owner = user::Entity::find_by_id(id).one(draft.txn).await?;
    Ok(owner.map(|owner| (reader(&owner), Content::AlreadyRegistered)))
}

/// The registration of the mail: its own unless that was replaced, or the pending one of the address for which another
/// link was requested.
async fn waiting(draft: Draft<'_>) -> Result<Option<registration::Model>> {
    match draft.mail.registration_id {
        Some(id) => pending::find(draft.txn, draft.now, id).await,
        None => {
            let address = identifier::canonical_address(&draft.mail.recipient);
            pending::find_by_address(draft.txn, draft.now, &address).await
        }
    }
}

/// Removes the registration and notifies the owner of the account, also if it is deactivated.
async fn already_registered(
    draft: Draft<'_>,
    waiting: &registration::Model,
    owner: &user::Model,
) -> Result<Option<(Recipient, Content)>> {
    if !pending::remove(draft.txn, waiting.id).await? {
        return Ok(None);
    }
    draft.found_user(owner).await?;
    let no_token = Expr::value(Option::<Vec<u8>>::None);
    draft.note([(Column::Kind, Expr::value(Kind::AlreadyRegistered)), (Column::SealedToken, no_token)]).await?;
    Ok(Some((reader(owner), Content::AlreadyRegistered)))
}

/// The link, created at the first attempt and the same at each retry. `None` if a newer link replaced it meanwhile.
async fn verify_email(draft: Draft<'_>, waiting: &registration::Model) -> Result<Option<(Recipient, Content)>> {
    let life = draft.mailer.links.verify_ttl;
    let secret = match draft.kept_secret()? {
        Some(secret) if waiting.digest.as_ref() == Some(&secret.digest()) => secret,
        Some(_) => return Ok(None),
        None => {
            let ends = end_while_waiting(draft.now, life);
            let Some(secret) = pending::make_link(draft.txn, draft.now, waiting.id, ends).await? else {
                return Ok(None);
            };
            draft.keep_secret(&secret).await?;
            let registration = (Column::RegistrationId, Expr::value(waiting.id));
            draft.note(std::iter::once(registration).chain(addressed_to(&waiting.email))).await?;
            secret
        }
    };
    draft.note_link(LinkTable::Registrations, &secret, life);
    // The name is omitted, because a stranger may have typed it.
    let recipient = Recipient { address: waiting.email.clone(), name: String::new() };
    Ok(Some((recipient, Content::VerifyEmail(draft.verify_link(&secret, life)))))
}
