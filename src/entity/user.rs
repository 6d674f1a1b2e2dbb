//! User accounts.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, Query, SimpleExpr};
use sea_orm::{Condition, ExprTrait as _, QuerySelect as _};

use crate::tools::clock::Timestamp;

/// A user account.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Its id, never reused.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The username as typed by its owner.
    pub username: String,
    /// The username as compared: see `tools::identifier::fold`.
    #[sea_orm(unique)]
    pub username_key: String,
    /// The email address as typed by its owner, to which mails go.
    pub email: String,
    /// The address as compared: see `tools::identifier::fold`.
    #[sea_orm(unique)]
    pub email_key: String,
    /// True if a mailed link proved that the user reads the address. Unlike `is_verified`, staff cannot set it.
    pub email_proved: bool,
    /// True if staff set a password since a mailed link last proved the address: somebody else may know it.
    pub password_by_staff: bool,
    /// The new address that the user requested and has not confirmed yet.
    pub pending_email: Option<String>,
    /// PHC string; `None` if no password was set yet.
    pub password_hash: Option<String>,
    /// Time at which the password was generated and printed; `None` if somebody chose it.
    pub temporary_password_at: Option<Timestamp>,
    /// True if the user has a second factor.
    pub has_second_factor: bool,
    /// Number of revocations of the user's sessions; ends unfinished sign-ins.
    pub access_generation: i32,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// Given name as searched and sorted: see `tools::text::fold`.
    pub first_name_key: String,
    /// Family name as searched and sorted: see `tools::text::fold`.
    pub last_name_key: String,
    /// Further text by which a search finds the user, or empty: see `domain::users::search_terms`.
    pub search_terms: String,
    /// Telephone number, or empty.
    pub phone: String,
    /// Postal address, or empty.
    pub address: String,
    /// The user's biography, or empty.
    pub bio: String,
    /// Role in the organization.
    pub role: Role,
    /// Rights to data.
    pub permission: Permission,
    /// True if the account is active.
    pub is_active: bool,
    /// True if the user administers users.
    pub is_staff: bool,
    /// True if the user has all rights.
    pub is_superuser: bool,
    /// True if the address was confirmed.
    pub is_verified: bool,
    /// Time of creation.
    pub date_joined: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
    /// Time of the last sign-in.
    pub last_login: Option<Timestamp>,
    /// Time at which the user was last seen.
    pub last_activity: Option<Timestamp>,
    /// Name of the largest file of the avatar; `None` without one. See `domain::avatars`.
    pub avatar: Option<String>,
    /// The user's id in the system from which the account was imported.
    #[sea_orm(unique)]
    pub external_id: Option<String>,
    /// Time of the last import from that system; `None` if there was none. Accounts changed later are not overwritten.
    pub moved_at: Option<Timestamp>,
}

/// Role of a user in the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Administrator, with staff rights.
    Admin,
    /// Manager of others.
    Manager,
    /// Agent acting for others.
    Agent,
    /// Member, the default.
    Member,
}

/// Rights of a user to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// Full access.
    FullAccess,
    /// View and download.
    Download,
    /// View only.
    OnlyView,
}

impl Model {
    /// True if the user counts as staff: by flag, by role, or as a superuser.
    pub fn is_staff_member(&self) -> bool {
        counts_as_staff(self.is_staff, self.is_superuser, self.role)
    }

    /// True if the user was invited and has not signed in yet: nobody proved to read the address, which may be wrong. An
    /// imported account was used before.
    pub fn is_invited(&self) -> bool {
        let was_used = self.last_login.is_some() || self.email_proved || self.moved_at.is_some();
        self.password_hash.is_none() && !was_used
    }

    /// First and last name, or the username if both are empty.
    pub fn name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        let name = name.trim();
        if name.is_empty() { self.username.clone() } else { name.to_owned() }
    }
}

impl Entity {
    /// Finds a user by folded address or username. A username contains no "@", so that the two never collide.
    pub fn find_by_identifier(folded: &str) -> Select<Self> {
        let column = if folded.contains('@') { Column::EmailKey } else { Column::UsernameKey };
        Self::find().filter(column.eq(folded))
    }

    /// This user, with the row locked until the transaction ends, so that decisions about it stay valid. (SQLite needs
    /// no lock: its write transactions are serialized.)
    pub fn find_for_update(id: Uuid) -> Select<Self> {
        Self::find_by_id(id).lock_exclusive()
    }
}

/// True if these flags and this role make a user staff.
pub fn counts_as_staff(is_staff: bool, is_superuser: bool, role: Role) -> bool {
    is_staff || is_superuser || role == Role::Admin
}

/// The users visible to this user: for staff those of [`visible_to_staff`], otherwise only themselves.
pub fn visible_to(viewer: &Model) -> Condition {
    if viewer.is_staff_member() {
        visible_to_staff(viewer.is_superuser)
    } else {
        Condition::all().add(Column::Id.eq(viewer.id))
    }
}

/// The users visible to staff: for superusers everybody, otherwise everybody except superusers.
pub fn visible_to_staff(is_superuser: bool) -> Condition {
    if is_superuser { Condition::all() } else { Condition::all().add(superusers().not()) }
}

/// The same users as [`visible_to_staff`], selected by id: for queries that read only an index.
pub fn ids_visible_to_staff(is_superuser: bool) -> Condition {
    let superusers = Query::select().column(Column::Id).from(Entity).and_where(superusers()).take();
    Condition::all().add_option((!is_superuser).then(|| Column::Id.not_in_subquery(superusers)))
}

/// The rows of another table whose user, in this column, is visible to this user.
pub fn is_visible_to(viewer: &Model, user: impl ColumnTrait) -> Condition {
    if !viewer.is_staff_member() {
        return Condition::all().add(user.eq(viewer.id));
    }
    let superusers = Query::select().column(Column::Id).from(Entity).and_where(superusers()).take();
    Condition::all().add_option((!viewer.is_superuser).then(|| user.not_in_subquery(superusers)))
}

/// The superusers, in the form that matches their index.
pub fn superusers() -> SimpleExpr {
    Expr::col((Entity, Column::IsSuperuser))
}

/// Time at which a user was last seen, in the form that matches its index; 0 for never.
pub fn last_seen() -> SimpleExpr {
    Expr::cust("COALESCE(users.last_activity, 0)")
}

impl ActiveModelBehavior for ActiveModel {}
