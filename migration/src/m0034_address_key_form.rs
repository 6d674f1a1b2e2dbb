//! Version of the form of address keys, so that keys of an earlier version are recomputed once.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::integer;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = integer("address_keys").default(0).take();
        manager.alter_table(Table::alter().table("instance").add_column(column).take()).await
    }
}
