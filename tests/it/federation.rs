//! Federation: the service as a subgraph.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_macros::both_databases;

use serde_json::{Value, json};

use crate::test_app::TestApp;
use crate::test_client::Client;
use crate::test_database::Place;

const ENTITIES: &str = "query($representations: [_Any!]!) { _entities(representations: $representations) {
    ... on User { __typename id username }
    ... on Sample { __typename id title modifiedBy { username } }
} }";

const RECORD: &str =
    "mutation($input: RecordSampleInput!) { recordSample(input: $input) { sample { id } errors { code } } }";

async fn subgraph(place: &Place) -> TestApp {
    TestApp::start_with(place, |config| config.federation = true).await
}

fn user(id: &Value) -> Value {
    json!({ "__typename": "User", "id": id })
}

fn sample(id: &Value) -> Value {
    json!({ "__typename": "Sample", "id": id })
}

async fn my_id(client: &Client) -> Value {
    client.data("{ me { id } }", json!({})).await["me"]["id"].clone()
}

async fn record(client: &Client, key: &str) -> Value {
    let data = client.data(RECORD, json!({ "input": { "key": key, "title": "A sample" } })).await;
    data["recordSample"]["sample"]["id"].clone()
}

#[both_databases]
async fn entities_are_found_in_a_fixed_number_of_statements(place: Place) {
    let counter = Arc::new(AtomicUsize::new(0));
    let app = TestApp::start_counting_with(&place, Arc::clone(&counter), |config| config.federation = true).await;
    let (mut representations, mut expected) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let name = format!("user{number}");
        let client = app.add_user(&name).await.sign_in(&app).await;
        let (id, sample_id) = (my_id(&client).await, record(&client, &name).await);
        representations.extend([user(&id), sample(&sample_id)]);
        expected.push(json!({ "__typename": "User", "id": id, "username": name }));
        expected.push(json!({
            "__typename": "Sample", "id": sample_id, "title": "A sample", "modifiedBy": { "username": name },
        }));
    }
    let admin = app.admin().await;
    my_id(&admin).await;
    for length in [2, 10, 40] {
        let before = counter.load(Ordering::SeqCst);
        let data = admin.data(ENTITIES, json!({ "representations": representations[..length] })).await;
        let statements = counter.load(Ordering::SeqCst) - before;
        assert_eq!(data["_entities"], json!(expected[..length]));
        // The caller; the users; the samples; and their editors. The loaders wait a millisecond for more ids, which can
        // split each of the last three in two on a busy machine, or merge the last with the first.
        assert!((3..=7).contains(&statements), "{statements} statements for {length} entities");
    }
}

#[both_databases]
async fn entities_are_visible_to_permitted_callers_only(place: Place) {
    let app = subgraph(&place).await;
    let admin = app.admin().await;
    let (ada, grace) =
        (app.add_user("ada").await.sign_in(&app).await, app.add_staff("grace").await.sign_in(&app).await);
    let (root_id, ada_id, grace_id) = (my_id(&admin).await, my_id(&ada).await, my_id(&grace).await);
    let sample_id = record(&grace, "of grace").await;
    let nobody = [json!("01890000-0000-7000-8000-000000000000"), json!("no id"), json!(7)];
    let mut representations = vec![user(&root_id), user(&ada_id), user(&grace_id), sample(&sample_id)];
    representations.extend(nobody.iter().flat_map(|id| [user(id), sample(id)]));
    let variables = json!({ "representations": representations });

    let anonymous = app.anyone().send(ENTITIES, variables.clone()).await;
    assert_eq!((anonymous.code(), &anonymous.body["data"]), ("UNAUTHENTICATED MISSING".to_owned(), &Value::Null));

    for (client, seen) in [(&admin, [true, true, true]), (&ada, [false, true, false]), (&grace, [false, true, true])] {
        let data = client.data(ENTITIES, variables.clone()).await;
        let found = data["_entities"].as_array().unwrap();
        assert_eq!(found.len(), 10);
        for (entity, seen) in found.iter().zip(seen) {
            assert_eq!(entity.is_object(), seen, "{entity}");
        }
        let (seen_id, modifier) =
            if seen[2] { (sample_id.clone(), json!({ "username": "grace" })) } else { (Value::Null, Value::Null) };
        assert_eq!((&found[3]["id"], &found[3]["modifiedBy"]), (&seen_id, &modifier));
        assert!(found[4..].iter().all(Value::is_null), "{data}");
    }

    let token = "mutation { createApiToken(input: { name: \"Script\", scopes: [WRITE] }) { secret } }";
    let secret = ada.data(token, json!({})).await["createApiToken"]["secret"].clone();
    let script = app.anyone().with_token(secret.as_str().unwrap());
    assert_eq!(script.code(ENTITIES, variables).await, "FORBIDDEN");

    for (strange, code) in [
        (json!({ "__typename": "Session", "id": ada_id }), "BAD_USER_INPUT"),
        (json!({ "__typename": "User", "username": "ada" }), "BAD_USER_INPUT"),
        (json!({ "id": ada_id }), "BAD_USER_INPUT"),
        (json!("ada"), "BAD_USER_INPUT"),
    ] {
        assert_eq!(admin.code(ENTITIES, json!({ "representations": [strange] })).await, code, "{strange}");
    }
}

#[both_databases]
async fn entities_are_counted_each(place: Place) {
    let app = subgraph(&place).await;
    let admin = app.admin().await;
    let id = my_id(&admin).await;
    let many = |length: usize| json!(vec![user(&id); length]);
    let found = admin.data(ENTITIES, json!({ "representations": many(100) })).await;
    assert_eq!(found["_entities"].as_array().unwrap().len(), 100);
    assert_eq!(admin.code(ENTITIES, json!({ "representations": many(101) })).await, "QUERY_TOO_COMPLEX");

    let twice = "query($some: [_Any!]!) { ...f } fragment f on Query {
        a: _entities(representations: $some) { __typename } ... { b: _entities(representations: $some) { __typename } }
    }";
    admin.data(twice, json!({ "some": many(50) })).await;
    assert_eq!(admin.code(twice, json!({ "some": many(51) })).await, "QUERY_TOO_COMPLEX");

    let one = format!("{{__typename: \"User\", id: {id}}}");
    let written = |length: usize| {
        format!("{{ _entities(representations: [{}]) {{ __typename }} }}", vec![one.as_str(); length].join(","))
    };
    admin.data(&written(100), json!({})).await;
    assert_eq!(admin.code(&written(101), json!({})).await, "QUERY_TOO_COMPLEX");
    admin.data(&format!("{{ _entities(representations: {one}) {{ __typename }} }}"), json!({})).await;
    let default = format!(
        "query($some: [_Any!]! = [{}]) {{ _entities(representations: $some) {{ __typename }} }}",
        vec![one.as_str(); 101].join(",")
    );
    assert_eq!(admin.code(&default, json!({})).await, "QUERY_TOO_COMPLEX");

    let deep = "query($some: [_Any!]!) { _entities(representations: $some) {
        ... on User { recentSamples(first: 50) { title key } }
    } }";
    admin.data(deep, json!({ "some": many(10) })).await;
    assert_eq!(admin.code(deep, json!({ "some": many(100) })).await, "QUERY_TOO_COMPLEX");
}

#[both_databases]
async fn a_gateway_gets_the_schema(place: Place) {
    let app = subgraph(&place).await;
    let data = app.anyone().data("{ _service { sdl } }", json!({})).await;
    let sdl = data["_service"]["sdl"].as_str().unwrap();
    for part in [
        "type User implements Node @key(fields: \"id\")",
        "type Sample implements Node @key(fields: \"id\")",
        "type PageInfo @shareable",
        "type UserError @shareable",
        "type Subscription",
        "https://specs.apollo.dev/federation/v2",
    ] {
        assert!(sdl.contains(part), "{part}");
        assert!(vestibule::graphql::federation_sdl().contains(part), "{part}");
    }
    assert_eq!(
        app.admin().await.data("{ me { isSuperuser } }", json!({})).await,
        json!({ "me": { "isSuperuser": true } })
    );
}

#[both_databases]
async fn without_the_setting_there_is_nothing_of_it(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    for document in ["{ _service { sdl } }", "{ _entities(representations: []) { __typename } }"] {
        assert_eq!(admin.code(document, json!({})).await, "GRAPHQL_VALIDATION_FAILED");
    }
    let data = admin.data("{ __schema { types { name } } }", json!({})).await;
    let types = data["__schema"]["types"].as_array().unwrap();
    let names: Vec<&str> = types.iter().map(|ty| ty["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"User") && !names.iter().any(|name| name.starts_with('_') && !name.starts_with("__")));
}
