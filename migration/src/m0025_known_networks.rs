//! Networks from which users signed in recently. They are exempt if strangers exhaust the limits of an account.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("known_networks")
            .col(uuid("id").primary_key().take())
            .col(uuid("user_id"))
            .col(text("network"))
            .col(big_integer("signed_in_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("known_networks", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("known_networks_by_user")
            .table("known_networks")
            .col("user_id")
            .col("network")
            .unique()
            .take();
        manager.create_index(index).await?;
        let index = Index::create().name("known_networks_by_time").table("known_networks").col("signed_in_at").take();
        manager.create_index(index).await
    }
}
