//! Index of mails without a user by address, to remove them with the account of that address.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = text("recipient_key").default("").take();
        manager.alter_table(Table::alter().table("mails").add_column(column).take()).await?;
        let db = manager.get_connection();
        // The closest form to the service's own folding in both databases.
        db.execute_unprepared("UPDATE mails SET recipient_key = lower(trim(recipient))").await?;
        db.execute_unprepared("CREATE INDEX mails_without_user ON mails (recipient_key) WHERE user_id IS NULL").await?;
        Ok(())
    }
}
