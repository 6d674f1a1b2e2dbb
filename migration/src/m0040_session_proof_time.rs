//! The time at which the user of a session last proved who they are.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = big_integer("authenticated_at").default(0).take();
        manager.alter_table(Table::alter().table("sessions").add_column(column).take()).await?;
        manager.get_connection().execute_unprepared("UPDATE sessions SET authenticated_at = created_at").await?;
        Ok(())
    }
}
