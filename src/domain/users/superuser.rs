//! Creation of superusers: only at the first start and by the command line.

use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _};

use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::{Actor, Client};
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::users::reserved::{self, ReservationHolder, WrittenAccount};
use crate::domain::users::search_terms::searchable;
use crate::domain::users::username_allocator::{self, NewAccount};
use crate::domain::users::{Names, blank};
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// A superuser with checked input and hashed password.
#[derive(Clone, Debug)]
pub struct Superuser {
    row: user::ActiveModel,
    /// True if the operator chose the username; a conflict is then an error.
    is_named: bool,
    /// The name to append a number to if it is taken; `None` for neutral ones.
    wanted: Option<&'static str>,
}

/// Default username of the first superuser.
const FIRST: &str = "admin";

/// The username of a new superuser.
#[derive(Clone, Copy, Debug)]
pub enum Username<'a> {
    /// Exactly this one.
    Given(&'a str),
    /// `admin`, with a number appended if that is taken.
    First,
    /// A generated neutral one.
    Neutral,
}

/// The password of a new superuser.
#[derive(Clone, Debug)]
pub enum FirstPassword {
    /// A chosen password.
    Chosen(String),
    /// A generated password. It is printed where others may read it, and therefore temporary.
    Generated(String),
}

impl FirstPassword {
    /// Generates a random password.
    pub fn generate() -> Self {
        Self::Generated(Secret::<16>::random().to_text())
    }

    /// The text of a generated password, for printing.
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

/// Checks a superuser's address, username and password. Call it before the transaction, because hashing takes time.
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
    let email = identifier::email(email).map_err(|refusal| Error::from(refusal.of("email")))?;
    let (is_named, wanted) =
        (matches!(username, Username::Given(_)), matches!(username, Username::First).then_some(FIRST));
    let username = match username {
        Username::Given(name) => identifier::username(name).map_err(|refusal| Error::from(refusal.of("username")))?,
        Username::First => FIRST.to_owned(),
        Username::Neutral => identifier::neutral_username(),
    };
    let hash = match &password {
        FirstPassword::Chosen(text) => {
            let new = NewPassword { password: text, confirm: None, fields: ("password", "password") };
            passwords.accept(new, &[&email, &username]).await?
        }
        // A random password obeys every rule.
        FirstPassword::Generated(text) => passwords.hash(text).await?,
    };
    let row = user::ActiveModel {
        password_hash: Set(Some(hash)),
        temporary_password_at: Set(password.generated().map(|_| now.at)),
        role: Set(Role::Admin),
        permission: Set(Permission::FullAccess),
        is_staff: Set(true),
        is_superuser: Set(true),
        is_verified: Set(true),
        ..blank(now, Names { email, username, ..Names::default() })
    };
    Ok(Superuser { row, is_named, wanted })
}

/// True if a superuser exists.
pub async fn exists(db: &impl ConnectionTrait) -> Result<bool> {
    let any = user::Entity::find().filter(user::superusers()).one(db).await?;
    Ok(any.is_some())
}

/// Creates the account, and records this actor: the operator for a command, nobody for the first start.
///
/// # Errors
/// [`crate::error::Code::AlreadyExists`] if the address or the given name is taken.
pub async fn insert(txn: &DatabaseTransaction, now: &Now, by: Actor, superuser: Superuser) -> Result<user::Model> {
    let Superuser { row, is_named, wanted } = superuser;
    let user = match is_named {
        true => {
            let user = user::Entity::insert(searchable(row)).exec_with_returning(txn).await.map_err(super::taken)?;
            reserved::claim(txn, now, WrittenAccount::new(&user), ReservationHolder::Other).await?;
            user
        }
        false => {
            let account = NewAccount { row, wanted, by: ReservationHolder::Other };
            username_allocator::insert(txn, now, account).await?
        }
    };
    let unknown = Client::default();
    let event = match by {
        Actor::Operator => Event::by_operator(Action::UserCreated, user.id),
        Actor::User(_) | Actor::Anyone => {
            Event { actor: by, ..Event::by_anyone(&unknown, Action::UserCreated, user.id) }
        }
    };
    audit::record(txn, now, event).await?;
    Ok(user)
}
