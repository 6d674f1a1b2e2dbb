//! Accounts: address changes, sessions, deletion, and anonymization.

use std::time::Duration;
use test_macros::{both_databases, sqlite_only};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseBackend, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, Statement,
};
use serde_json::json;
use vestibule::domain::users::reserved::USERNAME_RESERVED;
use vestibule::entity::{audit_event, limit, mail, one_time_token, registration, session, user};

use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_database::Place;

const SESSIONS: &str = "{ sessions { id createdAt lastUsedAt expiresAt ip userAgent isCurrent } }";
const REVOKE: &str =
    "mutation($id: ID!) { revokeSession(input: { id: $id }) { session { id } errors { code field } } }";
const DELETE: &str =
    "mutation($p: String!) { deleteMe(input: { currentPassword: $p }) { outcome errors { code field } } }";
const DEACTIVATE: &str =
    "mutation($p: String!) { deactivateMe(input: { currentPassword: $p }) { success errors { code field } } }";
const UPDATE: &str = "mutation($input: UpdateMeInput!) { updateMe(input: $input) {
    user { email pendingEmail } errors { code field }
} }";

#[both_databases]
async fn sessions_show_device_address_and_the_current_one(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let phone = app.anyone().with_header("user-agent", "Phone/1").sign_in(&ada.email, PASSWORD).await;
    app.wait(Duration::from_secs(60));
    let mut laptop = app.anyone().with_header("user-agent", "Laptop/2").sign_in(&ada.email, PASSWORD).await;
    app.wait(Duration::from_secs(60));
    laptop.refresh().await.unwrap();
    let sessions = laptop.data(SESSIONS, json!({})).await["sessions"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let (first, second) = (&sessions[0], &sessions[1]);
    assert_eq!((&first["userAgent"], &first["isCurrent"]), (&json!("Laptop/2"), &json!(true)));
    assert_eq!(
        (&first["createdAt"], &first["lastUsedAt"]),
        (&json!("2026-01-05T09:01:00.000Z"), &json!("2026-01-05T09:02:00.000Z"))
    );
    assert_eq!((&second["userAgent"], &second["isCurrent"]), (&json!("Phone/1"), &json!(false)));
    assert_eq!((&second["ip"], &second["expiresAt"]), (&json!("127.0.0.1"), &json!("2026-02-04T09:00:00.000Z")));
    assert_eq!(app.anyone().code(SESSIONS, json!({})).await, "UNAUTHENTICATED MISSING");
    drop(phone);
}

#[both_databases]
async fn a_session_is_revoked_and_nobody_elses(place: Place) {
    let app = TestApp::start(&place).await;
    let (ada, bob) = (app.add_user("ada").await, app.add_user("bob").await.sign_in(&app).await);
    let (laptop, mut phone) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    let mine = phone.data(SESSIONS, json!({})).await["sessions"].as_array().unwrap().clone();
    let id = mine.iter().find(|session| session["isCurrent"] == true).unwrap()["id"].clone();
    assert_eq!(bob.refusals(REVOKE, json!({ "id": id })).await, ["NOT_FOUND id"]);
    assert_eq!(bob.refusals(REVOKE, json!({ "id": "nonsense" })).await, ["NOT_FOUND id"]);
    phone.data("{ me { id } }", json!({})).await;
    let revoked = laptop.data(REVOKE, json!({ "id": id })).await;
    assert_eq!(revoked["revokeSession"]["session"]["id"], id);
    assert_eq!(phone.code("{ me { id } }", json!({})).await, "UNAUTHENTICATED REVOKED");
    assert_eq!(phone.refresh().await, Err("INVALID_TOKEN".to_owned()));
    laptop.data("{ me { id } }", json!({})).await;
}

#[both_databases]
async fn the_last_superuser_cannot_leave(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for document in [DELETE, DEACTIVATE] {
        assert_eq!(admin.refusals(document, json!({ "p": ADMIN.1 })).await, ["LAST_SUPERUSER"]);
    }
    second_superuser(&app).await;
    assert_eq!(admin.refusals(DEACTIVATE, json!({ "p": ADMIN.1 })).await, [""; 0]);
    let second = app.anyone().sign_in("second", ADMIN.1).await;
    assert_eq!(second.refusals(DELETE, json!({ "p": ADMIN.1 })).await, ["LAST_SUPERUSER"], "the first is deactivated");
}

async fn second_superuser(app: &TestApp) {
    use vestibule::domain::auth::identity::Actor;
    use vestibule::domain::users::superuser::{self, Username};
    let now = app.app.clock.now();
    let username = Username::Given("second");
    let row = superuser::prepare(&now, &app.app.passwords, "second@example.com", username, ADMIN.1).await.unwrap();
    let (txn, now) = app.app.db.begin(&now).await.unwrap();
    superuser::insert(&txn, &now, Actor::Anyone, row).await.unwrap();
    txn.commit().await.unwrap();
}

#[both_databases]
async fn two_last_superusers_cannot_leave_at_once(place: Place) {
    let app = TestApp::start(&place).await;
    second_superuser(&app).await;
    let (first, second) = (app.admin().await, app.anyone().sign_in("second", ADMIN.1).await);
    let (one, two) = tokio::join!(
        first.refusals(DEACTIVATE, json!({ "p": ADMIN.1 })),
        second.refusals(DELETE, json!({ "p": ADMIN.1 }))
    );
    let mut outcomes = [one, two];
    outcomes.sort();
    assert_eq!(outcomes, [vec![], vec!["LAST_SUPERUSER".to_owned()]]);
}

#[both_databases]
async fn users_named_in_records_are_anonymized(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add(json!({ "username": "ada", "email": "ada@example.com", "password": PASSWORD, "lastName": "Lovelace", "phone": "1" })).await;
    let client = ada.sign_in(&app).await;
    client
        .data("mutation { recordSample(input: { key: \"S-1\", title: \"One\" }) { sample { id } } }", json!({}))
        .await;
    assert_eq!(client.data(DELETE, json!({ "p": PASSWORD })).await["deleteMe"]["outcome"], "ANONYMIZED");
    let user = "query($id: ID!) { user(id: $id) {
        username email name firstName lastName phone isActive isStaff recentSamples { key modifiedBy { name } }
    } }";
    let left = app.admin().await.data(user, json!({ "id": ada.id })).await;
    assert_eq!(
        left["user"],
        json!({
            "username": format!("deleted_user_{}", ada.id), "email": format!("deleted_user_{}@example.invalid", ada.id),
            "name": "[deleted]", "firstName": "[deleted]", "lastName": "", "phone": "", "isActive": false, "isStaff": false,
            "recentSamples": [{ "key": "S-1", "modifiedBy": { "name": "[deleted]" } }],
        })
    );
    app.add(json!({ "username": "ada2", "email": "ada@example.com" })).await;
}

#[both_databases]
async fn nobody_prevents_a_deletion_by_taking_the_name_that_it_leaves(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let one = "mutation($id: ID!) { deleteUser(input: { id: $id }) { outcome errors { code field } } }";
    let many = "mutation($id: ID!) { deleteUsers(input: { ids: [$id] }) { anonymized errors { code field } } }";
    let mut names = std::collections::HashSet::new();
    for (number, (takes_address, document)) in
        [one, many, DELETE].into_iter().flat_map(|document| [(false, document), (true, document)]).enumerate()
    {
        let ada = app.add_user(&format!("ada{number}")).await;
        let client = ada.sign_in(&app).await;
        let key = format!("S-{number}");
        let record = "mutation($k: String!) { recordSample(input: { key: $k, title: \"One\" }) { sample { id } } }";
        client.data(record, json!({ "k": key })).await;
        let name = format!("deleted_user_{}", ada.id);
        let taken = match takes_address {
            true => json!({ "username": format!("eve{number}"), "email": format!("{name}@example.invalid") }),
            false => json!({ "username": name.to_uppercase(), "email": format!("eve{number}@example.com") }),
        };
        app.add(taken).await;
        let (by, variables) = match document == DELETE {
            true => (&client, json!({ "p": PASSWORD })),
            false => (&admin, json!({ "id": ada.id })),
        };
        assert_eq!(by.refusals(document, variables).await, [""; 0], "{document}");
        let left = admin.data("query($id: ID!) { user(id: $id) { username email } }", json!({ "id": ada.id })).await;
        let username = left["user"]["username"].as_str().unwrap().to_owned();
        assert!(username.starts_with(&name) && username != name, "{username}");
        assert_eq!(left["user"]["email"], format!("{username}@example.invalid"));
        assert!(names.insert(username));
    }
}

#[both_databases]
async fn nothing_of_a_deleted_account_stays(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let reset = "mutation { requestReset(input: { email: \"ada@example.com\" }) { success } }";
    client.data(reset, json!({})).await;
    app.mails().await;
    client.data(reset, json!({})).await;
    client.data(DELETE, json!({ "p": PASSWORD })).await;
    assert_eq!(app.mails().await.len(), 0);
    let id: uuid::Uuid = ada.id.parse().unwrap();
    assert_eq!(user::Entity::find_by_id(id).count(app.db()).await.unwrap(), 0);
    assert_eq!(session::Entity::find().filter(session::Column::UserId.eq(id)).count(app.db()).await.unwrap(), 0);
    assert_eq!(mail::Entity::find().filter(mail::Column::UserId.eq(id)).count(app.db()).await.unwrap(), 0);
    assert_eq!(one_time_token::Entity::find().count(app.db()).await.unwrap(), 0);
}

const RESET: &str = "mutation($e: String!) { requestReset(input: { email: $e }) { success } }";

/// Registers with this address and follows the link.
async fn register(app: &TestApp, email: &str) {
    let link = crate::parity::registration::register(app, crate::parity::registration::wanted(email)).await;
    let verified = app.anyone().data(crate::parity::registration::VERIFY, link.variables()).await;
    assert_eq!(verified["verifyEmail"]["errors"], json!([]));
}

/// Addresses in pending mails and registrations, sorted.
async fn named(app: &TestApp) -> Vec<String> {
    let mails = mail::Entity::find().all(app.db()).await.unwrap().into_iter().map(|mail| mail.recipient);
    let waiting = registration::Entity::find().all(app.db()).await.unwrap().into_iter().map(|waiting| waiting.email);
    let mut named: Vec<_> = mails.chain(waiting).collect();
    named.sort();
    named
}

#[both_databases]
async fn the_address_of_a_deleted_account_is_in_no_row_and_no_file(place: Place) {
    let app = TestApp::start(&place).await;
    for by_staff in [false, true] {
        register(&app, "unmistakable@example.com").await;
        // Another registration, and requests not yet processed by the worker.
        app.anyone()
            .data(
                crate::parity::registration::REGISTER,
                crate::parity::registration::wanted("Unmistakable@EXAMPLE.com"),
            )
            .await;
        app.anyone().data(RESET, json!({ "e": "UNMISTAKABLE@example.com" })).await;
        app.wait(Duration::from_secs(3600));
        let user = user::Entity::find().filter(user::Column::EmailKey.eq("unmistakable@example.com"));
        let user = user.one(app.db()).await.unwrap().unwrap();
        let client = app.anyone().sign_in("unmistakable@example.com", PASSWORD).await;
        let moving = json!({ "input": { "email": "moved-unmistakable@example.com", "currentPassword": PASSWORD } });
        client.data(UPDATE, moving).await;
        let link = app.mails().await.into_iter().find(|mail| mail.to.starts_with("moved-")).unwrap();
        let token = crate::parity::registration::token(&link);
        client.data(crate::parity::registration::VERIFY, json!({ "token": token })).await;
        app.mails().await;
        app.anyone().data(RESET, json!({ "e": "moved-unmistakable@example.com" })).await;
        assert!(named(&app).await.iter().any(|name| name.contains("nmistakable")));
        if by_staff {
            let delete = "mutation($ids: [ID!]!) { deleteUsers(input: { ids: $ids }) { errors { code } } }";
            app.admin().await.data(delete, json!({ "ids": [user.id] })).await;
        } else {
            let client = app.anyone().sign_in("moved-unmistakable@example.com", PASSWORD).await;
            client.data(DELETE, json!({ "p": PASSWORD })).await;
        }
        let left: Vec<_> = named(&app).await.into_iter().filter(|name| name.to_lowercase().contains("unmis")).collect();
        assert_eq!(left, [""; 0]);
        let Some(path) = place.database_url.strip_prefix("sqlite://") else { continue };
        let path = path.split('?').next().unwrap();
        for file in [path.to_owned(), format!("{path}-wal")] {
            let bytes = std::fs::read(&file).unwrap_or_default().to_ascii_lowercase();
            assert!(!bytes.windows(12).any(|window| window == b"unmistakable"), "the address is in {file}");
        }
    }
}

#[both_databases]
async fn mails_to_a_deleted_user_for_others_are_removed_once_they_are_sent(place: Place) {
    let app = TestApp::start(&place).await;
    let (amy, bob) = (app.add_user("amy").await.sign_in(&app).await, app.add_user("bob").await);
    let moving = json!({ "input": { "email": "unmistakable@example.com", "currentPassword": PASSWORD } });
    amy.data(UPDATE, moving.clone()).await;
    assert_eq!(app.mails().await.len(), 1);
    let update = "mutation($id: ID!) { updateUser(input: { id: $id, email: \"unmistakable@example.com\" }) { errors { code } } }";
    assert_eq!(app.admin().await.refusals(update, json!({ "id": bob.id })).await, [""; 0]);
    app.mails().await;
    // This one is on its way, and is the other user's.
    app.wait(Duration::from_secs(3600));
    assert_eq!(named(&app).await.iter().filter(|name| name.starts_with("unmis")).count(), 1);
    app.anyone().sign_in("bob", PASSWORD).await.data(DELETE, json!({ "p": PASSWORD })).await;
    assert_eq!(named(&app).await.iter().filter(|name| name.starts_with("unmis")).count(), 0);
}

#[sqlite_only]
async fn the_search_index_forgets_the_letters_of_deleted_users(place: Place) {
    let path = place.database_url.strip_prefix("sqlite://").unwrap();
    let path = path.split('?').next().unwrap();
    let app = TestApp::start(&place).await;
    let kept = app.add_user("kept").await;
    // Only these users have a term with this letter, so their first term is stored uncompressed.
    let count = "SELECT count(*) AS n FROM user_trigrams_data WHERE instr(block, CAST('~qj' AS BLOB)) > 0";
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(app.add(json!({ "email": format!("a{number}~qj@example.com"), "password": PASSWORD })).await.id);
    }
    let moved = app.add(json!({ "email": "moved~qj@example.com", "password": PASSWORD })).await;
    assert_ne!(number(&app, count).await, 0);
    let renamed = json!({ "input": { "id": moved.id, "email": "moved@example.com" } });
    let update = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code } } }";
    app.admin().await.data(update, renamed).await;
    let delete = "mutation($ids: [ID!]!) { deleteUsers(input: { ids: $ids }) { errors { code } } }";
    app.admin().await.data(delete, json!({ "ids": ids })).await;
    assert_eq!(number(&app, count).await, 0);
    assert_eq!(number(&app, "SELECT count(*) AS n FROM user_trigram_terms WHERE instr(term, '~')").await, 0);
    // The rest of the index is intact.
    app.db().execute_unprepared("INSERT INTO user_trigrams (user_trigrams) VALUES ('integrity-check')").await.unwrap();
    let found = "{ users(search: \"kept@\", first: 9) { nodes { id } } }";
    let found = app.admin().await.data(found, json!({})).await;
    assert_eq!(found["users"]["nodes"], json!([{ "id": kept.id }]));
    let bytes = std::fs::read(path).unwrap();
    assert!(!bytes.windows(9).any(|window| window == b"a1~qj@exa"), "an address is in the file");
}

/// Number returned by a statement.
async fn number(app: &TestApp, sql: &str) -> i64 {
    let row = app.db().query_one_raw(Statement::from_string(DatabaseBackend::Sqlite, sql)).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

#[both_databases]
async fn deleting_an_account_takes_nothing_of_others_along(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    // Ada requests an address that somebody else is registering, and a look-alike of her own is being registered.
    let claim = json!({ "input": { "email": "victim@example.com", "currentPassword": PASSWORD } });
    ada.data(UPDATE, claim).await;
    for email in ["victim@example.com", "bob@example.com"] {
        let wanted = crate::parity::registration::wanted(email);
        app.anyone().data(crate::parity::registration::REGISTER, wanted).await;
    }
    app.mails().await;
    app.anyone().data(RESET, json!({ "e": "\u{430}da@example.com" })).await;
    ada.data(DELETE, json!({ "p": PASSWORD })).await;
    let left = named(&app).await;
    assert_eq!(left.iter().filter(|name| *name == "victim@example.com").count(), 2, "{left:?}");
    assert_eq!(left.iter().filter(|name| *name == "bob@example.com").count(), 2, "{left:?}");
    assert!(left.contains(&"\u{430}da@example.com".to_owned()) && !left.contains(&"ada@example.com".to_owned()));
}

#[both_databases]
async fn nothing_of_a_former_user_falls_to_the_next_of_that_name(place: Place) {
    let app = TestApp::start(&place).await;
    let mut ids = std::collections::BTreeSet::new();
    let mut former = Vec::new();
    for number in 0..3 {
        // The username becomes free after a while, the address immediately.
        let name = if number < 2 { format!("ada{number}") } else { "ada0".to_owned() };
        if number == 2 {
            app.wait(USERNAME_RESERVED);
        }
        let input = json!({ "username": name, "email": "ada@example.com", "password": PASSWORD });
        let ada = app.add(input).await;
        assert!(ids.insert(ada.id.clone()), "an id is given once");
        let client = ada.sign_in(&app).await;
        let (_, secret) = crate::api_tokens::make(&client, &["READ"]).await;
        for client in &former {
            let client: &crate::test_client::Client = client;
            assert!(client.code("{ me { id } }", json!({})).await.starts_with("UNAUTHENTICATED"));
        }
        former.extend([app.anyone().with_token(secret), client.clone()]);
        assert_eq!(
            client.data("{ sessions { id } apiTokens { id } }", json!({})).await["sessions"].as_array().map(Vec::len),
            Some(1)
        );
        client.data(DELETE, json!({ "p": PASSWORD })).await;
    }
    let link =
        crate::parity::registration::register(&app, crate::parity::registration::wanted("ada@example.com")).await;
    let new = app.anyone().data(crate::parity::registration::VERIFY, link.variables()).await;
    assert!(ids.insert(new["verifyEmail"]["user"]["id"].as_str().unwrap().to_owned()));
    for client in &former {
        assert!(client.code("{ me { id } }", json!({})).await.starts_with("UNAUTHENTICATED"));
    }
}

#[both_databases]
async fn presence_is_written_in_few_statements(place: Place) {
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, std::sync::Arc::clone(&counter)).await;
    for number in 0..450_u128 {
        app.app.presence.record_activity(uuid::Uuid::from_u128(number), app.app.clock.now().at);
    }
    let before = counter.load(std::sync::atomic::Ordering::SeqCst);
    app.app.presence.flush(&app.app.db).await.unwrap();
    app.app.presence.flush(&app.app.db).await.unwrap();
    assert_eq!(counter.load(std::sync::atomic::Ordering::SeqCst) - before, 3);
}

#[both_databases]
async fn another_spelling_of_the_own_address_applies_immediately(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let input = json!({ "input": { "email": "Ada@Example.com", "currentPassword": PASSWORD } });
    let updated = ada.data(UPDATE, input).await;
    assert_eq!(updated["updateMe"]["user"], json!({ "email": "Ada@Example.com", "pendingEmail": null }));
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_new_address_needs_the_password(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let refusals = async |input: serde_json::Value| ada.refusals(UPDATE, json!({ "input": input })).await;
    assert_eq!(refusals(json!({ "email": "new@example.com" })).await, ["REQUIRED currentPassword"]);
    let wrong = json!({ "email": "new@example.com", "currentPassword": "wrong" });
    assert_eq!(refusals(wrong).await, ["PASSWORD_INCORRECT currentPassword"]);
    assert_eq!(refusals(json!({ "email": "nonsense", "currentPassword": PASSWORD })).await, ["INVALID email"]);
    assert_eq!(refusals(json!({ "email": "ada@example.com" })).await, [""; 0], "the address that it has");
    assert_eq!(app.mails().await.len(), 0);
}

#[both_databases]
async fn a_change_to_the_same_values_writes_nothing(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let present = json!({ "username": "ada", "email": ada.email, "firstName": "Ada", "lastName": "L", "phone": "1", "address": "a\nb", "bio": "b" });
    assert_eq!(client.refusals(UPDATE, json!({ "input": present })).await, [""; 0]);
    app.wait(Duration::from_secs(60));
    let rows = async || {
        let user = user::Entity::find_by_id(ada.id.parse::<uuid::Uuid>().unwrap()).one(app.db()).await.unwrap();
        let limits = limit::Entity::find().order_by_asc(limit::Column::Key).all(app.db()).await.unwrap();
        (user, audit_event::Entity::find().count(app.db()).await.unwrap(), limits)
    };
    let before = rows().await;
    let same = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { email } errors { code } } }";
    let id = json!({ "id": ada.id });
    for (client, document, variables) in [
        (&client, UPDATE, json!({ "input": {} })),
        (&client, UPDATE, json!({ "input": present })),
        (&client, UPDATE, json!({ "input": { "firstName": " Ada " } })),
        (&client, UPDATE, json!({ "input": { "email": ada.email, "currentPassword": "wrong" } })),
        (&client, "mutation { removeAvatar { errors { code } } }", json!({})),
        (&boss, same, json!({ "input": { "id": ada.id } })),
        (&boss, same, json!({ "input": { "id": ada.id, "firstName": "Ada", "isActive": true, "role": "MEMBER" } })),
        (
            &boss,
            "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: true }) { errors { code } } }",
            id.clone(),
        ),
        (&boss, "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: false }) { errors { code } } }", id),
    ] {
        let answer = client.send(document, variables.clone()).await;
        assert!(answer.body["errors"].is_null(), "{document}: {}", answer.body);
        let payload = answer.body["data"].as_object().unwrap().values().next().unwrap().clone();
        assert_eq!(payload["errors"], json!([]), "{document} {variables}");
        if document == UPDATE {
            assert_eq!(payload["user"]["email"], ada.email.as_str());
        }
        assert_eq!(rows().await, before, "{document} {variables}");
    }
    let file = "email,first_name,last_name\nada@example.com,Ada,L\n";
    crate::spreadsheet_import::import(&boss, file).await;
    let after = rows().await;
    assert_eq!((after.0, after.1), (before.0, before.1), "an import is counted");
}
