//! Point reads, and group commits of concurrent writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_macros::both_databases;

use futures_util::future::join_all;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
    SqlErr, Statement,
};
use serde_json::json;
use uuid::Uuid;
use vestibule::database::PrimaryKeyQuery;
use vestibule::entity::{limit, session, user};

use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

#[both_databases]
async fn a_row_by_its_key_is_the_same_by_either_way(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_user("ada").await;
    let client = person.sign_in(&app).await;
    let sessions = client.data("{ sessions { id } }", json!({})).await;
    let id: Uuid = sessions["sessions"][0]["id"].as_str().unwrap().parse().unwrap();
    let query = PrimaryKeyQuery::<session::Entity, user::Entity>::new();
    let by_pool = || session::Entity::find_by_id(id).find_also_related(user::Entity).one(app.db());

    let first = app.app.db.find(&query, id).await.unwrap();
    assert!(first.as_ref().is_some_and(|(_, user)| user.is_some()));
    assert_eq!(first, by_pool().await.unwrap());

    let (session, user) = first.unwrap();
    let (mut session, mut user) = (session.into_active_model(), user.unwrap().into_active_model());
    session.user_agent = Set(Some("b\u{e4}r \u{1f43b}".to_owned()));
    session.ip = Set(None);
    session.update(app.db()).await.unwrap();
    user.bio = Set("\u{1f43b}".repeat(500));
    user.avatar = Set(Some("a.webp".to_owned()));
    user.last_login = Set(None);
    user.password_hash = Set(None);
    user.role = Set(user::Role::Manager);
    user.is_superuser = Set(true);
    user.update(app.db()).await.unwrap();
    let changed = app.app.db.find(&query, id).await.unwrap();
    assert_eq!(changed, by_pool().await.unwrap());
    assert_eq!(changed.unwrap().1.unwrap().role, user::Role::Manager);

    session::Entity::delete_by_id(id).exec(app.db()).await.unwrap();
    assert_eq!(app.app.db.find(&query, id).await.unwrap(), None);
}

/// Inserts a row with this key in a separate statement.
async fn write(app: &TestApp, key: String) -> Result<limit::Model, DbErr> {
    let row = limit::ActiveModel { key: Set(key), full_until: Set(app.clock_now()), reported_at: Set(None) };
    limit::Entity::insert(row).exec_with_returning(app.db()).await
}

#[both_databases]
async fn concurrent_writes_all_succeed_and_a_wrong_statement_fails_alone(place: Place) {
    let app = TestApp::start(&place).await;
    write(&app, "7".to_owned()).await.unwrap();
    let before = limit::Entity::find().count(app.db()).await.unwrap();
    let written = join_all((0..100).map(|number| write(&app, number.to_string()))).await;
    for (number, written) in written.into_iter().enumerate() {
        match written {
            Ok(row) => assert_eq!(row.key, number.to_string()),
            Err(error) => {
                assert!(matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "{error}");
                assert_eq!(number, 7);
            }
        }
    }
    assert_eq!(limit::Entity::find().count(app.db()).await.unwrap(), before + 99);

    let wrong = Statement::from_string(app.db().get_database_backend(), "DELETE FROM nothing");
    let (wrong, good) =
        tokio::join!(app.db().execute_raw(wrong), join_all((100..120).map(|number| write(&app, number.to_string()))));
    assert!(wrong.is_err());
    assert!(good.iter().all(Result::is_ok), "{good:?}");
    assert_eq!(limit::Entity::find().count(app.db()).await.unwrap(), before + 119);
}

#[both_databases]
async fn writes_behind_a_transaction_are_written_after_it(place: Place) {
    let app = TestApp::start(&place).await;
    let before = limit::Entity::find().count(app.db()).await.unwrap();
    let (txn, _) = app.app.db.begin(&app.app.clock.now()).await.unwrap();
    let row =
        limit::ActiveModel { key: Set("first".to_owned()), full_until: Set(app.clock_now()), reported_at: Set(None) };
    limit::Entity::insert(row).exec_with_returning(&txn).await.unwrap();
    let waiting = join_all((0..20).map(|number| write(&app, number.to_string())));
    let (waited, committed) = tokio::join!(waiting, txn.commit());
    committed.unwrap();
    assert!(waited.iter().all(Result::is_ok), "{waited:?}");
    assert_eq!(limit::Entity::find().count(app.db()).await.unwrap(), before + 21);
}

#[both_databases]
async fn signing_in_and_staying_so_takes_few_statements(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    let mut client = app.add_user("ada").await.sign_in(&app).await;
    client.data("{ me { id } }", json!({})).await;
    let since = |before: usize| counter.load(Ordering::SeqCst) - before;
    let now = || counter.load(Ordering::SeqCst);

    let before = now();
    client.data("{ me { id username email } }", json!({})).await;
    assert_eq!(since(before), 1, "who calls");
    let before = now();
    client.refresh().await.unwrap();
    assert_eq!(since(before), 3, "who calls, that the session moves on, and whose it is");
    let before = now();
    client.data("{ me { id } }", json!({})).await;
    assert_eq!(since(before), 2, "who calls, and that the new token came back");
    let before = now();
    app.anyone().sign_in("ada", PASSWORD).await;
    assert_eq!(
        since(before),
        17,
        "five limits are taken and given back, the account is locked, and the network is known from then on"
    );
}
