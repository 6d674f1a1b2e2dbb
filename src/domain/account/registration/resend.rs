//! Asking for another mail with a link.

use crate::config::Registration;
use crate::database::Db;
use crate::domain::account::registration::require_open;
use crate::domain::auth::identity::Client;
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits, Purpose};
use crate::entity::mail::Kind;
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// Asks for another mail with a link that completes the registration of this address; when it is delivered, the link
/// before it is dead.
///
/// Whether a registration waits there is not looked up here, as in [`super::register::register`]: the request writes the
/// same row in each case, and the worker drops what nobody waits for.
///
/// # Errors
/// [`Error::Forbidden`] where registration is closed; [`crate::error::Code::Required`] or
/// [`crate::error::Code::Invalid`] where it is no address; [`Error::RateLimited`].
pub async fn resend(
    db: &Db,
    now: &Now,
    client: &Client,
    (registration, limits): (Registration, &Limits),
    email: &str,
) -> Result<()> {
    require_open(registration)?;
    let email = identifier::email(email).map_err(|refusal| Error::from(refusal.of("email")))?;
    rate_limits::take_mail(db, now, client, limits, (Purpose::Registration, &email)).await?;
    let (txn, ref now) = db.begin(now).await?;
    outbox::enqueue(&txn, now, Kind::VerifyEmail, &email, None).await?;
    txn.commit().await?;
    Ok(())
}
