//! Objects by id: `node` and `nodes` find what the caller may read, and nothing else.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use uuid::Uuid;
use vestibule::entity::{audit_event, import_job, passkey};

use crate::api_tokens::make;
use crate::authenticator::Authenticator;
use crate::parity::registration::{REGISTER, wanted};
use crate::passkeys;
use crate::second_factor::plant;
use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const NODE: &str = "query($id: ID!) { node(id: $id) { __typename id } }";

const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";

const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

/// Fields of each type, as `node` and as the type's own query select them.
const FRAGMENTS: &str = "
    fragment User on User { id username email isStaff recentSamples { id } viewerCan { delete { allowed reason } } }
    fragment Sample on Sample { id key title modifiedBy { id } }
    fragment Session on Session { id createdAt expiresAt ip userAgent isCurrent }
    fragment ApiToken on ApiToken { id name scopes prefix expiresAt }
    fragment Factor on Factor { id kind createdAt lastUsedAt }
    fragment Passkey on Passkey { id name isSynced createdAt lastUsedAt }
    fragment AuditEvent on AuditEvent { id action reason actor { id } target { id } ip userAgent createdAt }
    fragment OutgoingMail on OutgoingMail { id kind recipient status createdAt }
    fragment ImportJob on ImportJob { id fileName state createdAt createdBy { id } }
";

async fn record(client: &Client, key: &str) -> String {
    let record =
        "mutation($key: String!) { recordSample(input: { key: $key, title: \"A sample\" }) { sample { id } } }";
    let data = client.data(record, json!({ "key": key })).await;
    data["recordSample"]["sample"]["id"].as_str().unwrap().to_owned()
}

/// Id of an import that was uploaded.
async fn import(app: &TestApp) -> String {
    let id = Uuid::from_u128(10);
    let row = import_job::ActiveModel {
        id: Set(id),
        user_id: Set(None),
        file_name: Set("users.csv".to_owned()),
        created_at: Set(app.clock_now()),
        match_by: Set(import_job::MatchBy::Email),
        mapping: Set("{\"columns\":[]}".to_owned()),
        send_welcome: Set(true),
        state: Set(import_job::State::Uploaded),
        failure: Set(None),
        percent: Set(0),
        created: Set(None),
        updated: Set(None),
        unchanged: Set(None),
        rights_changes: Set(0),
        errors: Set(0),
        seen_at: Set(app.clock_now()),
        applied_at: Set(None),
    };
    import_job::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    id.to_string()
}

/// Id of the only session.
async fn session(client: &Client) -> String {
    client.data("{ sessions { id } }", json!({})).await["sessions"][0]["id"].as_str().unwrap().to_owned()
}

/// Id of a new passkey.
async fn passkey(app: &TestApp, client: &Client) -> String {
    let mut authenticator = Authenticator::new(&passkeys::origin(app));
    let id = passkeys::register(client, &mut authenticator).await["passkey"]["id"].as_str().unwrap().to_owned();
    // A deactivation ends younger ones.
    let long_ago = app.clock_now().minus(Duration::from_secs(30 * 24 * 60 * 60));
    let aged = passkey::Entity::update_many().col_expr(passkey::Column::CreatedAt, Expr::value(long_ago));
    aged.exec(app.db()).await.unwrap();
    id
}

async fn my_id(client: &Client) -> String {
    client.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned()
}

/// Id of the newest event with this action.
async fn event(admin: &Client, action: &str, user: &str) -> String {
    let events = "query($filter: AuditEventFilter) { auditEvents(first: 1, filter: $filter) { nodes { id } } }";
    let data = admin.data(events, json!({ "filter": { "action": action, "userId": user } })).await;
    data["auditEvents"]["nodes"][0]["id"].as_str().unwrap().to_owned()
}

/// Id of the newest mail to this address.
async fn mail(admin: &Client, recipient: &str) -> String {
    let mails = "query($to: String) { outgoingMails(first: 1, recipient: $to) { nodes { id } } }";
    let data = admin.data(mails, json!({ "to": recipient })).await;
    data["outgoingMails"]["nodes"][0]["id"].as_str().unwrap().to_owned()
}

/// A service with objects of each type, and callers of each kind.
struct Scene {
    app: TestApp,
    admin: Client,
    boss: Client,
    ada: Client,
    /// Callers by name.
    callers: Vec<(&'static str, Client)>,
    /// Objects, each as type and id, and the callers who may read it.
    objects: Vec<((&'static str, String), &'static [&'static str])>,
}

async fn scene(place: &Place) -> Scene {
    let app = TestApp::start(place).await;
    let admin = app.admin().await;
    let (ada, grace, boss) = (app.add_user("ada").await, app.add_user("grace").await, app.add_staff("boss").await);
    let clients = [ada.sign_in(&app).await, grace.sign_in(&app).await, boss.sign_in(&app).await];
    let [ada_client, grace_client, boss_client] = clients;
    let (ada_token, ada_secret) = make(&ada_client, &["READ"]).await;
    let (_, boss_secret) = make(&boss_client, &["READ"]).await;
    make(&admin, &["READ"]).await;
    let admin_id = my_id(&admin).await;
    let staff = &["admin", "boss", "boss's token"][..];
    let objects = vec![
        (("User", ada.id.clone()), &["admin", "boss", "boss's token", "ada", "ada's token"][..]),
        (("User", grace.id), &["admin", "boss", "boss's token", "grace"]),
        (("User", admin_id.clone()), &["admin"]),
        (("Sample", record(&ada_client, "of ada").await), &["admin", "boss", "boss's token", "ada", "ada's token"]),
        (("Session", session(&ada_client).await), &["ada"]),
        (("Session", session(&boss_client).await), &["boss"]),
        (("ApiToken", ada_token), &["ada", "ada's token"]),
        (("Factor", plant(&app, &ada).await.id), &["admin", "boss", "boss's token", "ada", "ada's token"]),
        (("Passkey", passkey(&app, &ada_client).await), &["admin", "boss", "boss's token", "ada", "ada's token"]),
        (("AuditEvent", event(&admin, "USER_CREATED", &ada.id).await), staff),
        (("AuditEvent", event(&admin, "LOGIN", &ada.id).await), staff),
        (("AuditEvent", event(&admin, "LOGIN", &admin_id).await), &["admin"]),
        (("ImportJob", import(&app).await), staff),
        (("OutgoingMail", mail(&admin, &ada.email).await), staff),
        (("OutgoingMail", mail(&admin, "admin@localhost").await), &["admin"]),
    ];
    let callers = vec![
        ("admin", admin.clone()),
        ("boss", boss_client.clone()),
        ("ada", ada_client.clone()),
        ("grace", grace_client),
        ("ada's token", app.anyone().with_token(ada_secret)),
        ("boss's token", app.anyone().with_token(boss_secret)),
    ];
    Scene { app, admin, boss: boss_client, ada: ada_client, callers, objects }
}

#[both_databases]
async fn each_caller_finds_the_objects_that_they_may_read(place: Place) {
    let scene = scene(&place).await;
    for (name, client) in &scene.callers {
        let mut all = Vec::new();
        for ((ty, id), readers) in &scene.objects {
            let expected = match readers.contains(name) {
                true => json!({ "__typename": ty, "id": id }),
                false => Value::Null,
            };
            let data = client.data(NODE, json!({ "id": id })).await;
            assert_eq!(data, json!({ "node": expected }), "{ty} {id} by {name}");
            all.push(expected);
        }
        let ids: Vec<&String> = scene.objects.iter().map(|((_, id), _)| id).collect();
        assert_eq!(client.data(NODES, json!({ "ids": ids })).await, json!({ "nodes": all }), "{name}");
    }
}

#[both_databases]
async fn the_objects_of_others_are_answered_as_unknown_ids(place: Place) {
    let scene = scene(&place).await;
    let (_, grace) = &scene.callers[3];
    let unknown = grace.send(NODE, json!({ "id": NOBODY })).await;
    assert_eq!(unknown.body, json!({ "data": { "node": null } }));
    for ((_, id), readers) in scene.objects.iter().filter(|(_, readers)| !readers.contains(&"grace")) {
        let hidden = grace.send(NODE, json!({ "id": id })).await;
        assert_eq!((hidden.status, &hidden.body), (unknown.status, &unknown.body), "{id} of {readers:?}");
    }
}

#[both_databases]
async fn a_session_or_a_token_with_read_is_required(place: Place) {
    let scene = scene(&place).await;
    let own = my_id(&scene.ada).await;
    let anyone = scene.app.anyone();
    let mut scripts = Vec::new();
    for scope in ["WRITE", "EXPORT", "MANAGE_USERS"] {
        scripts.push((scope, scene.app.anyone().with_token(make(&scene.boss, &[scope]).await.1)));
    }
    for (document, variables) in [(NODE, json!({ "id": own })), (NODES, json!({ "ids": [own] }))] {
        let answer = anyone.send(document, variables.clone()).await;
        let no_data = if document == NODE { json!({ "node": null }) } else { Value::Null };
        assert_eq!((answer.code(), &answer.body["data"]), ("UNAUTHENTICATED MISSING".to_owned(), &no_data));
        for (scope, script) in &scripts {
            assert_eq!(script.code(document, variables.clone()).await, "FORBIDDEN", "{scope}");
        }
    }
}

#[both_databases]
async fn objects_have_the_same_fields_as_in_their_own_queries(place: Place) {
    let scene = scene(&place).await;
    // An act of a superuser that other staff see without the actor, and a failure of a superuser.
    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }";
    let ada_id = my_id(&scene.ada).await;
    for _ in 0..2 {
        assert_eq!(scene.admin.refusals(toggle, json!({ "id": ada_id })).await, [""; 0]);
    }
    let login = "mutation { login(input: { identifier: \"admin\", password: \"wrong\" }) { errors { code } } }";
    scene.app.anyone().data(login, json!({})).await;
    let all = format!(
        "{{
            me {{ ...User }}
            recentSamples {{ ...Sample }}
            sessions {{ ...Session }}
            apiTokens {{ ...ApiToken }}
            auditEvents(first: 60) {{ nodes {{ ...AuditEvent }} }}
            outgoingMails(first: 20) {{ nodes {{ ...OutgoingMail }} }}
            importJobs(first: 20) {{ nodes {{ ...ImportJob }} }}
            users(search: \"ada\") {{ nodes {{ factors {{ ...Factor }} passkeys {{ ...Passkey }} }} }}
        }}
        {FRAGMENTS}"
    );
    let by_id = format!(
        "query($ids: [ID!]!) {{
            nodes(ids: $ids) {{ ...User ...Sample ...Session ...ApiToken ...AuditEvent ...OutgoingMail ...Factor ...Passkey ...ImportJob }}
        }}
        {FRAGMENTS}"
    );
    for client in [&scene.admin, &scene.boss] {
        record(client, "of staff").await;
        let data = client.data(&all, json!({})).await;
        let lists = [
            json!([data["me"]]),
            data["recentSamples"].clone(),
            data["sessions"].clone(),
            data["apiTokens"].clone(),
            data["auditEvents"]["nodes"].clone(),
            data["outgoingMails"]["nodes"].clone(),
            data["importJobs"]["nodes"].clone(),
            data["users"]["nodes"][0]["factors"].clone(),
            data["users"]["nodes"][0]["passkeys"].clone(),
        ];
        for list in &lists {
            let ids: Vec<&Value> = list.as_array().unwrap().iter().map(|object| &object["id"]).collect();
            assert!(!ids.is_empty(), "{data}");
            let found = client.data(&by_id, json!({ "ids": ids })).await;
            assert_eq!(found["nodes"], *list);
        }
    }
}

#[both_databases]
async fn the_order_is_that_of_the_ids(place: Place) {
    let scene = scene(&place).await;
    let [user, sample, session, token]: [&(&str, String); 4] = [0, 3, 4, 6].map(|index: usize| &scene.objects[index].0);
    let malformed = ["", "me", "7", &user.1[1..], &format!("{}0", user.1), "\u{1F600}", "User:1"];
    let mut ids = vec![&*session.1, NOBODY, &user.1, &token.1, &user.1, NOBODY, &sample.1, &session.1];
    let mut expected =
        vec![Some(session), None, Some(user), Some(token), Some(user), None, Some(sample), Some(session)];
    ids.extend(malformed);
    expected.extend(malformed.map(|_| None));
    let object = |known: Option<&(&str, String)>| known.map(|(ty, id)| json!({ "__typename": ty, "id": id }));
    let expected: Vec<Option<Value>> = expected.into_iter().map(object).collect();
    assert_eq!(scene.ada.data(NODES, json!({ "ids": ids })).await, json!({ "nodes": expected }));
    assert_eq!(scene.ada.data(NODES, json!({ "ids": [] })).await, json!({ "nodes": [] }));
    for id in malformed {
        assert_eq!(scene.ada.data(NODE, json!({ "id": id })).await, json!({ "node": null }), "{id}");
    }
    // A single id becomes a list, and a number an id.
    assert_eq!(scene.ada.data("{ nodes(ids: 7) { id } node(id: 7) { id } }", json!({})).await, {
        json!({ "nodes": [null], "node": null })
    });
}

#[both_databases]
async fn the_number_of_ids_is_limited(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let id = my_id(&admin).await;
    let many = |length: usize| json!({ "ids": vec![&id; length] });
    let found = admin.data(NODES, many(100)).await;
    assert_eq!(found["nodes"], json!(vec![json!({ "__typename": "User", "id": id }); 100]));
    let refused = admin.send(NODES, many(101)).await;
    assert_eq!((refused.code(), &refused.body["data"]), ("BAD_USER_INPUT".to_owned(), &Value::Null));
    assert_eq!(refused.body["errors"][0]["message"], "`ids` can have at most 100 items.");
    // Each object counts.
    let deep = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on User { recentSamples(first: 51) { title key } } } }";
    admin.data(deep, many(10)).await;
    assert_eq!(admin.code(deep, many(100)).await, "QUERY_TOO_COMPLEX");
}

#[both_databases]
async fn objects_of_all_types_cost_a_fixed_number_of_statements(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, Arc::clone(&counter)).await;
    app.wait(Duration::from_secs(1));
    let (admin, boss) = (app.admin().await, app.add_staff("boss").await.sign_in(&app).await);
    let ada = app.add_user("ada").await.sign_in(&app).await;
    // Each user signs in and is sent a mail about a token; each round thus has an object of each type.
    let mut ids = Vec::new();
    for round in 0..5 {
        let client = app.add_user(&format!("user{round}")).await.sign_in(&app).await;
        make(&client, &["READ"]).await;
        let id = my_id(&client).await;
        ids.extend([record(&client, &format!("sample{round}")).await, session(&client).await]);
        ids.extend([event(&admin, "LOGIN", &id).await, mail(&admin, &format!("user{round}@example.com")).await, id]);
    }
    let count = async |client: &Client, ids: &[String]| {
        my_id(client).await;
        let before = counter.load(Ordering::SeqCst);
        let data = client.data(NODES, json!({ "ids": ids })).await;
        let found = data["nodes"].as_array().unwrap().iter().filter(|node| node.is_object()).count();
        (found, counter.load(Ordering::SeqCst) - before)
    };
    // The caller, and one for each type.
    assert_eq!(count(&admin, &ids[..5]).await, (4, 10));
    assert_eq!(count(&admin, &ids[..25]).await, (20, 10));
    assert_eq!(count(&admin, &[NOBODY.to_owned()]).await, (0, 10));
    // And the superusers to be removed from events.
    assert_eq!(count(&boss, &ids[..5]).await, (4, 11));
    assert_eq!(count(&boss, &ids[..25]).await, (20, 11));
    // Users, samples, sessions, second factors, passkeys and API tokens only.
    assert_eq!(count(&ada, &ids[..5]).await, (0, 7));
    assert_eq!(count(&ada, &ids[..25]).await, (0, 7));
    assert_eq!(count(&ada, &["malformed".to_owned()]).await, (0, 1));
}

#[both_databases]
async fn an_ended_session_and_a_deleted_token_are_gone(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let (first, second) = (ada.sign_in(&app).await, ada.sign_in(&app).await);
    let sessions = first.data("{ sessions { id isCurrent } }", json!({})).await["sessions"].clone();
    let other = sessions.as_array().unwrap().iter().find(|session| session["isCurrent"] == false).unwrap();
    let (token, _) = make(&first, &["READ"]).await;
    let ids = json!({ "ids": [other["id"], token] });
    let found = first.data(NODES, ids.clone()).await;
    assert_eq!(found["nodes"][0]["__typename"], "Session");
    assert_eq!(found["nodes"][1]["__typename"], "ApiToken");
    second.data("mutation { logout { success } }", json!({})).await;
    let delete = "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { apiToken { id } errors { code } } }";
    assert_eq!(first.data(delete, json!({ "id": token })).await["deleteApiToken"]["apiToken"]["id"], token.as_str());
    assert_eq!(first.data(NODES, ids).await, json!({ "nodes": [null, null] }));
}

#[both_databases]
async fn an_unused_session_is_gone_once_it_has_expired(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let idle = session(&ada.sign_in(&app).await).await;
    app.wait(Duration::from_secs(200 * 24 * 60 * 60));
    let again = ada.sign_in(&app).await;
    assert_eq!(again.data(NODE, json!({ "id": idle })).await, json!({ "node": null }));
}

#[both_databases]
async fn fields_fail_and_stay_as_in_objects_of_one_type(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (user, sample) = (my_id(&ada).await, record(&ada, "of ada").await);
    let ids = json!({ "ids": [user, sample, NOBODY] });
    let of = |selections: &str| format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ {selections} }} }}");
    for (selections, nodes, code) in [
        ("... on User { username avatarUrl(size: 0) }", json!([{ "username": "ada", "avatarUrl": null }, {}, null]), {
            Some("BAD_USER_INPUT")
        }),
        (
            "... on User { avatarUrl(size: 0) } ... on Sample { title }",
            json!([{ "avatarUrl": null }, { "title": "A sample" }, null]),
            Some("BAD_USER_INPUT"),
        ),
        // The failed field is not nullable, so that the object is null.
        (
            "... on Sample { key } ... on User { username recentSamples(first: 1000) { id } }",
            json!([null, { "key": "of ada" }, null]),
            Some("BAD_USER_INPUT"),
        ),
        (
            "... on Session { text: ip } ... on User { text: avatarUrl(size: 0) }",
            json!([{ "text": null }, {}, null]),
            Some("BAD_USER_INPUT"),
        ),
        ("... on Sample { title }", json!([{}, { "title": "A sample" }, null]), None),
        ("... on Session { id }", json!([{}, {}, null]), None),
        ("... on Node { ... on User { username } }", json!([{ "username": "ada" }, {}, null]), None),
        ("id @skip(if: true)", json!([{}, {}, null]), None),
        (
            "__selected: id ... on User { username }",
            json!([{ "__selected": user, "username": "ada" }, { "__selected": sample }, null]),
            None,
        ),
    ] {
        let answer = ada.send(&of(selections), ids.clone()).await;
        assert_eq!(answer.body["data"], json!({ "nodes": nodes }), "{selections}");
        assert_eq!(answer.body["errors"][0]["extensions"]["code"].as_str(), code, "{selections}: {}", answer.body);
    }
    let own = "{ me { ... on Node { id } username } }";
    assert_eq!(ada.data(own, json!({})).await, json!({ "me": { "id": user, "username": "ada" } }));
    let foreign = "{ me { ... on Sample { id } } }";
    assert_eq!(ada.code(foreign, json!({})).await, "GRAPHQL_VALIDATION_FAILED");
}

#[both_databases]
async fn entities_of_a_gateway_fail_and_stay_alike(place: Place) {
    let app = TestApp::start_with(&place, |config| config.federation = true).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (user, sample) = (my_id(&ada).await, record(&ada, "of ada").await);
    let entity = |ty: &str, id: &str| json!({ "__typename": ty, "id": id });
    let some = json!({ "some": [entity("User", &user), entity("Sample", &sample), entity("User", NOBODY)] });
    let of =
        |selections: &str| format!("query($some: [_Any!]!) {{ _entities(representations: $some) {{ {selections} }} }}");
    for (selections, entities) in [
        ("... on User { username avatarUrl(size: 0) }", json!([{ "username": "ada", "avatarUrl": null }, {}, null])),
        ("... on User { avatarUrl(size: 0) }", json!([{ "avatarUrl": null }, {}, null])),
        (
            "... on Sample { key } ... on User { recentSamples(first: 1000) { id } }",
            json!([null, { "key": "of ada" }, null]),
        ),
        ("... on Sample { title }", json!([{}, { "title": "A sample" }, null])),
        ("__typename", json!([{ "__typename": "User" }, { "__typename": "Sample" }, null])),
    ] {
        let answer = ada.send(&of(selections), some.clone()).await;
        assert_eq!(answer.body["data"], json!({ "_entities": entities }), "{selections}");
    }
    assert_eq!(ada.data(NODE, json!({ "id": user })).await["node"]["__typename"], "User");
}

/// Ids of all events and of all mails.
async fn event_and_mail_ids(admin: &Client) -> (HashSet<String>, HashSet<String>) {
    let all = "{ auditEvents(first: 200) { nodes { id } } outgoingMails(first: 200) { nodes { id } } }";
    let data = admin.data(all, json!({})).await;
    let ids = |list: &str| {
        let nodes = data[list]["nodes"].as_array().unwrap().iter();
        nodes.map(|node| node["id"].as_str().unwrap().to_owned()).collect()
    };
    (ids("auditEvents"), ids("outgoingMails"))
}

#[both_databases]
async fn no_event_has_the_id_of_a_mail(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let ada = app.add_user("ada").await;
    let reset = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";
    app.anyone().data(reset, json!({ "email": ada.email })).await;
    app.anyone().data(REGISTER, wanted("grace@example.com")).await;
    app.mails().await;
    let (events, mails) = event_and_mail_ids(&admin).await;
    assert!(mails.len() > 2 && events.len() > mails.len());
    assert!(events.is_disjoint(&mails), "{events:?} {mails:?}");
    // The worker has found the user for the event.
    let id = event(&admin, "RESET_REQUESTED", &ada.id).await;
    assert_eq!(admin.data(NODE, json!({ "id": id })).await["node"]["__typename"], "AuditEvent");
}

#[both_databases]
async fn an_event_of_an_older_version_shares_the_id_of_its_mail(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let ada = app.add_user("ada").await;
    let reset = "mutation($email: String!) { requestReset(input: { email: $email }) { success } }";
    app.anyone().data(reset, json!({ "email": ada.email })).await;
    let mail_id = mail(&admin, &ada.email).await;
    let rename = audit_event::Entity::update_many()
        .col_expr(audit_event::Column::Id, Expr::value(mail_id.parse::<Uuid>().unwrap()))
        .filter(audit_event::Column::Action.eq(audit_event::Action::ResetRequested));
    assert_eq!(rename.exec(app.db()).await.unwrap().rows_affected, 1);
    app.mails().await;
    // Its target is still found, and it precedes the mail, which is deleted earlier.
    assert_eq!(event(&admin, "RESET_REQUESTED", &ada.id).await, mail_id);
    let found = admin.data(NODE, json!({ "id": mail_id })).await;
    assert_eq!(found["node"], json!({ "__typename": "AuditEvent", "id": mail_id }));
}

#[both_databases]
async fn a_deletion_returns_the_ids_of_accounts_that_no_longer_exist(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let own = my_id(&admin).await;
    let mut people = Vec::new();
    for name in ["ada", "grace", "joan", "mary"] {
        people.push(app.add_user(name).await);
    }
    // Others refer to the accounts of joan and mary.
    for person in &people[2..] {
        record(&person.sign_in(&app).await, &person.email).await;
    }
    let one = "mutation($id: ID!) { deleteUser(input: { id: $id }) { outcome deletedId errors { code } } }";
    let delete = async |id: &str| admin.data(one, json!({ "id": id })).await["deleteUser"].clone();
    let expected = json!({ "outcome": "DELETED", "deletedId": people[0].id, "errors": [] });
    assert_eq!(delete(&people[0].id.to_uppercase()).await, expected);
    let expected = json!({ "outcome": "ANONYMIZED", "deletedId": null, "errors": [] });
    assert_eq!(delete(&people[2].id).await, expected);
    let expected = json!({ "outcome": null, "deletedId": null, "errors": [{ "code": "CANNOT_DELETE_SELF" }] });
    assert_eq!(delete(&own).await, expected);
    let many = "mutation($ids: [ID!]!) { deleteUsers(input: { ids: $ids }) { deleted anonymized deletedIds errors { code } } }";
    let data = admin.data(many, json!({ "ids": [people[3].id, people[1].id] })).await;
    let expected = json!({ "deleted": 1, "anonymized": 1, "deletedIds": [people[1].id], "errors": [] });
    assert_eq!(data["deleteUsers"], expected);
    let data = admin.data(many, json!({ "ids": [own] })).await;
    assert_eq!(data["deleteUsers"]["deletedIds"], Value::Null);
    let ids: Vec<&String> = people.iter().map(|person| &person.id).collect();
    let found = admin.data(NODES, json!({ "ids": ids })).await["nodes"].clone();
    assert_eq!(found.as_array().unwrap().iter().map(Value::is_object).collect::<Vec<_>>(), [false, false, true, true]);
}
