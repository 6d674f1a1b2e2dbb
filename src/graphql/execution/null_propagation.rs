//! Nulls in place of failed fields.
//!
//! The library leaves out a field whose resolver failed. The specification (October 2021, section 6.4.4) requires null
//! for it or, if its type is non-null, for the nearest nullable field above it. This module adds the nulls to responses
//! with errors, and removes fields that the client did not select.

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{BaseType, ExecutableDocument, OperationDefinition, SelectionSet, Type};
use async_graphql::{Name, PathSegment, Response, Value};

use crate::graphql::execution::conditional_selections::TYPE_KEY;
use crate::graphql::execution::schema_index::{SchemaIndex, core_name};
use crate::graphql::execution::selections::{fields_where, root_type};

/// Union of the entities of a federated graph.
const ENTITY: &str = "_Entity";

/// Adds the nulls to a response to this operation.
pub(super) fn complete(
    index: &SchemaIndex,
    response: &mut Response,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
) {
    // If every root field failed, the library returns no object at all.
    let data = match std::mem::take(&mut response.data) {
        Value::Object(fields) => fields,
        _ => IndexMap::new(),
    };
    let failed = response.errors.iter().map(|error| error.path.iter().map(segment).collect()).collect();
    let walk = Walk { index, document, failed };
    let set = &operation.selection_set.node;
    let completed = walk.object(root_type(operation.ty), &[set], data, &mut Vec::new());
    response.data = completed.unwrap_or(Value::Null);
}

fn segment(segment: &PathSegment) -> String {
    match segment {
        PathSegment::Field(name) => name.clone(),
        PathSegment::Index(index) => index.to_string(),
    }
}

/// A walk over a response beside its document.
struct Walk<'a> {
    index: &'a SchemaIndex,
    document: &'a ExecutableDocument,
    failed: Vec<Vec<String>>,
}

impl<'a> Walk<'a> {
    /// The object with its fields in the document's order; none if a non-null field is null.
    fn object(
        &self,
        type_name: &str,
        sets: &[&'a SelectionSet],
        mut data: IndexMap<Name, Value>,
        path: &mut Vec<String>,
    ) -> Option<Value> {
        // The type of a value of an interface or union is in the response.
        let own_type = data.shift_remove(TYPE_KEY);
        let type_name = match &own_type {
            Some(Value::String(name)) => name.as_str(),
            _ => type_name,
        };
        let Some(definitions) = self.index.fields(type_name) else { return Some(Value::Object(data)) };
        let mut fields: IndexMap<&'a Name, (&'a Name, Vec<&'a SelectionSet>)> = IndexMap::new();
        let applies = |condition: &Name| self.index.always_applies(condition, type_name);
        for field in sets.iter().flat_map(|set| fields_where(self.document, set, &applies)) {
            let entry = fields.entry(&field.response_key().node).or_insert((&field.name.node, Vec::new()));
            entry.1.push(&field.selection_set.node);
        }
        let mut completed = IndexMap::new();
        for (key, (name, sets)) in fields {
            path.push(key.to_string());
            let value = data.shift_remove(key);
            let failed = value.is_none() && self.failed.contains(path);
            let value = match (value, definitions.get(name.as_str())) {
                (Some(value), Some(field)) => self.value(&field.ty, &sets, value, path),
                (None, Some(field)) if failed => field.ty.nullable.then_some(Value::Null),
                // Skipped fields stay omitted; `__typename` and introspection stay unchanged.
                (Some(value), None) => Some(value),
                (None, _) => {
                    path.pop();
                    continue;
                }
            };
            path.pop();
            completed.insert(key.clone(), value?);
        }
        Some(Value::Object(completed))
    }

    fn value(&self, ty: &Type, sets: &[&'a SelectionSet], value: Value, path: &mut Vec<String>) -> Option<Value> {
        let completed = match (&ty.base, value) {
            (BaseType::List(item), Value::List(values)) => {
                // The library leaves the index out of the paths of errors in entities.
                let is_entity = core_name(item) == ENTITY;
                let each = values.into_iter().enumerate().map(|(index, value)| {
                    let length = path.len();
                    path.extend((!is_entity).then(|| index.to_string()));
                    let value = self.value(item, sets, value, path);
                    path.truncate(length);
                    value
                });
                each.collect::<Option<Vec<_>>>().map(Value::List)
            }
            (BaseType::Named(name), Value::Object(data)) => self.object(name, sets, data, path),
            // The library returns null for an object if all its fields failed.
            (BaseType::Named(name), Value::Null) if !self.index.is_abstract(name) && self.is_above_failure(path) => {
                self.object(name, sets, IndexMap::new(), path)
            }
            (_, value) => Some(value).filter(|value| ty.nullable || *value != Value::Null),
        };
        completed.or_else(|| ty.nullable.then_some(Value::Null))
    }

    fn is_above_failure(&self, path: &[String]) -> bool {
        self.failed.iter().any(|failed| failed.len() > path.len() && failed.starts_with(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::execution::conditional_selections::keep_objects;
    use crate::graphql::execution::selections::select;
    use async_graphql::{EmptyMutation, EmptySubscription, Interface, Object, Schema, Union};

    struct Query;
    struct Item(i32);
    struct Fallible;

    #[derive(Interface)]
    #[graphql(field(name = "number", ty = "i32"))]
    enum Numbered {
        Item(Item),
        Fallible(Fallible),
    }

    #[derive(Union)]
    enum Either {
        Item(Item),
        Fallible(Fallible),
    }

    #[Object]
    #[expect(clippy::unused_async, reason = "resolvers are asynchronous")]
    impl Query {
        async fn fine(&self) -> i32 {
            1
        }
        async fn may_fail(&self) -> async_graphql::Result<Option<i32>> {
            Err("failed".into())
        }
        async fn items(&self) -> Option<Vec<Item>> {
            Some(vec![Item(1), Item(2)])
        }
        async fn loose_items(&self) -> Vec<Option<Item>> {
            vec![Some(Item(1)), Some(Item(2))]
        }
        async fn numbered(&self) -> Vec<Option<Numbered>> {
            vec![Some(Item(1).into()), Some(Fallible.into()), None]
        }
        async fn either(&self) -> Vec<Option<Either>> {
            vec![Some(Item(1).into()), Some(Fallible.into()), None]
        }
    }

    #[Object]
    #[expect(clippy::unused_async, reason = "resolvers are asynchronous")]
    impl Fallible {
        async fn number(&self) -> async_graphql::Result<i32> {
            Err("failed".into())
        }
        async fn may_fail(&self) -> async_graphql::Result<Option<i32>> {
            Err("failed".into())
        }
        async fn item(&self) -> Option<Item> {
            Some(Item(2))
        }
    }

    #[Object]
    #[expect(clippy::unused_async, reason = "resolvers are asynchronous")]
    impl Item {
        async fn number(&self) -> i32 {
            self.0
        }
        async fn must_not_fail(&self) -> async_graphql::Result<i32> {
            if self.0 == 2 { Err("failed".into()) } else { Ok(self.0) }
        }
        async fn may_fail(&self) -> async_graphql::Result<Option<i32>> {
            Err("failed".into())
        }
    }

    /// Data of a response with errors.
    async fn data(document: &str) -> serde_json::Value {
        let (data, has_errors) = execute(document).await;
        assert!(has_errors, "{document}");
        data
    }

    async fn execute(document: &str) -> (serde_json::Value, bool) {
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        let index = SchemaIndex::parse(&schema.sdl());
        let mut request = async_graphql::Request::new(document);
        let parsed = request.parsed_query().unwrap().clone();
        let mut adapted = parsed.clone();
        keep_objects(&index, &mut adapted);
        request.set_parsed_query(adapted);
        let mut response = schema.execute(request).await;
        complete(&index, &mut response, &parsed, select(&parsed, None).unwrap());
        (serde_json::to_value(&response.data).unwrap(), !response.errors.is_empty())
    }

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn a_failed_field_makes_the_nearest_nullable_field_null() {
        assert_eq!(data("{ mayFail }").await, json(r#"{"mayFail":null}"#));
        assert_eq!(data("{ a: mayFail fine skipped: fine @skip(if: true) }").await, json(r#"{"a":null,"fine":1}"#));
        assert_eq!(
            data("{ fine items { ...f } } fragment f on Item { number mayFail }").await,
            json(r#"{"fine":1,"items":[{"number":1,"mayFail":null},{"number":2,"mayFail":null}]}"#)
        );
        assert_eq!(data("{ items { mayFail } }").await, json(r#"{"items":[{"mayFail":null},{"mayFail":null}]}"#));
        assert_eq!(data("{ fine items { mustNotFail } }").await, json(r#"{"fine":1,"items":null}"#));
        assert_eq!(data("{ looseItems { mustNotFail } }").await, json(r#"{"looseItems":[{"mustNotFail":1},null]}"#));
    }

    #[tokio::test]
    async fn a_failed_field_of_an_interface_or_union_propagates_by_the_type_of_the_object() {
        for root in ["numbered", "either"] {
            let of = |selections: &str| format!("{{ {root} {{ {selections} }} }}");
            let list = |items: &str| json(&format!(r#"{{"{root}":[{items},null]}}"#));
            assert_eq!(
                data(&of("... on Item { number } ... on Fallible { mayFail }")).await,
                list(r#"{"number":1},{"mayFail":null}"#)
            );
            assert_eq!(
                data(&of("... on Item { value: mustNotFail } ... on Fallible { value: number }")).await,
                list(r#"{"value":1},null"#)
            );
            assert_eq!(
                data(&of("... on Item { number } ... on Fallible { item { mayFail } }")).await,
                list(r#"{"number":1},{"item":{"mayFail":null}}"#)
            );
            assert_eq!(data(&of("... on Fallible { item { mustNotFail } }")).await, list(r#"{},{"item":null}"#));
        }
        assert_eq!(
            data("{ numbered { ...f } } fragment f on Numbered { number ... on Fallible { mayFail } }").await,
            json(r#"{"numbered":[{"number":1},null,null]}"#)
        );
    }

    #[tokio::test]
    async fn an_object_of_another_type_than_all_fragments_is_empty() {
        for (document, expected) in [
            ("{ either { ... on Item { number } } }", r#"{"either":[{"number":1},{},null]}"#),
            ("{ numbered { ...f } } fragment f on Fallible { item { number } }", {
                r#"{"numbered":[{},{"item":{"number":2}},null]}"#
            }),
            ("{ items { ... on Numbered { number } } }", r#"{"items":[{"number":1},{"number":2}]}"#),
            ("{ items { ... on Numbered { ... on Fallible { item { number } } } } }", r#"{"items":[{},{}]}"#),
            ("{ either { __typename } }", { r#"{"either":[{"__typename":"Item"},{"__typename":"Fallible"},null]}"# }),
        ] {
            assert_eq!(execute(document).await, (json(expected), false), "{document}");
        }
    }
}
