//! User accounts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, integer, text, text_null, uuid};
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create().table("users").take();
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            // A full-text index refers to rows by number, and only such a column keeps it permanently.
            table.col(integer("number").primary_key().take()).col(uuid("id").unique_key().take());
        } else {
            table.col(uuid("id").primary_key().take());
        }
        table
            .col(text("username"))
            .col(text("username_key"))
            .col(text("email"))
            .col(text("email_key"))
            .col(text_null("password_hash"))
            .col(text("first_name"))
            .col(text("last_name"))
            .col(text("phone"))
            .col(text("address"))
            .col(text("bio"))
            .col(text("role"))
            .col(text("permission"))
            .col(boolean("is_active"))
            .col(boolean("is_staff"))
            .col(boolean("is_superuser"))
            .col(boolean("is_verified"))
            .col(big_integer("date_joined"))
            .col(big_integer("updated_at"))
            .col(big_integer_null("last_login"))
            .col(big_integer_null("last_activity"));
        manager.create_table(table).await?;
        let index = Index::create().name("users_username_key").table("users").col("username_key").unique().take();
        manager.create_index(index).await?;
        let index = Index::create().name("users_email_key").table("users").col("email_key").unique().take();
        manager.create_index(index).await?;
        let index = Index::create().name("users_by_date_joined").table("users").col("date_joined").col("id").take();
        manager.create_index(index).await?;
        Ok(())
    }
}
