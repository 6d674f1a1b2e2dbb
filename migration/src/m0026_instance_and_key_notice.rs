//! Id of this installation, part of every key derived from the secret, and the time from which a signing key signs
//! after its publication.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("instance")
            .col(uuid("id").primary_key().take())
            .col(big_integer("created_at"))
            .take();
        manager.create_table(table).await?;
        // Existing keys are already published.
        let column = big_integer("signs_from").default(0).take();
        manager.alter_table(Table::alter().table("signing_keys").add_column(column).take()).await
    }
}
