//! Confirming an address with the link that was mailed to it.

use std::time::Duration;

use crate::config::{Registration, SessionConfig};
use crate::database::Db;
use crate::domain::access::Client;
use crate::domain::account::email_move;
use crate::domain::limits::{self, Limits};
use crate::domain::registration::pending;
use crate::domain::sessions;
use crate::entity::{session, user};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Moment;
use crate::tools::secret::Secret;

/// How old a link may be to sign its holder in as well: mails lie about for long, and get passed on.
const SIGNS_IN_FOR: Duration = Duration::from_secs(60 * 60);

/// What confirming goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether anybody may register.
    pub registration: Registration,
    /// How long sessions live.
    pub lives: &'a SessionConfig,
    /// How many wrong links may be tried.
    pub limits: &'a Limits,
}

/// Whose address is confirmed now.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The user.
    pub user: user::Model,
    /// A session of theirs, where the account is new and its link was young.
    pub session: Option<session::Model>,
}

/// Confirms an address, and spends the link.
///
/// # Errors
/// [`Code::InvalidToken`] where the link was used, ran out, was overtaken by a newer one or never existed, and where the
/// address was given to somebody else meanwhile. A link to a new account is no longer good once registration is closed.
/// [`crate::error::Error::RateLimited`] after too many wrong ones.
pub async fn verify_email(db: &Db, now: &Moment, client: &Client, rules: Rules<'_>, token: &str) -> Result<Verified> {
    let attempt = limits::take_link(db, now, client, rules.limits).await?;
    let verified = verify(db, now, client, rules, token).await?;
    limits::give_back(db.writer(), attempt).await?;
    Ok(verified)
}

async fn verify(db: &Db, now: &Moment, client: &Client, rules: Rules<'_>, token: &str) -> Result<Verified> {
    let Rules { registration, lives, .. } = rules;
    let secret = Secret::from_text(token).ok_or_else(invalid_link)?;
    // A secret belongs to one kind of link; the kinds are tried one after the other.
    if registration == Registration::Open
        && let Some(verified) = new_account(db, now, client, lives, &secret).await?
    {
        return Ok(verified);
    }
    let (txn, ref now) = db.begin(now).await?;
    let moved = email_move::confirm(&txn, now, client, &secret).await?.ok_or_else(invalid_link)?;
    txn.commit().await?;
    Ok(Verified { user: moved, session: None })
}

async fn new_account(
    db: &Db,
    now: &Moment,
    client: &Client,
    lives: &SessionConfig,
    secret: &Secret,
) -> Result<Option<Verified>> {
    let (txn, ref now) = db.begin(now).await?;
    let Some((user, made_at)) = pending::complete(&txn, now, client, secret).await? else { return Ok(None) };
    let session = match now.at <= made_at.plus(SIGNS_IN_FOR) {
        true => Some(sessions::open(&txn, now, client, lives, user.id).await?),
        false => None,
    };
    txn.commit().await?;
    Ok(Some(Verified { user, session }))
}

fn invalid_link() -> Refusal {
    Refusal::new(Code::InvalidToken, "This link is no longer good: ask for a new mail.").of("token")
}
