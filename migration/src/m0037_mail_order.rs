//! The order of delivery: by urgency, then by age. Also an index of mails by recipient.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [integer("urgency").default(1).take(), big_integer("queued_at").default(0).take()] {
            manager.alter_table(Table::alter().table("mails").add_column(column).take()).await?;
        }
        let db = manager.get_connection();
        let links = "'RESET_PASSWORD', 'VERIFY_EMAIL', 'ALREADY_REGISTERED', 'CONFIRM_NEW_EMAIL'";
        let order = format!(
            "UPDATE mails SET queued_at = created_at, \
             urgency = CASE WHEN kind IN ({links}) THEN 0 WHEN kind = 'WELCOME' THEN 2 ELSE 1 END"
        );
        db.execute_unprepared(&order).await?;
        manager.drop_index(Index::drop().name("mails_due").table("mails").to_owned()).await?;
        let index = Index::create()
            .name("mails_in_order")
            .table("mails")
            .col("status")
            .col("urgency")
            .col("next_attempt_at")
            .take();
        manager.create_index(index).await?;
        let index = Index::create().name("mails_by_recipient").table("mails").col("recipient_key").take();
        manager.create_index(index).await
    }
}
