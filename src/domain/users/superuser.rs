//! The first superuser, and further ones: they are made at the start and by the command line alone.

use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::domain::access::Client;
use crate::domain::audit::{self, Event};
use crate::domain::passwords::{NewPassword, Passwords};
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Error, Result};
use crate::tools::clock::Moment;
use crate::tools::identifier;

/// A superuser whose input was checked and whose password is hashed.
#[derive(Clone, Debug)]
pub struct Superuser(user::ActiveModel);

/// Checks a superuser's address, username (made from the address where none is given) and password. This comes before
/// the transaction, because hashing takes its time.
///
/// # Errors
/// The refusals of the address, the name or the password.
pub async fn prepare(
    now: &Moment,
    passwords: &Passwords,
    email: &str,
    username: Option<&str>,
    password: &str,
) -> Result<Superuser> {
    let email = identifier::email(email).map_err(|refusal| Error::from(refusal.of("email")))?;
    let username = match username {
        Some(name) => identifier::username(name).map_err(|refusal| Error::from(refusal.of("username")))?,
        None => identifier::username_from_email(&email),
    };
    let new = NewPassword { password, confirm: None, fields: ("password", "password") };
    let hash = passwords.accept(new, &[&email, &username]).await?;
    Ok(Superuser(user::ActiveModel {
        password_hash: Set(Some(hash)),
        role: Set(Role::Admin),
        permission: Set(Permission::FullAccess),
        is_staff: Set(true),
        is_superuser: Set(true),
        is_verified: Set(true),
        ..super::blank(now, (email, username), Default::default())
    }))
}

/// Whether there is any superuser.
pub async fn exists(txn: &DatabaseTransaction) -> Result<bool> {
    let any = user::Entity::find().filter(user::superusers()).one(txn).await?;
    Ok(any.is_some())
}

/// Makes the account.
///
/// # Errors
/// [`crate::error::Code::AlreadyExists`] where the address or the name is taken.
pub async fn insert(txn: &DatabaseTransaction, now: &Moment, superuser: Superuser) -> Result<user::Model> {
    let user = user::Entity::insert(superuser.0).exec_with_returning(txn).await.map_err(super::taken)?;
    audit::record(txn, now, Event::by_anyone(&Client::default(), Action::UserCreated, user.id)).await?;
    Ok(user)
}
