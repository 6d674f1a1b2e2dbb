//! The shortcut to the rows that every request asks for.

use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _};
use serde_json::json;
use uuid::Uuid;
use vestibule::database::ByKey;
use vestibule::entity::{session, user};

use crate::app::TestApp;
use crate::engine::Place;

crate::tests![a_row_by_its_key_is_the_same_by_either_way];

async fn a_row_by_its_key_is_the_same_by_either_way(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_user("ada").await;
    let client = person.sign_in(&app).await;
    let sessions = client.data("{ sessions { id } }", json!({})).await;
    let id: Uuid = sessions["sessions"][0]["id"].as_str().unwrap().parse().unwrap();
    let query = ByKey::<session::Entity, user::Entity>::new();
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
