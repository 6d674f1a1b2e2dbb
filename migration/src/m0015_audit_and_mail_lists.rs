//! Indexes for listing the audit trail and the outbox, newest first: ids are in the order of time.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, column) in [
            ("audit_events_by_actor", "audit_events", "actor_id"),
            ("audit_events_by_target", "audit_events", "target_id"),
            ("audit_events_by_action", "audit_events", "action"),
            ("mails_by_status", "mails", "status"),
        ] {
            let index = Index::create().name(name).table(table).col(column).col("id").take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
