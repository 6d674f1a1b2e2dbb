//! Devices from which users signed in with a second factor. Others are announced to the owner.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("known_devices")
            .col(uuid("id").primary_key().take())
            .col(uuid("user_id"))
            .col(blob("digest"))
            .col(big_integer("first_seen_at"))
            .col(big_integer("last_seen_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("known_devices", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("known_devices_by_user")
            .table("known_devices")
            .col("user_id")
            .col("digest")
            .unique()
            .take();
        manager.create_index(index).await?;
        let index = Index::create().name("known_devices_by_time").table("known_devices").col("last_seen_at").take();
        manager.create_index(index).await
    }
}
