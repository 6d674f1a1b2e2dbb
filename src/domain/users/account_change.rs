//! A change of an account: the limits on it, its audit actions, and its consequences. Callers only build the account as
//! it should become.

use std::slice;

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, IntoIden as _, Query, TableRef, Value, ValueTuple};
use sea_orm::{
    ActiveEnum as _, ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, Iterable as _,
    ModelTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::guard_rails::{self, Change};
use super::reserved::{self, ReservationHolder, WrittenAccount};
use super::{not_found, retry_on_conflict, search_terms, taken};
use crate::domain::account::undo_email_change::{self, MadeBy};
use crate::domain::auth::identity::{Actor, Manager};
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::{outbox, rate_limits};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user::{self, Column};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::{identifier, text};

/// The path by which an account is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum ChangedBy {
    /// A decision about one account by staff, the operator or its owner.
    Staff,
    /// A change by the owner of their own details: names, another spelling of the address, or a pending address.
    Owner,
    /// An import of a spreadsheet by staff, which changes no passwords.
    Spreadsheet,
    /// An import from Django.
    Django,
}

/// A change of an account whose row is locked.
#[derive(Clone, Debug)]
pub(in crate::domain) struct AccountChange {
    by: ChangedBy,
    before: user::Model,
    after: user::Model,
    /// True for a change by API token, whose holder could otherwise guess passwords without limit.
    keeps_guesses: bool,
}

impl AccountChange {
    /// The change by staff, with a session or an API token.
    pub(in crate::domain) fn by_staff(staff: &Manager<'_>, before: &user::Model, after: user::Model) -> Self {
        let keeps_guesses = staff.session_user().is_err();
        Self { keeps_guesses, ..Self::new(ChangedBy::Staff, before, after) }
    }

    /// The change from one state to the other. Completes the new state by the columns that follow from it: the folded
    /// names, and the marks of an address or a password set by staff.
    pub(in crate::domain) fn new(by: ChangedBy, before: &user::Model, mut after: user::Model) -> Self {
        if after.username != before.username {
            after.username_key = identifier::fold(&after.username);
        }
        if after.email != before.email {
            after.email_key = identifier::fold(&after.email);
        }
        if after.first_name != before.first_name {
            after.first_name_key = text::fold(&after.first_name);
        }
        if after.last_name != before.last_name {
            after.last_name_key = text::fold(&after.last_name);
        }
        after.search_terms = search_terms::of(&after);
        let mut change = Self { by, before: before.clone(), after, keeps_guesses: false };
        // Django states itself which addresses are verified, and its passwords are known to their owners only.
        if matches!(by, ChangedBy::Staff | ChangedBy::Spreadsheet) {
            change.after.email_proved &= !change.moves();
            if change.sets_password() {
                change.after.password_by_staff = true;
                change.after.temporary_password_at = None;
                change.after.is_verified = true;
            }
        }
        change
    }

    /// The account before the change.
    pub(in crate::domain) fn before(&self) -> &user::Model {
        &self.before
    }

    /// The account after the change.
    pub(in crate::domain) fn after(&self) -> &user::Model {
        &self.after
    }

    /// True if nothing changes.
    pub(in crate::domain) fn is_empty(&self) -> bool {
        self.after == self.before
    }

    /// True if the account gets the address of another mailbox. A different spelling of the same address is the same
    /// mailbox: its links stay valid, and it stays confirmed.
    fn moves(&self) -> bool {
        self.after.email != self.before.email && !identifier::same_address(&self.after.email, &self.before.email)
    }

    /// True if staff correct the address of a user who was invited and has not signed in yet. The old address may belong to
    /// somebody else: it gets no mail, and the new one gets the invitation.
    pub(in crate::domain) fn moves_invitation(&self) -> bool {
        self.by == ChangedBy::Staff && self.moves() && self.before.is_invited()
    }

    fn sets_password(&self) -> bool {
        self.after.password_hash != self.before.password_hash
    }

    fn activates(&self) -> bool {
        self.after.is_active && !self.before.is_active
    }

    /// The column of the first detail that changes.
    fn detail(&self) -> Option<&'static str> {
        let Self { before, after, .. } = self;
        let details = [
            ("username", &before.username, &after.username),
            ("first_name", &before.first_name, &after.first_name),
            ("last_name", &before.last_name, &after.last_name),
            ("bio", &before.bio, &after.bio),
            ("phone", &before.phone, &after.phone),
            ("address", &before.address, &after.address),
        ];
        let detail = details.into_iter().find(|(_, before, after)| before != after).map(|(column, ..)| column);
        detail.or((before.external_id != after.external_id).then_some("external_id"))
    }

    /// The changes that the guard rails limit, each with its input field.
    pub(in crate::domain) fn guarded(&self) -> impl Iterator<Item = (&'static str, Change)> {
        let Self { by, before, after, .. } = self;
        let (detail, is_active, is_staff) = match by {
            // Columns of the sheet, so that the error names a cell.
            ChangedBy::Spreadsheet => (self.detail(), "is_active", "is_staff"),
            ChangedBy::Staff | ChangedBy::Owner | ChangedBy::Django => {
                (self.detail().map(|_| "id"), "isActive", "isStaff")
            }
        };
        [
            detail.map(|field| (field, Change::Details)),
            (after.email != before.email).then_some(("email", Change::Credentials)),
            self.sets_password().then_some(("password", Change::Credentials)),
            (after.role != before.role).then_some(("role", Change::Role(after.role))),
            (after.permission != before.permission).then_some(("permission", Change::Permission(after.permission))),
            (after.is_active != before.is_active).then_some((is_active, Change::Active(after.is_active))),
            (after.is_staff != before.is_staff).then_some((is_staff, Change::Staff(after.is_staff))),
        ]
        .into_iter()
        .flatten()
    }

    /// Checks that this actor may make the change.
    ///
    /// # Errors
    /// All refusals of the guard rails, each with its input field.
    pub(in crate::domain) fn check(&self, actor: Actor) -> Result<()> {
        let refused = self.guarded().filter_map(|(field, change)| {
            guard_rails::check(actor, &self.before, change).map_err(|refusal| refusal.of(field)).err()
        });
        let mut refusals: Vec<Refusal> = refused.collect();
        // The refusal to change a superuser concerns no single field.
        if let Some(whole) = refusals.iter().find(|refusal| refusal.code == Code::CannotEditSuperuser) {
            refusals = vec![whole.clone().of("id")];
        }
        if refusals.is_empty() { Ok(()) } else { Err(Error::Refused(refusals)) }
    }

    /// The audit actions of the change.
    pub(in crate::domain) fn actions(&self) -> impl Iterator<Item = Action> {
        let Self { by, before, after, .. } = self;
        let is_update = match by {
            ChangedBy::Owner => true,
            // Records every user updated by the import, but not a mere sign-in in Django.
            ChangedBy::Django => user::Model { last_login: before.last_login, ..after.clone() } != *before,
            ChangedBy::Staff | ChangedBy::Spreadsheet => {
                self.detail().is_some() || (after.role, after.permission) != (before.role, before.permission)
            }
        };
        let flag = |before: bool, after: bool, on, off| (before != after).then_some(if after { on } else { off });
        [
            is_update.then_some(Action::UserUpdated),
            (after.email != before.email && *by != ChangedBy::Owner).then_some(Action::EmailChanged),
            self.sets_password().then_some(Action::PasswordSet),
            flag(before.is_staff, after.is_staff, Action::StaffGranted, Action::StaffRevoked),
            flag(before.is_active, after.is_active, Action::Activated, Action::Deactivated),
        ]
        .into_iter()
        .flatten()
    }

    /// The causes for which access is revoked, in the order of the revocations.
    fn causes(&self) -> impl Iterator<Item = Cause> {
        let email_cause = match self.by {
            ChangedBy::Staff | ChangedBy::Owner | ChangedBy::Spreadsheet => Cause::EmailChanged,
            // Nobody here vouches for the new address, so sessions end too.
            ChangedBy::Django => Cause::EmailImported,
        };
        [
            // Staff set a password to recover a stolen account, so its API tokens must end.
            self.sets_password().then_some(Cause::PasswordSet),
            (self.before.is_active && !self.after.is_active).then_some(Cause::Deactivated),
            self.moves().then_some(email_cause),
        ]
        .into_iter()
        .flatten()
    }

    /// Writes the change with all consequences except the audit events. Returns the account afterwards.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`] of `username` or `email`; [`Error::Unavailable`] by an import, which checked both before.
    pub(in crate::domain) async fn write(&self, txn: &DatabaseTransaction, now: &Now) -> Result<user::Model> {
        // A pending address that its owner requests again is the same, but the request changed the account.
        if self.is_empty() && self.by != ChangedBy::Owner {
            return Ok(self.before.clone());
        }
        // The next import from Django recognizes by this time that nobody changed the account here.
        let moved_at = if self.by == ChangedBy::Django { Some(now.at) } else { self.after.moved_at };
        let row = user::Model { updated_at: now.at, moved_at, ..self.after.clone() };
        revoke(txn, now, slice::from_ref(self)).await?;
        let is_changed = |column: &Column| row.get(*column) != self.before.get(*column);
        // The time is written always, because two changes may have the same.
        let columns = Column::iter().filter(|column| matches!(column, Column::UpdatedAt) || is_changed(column));
        let update = columns
            .fold(user::Entity::update_many(), |update, column| update.col_expr(column, Expr::value(row.get(column))));
        let changed = update.filter(Column::Id.eq(row.id)).exec_with_returning(txn).await;
        let changed = changed.map_err(|error| match self.by {
            ChangedBy::Staff | ChangedBy::Owner => taken(error),
            ChangedBy::Spreadsheet | ChangedBy::Django => retry_on_conflict(error),
        });
        let after = changed?.into_iter().next().ok_or_else(not_found)?;
        finish(txn, now, &[Self { after: after.clone(), ..self.clone() }]).await?;
        Ok(after)
    }

    /// Writes the changes of a spreadsheet, in one statement, with all consequences except the audit events.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a username was taken or reserved meanwhile.
    pub(in crate::domain) async fn write_all(txn: &DatabaseTransaction, now: &Now, changes: &[Self]) -> Result<()> {
        revoke(txn, now, changes).await?;
        store_importable(txn, now, changes).await?;
        finish(txn, now, changes).await
    }
}

/// Revokes the access that the changes end.
async fn revoke(txn: &DatabaseTransaction, now: &Now, changes: &[AccountChange]) -> Result<()> {
    let mut causes: Vec<(Cause, Vec<Uuid>)> = Vec::new();
    for (cause, id) in changes.iter().flat_map(|change| change.causes().map(|cause| (cause, change.after.id))) {
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, ids)) => ids.push(id),
            None => causes.push((cause, vec![id])),
        }
    }
    for (cause, ids) in causes {
        revocation::revoke(txn, now, &ids, cause).await?;
    }
    Ok(())
}

/// The consequences of written changes.
async fn finish(txn: &DatabaseTransaction, now: &Now, changes: &[AccountChange]) -> Result<()> {
    let ids = |is_chosen: fn(&AccountChange) -> bool| -> Vec<Uuid> {
        changes.iter().filter(|change| is_chosen(change)).map(|change| change.after.id).collect()
    };
    // Strangers may have guessed at the account, or at its new address, and the owner has no known network.
    let guessed =
        ids(|change| !change.keeps_guesses && (change.activates() || change.moves() || change.sets_password()));
    if !guessed.is_empty() {
        rate_limits::forget_guesses(txn, &guessed).await?;
    }
    let mut imported = Vec::new();
    for change in changes {
        let written = WrittenAccount::changed(&change.before, &change.after);
        match change.by {
            ChangedBy::Staff => reserved::claim(txn, now, written, ReservationHolder::Other).await?,
            ChangedBy::Owner => reserved::claim(txn, now, written, ReservationHolder::Reader).await?,
            // An import checked all names before, so a conflict is a race, and the import is repeated.
            ChangedBy::Spreadsheet | ChangedBy::Django => imported.push(written),
        }
    }
    reserved::claim_all(txn, now, &imported).await?;
    for change in changes {
        let AccountChange { by, before, after, .. } = change;
        if change.moves_invitation() {
            outbox::enqueue(txn, now, Kind::Welcome, &after.email, Some(after.id)).await?;
        } else if change.moves() {
            // A password from Django is no attempt to recover a stolen account.
            let sets_password = *by == ChangedBy::Staff && change.sets_password();
            undo_email_change::announce(txn, now, MadeBy::Staff { sets_password }, before, after).await?;
        }
        let is_announced = match by {
            ChangedBy::Staff | ChangedBy::Owner => true,
            // A first password from Django is known to its user already.
            ChangedBy::Spreadsheet | ChangedBy::Django => {
                before.password_hash.is_some() && after.password_hash.is_some()
            }
        };
        if is_announced && change.sets_password() {
            outbox::enqueue(txn, now, Kind::PasswordChanged, &after.email, Some(after.id)).await?;
        }
    }
    outbox::release(txn, now, &ids(AccountChange::activates)).await
}

/// Stores the columns that a spreadsheet can change in one statement.
async fn store_importable(txn: &DatabaseTransaction, now: &Now, changes: &[AccountChange]) -> Result<()> {
    // Both databases use these names for the columns of a list of values.
    let value = |place: usize| Expr::col((Alias::new("new"), Alias::new(format!("column{place}"))));
    let columns = [
        Column::Email,
        Column::EmailKey,
        Column::EmailProved,
        Column::ExternalId,
        Column::Username,
        Column::UsernameKey,
        Column::FirstName,
        Column::FirstNameKey,
        Column::LastName,
        Column::LastNameKey,
        Column::SearchTerms,
        Column::Bio,
        Column::Phone,
        Column::Address,
        Column::Role,
        Column::Permission,
        Column::IsActive,
    ];
    let values = changes.iter().map(|AccountChange { after: row, .. }| {
        ValueTuple::Many(vec![
            Value::from(row.id),
            row.email.as_str().into(),
            row.email_key.as_str().into(),
            row.email_proved.into(),
            row.external_id.clone().into(),
            row.username.as_str().into(),
            row.username_key.as_str().into(),
            row.first_name.as_str().into(),
            row.first_name_key.as_str().into(),
            row.last_name.as_str().into(),
            row.last_name_key.as_str().into(),
            row.search_terms.as_str().into(),
            row.bio.as_str().into(),
            row.phone.as_str().into(),
            row.address.as_str().into(),
            row.role.to_value().into(),
            row.permission.to_value().into(),
            row.is_active.into(),
        ])
    });
    let mut statement = Query::update();
    statement
        .table(user::Entity)
        .value(Column::UpdatedAt, now.at)
        .values(columns.into_iter().zip(2..).map(|(column, place)| (column, value(place))))
        .from(TableRef::ValuesList(values.collect(), Alias::new("new").into_iden()))
        .and_where(Expr::col((user::Entity, Column::Id)).eq(value(1)));
    txn.execute(&statement).await.map_err(retry_on_conflict)?;
    Ok(())
}
