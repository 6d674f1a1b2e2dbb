//! Passwords set by staff since a mailed link last proved the address, and earlier proofs of addresses.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::boolean;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The audit trail contains uses of mailed links from before `email_proved` existed. A change of address by somebody
/// else ends such a proof.
const PROVED: &str = "UPDATE users SET email_proved = TRUE WHERE email_proved = FALSE AND EXISTS (
    SELECT 1 FROM audit_events AS proof
    WHERE proof.target_id = users.id
    AND (proof.action IN ('EMAIL_VERIFIED', 'PASSWORD_RESET', 'EMAIL_CHANGE_UNDONE')
        OR (proof.action = 'EMAIL_CHANGED' AND proof.actor_id = users.id))
    AND NOT EXISTS (
        SELECT 1 FROM audit_events AS later
        WHERE later.target_id = users.id AND later.action = 'EMAIL_CHANGED'
        AND (later.actor_id IS NULL OR later.actor_id <> users.id)
        AND later.id > proof.id))";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = boolean("password_by_staff").default(false).take();
        manager.alter_table(Table::alter().table("users").add_column(column).take()).await?;
        manager.get_connection().execute_unprepared(PROVED).await?;
        Ok(())
    }
}
