//! Fields that an event reports as changed.

use sea_orm::ActiveEnum as _;

use crate::entity::audit_change::{Changes, Field, FieldChange};
use crate::entity::audit_event::Action;
use crate::entity::user::Model;

/// The changed fields that an event of this action reports. Other actions of the same change report the others.
pub(super) fn between(action: Action, before: &Model, after: &Model) -> Changes {
    let fields = [
        personal(Field::Username, &before.username, &after.username),
        personal(Field::Email, &before.email, &after.email),
        personal(Field::PendingEmail, &before.pending_email, &after.pending_email),
        personal(Field::FirstName, &before.first_name, &after.first_name),
        personal(Field::LastName, &before.last_name, &after.last_name),
        personal(Field::Phone, &before.phone, &after.phone),
        personal(Field::Address, &before.address, &after.address),
        personal(Field::Bio, &before.bio, &after.bio),
        personal(Field::ExternalId, &before.external_id, &after.external_id),
        personal(Field::Avatar, &before.avatar, &after.avatar),
        valued(Field::Role, before.role.to_value(), after.role.to_value()),
        valued(Field::Permission, before.permission.to_value(), after.permission.to_value()),
        valued(Field::IsActive, before.is_active.to_string(), after.is_active.to_string()),
        valued(Field::IsStaff, before.is_staff.to_string(), after.is_staff.to_string()),
        valued(Field::IsSuperuser, before.is_superuser.to_string(), after.is_superuser.to_string()),
        valued(Field::IsVerified, before.is_verified.to_string(), after.is_verified.to_string()),
    ];
    Changes::new(fields.into_iter().flatten().filter(|change| reports(action, change.field)).collect())
}

fn reports(action: Action, field: Field) -> bool {
    match field {
        Field::Email => matches!(action, Action::EmailChanged | Action::EmailChangeUndone),
        Field::IsActive => matches!(action, Action::Activated | Action::Deactivated),
        Field::IsStaff => matches!(action, Action::StaffGranted | Action::StaffRevoked),
        Field::IsVerified => matches!(action, Action::PasswordSet | Action::EmailVerified),
        _ => action == Action::UserUpdated,
    }
}

fn personal<T: PartialEq>(field: Field, before: &T, after: &T) -> Option<FieldChange> {
    (before != after).then_some(FieldChange { field, before: None, after: None })
}

fn valued(field: Field, before: String, after: String) -> Option<FieldChange> {
    (before != after).then_some(FieldChange { field, before: Some(before), after: Some(after) })
}
