//! Changing one's names and other details.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{email_move, prove};
use crate::database::Db;
use crate::domain::access::Viewer;
use crate::domain::audit::{self, Event};
use crate::domain::passwords::Passwords;
use crate::domain::users::create::{MAX_ADDRESS, MAX_NAME, MAX_PHONE};
use crate::domain::users::taken;
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Column};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Moment;
use crate::tools::{identifier, text};

/// The longest text about oneself, in characters.
pub const MAX_BIO: usize = 2000;

/// What to change; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The username.
    pub username: Option<String>,
    /// The address to move to; needs the present password.
    pub email: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// What the user tells about themself.
    pub bio: Option<String>,
    /// The present password.
    pub current_password: Option<String>,
}

/// Changes the viewer's own details. A new e-mail address is only noted, and a link mailed to it: the account moves
/// when its owner follows that. Whether the address belongs to somebody else is not told.
///
/// # Errors
/// One refusal for each field that is wrong; [`Code::Required`] or [`Code::PasswordIncorrect`] of `currentPassword`;
/// [`Error::Forbidden`] for an e-mail address by an API token.
pub async fn update(
    db: &Db,
    now: &Moment,
    viewer: &Viewer,
    passwords: &Passwords,
    input: Profile,
) -> Result<user::Model> {
    let user = viewer.user();
    let mut refusals = Vec::new();
    let mut checked = |value: Option<String>, check: &dyn Fn(&str) -> Result<String, Refusal>| {
        value.and_then(|value| check(&value).map_err(|refusal| refusals.push(refusal)).ok())
    };
    let username = checked(input.username, &|value| identifier::username(value).map_err(|r| r.of("username")));
    let email = checked(input.email, &|value| identifier::email(value).map_err(|r| r.of("email")));
    let first_name = checked(input.first_name, &|value| text::line("firstName", value, MAX_NAME));
    let last_name = checked(input.last_name, &|value| text::line("lastName", value, MAX_NAME));
    let phone = checked(input.phone, &|value| text::line("phone", value, MAX_PHONE));
    let address = checked(input.address, &|value| text::lines("address", value, MAX_ADDRESS));
    let bio = checked(input.bio, &|value| text::lines("bio", value, MAX_BIO));
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    let moves = email.filter(|email| *email != user.email);
    if moves.is_some() {
        viewer.present()?;
        let password = input.current_password.as_deref().ok_or_else(|| {
            Refusal::new(Code::Required, "Give your present password to change your address.").of("currentPassword")
        })?;
        prove(passwords, user, password, "currentPassword").await?;
    }

    let txn = db.begin().await?;
    let mut update = user::Entity::update_many().col_expr(Column::UpdatedAt, Expr::value(now.at));
    if let Some(username) = username {
        let key = identifier::fold(&username);
        update =
            update.col_expr(Column::UsernameKey, Expr::value(key)).col_expr(Column::Username, Expr::value(username));
    }
    let texts = [
        (Column::FirstName, first_name),
        (Column::LastName, last_name),
        (Column::Phone, phone),
        (Column::Address, address),
        (Column::Bio, bio),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            update = update.col_expr(column, Expr::value(value));
        }
    }
    update = update.filter(Column::Id.eq(user.id)).filter(Column::IsActive.eq(true));
    let changed = update.exec_with_returning(&txn).await.map_err(taken)?;
    let mut user = changed.into_iter().next().ok_or(Error::Forbidden)?;
    if let Some(email) = moves {
        user = email_move::begin(&txn, now, &user, email).await?;
    }
    audit::record(&txn, now, Event::by(viewer, Action::UserUpdated, user.id)).await?;
    txn.commit().await?;
    Ok(user)
}
