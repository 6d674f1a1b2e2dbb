//! Changes of rights by an import, reported so that they can be reviewed in a dry run.

use sea_orm::ActiveEnum as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entity::user::{self, Permission, Role};

/// A change of a user's rights by a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RightsChange {
    /// The row number in spreadsheet programs.
    pub row: u32,
    /// The user; none if the import creates the account.
    pub user: Option<Uuid>,
    /// The address in the row.
    pub email: String,
    /// The right that changes.
    pub field: Right,
    /// The value before; none if the import creates the account.
    pub before: Option<String>,
    /// The value after.
    pub after: String,
}

/// A right that an import can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Right {
    /// The role.
    Role,
    /// The permission.
    Permission,
    /// Staff status, by flag or by role.
    Staff,
}

impl Right {
    /// The heading of its column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Permission => "permission",
            Self::Staff => "is_staff",
        }
    }
}

/// The rights of an account.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct Rights {
    role: Role,
    permission: Permission,
    is_staff: bool,
}

impl Rights {
    /// The rights of a new account, with defaults for missing values.
    pub(in crate::domain) fn of_new(role: Option<Role>, permission: Option<Permission>) -> Self {
        let role = role.unwrap_or(Role::Member);
        let permission = permission.unwrap_or(Permission::OnlyView);
        Self { role, permission, is_staff: user::counts_as_staff(false, false, role) }
    }

    /// The rights of an account.
    pub(in crate::domain) fn of(user: &user::Model) -> Self {
        Self { role: user.role, permission: user.permission, is_staff: user.is_staff_member() }
    }

    /// The rights that differ from those before, each with its value before and after.
    pub(in crate::domain) fn changes(self, before: Self) -> Vec<(Right, String, String)> {
        let pairs = [
            (Right::Role, before.role.to_value(), self.role.to_value()),
            (Right::Permission, before.permission.to_value(), self.permission.to_value()),
            (Right::Staff, before.is_staff.to_string(), self.is_staff.to_string()),
        ];
        pairs.into_iter().filter(|(_, before, after)| before != after).collect()
    }
}
