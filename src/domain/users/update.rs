//! Changing accounts.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::details::Details;
use super::not_found;
use super::reserved::{self, ReservationHolder};
use crate::database::Db;
use crate::domain::account::undo_email_change::{self, MadeBy};
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::outbox;
use crate::domain::rate_limits;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user::{self, Column, Permission, Role};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;

/// An account to change; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The user's id.
    pub id: String,
    /// Names and the like.
    pub details: Details,
    /// The e-mail address, which holds at once: staff vouch for it.
    pub email: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The role.
    pub role: Option<Role>,
    /// The permission.
    pub permission: Option<Permission>,
    /// Whether the account may be used.
    pub is_active: Option<bool>,
    /// Whether the user is staff.
    pub is_staff: Option<bool>,
}

/// What an account becomes, checked, as far as it is not so already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::domain) struct Changes {
    pub(in crate::domain) details: Details,
    pub(in crate::domain) email: Option<String>,
    pub(in crate::domain) password_hash: Option<String>,
    pub(in crate::domain) role: Option<Role>,
    pub(in crate::domain) permission: Option<Permission>,
    pub(in crate::domain) is_active: Option<bool>,
    pub(in crate::domain) is_staff: Option<bool>,
}

/// Changes an account. Whoever is deactivated or given a password is out at once, on every device; with another password
/// the API tokens are gone, too. The owner is told by mail of another address, at the old one, and of another password.
///
/// # Errors
/// [`Code::NotFound`] of `id`; one refusal for each field that is wrong: required, invalid, too long, or taken; the
/// password's; the guard rails'. [`Error::RateLimited`] after too many renames by API token. [`Error::Forbidden`] where an API token would change more than details and the active
/// flag, or an account that it does not reach.
pub async fn update(
    db: &Db,
    now: &Now,
    staff: Manager<'_>,
    passwords: &Passwords,
    input: Update,
) -> Result<user::Model> {
    let id = Uuid::parse_str(&input.id).map_err(|_| not_found())?;
    let mut refusals = Vec::new();
    let details = input.details.check(&mut refusals);
    let email = input
        .email
        .and_then(|email| identifier::email(&email).map_err(|refusal| refusals.push(refusal.of("email"))).ok());
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    let password_hash = match &input.password {
        Some(password) => {
            staff.session_user()?;
            let user = user::Entity::find_by_id(id).one(db.reader()).await?.ok_or_else(not_found)?;
            guard_rails::check(Some(staff.user().id), &user, Change::Credentials).map_err(|r| r.of("password"))?;
            let about = |new: &Option<String>, old: String| new.clone().unwrap_or(old);
            let about = [
                about(&details.username, user.username),
                about(&email, user.email),
                about(&details.first_name, user.first_name),
                about(&details.last_name, user.last_name),
            ];
            let new = NewPassword { password, confirm: None, fields: ("password", "password") };
            Some(passwords.accept(new, &about.each_ref().map(String::as_str)).await?)
        }
        None => None,
    };

    let authorized = staff.begin(db, now, Also::Users(&[id])).await?;
    let (txn, now) = authorized.parts();
    let target = authorized.locked(id).ok_or_else(not_found)?;
    let changes = Changes {
        details: details.changes(target),
        email: email.filter(|email| *email != target.email),
        password_hash,
        role: input.role.filter(|role| *role != target.role),
        permission: input.permission.filter(|permission| *permission != target.permission),
        is_active: input.is_active.filter(|is_active| *is_active != target.is_active),
        is_staff: input.is_staff.filter(|is_staff| *is_staff != target.is_staff),
    };
    // What changes nothing is asked about too: a token that does not reach an account learns nothing of it.
    guard_rails::reach(&staff, target, Change::Details)?;
    changes.asked().try_for_each(|(_, change)| guard_rails::reach(&staff, target, change))?;
    // The answer shows the whole account, which superusers show to nobody else.
    guard_rails::check(Some(staff.user().id), target, Change::Details).map_err(|refusal| refusal.of("id"))?;
    changes.check(Some(staff.user().id), target)?;
    if let Some(username) = &changes.details.username
        && staff.session_user().is_err()
    {
        // A leaked API token must not keep any number of usernames from others.
        reserved::may_rename(txn, now, target, username).await?;
    }
    let changed = changes.write(txn, now, target).await?;
    for action in changes.actions() {
        audit::record(txn, now, Event::by(&authorized, action, id).changing(target, &changed)).await?;
    }
    authorized.commit().await?;
    Ok(changed)
}

impl Changes {
    /// What is asked for, each with the input field that it concerns.
    fn asked(&self) -> impl Iterator<Item = (&'static str, Change)> {
        [
            (self.details != Details::default()).then_some(("id", Change::Details)),
            self.email.as_ref().map(|_| ("email", Change::Credentials)),
            self.password_hash.as_ref().map(|_| ("password", Change::Credentials)),
            self.role.map(|to| ("role", Change::Role(to))),
            self.permission.map(|to| ("permission", Change::Permission(to))),
            self.is_active.map(|to| ("isActive", Change::Active(to))),
            self.is_staff.map(|to| ("isStaff", Change::Staff(to))),
        ]
        .into_iter()
        .flatten()
    }

    /// Whether this user, or the operator where it is none, may make these changes to that one.
    ///
    /// # Errors
    /// All refusals of the guard rails, each of the input field that it concerns.
    pub(in crate::domain) fn check(&self, actor: Option<Uuid>, target: &user::Model) -> Result<()> {
        let refused = self.asked().filter_map(|(field, change)| {
            guard_rails::check(actor, target, change).map_err(|refusal| refusal.of(field)).err()
        });
        let mut refusals: Vec<Refusal> = refused.collect();
        // That one may not touch a superuser at all is no matter of single fields.
        if let Some(whole) = refusals.iter().find(|refusal| refusal.code == Code::CannotEditSuperuser) {
            refusals = vec![whole.clone().of("id")];
        }
        if refusals.is_empty() { Ok(()) } else { Err(Error::Refused(refusals)) }
    }

    /// Makes the changes to an account whose row is locked, with all that follows from them but the audit events.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`] of `username` or `email`.
    pub(in crate::domain) async fn write(
        &self,
        txn: &DatabaseTransaction,
        now: &Now,
        target: &user::Model,
    ) -> Result<user::Model> {
        if *self == Self::default() {
            return Ok(target.clone());
        }
        // Another spelling of the same address is the same mailbox, whose links and proof stay.
        let moves = self.email.as_ref().is_some_and(|email| !identifier::same_address(email, &target.email));
        let mut update = user::Entity::update_many().col_expr(Column::UpdatedAt, Expr::value(now.at));
        update = self.details.clone().write(update);
        if let Some(email) = &self.email {
            update = update
                .col_expr(Column::Email, Expr::value(email))
                .col_expr(Column::EmailKey, Expr::value(identifier::fold(email)));
        }
        if moves {
            update = update.col_expr(Column::EmailProved, Expr::value(false));
        }
        if let Some(hash) = &self.password_hash {
            update = update
                .col_expr(Column::PasswordHash, Expr::value(hash))
                .col_expr(Column::PasswordByStaff, Expr::value(true))
                .col_expr(Column::TemporaryPasswordAt, Expr::value(Option::<Timestamp>::None))
                .col_expr(Column::IsVerified, Expr::value(true));
        }
        let set = |update: sea_orm::UpdateMany<_>, column: Column, value: Option<sea_orm::Value>| match value {
            Some(value) => update.col_expr(column, Expr::value(value)),
            None => update,
        };
        update = set(update, Column::Role, self.role.map(Into::into));
        update = set(update, Column::Permission, self.permission.map(Into::into));
        update = set(update, Column::IsActive, self.is_active.map(Into::into));
        update = set(update, Column::IsStaff, self.is_staff.map(Into::into));
        let causes = [
            // Staff set a password to take an account out of wrong hands, whose tokens must not outlive that.
            self.password_hash.as_ref().map(|_| Cause::PasswordSet),
            (self.is_active == Some(false)).then_some(Cause::Deactivated),
            moves.then_some(Cause::EmailChanged),
        ];
        for cause in causes.into_iter().flatten() {
            revocation::revoke(txn, &[target.id], cause).await?;
        }
        let changed = update.filter(Column::Id.eq(target.id)).exec_with_returning(txn).await.map_err(super::taken)?;
        let changed = changed.into_iter().next().ok_or_else(not_found)?;
        if self.is_active == Some(true) {
            // No network of the owner is known, and strangers may have gone on guessing.
            rate_limits::forget_guesses(txn, &[target.id]).await?;
        }
        reserved::claim(txn, now, (Some(target), &changed), ReservationHolder::Other).await?;
        if moves {
            let by = MadeBy::Staff { sets_password: self.password_hash.is_some() };
            undo_email_change::announce(txn, now, by, target, &changed).await?;
        }
        if self.password_hash.is_some() {
            outbox::enqueue(txn, now, Kind::PasswordChanged, &changed.email, Some(target.id)).await?;
        }
        if self.is_active == Some(true) {
            outbox::release(txn, now, &[target.id]).await?;
        }
        Ok(changed)
    }

    /// The events that tell of the changes.
    pub(in crate::domain) fn actions(&self) -> impl Iterator<Item = Action> {
        let is_detail = self.details != Details::default() || self.role.is_some() || self.permission.is_some();
        let flag = |to: Option<bool>, on, off| to.map(|to| if to { on } else { off });
        [
            is_detail.then_some(Action::UserUpdated),
            self.email.as_ref().map(|_| Action::EmailChanged),
            self.password_hash.as_ref().map(|_| Action::PasswordSet),
            flag(self.is_staff, Action::StaffGranted, Action::StaffRevoked),
            flag(self.is_active, Action::Activated, Action::Deactivated),
        ]
        .into_iter()
        .flatten()
    }
}
