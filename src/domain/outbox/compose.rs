//! Content and recipient of a mail, determined when it is sent.

use std::sync::OnceLock;
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use crate::config::LinkConfig;
use crate::database::Db;
use crate::domain::audit;
use crate::domain::outbox::draft::{Draft, reader};
use crate::domain::outbox::link::{Issued, is_stale};
use crate::domain::outbox::{Mailer, email_change, held_welcome, registration};
use crate::domain::users::lookup;
use crate::entity::api_token;
use crate::entity::mail::{self, Kind, Status};
use crate::entity::one_time_token::Purpose;
use crate::entity::user;
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::mail::{Content, DeviceNotice, Link, Message, Recipient, TokenNotice, TokenSummary, render};
use crate::tools::secret::MasterKeys;

/// A mail that is ready to be sent.
pub(super) struct Composed {
    pub(super) message: Message,
    /// The link in it.
    pub(super) link: Option<Issued>,
}

/// The composed mail, with a link if its kind has one. `None` if it has no recipient or is no longer expected; its row
/// is then deleted, or waits for its account to be activated.
pub(super) async fn message(
    db: &Db,
    now: &Now,
    master_keys: &MasterKeys,
    mailer: &Mailer,
    mail: &mail::Model,
) -> Result<Option<Composed>> {
    let (txn, ref now) = db.begin(now).await?;
    let issued = OnceLock::new();
    let draft = Draft { txn: &txn, now, master_keys, mailer, mail, issued: &issued };
    let composed = match mail.kind {
        _ if is_stale(mail, now) => {
            tracing::warn!(mail = %mail.id, kind = ?mail.kind, "dropping stale mail");
            email_change::give_up(draft).await?;
            None
        }
        Kind::VerifyEmail => registration::answer(draft).await?,
        Kind::AlreadyRegistered => registration::repeat_already_registered(draft).await?,
        Kind::ConfirmNewEmail => email_change::confirm_new(draft).await?,
        Kind::EmailChanged => email_change::notify_old_address(draft).await?,
        Kind::EmailChangeUndone => email_change::notify_undone(draft).await?,
        Kind::ResetPassword
        | Kind::Welcome
        | Kind::PasswordChanged
        | Kind::RefreshReused
        | Kind::ApiTokenCreated
        | Kind::ApiTokenRotated
        | Kind::ApiTokenRevoked
        | Kind::FactorAdded
        | Kind::FactorRemoved
        | Kind::PasskeyAdded
        | Kind::PasskeyRemoved
        | Kind::PasskeyCopied
        | Kind::RecoveryCodeUsed
        | Kind::RecoveryCodesRenewed
        | Kind::NewDevice
        | Kind::TotpStopped => to_user(draft).await?,
    };
    if composed.is_none() {
        hold_welcome(draft).await?;
        let dropped = mail::Entity::delete_by_id(mail.id)
            .filter(mail::Column::Status.eq(Status::Queued))
            .filter(mail::Column::NextAttemptAt.is_not_null());
        dropped.exec(&txn).await?;
    }
    txn.commit().await?;
    Ok(composed.map(|(recipient, content)| Composed {
        message: render(&mailer.site, &recipient, &content, mail.id),
        link: issued.into_inner(),
    }))
}

/// Keeps a welcome mail whose account is not active yet.
async fn hold_welcome(draft: Draft<'_>) -> Result<()> {
    let (Kind::Welcome, Some(id)) = (draft.mail.kind, draft.mail.user_id) else { return Ok(()) };
    let user = user::Entity::find_for_update(id).one(draft.txn).await?;
    match user.filter(|user| !user.is_active) {
        Some(user) => held_welcome::hold(draft.txn, &[user.id]).await,
        None => Ok(()),
    }
}

async fn to_user(draft: Draft<'_>) -> Result<Option<(Recipient, Content)>> {
    let Some(user) = addressee(draft).await? else { return Ok(None) };
    let LinkConfig { reset_ttl, invite_ttl, .. } = draft.mailer.links;
    let content = match draft.mail.kind {
        Kind::ResetPassword => match link(draft, &user, Purpose::Reset, reset_ttl).await? {
            Some(link) => Content::ResetPassword(link),
            None => return Ok(None),
        },
        Kind::Welcome if user.password_hash.is_none() => match link(draft, &user, Purpose::Invite, invite_ttl).await? {
            Some(link) => Content::Welcome(Some(link)),
            None => return Ok(None),
        },
        Kind::Welcome => Content::Welcome(None),
        Kind::PasswordChanged => Content::PasswordChanged { at: draft.mail.created_at },
        Kind::RefreshReused => Content::RefreshReused { at: draft.mail.created_at },
        Kind::FactorAdded => Content::FactorAdded { at: draft.mail.created_at },
        Kind::FactorRemoved => Content::FactorRemoved { at: draft.mail.created_at },
        Kind::RecoveryCodeUsed => Content::RecoveryCodeUsed { at: draft.mail.created_at },
        Kind::RecoveryCodesRenewed => Content::RecoveryCodesRenewed { at: draft.mail.created_at },
        Kind::NewDevice => Content::NewDevice(device_notice(draft).await?),
        Kind::TotpStopped => Content::TotpStopped { at: draft.mail.created_at },
        Kind::PasskeyAdded => Content::PasskeyAdded { at: draft.mail.created_at },
        Kind::PasskeyRemoved => Content::PasskeyRemoved { at: draft.mail.created_at },
        Kind::PasskeyCopied => Content::PasskeyCopied { at: draft.mail.created_at },
        Kind::ApiTokenCreated => Content::ApiTokenCreated(token_notice(draft).await?),
        Kind::ApiTokenRotated => Content::ApiTokenRotated(token_notice(draft).await?),
        Kind::ApiTokenRevoked => Content::ApiTokenRevoked { at: draft.mail.created_at },
        Kind::VerifyEmail
        | Kind::AlreadyRegistered
        | Kind::ConfirmNewEmail
        | Kind::EmailChanged
        | Kind::EmailChangeUndone => return Ok(None),
    };
    let to = reader(&user);
    // A notice may announce a theft: it goes to the address of that time, even if the account has moved since. A link
    // goes to the current address only.
    let is_notice = !matches!(draft.mail.kind, Kind::ResetPassword | Kind::Welcome);
    let to = if is_notice { Recipient { address: draft.mail.recipient.clone(), ..to } } else { to };
    Ok(Some((to, content)))
}

/// Recipient of the mail; inactive users get no links. A deactivated account still gets notices, because a
/// thief may have deactivated it. The account of a reset request is looked up here, and the mail goes to its stored
/// address, never to the typed one.
async fn addressee(draft: Draft<'_>) -> Result<Option<user::Model>> {
    let known = draft.mail.user_id;
    let found = match known {
        Some(id) => user::Entity::find_by_id(id).one(draft.txn).await?,
        // The account is locked before the mail, as in transactions that end the links of an account.
        None => match lookup::by_identifier(draft.txn, &draft.mail.recipient).await? {
            Some(user) => user::Entity::find_by_id(user.id).lock_exclusive().one(draft.txn).await?,
            None => None,
        },
    };
    let has_link = matches!(draft.mail.kind, Kind::ResetPassword | Kind::Welcome);
    let Some(user) = found.filter(|user| user.is_active || !has_link) else { return Ok(None) };
    if known.is_none() {
        draft.found_user(&user).await?;
    }
    Ok(Some(user))
}

/// The API token of the notice; only the time is known if it was deleted meanwhile.
async fn token_notice(draft: Draft<'_>) -> Result<TokenNotice> {
    let token = match draft.mail.api_token_id {
        Some(id) => api_token::Entity::find_by_id(id).one(draft.txn).await?,
        None => None,
    };
    let token =
        token.map(|token| TokenSummary { name: token.name, scopes: token.scopes.to_string().replace(',', ", ") });
    Ok(TokenNotice { at: draft.mail.created_at, token })
}

/// The device of the notice, as far as the audit trail still knows it.
async fn device_notice(draft: Draft<'_>) -> Result<DeviceNotice> {
    let event = audit::find_with_mail(draft.txn, draft.mail.id).await?;
    let (program, address) = event.map(|event| (event.user_agent, event.ip)).unwrap_or_default();
    Ok(DeviceNotice { at: draft.mail.created_at, program, address })
}

/// The link to set a password: created at the first attempt, the same at each retry.
async fn link(draft: Draft<'_>, user: &user::Model, purpose: Purpose, life: Duration) -> Result<Option<Link>> {
    let Some(secret) = draft.user_secret(user, purpose, life).await? else { return Ok(None) };
    let frontend = draft.mailer.frontend.as_str();
    let url = format!("{frontend}/account/reset?uid={}&token={}", user.id, secret.to_text());
    Ok(Some(Link { url, valid_for: life }))
}
