//! Second factors, their recovery codes, and challenges of sign-ins. Users have a flag for the filter and for sign-ins,
//! and a generation that each revocation of their sessions increments. Sessions have the methods of their proofs.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob, boolean, integer, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let of_user = |table: &'static str| {
            ForeignKey::create().from(table, "user_id").to("users", "id").on_delete(ForeignKeyAction::Cascade).take()
        };
        let index = |name: &'static str, table: &'static str, column: &'static str| {
            Index::create().name(name).table(table).col(column).take()
        };
        let factors = Table::create()
            .table("factors")
            .col(uuid("id").primary_key().take())
            .col(uuid("user_id"))
            .col(text("kind"))
            .col(blob("sealed_secret"))
            .col(big_integer("last_step"))
            .col(big_integer("created_at"))
            .col(big_integer_null("last_used_at"))
            .foreign_key(&mut of_user("factors"))
            .take();
        manager.create_table(factors).await?;
        manager.create_index(index("factors_by_user", "factors", "user_id")).await?;
        let recovery_codes = Table::create()
            .table("recovery_codes")
            .col(blob("digest").primary_key().take())
            .col(uuid("user_id"))
            .col(big_integer("created_at"))
            .foreign_key(&mut of_user("recovery_codes"))
            .take();
        manager.create_table(recovery_codes).await?;
        manager.create_index(index("recovery_codes_by_user", "recovery_codes", "user_id")).await?;
        let challenges = Table::create()
            .table("sign_in_challenges")
            .col(uuid("id").primary_key().take())
            .col(integer("proofs"))
            .col(boolean("is_spent"))
            .col(big_integer("expires_at"))
            .take();
        manager.create_table(challenges).await?;
        manager.create_index(index("sign_in_challenges_expires_at", "sign_in_challenges", "expires_at")).await?;
        for column in
            [boolean("has_second_factor").default(false).take(), integer("access_generation").default(0).take()]
        {
            manager.alter_table(Table::alter().table("users").add_column(column).take()).await?;
        }
        let methods = text("methods").default("PASSWORD").take();
        manager.alter_table(Table::alter().table("sessions").add_column(methods).take()).await?;
        // Like the indexes of the other flags.
        let by_factor = "CREATE INDEX users_with_second_factor ON users (date_joined, id, is_active, is_verified, role)
            WHERE has_second_factor";
        manager.get_connection().execute_unprepared(by_factor).await?;
        Ok(())
    }
}
