//! Index of audit events by network address, newest first: ids are in the order of time.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::create().name("audit_events_by_ip").table("audit_events").col("ip").col("id").take();
        manager.create_index(index).await
    }
}
