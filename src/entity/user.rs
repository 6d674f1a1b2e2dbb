//! The accounts.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, Query, SimpleExpr};
use sea_orm::{Condition, ExprTrait as _, QuerySelect as _};

use crate::tools::clock::Timestamp;

/// An account.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Its id, never given twice.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name as its owner writes it.
    pub username: String,
    /// The name as it is compared: see `tools::identifier::fold`.
    #[sea_orm(unique)]
    pub username_key: String,
    /// The address as its owner writes it; mails go there.
    pub email: String,
    /// The address as it is compared: see `tools::identifier::fold`.
    #[sea_orm(unique)]
    pub email_key: String,
    /// Whether a mailed link proved that the user reads the address. Unlike `is_verified`, staff cannot vouch for it.
    pub email_proved: bool,
    /// Whether staff set a password since a mailed link last proved the address: then somebody else may read it.
    pub password_by_staff: bool,
    /// The address that the user asked to move to and has not confirmed yet.
    pub pending_email: Option<String>,
    /// PHC string; none where no password was set yet.
    pub password_hash: Option<String>,
    /// Time at which the password was generated and printed; none where somebody chose it.
    pub temporary_password_at: Option<Timestamp>,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// Given name as it is searched and ordered by: see `tools::text::fold`.
    pub first_name_key: String,
    /// Family name as it is searched and ordered by: see `tools::text::fold`.
    pub last_name_key: String,
    /// Telephone number, or empty.
    pub phone: String,
    /// Postal address, or empty.
    pub address: String,
    /// What the user tells about themself, or empty.
    pub bio: String,
    /// What the user is in the organisation.
    pub role: Role,
    /// What the user may do with data.
    pub permission: Permission,
    /// Whether the account may be used.
    pub is_active: bool,
    /// Whether the user administers users.
    pub is_staff: bool,
    /// Whether every right is given.
    pub is_superuser: bool,
    /// Whether the address was confirmed.
    pub is_verified: bool,
    /// When the account was made.
    pub date_joined: Timestamp,
    /// When the account was last changed.
    pub updated_at: Timestamp,
    /// When the user last signed in.
    pub last_login: Option<Timestamp>,
    /// When the user was last seen.
    pub last_activity: Option<Timestamp>,
    /// The name of the largest file of the picture; none where there is no picture. See `domain::avatars`.
    pub avatar: Option<String>,
    /// The id by which other systems know the user, from before the account was moved in.
    #[sea_orm(unique)]
    pub external_id: Option<String>,
    /// When what the system before says of the user was last written here; none where it never was. An account that was
    /// changed later is not written over.
    pub moved_at: Option<Timestamp>,
}

/// What a user is in the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Administers users, like staff.
    Admin,
    /// Leads others.
    Manager,
    /// Works for others.
    Agent,
    /// Anybody else.
    Member,
}

/// What a user may do with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// Everything.
    FullAccess,
    /// Look and download.
    Download,
    /// Look only.
    OnlyView,
}

impl Model {
    /// Whether the user counts as staff: by flag, by role, or as a superuser.
    pub fn is_staff_member(&self) -> bool {
        counts_as_staff(self.is_staff, self.is_superuser, self.role)
    }

    /// First and last name, or the username where both are empty.
    pub fn name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        let name = name.trim();
        if name.is_empty() { self.username.clone() } else { name.to_owned() }
    }
}

impl Entity {
    /// The user whom this folded identifier names, be it an address or a username; a username has no "@", so that the
    /// two never meet.
    pub fn find_by_identifier(folded: &str) -> Select<Self> {
        let column = if folded.contains('@') { Column::EmailKey } else { Column::UsernameKey };
        Self::find().filter(column.eq(folded))
    }

    /// This user, its row locked until the transaction ends, so that what is decided about it stays true. (SQLite
    /// needs no such lock: its writing transactions come one after the other.)
    pub fn find_for_update(id: Uuid) -> Select<Self> {
        Self::find_by_id(id).lock_exclusive()
    }
}

/// Whether these flags and this role make somebody staff.
pub fn counts_as_staff(is_staff: bool, is_superuser: bool, role: Role) -> bool {
    is_staff || is_superuser || role == Role::Admin
}

/// The rows that this user may see: staff what [`visible_to_staff`] says, others only themselves.
pub fn visible_to(viewer: &Model) -> Condition {
    if viewer.is_staff_member() {
        visible_to_staff(viewer.is_superuser)
    } else {
        Condition::all().add(Column::Id.eq(viewer.id))
    }
}

/// The rows that staff may see, each of them the same: superusers everything, others everyone but superusers.
pub fn visible_to_staff(is_superuser: bool) -> Condition {
    if is_superuser { Condition::all() } else { Condition::all().add(superusers().not()) }
}

/// The same rows as [`visible_to_staff`], told by their ids: for what reads nothing but an index.
pub fn ids_visible_to_staff(is_superuser: bool) -> Condition {
    let superusers = Query::select().column(Column::Id).from(Entity).and_where(superusers()).take();
    Condition::all().add_option((!is_superuser).then(|| Column::Id.not_in_subquery(superusers)))
}

/// The superusers, in the form that their index is made for.
pub fn superusers() -> SimpleExpr {
    Expr::col((Entity, Column::IsSuperuser))
}

/// When a user was last seen, in the form that its index is made for; 0 for those who never were.
pub fn last_seen() -> SimpleExpr {
    Expr::cust("COALESCE(users.last_activity, 0)")
}

impl ActiveModelBehavior for ActiveModel {}
