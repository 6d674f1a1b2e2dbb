use async_graphql::{EmptyMutation, EmptySubscription, InputObject, MaybeUndefined, Object, Schema, Upload};
use serde_json::json;

use super::*;
use crate::graphql::execution::limits::Documents;
use crate::graphql::execution::schema_index::SchemaIndex;

#[derive(InputObject)]
struct Filter {
    name: MaybeUndefined<String>,
    size: Option<i32>,
    #[graphql(default = 7)]
    most: i32,
    sub: Option<Box<Filter>>,
}

impl Filter {
    fn show(&self) -> String {
        let sub = self.sub.as_ref().map_or("none".to_owned(), |sub| sub.show());
        let name = match &self.name {
            MaybeUndefined::Undefined => "absent",
            MaybeUndefined::Null => "null",
            MaybeUndefined::Value(name) => name,
        };
        format!("{name} {:?} {} ({sub})", self.size, self.most)
    }
}

struct Query;

#[Object]
impl Query {
    async fn first(&self, #[graphql(default = 20)] first: i32) -> i32 {
        first
    }
    async fn maybe(&self, text: MaybeUndefined<String>) -> String {
        format!("{text:?}")
    }
    async fn list(&self, items: Option<Vec<Option<i32>>>) -> String {
        format!("{items:?}")
    }
    async fn strict(&self, items: Vec<i32>) -> String {
        format!("{items:?}")
    }
    async fn filter(&self, filter: Filter) -> String {
        filter.show()
    }
    async fn filters(&self, filters: Option<Vec<Filter>>) -> usize {
        filters.map_or(0, |filters| filters.len())
    }
    async fn user(&self, id: async_graphql::ID) -> String {
        id.to_string()
    }
    async fn file(&self, file: Upload) -> usize {
        file.0
    }
    async fn me(&self) -> Self {
        Self
    }
}

/// Data of a response, or the code of the rejection.
async fn ask(document: &str, variables: serde_json::Value) -> Result<serde_json::Value, &'static str> {
    ask_for(document, None, variables).await
}

async fn ask_for(
    document: &str,
    name: Option<&str>,
    variables: serde_json::Value,
) -> Result<serde_json::Value, &'static str> {
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let index = SchemaIndex::parse(&schema.sdl());
    let mut request = Request::new(document).variables(Variables::from_json(variables));
    request.operation_name = name.map(str::to_owned);
    Documents::default()
        .parse(&mut request)
        .and_then(|_| coerce(&index, &mut request))
        .map_err(|rejected| rejected.code)?;
    let response = schema.execute(request).await;
    assert!(response.errors.is_empty(), "{document}: {:?}", response.errors);
    Ok(serde_json::to_value(&response.data).unwrap())
}

const INVALID: Result<serde_json::Value, &str> = Err("GRAPHQL_VALIDATION_FAILED");
const INPUT: Result<serde_json::Value, &str> = Err("BAD_USER_INPUT");

#[tokio::test]
async fn an_optional_variable_that_was_not_sent_leaves_the_default() {
    let first = "query($n: Int) { first(first: $n) }";
    assert_eq!(ask(first, json!({})).await, Ok(json!({ "first": 20 })));
    assert_eq!(ask(first, json!({ "n": 5 })).await, Ok(json!({ "first": 5 })));
    assert_eq!(ask(first, json!({ "n": null })).await, INPUT, "null is no absence");
    let own = "query($n: Int = 3) { first(first: $n) }";
    assert_eq!(ask(own, json!({})).await, Ok(json!({ "first": 3 })));
    assert_eq!(ask(own, json!({ "n": 4 })).await, Ok(json!({ "first": 4 })));
    assert_eq!(ask(own, json!({ "n": null })).await, INPUT);
    assert_eq!(ask("query($n: Int! = 3) { first(first: $n) }", json!({})).await, Ok(json!({ "first": 3 })));
    assert_eq!(ask("query($n: Int = null) { first(first: $n) }", json!({})).await, INPUT);
}

#[tokio::test]
async fn null_is_kept_apart_from_absence() {
    let maybe = "query($t: String) { maybe(text: $t) }";
    assert_eq!(ask(maybe, json!({})).await, Ok(json!({ "maybe": "Undefined" })));
    assert_eq!(ask(maybe, json!({ "t": null })).await, Ok(json!({ "maybe": "Null" })));
    assert_eq!(ask(maybe, json!({ "t": "x" })).await, Ok(json!({ "maybe": "Value(\"x\")" })));
    let object = "query($n: String, $m: Int, $s: Int) { filter(filter: { name: $n, most: $m, size: $s }) }";
    assert_eq!(ask(object, json!({})).await, Ok(json!({ "filter": "absent None 7 (none)" })));
    assert_eq!(ask(object, json!({ "n": null, "s": null })).await, Ok(json!({ "filter": "null None 7 (none)" })));
    assert_eq!(ask(object, json!({ "n": "a", "m": 1, "s": 2 })).await, Ok(json!({ "filter": "a Some(2) 1 (none)" })));
    let whole = "query($f: Filter!) { filter(filter: $f) }";
    assert_eq!(ask(whole, json!({ "f": { "name": null } })).await, Ok(json!({ "filter": "null None 7 (none)" })));
    let inner = "query($n: String) { filter(filter: { sub: { name: $n, sub: { name: $n } } }) }";
    assert_eq!(
        ask(inner, json!({})).await,
        Ok(json!({ "filter": "absent None 7 (absent None 7 (absent None 7 (none)))" }))
    );
}

#[tokio::test]
async fn in_a_list_absence_is_null() {
    let list = "query($a: Int, $b: Int) { list(items: [1, $a, $b]) }";
    assert_eq!(ask(list, json!({ "b": 2 })).await, Ok(json!({ "list": "Some([Some(1), None, Some(2)])" })));
    assert_eq!(ask("query($a: Int) { strict(items: [1, $a]) }", json!({ "a": 2 })).await, INVALID);
    assert_eq!(
        ask("query($a: Int = 5) { strict(items: [1, $a]) }", json!({})).await,
        Ok(json!({ "strict": "[1, 5]" }))
    );
    assert_eq!(
        ask("query($a: [Int!]!) { strict(items: $a) }", json!({ "a": 7 })).await,
        Ok(json!({ "strict": "[7]" }))
    );
    assert_eq!(ask("{ strict(items: 7) }", json!({})).await, Ok(json!({ "strict": "[7]" })));
    let objects = "query($n: String) { filters(filters: [{ name: $n }, { sub: { name: $n } }]) }";
    assert_eq!(ask(objects, json!({})).await, Ok(json!({ "filters": 2 })));
}

#[tokio::test]
async fn fragments_belong_to_every_operation_that_spreads_them() {
    let document = "query A($n: Int) { ...f me { ... on Query { ...g } } } query B($n: Int!) { ...f user(id: \"1\") }
        query C($n: Int!, $id: ID!) { ...g user(id: $id) list(items: [$n]) }
        fragment f on Query { first(first: $n) } fragment g on Query { b: first(first: $n) }";
    let ask = |name, variables| ask_for(document, Some(name), variables);
    assert_eq!(ask("A", json!({})).await, Ok(json!({ "first": 20, "me": { "b": 20 } })));
    assert_eq!(ask("A", json!({ "n": 1 })).await, Ok(json!({ "first": 1, "me": { "b": 1 } })));
    assert_eq!(ask("B", json!({})).await, INPUT);
    assert_eq!(ask("B", json!({ "n": 2 })).await, Ok(json!({ "first": 2, "user": "1" })));
    let all = json!({ "n": 3, "id": "x", "more": 1 });
    assert_eq!(ask("C", all).await, Ok(json!({ "b": 3, "user": "x", "list": "Some([Some(3)])" })));
}

#[tokio::test]
async fn defaults_count_in_directives() {
    let document = "query($yes: Boolean = true) { first @include(if: $yes) me { first @skip(if: $yes) user(id: 1) } }";
    assert_eq!(ask(document, json!({})).await, Ok(json!({ "first": 20, "me": { "user": "1" } })));
    let no = ask(document, json!({ "yes": false })).await;
    assert_eq!(no, Ok(json!({ "me": { "first": 20, "user": "1" } })));
    assert_eq!(ask(document, json!({ "yes": null })).await, INPUT);
    assert_eq!(ask("query($yes: Boolean) { first @include(if: $yes) }", json!({ "yes": true })).await, INVALID);
    assert_eq!(ask("query($yes: Boolean!) { first @include(if: $yes) }", json!({})).await, INPUT);
}

#[tokio::test]
async fn wrong_variables_are_reported_before_execution() {
    for document in [
        "query($x: NoSuch = {a: 1}) { first(first: $x) }",
        "query($x: [NoSuch!] = [{a: 1}]) { first }",
        "query($x: Query) { first(first: $x) }",
        "query($x: Int) { first }",
        "{ first(first: $x) }",
        "{ ...f } fragment f on Query { first(first: $x) }",
        "query A { ...f } query B($x: Int) { ...f } fragment f on Query { first(first: $x) }",
        "query($x: String) { first(first: $x) }",
        "query($x: ID) { user(id: $x) }",
        "query($x: [Int]) { strict(items: $x) }",
        "query($x: [Int]!) { strict(items: $x) }",
        "query($x: Int!) { strict(items: $x) }",
        "query($x: Int = \"x\") { first(first: $x) }",
        "query($x: Int! = null) { first(first: $x) }",
        "query($x: Filter = 7) { filter(filter: $x) }",
        "query($x: Upload = \"#__graphql_file__:0\") { file(file: $x) }",
        "query($x: Int) { first @include(if: $x) }",
        "query($x: Int, $x: Int) { first(first: $x) }",
        "{ __typename @nonsense }",
        "{ __typename(x: 1) }",
        "{ __typename { x } }",
        "{ ...f @nonsense } fragment f on Query { first }",
    ] {
        let both = ask_for(document, document.contains("query A").then_some("A"), json!({ "x": 1 })).await;
        assert_eq!(both, INVALID, "{document}");
    }
}

#[tokio::test]
async fn values_are_of_their_types() {
    let sent = async |ty: &str, field: &str, value: serde_json::Value| {
        ask(&format!("query($x: {ty}) {{ {field}: $x) }}"), json!({ "x": value })).await
    };
    for (ty, field, value) in [
        ("Int!", "first(first", json!("1")),
        ("Int!", "first(first", json!(3_000_000_000_u64)),
        ("Int!", "first(first", json!(1.5)),
        ("Int!", "first(first", json!(null)),
        ("Int!", "first(first", json!([1])),
        ("ID!", "user(id", json!(true)),
        ("String", "maybe(text", json!(1)),
        ("[Int!]!", "strict(items", json!([1, null])),
        ("[Int!]!", "strict(items", json!([[1]])),
        ("Filter!", "filter(filter", json!(5)),
        ("Filter!", "filter(filter", json!({ "nonsense": 1 })),
        ("Filter!", "filter(filter", json!({ "most": null })),
        ("Filter!", "filter(filter", json!({ "sub": { "size": "x" } })),
        ("Upload!", "file(file", json!("#__graphql_file__:0")),
        ("Upload!", "file(file", json!("#__graphql_file__:x")),
        ("Upload!", "file(file", json!("a.png")),
    ] {
        assert_eq!(sent(ty, field, value.clone()).await, INPUT, "{value}");
    }
    assert_eq!(sent("ID!", "user(id", json!(7)).await, Ok(json!({ "user": "7" })));
    for document in [
        "{ first(first: \"x\") }",
        "{ first(first: null) }",
        "{ filter(filter: 5) }",
        "{ filter(filter: { nonsense: 1 }) }",
        "{ filter(filter: { sub: { size: X } }) }",
        "{ me { ... on Query { ...f } } } fragment f on Query { user(id: 1.5) }",
        "{ file(file: \"#__graphql_file__:0\") }",
        "{ file(file: \"#__graphql_file__:x\") }",
        "{ first @skip(if: 1) }",
    ] {
        assert_eq!(ask(document, json!({})).await, INPUT, "{document}");
    }
}

#[tokio::test]
async fn introspection_takes_variables() {
    let document = "query($name: String!, $all: Boolean = true) {
        __type(name: $name) { fields(includeDeprecated: $all) { name } }
    }";
    let answer = ask(document, json!({ "name": "Query" })).await.unwrap();
    assert_eq!(answer["__type"]["fields"].as_array().map(Vec::len), Some(9));
}

#[test]
fn a_message_names_the_path_in_a_value() {
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let message = |document: &str, variables: serde_json::Value| {
        let mut request = Request::new(document).variables(Variables::from_json(variables));
        coerce(&SchemaIndex::parse(&schema.sdl()), &mut request).unwrap_err().message
    };
    let list = "query($f: [Filter!]) { filters(filters: $f) }";
    let secret = json!({ "f": [{}, { "sub": { "size": "secret" } }] });
    assert_eq!(message(list, secret), "`$f.1.sub.size` must be of type `Int`.");
    assert_eq!(message("query($id: ID!) { user(id: $id) }", json!({})), "The variable `$id` is required.");
    let long = format!("query(${}: ID!) {{ user(id: 1) }}", "x".repeat(5000));
    assert!(message(&long, json!({})).len() < 200);
}
