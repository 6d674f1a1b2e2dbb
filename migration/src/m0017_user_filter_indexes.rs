//! Indexes for large services: expired sessions are deleted without a scan of all others, and combinations of filters
//! on users are counted by indexes alone.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        // A user has few sessions, which need no order. The time of the last use changes at each refresh and is part of
        // only one index.
        db.execute_unprepared(
            "
            DROP INDEX sessions_by_user;
            CREATE INDEX sessions_by_user ON sessions (user_id);
            CREATE INDEX sessions_by_last_use ON sessions (last_used_at);
            CREATE INDEX sessions_by_expiry ON sessions (expires_at);
            ",
        )
        .await?;
        // Partial indexes: few users are inactive or staff. These columns are in no other index, or SQLite would prefer
        // to read all of that. Verified users and members may be few or many.
        db.execute_unprepared(
            "
            DROP INDEX users_by_active;
            DROP INDEX users_by_staff;
            DROP INDEX users_by_role;
            CREATE INDEX users_inactive ON users (date_joined, id, is_verified, role) WHERE NOT is_active;
            CREATE INDEX users_staff ON users (date_joined, id, is_active, is_verified, role) WHERE is_staff;
            CREATE INDEX users_by_role ON users (role, date_joined, id, is_verified);
            ",
        )
        .await?;
        // A search for one kind of event of a user must not read all of the user's events.
        db.execute_unprepared(
            "
            DROP INDEX audit_events_by_actor;
            DROP INDEX audit_events_by_target;
            CREATE INDEX audit_events_by_actor ON audit_events (actor_id, id, action);
            CREATE INDEX audit_events_by_target ON audit_events (target_id, id, action);
            ",
        )
        .await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            // Statistics about related columns: for example, unverified users are often inactive.
            db.execute_unprepared(
                "CREATE STATISTICS users_in_common (mcv) ON is_active, is_staff, is_verified, role FROM users",
            )
            .await?;
        }
        Ok(())
    }
}
