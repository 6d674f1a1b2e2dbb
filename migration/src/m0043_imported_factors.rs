//! Second factors imported from other systems: short recovery codes, which are sealed; the form of an app's codes; the
//! names by which passkeys know their users.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [
            ("recovery_codes", blob_null("sealed_code")),
            ("factors", big_integer("digits").default(6).take()),
            ("factors", big_integer("period").default(30).take()),
            ("passkeys", blob_null("user_handle")),
        ] {
            manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
        }
        Ok(())
    }
}
