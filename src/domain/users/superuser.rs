//! The first superuser, and further ones: they are made at the start and by the command line alone.

use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::users::create;
use crate::domain::users::reserved::{self, ReservationHolder};
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// A superuser whose input was checked and whose password is hashed.
#[derive(Clone, Debug)]
pub struct Superuser {
    row: user::ActiveModel,
    /// Whether the operator gave the username; where another account has it, there is no superuser then.
    is_named: bool,
    /// The name to number where it is taken; none for neutral ones.
    wanted: Option<&'static str>,
}

/// The username of the first superuser.
const FIRST: &str = "admin";

/// The username that a superuser gets.
#[derive(Clone, Copy, Debug)]
pub enum Username<'a> {
    /// This one and no other.
    Given(&'a str),
    /// `admin`, with a number behind it where that is taken.
    First,
    /// A neutral one that is generated.
    Neutral,
}

/// The password of a new superuser.
#[derive(Clone, Debug)]
pub enum FirstPassword {
    /// One that somebody chose.
    Chosen(String),
    /// One that was generated, and is printed where others may read it: it is temporary.
    Generated(String),
}

impl FirstPassword {
    /// A random one.
    pub fn generate() -> Self {
        Self::Generated(Secret::<16>::random().to_text())
    }

    /// The text, where it has to be printed.
    pub fn generated(&self) -> Option<&str> {
        match self {
            Self::Generated(text) => Some(text),
            Self::Chosen(_) => None,
        }
    }
}

impl From<&str> for FirstPassword {
    fn from(text: &str) -> Self {
        Self::Chosen(text.to_owned())
    }
}

/// Checks a superuser's address, username and password. This comes before
/// the transaction, because hashing takes its time.
///
/// # Errors
/// The refusals of the address, the name or the password.
pub async fn prepare(
    now: &Now,
    passwords: &Passwords,
    email: &str,
    username: Username<'_>,
    password: impl Into<FirstPassword>,
) -> Result<Superuser> {
    let password = password.into();
    let (FirstPassword::Chosen(text) | FirstPassword::Generated(text)) = &password;
    let email = identifier::email(email).map_err(|refusal| Error::from(refusal.of("email")))?;
    let (is_named, wanted) =
        (matches!(username, Username::Given(_)), matches!(username, Username::First).then_some(FIRST));
    let username = match username {
        Username::Given(name) => identifier::username(name).map_err(|refusal| Error::from(refusal.of("username")))?,
        Username::First => FIRST.to_owned(),
        Username::Neutral => identifier::neutral_username(),
    };
    let new = NewPassword { password: text, confirm: None, fields: ("password", "password") };
    let hash = passwords.accept(new, &[&email, &username]).await?;
    let row = user::ActiveModel {
        password_hash: Set(Some(hash)),
        temporary_password_at: Set(password.generated().map(|_| now.at)),
        role: Set(Role::Admin),
        permission: Set(Permission::FullAccess),
        is_staff: Set(true),
        is_superuser: Set(true),
        is_verified: Set(true),
        ..super::blank(now, (email, username), Default::default())
    };
    Ok(Superuser { row, is_named, wanted })
}

/// Whether there is any superuser.
pub async fn exists(txn: &DatabaseTransaction) -> Result<bool> {
    let any = user::Entity::find().filter(user::superusers()).one(txn).await?;
    Ok(any.is_some())
}

/// Makes the account.
///
/// # Errors
/// [`crate::error::Code::AlreadyExists`] where the address or the given name is taken.
pub async fn insert(txn: &DatabaseTransaction, now: &Now, superuser: Superuser) -> Result<user::Model> {
    let Superuser { row, is_named, wanted } = superuser;
    let user = match is_named {
        true => {
            let user = user::Entity::insert(row).exec_with_returning(txn).await.map_err(super::taken)?;
            reserved::claim(txn, now, (None, &user), ReservationHolder::Other).await?;
            user
        }
        false => create::insert_with_free_username(txn, now, (row, wanted), ReservationHolder::Other).await?,
    };
    audit::record(txn, now, Event::by_anyone(&Client::default(), Action::UserCreated, user.id)).await?;
    Ok(user)
}
