//! Requesting another mail with a link.

use crate::config::Registration;
use crate::database::Db;
use crate::domain::account::registration::require_open;
use crate::domain::auth::identity::Client;
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits, Purpose, Requester};
use crate::entity::mail::Kind;
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// Requests another mail with a link that completes the registration of this address. The previous link becomes invalid
/// when the new mail is delivered.
///
/// As in [`super::register::register`], the registration is not looked up here. The request writes the same row in each
/// case, and the worker drops mails without a registration.
///
/// # Errors
/// [`Error::Forbidden`] if registration is closed; [`crate::error::Code::Required`] or [`crate::error::Code::Invalid`]
/// if the text is not an address; [`Error::RateLimited`].
pub async fn resend(
    db: &Db,
    now: &Now,
    client: &Client,
    registration: Registration,
    limits: &Limits,
    email: &str,
) -> Result<()> {
    require_open(registration)?;
    let email = identifier::email(email).map_err(|refusal| Error::from(refusal.of("email")))?;
    rate_limits::take_mail(db, now, Requester::Anyone(client), limits, Purpose::Registration, &email).await?;
    let (txn, ref now) = db.begin(now).await?;
    outbox::enqueue(&txn, now, Kind::VerifyEmail, &email, None).await?;
    txn.commit().await?;
    Ok(())
}
