//! Challenges: the first proofs of a sign-in were right, and a second factor is due.
//!
//! A challenge is a sealed text that the client keeps; nothing is stored for it until it is answered. It is bound to the
//! state of the account, so that another password, a deactivation, or the end of all sessions ends it. The row of an
//! answered challenge counts the answers, and records that one was right.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answers::{self, Answers};
use super::verify;
use super::{Proven, SecondFactorRules, SecondProof};
use crate::database::{Db, batch_delete};
use crate::domain::account::change_password;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::passkeys::assertion::RequestOptions;
use crate::domain::auth::sessions;
use crate::domain::auth::sign_in::{Failure, SignInRules, record_failure};
use crate::domain::rate_limits::{self, Attempt};
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::audit_event::{Action, Reason};
use crate::entity::session::{Method, Methods};
use crate::entity::sign_in_challenge::{self, Column};
use crate::entity::{session, user};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::secret::{self, MasterKeys};
use crate::tools::token::RefreshToken;

/// Lifetime of a challenge: long enough to fetch a phone or a list of codes.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Number of answers to a challenge.
pub const PROOFS: i32 = 5;

/// The context under which challenges are sealed.
const CONTEXT: &str = "sign-in challenge";

/// A challenge for the client.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The sealed text.
    pub token: String,
    /// Expiry.
    pub expires_at: Timestamp,
    /// The methods that answer it.
    pub methods: Vec<Method>,
    /// Options for a browser, if a passkey answers it.
    pub passkey: Option<RequestOptions>,
}

/// Content of the sealed text.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    id: Uuid,
    user: Uuid,
    /// Digest of the state of the account.
    state: String,
    /// The first proofs.
    methods: Vec<Method>,
    /// In milliseconds since 1970.
    expires_at: i64,
    /// Hash of the password that replaces the one of the sign-in.
    new_hash: Option<String>,
}

impl Contents {
    fn seal(&self, master_keys: &MasterKeys) -> String {
        let plain = serde_json::to_vec(self).expect("ids, numbers and texts are JSON");
        URL_SAFE_NO_PAD.encode(master_keys.seal(CONTEXT, &plain))
    }

    fn unseal(token: &str, master_keys: &MasterKeys) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        serde_json::from_slice(&master_keys.unseal(CONTEXT, &sealed)?).ok()
    }

    fn is_alive(&self, now: &Now) -> bool {
        let end = Timestamp::from_millis(self.expires_at);
        // A clock that was set back must not extend the time.
        now.at < end && end <= now.at.plus(LIFETIME).plus(SKEW)
    }
}

/// Digest of everything about an account that ends its challenges when it changes.
fn state(user: &user::Model) -> String {
    let hash = user.password_hash.as_deref().unwrap_or_default();
    let parts = [user.id.as_bytes().as_slice(), &user.access_generation.to_be_bytes(), hash.as_bytes()];
    URL_SAFE_NO_PAD.encode(secret::digest_parts(&parts))
}

/// The first proofs of a user.
#[derive(Clone, Debug)]
pub(in crate::domain) struct FirstProofs<'a> {
    /// The user.
    pub(in crate::domain) user: &'a user::Model,
    /// The methods.
    pub(in crate::domain) methods: Vec<Method>,
    /// Hash of a password that replaces the one of the sign-in.
    pub(in crate::domain) new_hash: Option<String>,
}

/// Makes a challenge for a user whose first proofs were right. Nothing is stored.
pub(in crate::domain) async fn make(
    db: &impl ConnectionTrait,
    now: &Now,
    rules: SecondFactorRules<'_>,
    first: FirstProofs<'_>,
) -> Result<Challenge> {
    let FirstProofs { user, methods, new_hash } = first;
    let expires_at = now.at.plus(LIFETIME);
    let Answers { methods: accepted, passkey } = answers::accepted(db, now, rules, user, None).await?;
    let contents = Contents {
        id: now.id(),
        user: user.id,
        state: state(user),
        methods,
        expires_at: expires_at.millis(),
        new_hash,
    };
    Ok(Challenge { token: contents.seal(rules.master_keys), expires_at, methods: accepted, passkey })
}

/// Makes the same challenge again for a page that shows its form after a wrong answer. Its answers stay counted.
///
/// # Errors
/// [`Code::InvalidToken`] if it has expired, or ended with a change of the account.
pub async fn show_again(db: &Db, now: &Now, rules: SecondFactorRules<'_>, token: &str) -> Result<Challenge> {
    let known = Contents::unseal(token, rules.master_keys).ok_or_else(invalid)?;
    let user = user::Entity::find_by_id(known.user).one(db.reader()).await?.ok_or_else(invalid)?;
    if known.state != state(&user) || !known.is_alive(now) {
        return Err(invalid().into());
    }
    let first = FirstProofs { user: &user, methods: Vec::new(), new_hash: None };
    let again = make(db.reader(), now, rules, first).await?;
    let expires_at = Timestamp::from_millis(known.expires_at);
    Ok(Challenge { token: token.to_owned(), expires_at, ..again })
}

/// An answer to a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Complete<'a> {
    /// The sealed text.
    pub token: &'a str,
    /// The code.
    pub code: SecondProof<'a>,
    /// The refresh token of the request's cookie; the new session replaces its session.
    pub replaces: Option<RefreshToken>,
    /// The submitted form of a page; a repeated submission is recognized by it.
    pub form: Option<&'a SentForm>,
}

/// A completed sign-in.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The new session.
    pub session: session::Model,
    /// The user.
    pub user: user::Model,
    /// True if the password was replaced as well.
    pub has_new_password: bool,
}

/// Answers a challenge, and opens the session.
///
/// # Errors
/// [`Code::InvalidToken`] if the challenge has expired, was used, was answered wrongly [`PROOFS`] times, or ended with a
/// change of the account; [`Code::SecondFactorIncorrect`]; [`Code::TotpStopped`] after too many wrong codes for the
/// account; [`crate::error::Error::RateLimited`] for a new password after too many changes.
pub async fn complete(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: SignInRules<'_>,
    input: Complete<'_>,
) -> Result<Completed> {
    let SignInRules { passwords, lives, second_factor } = rules;
    let contents = Contents::unseal(input.token, second_factor.master_keys).ok_or_else(invalid)?;
    let (txn, _) = db.begin(now).await?;
    sessions::lock_owners(&txn, Some(contents.user), input.replaces.map(|token| token.session)).await?;
    // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
    let now = &now.anew();
    let user = user::Entity::find_by_id(contents.user).one(&txn).await?.ok_or_else(invalid)?;
    // A link never signs in staff, also those who became staff since.
    let is_by_link_of_staff = contents.methods.contains(&Method::EmailLink) && user.is_staff_member();
    let is_same_account = user.is_active && user.is_verified && contents.state == state(&user) && !is_by_link_of_staff;
    let is_answerable = is_same_account && user.has_second_factor && contents.is_alive(now);
    if !is_answerable || !take_proof(&txn, &contents).await? {
        return Err(invalid().into());
    }
    let method = match verify::verify(&txn, now, client, second_factor, &user, input.code, None).await? {
        Ok(method) => method,
        Err(failure) => {
            let event = Event::by_anyone(client, Action::LoginFailed, user.id).because(failure.reason());
            audit::record(&txn, now, event).await?;
            txn.commit().await?;
            return Err(failure.refusal(input.code).into());
        }
    };
    spend(&txn, contents.id).await?;
    if contents.new_hash.is_some()
        && let Err(limited) = rate_limits::take_own_password(&txn, now, user.id, client, passwords.limits()).await
    {
        txn.rollback().await?;
        record_failure(db, now, client, Failure::of(&user, Attempt::default(), Reason::LimitWrites)).await?;
        return Err(limited);
    }
    if let Some(replaced) = input.replaces {
        sessions::replace(&txn, now, client, lives, replaced).await?;
    }
    let proven = Proven { user: user.id, methods: Methods::new(contents.methods.into_iter().chain([method])) };
    let session = sessions::open(&txn, now, client, lives, &proven).await?;
    let signed_in = user::Entity::update_many()
        .col_expr(user::Column::LastLogin, Expr::value(now.at))
        .filter(user::Column::Id.eq(user.id));
    let user = signed_in.exec_with_returning(&txn).await?.into_iter().next().ok_or_else(invalid)?;
    audit::record(&txn, now, Event::by_owner(client, Action::Login, user.id)).await?;
    let has_new_password = contents.new_hash.is_some();
    if let Some(hash) = contents.new_hash {
        let event = Event::by_owner(client, Action::PasswordChanged, user.id);
        change_password::store(&txn, now, &user, session.id, hash, event).await?;
    }
    sent_forms::note(&txn, now, input.form).await?;
    txn.commit().await?;
    Ok(Completed { session, user, has_new_password })
}

/// Counts an answer. Returns false if the challenge is spent, or was answered too often.
async fn take_proof(txn: &DatabaseTransaction, contents: &Contents) -> Result<bool> {
    let row = sign_in_challenge::ActiveModel {
        id: Set(contents.id),
        proofs: Set(1),
        is_spent: Set(false),
        expires_at: Set(Timestamp::from_millis(contents.expires_at)),
    };
    let proofs = || Expr::col((sign_in_challenge::Entity, Column::Proofs));
    let one_more = OnConflict::column(Column::Id)
        .value(Column::Proofs, proofs().add(1))
        .action_and_where(proofs().lt(PROOFS))
        .action_and_where(Expr::col((sign_in_challenge::Entity, Column::IsSpent)).eq(false))
        .to_owned();
    let taken = sign_in_challenge::Entity::insert(row).on_conflict(one_more).exec_without_returning(txn).await?;
    Ok(taken > 0)
}

/// Records that a challenge was answered right.
async fn spend(txn: &DatabaseTransaction, id: Uuid) -> Result<()> {
    sign_in_challenge::Entity::update_many()
        .col_expr(Column::IsSpent, Expr::value(true))
        .filter(Column::Id.eq(id))
        .exec(txn)
        .await?;
    Ok(())
}

/// Records that a challenge of another kind was used. Returns false if it was before.
pub(in crate::domain) async fn spend_once(txn: &DatabaseTransaction, id: Uuid, expires_at: Timestamp) -> Result<bool> {
    let row = sign_in_challenge::ActiveModel {
        id: Set(id),
        proofs: Set(1),
        is_spent: Set(true),
        expires_at: Set(expires_at),
    };
    let once = OnConflict::column(Column::Id).do_nothing().to_owned();
    Ok(sign_in_challenge::Entity::insert(row).on_conflict(once).exec_without_returning(txn).await? > 0)
}

/// Deletes the rows of expired challenges.
pub async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let expired = Condition::all().add(Column::ExpiresAt.lte(now.at));
    batch_delete::delete::<sign_in_challenge::Entity>(db, sign_in_challenge::PrimaryKey::Id, &expired).await?;
    Ok(())
}

fn invalid() -> Refusal {
    Refusal::new(Code::InvalidToken, "challenge-invalid").of("challengeToken")
}
