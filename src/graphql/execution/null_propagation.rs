//! Nulls where fields failed.
//!
//! The library leaves a field out whose resolver failed. The specification (October 2021, section 6.4.4) wants it null
//! or, where its type does not allow that, the nearest field above it that may be. This puts the nulls in afterwards,
//! and only into answers that have errors.

use std::collections::HashMap;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, OperationType, Selection, SelectionSet, Type, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{Name, Response, Value};

/// The types of all fields of a schema.
#[derive(Debug)]
pub struct Types(HashMap<String, HashMap<String, Type>>);

impl Types {
    /// Reads them off the schema's document.
    pub fn of(sdl: &str) -> Self {
        let document = async_graphql::parser::parse_schema(sdl).expect("the schema that we print is valid");
        let objects = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => match definition.node.kind {
                TypeKind::Object(object) => {
                    let field = |field: async_graphql::parser::types::FieldDefinition| {
                        (field.name.node.to_string(), field.ty.node)
                    };
                    let fields = object.fields.into_iter().map(|definition| field(definition.node)).collect();
                    Some((definition.node.name.node.to_string(), fields))
                }
                _ => None,
            },
            _ => None,
        });
        Self(objects.collect())
    }

    /// Puts the nulls into an answer to this document.
    pub fn complete(&self, response: &mut Response, document: &ExecutableDocument, operation_name: Option<&str>) {
        let operation = match (&document.operations, operation_name) {
            (DocumentOperations::Single(operation), _) => Some(operation),
            (DocumentOperations::Multiple(all), Some(name)) => all.get(name),
            (DocumentOperations::Multiple(all), None) => all.values().next(),
        };
        let Some(operation) = operation else { return };
        let root = match operation.node.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        // Where every root field failed, the library has no object at all.
        let data = match std::mem::take(&mut response.data) {
            Value::Object(fields) => fields,
            _ => IndexMap::new(),
        };
        let failed: Vec<Vec<String>> =
            response.errors.iter().map(|error| error.path.iter().map(segment).collect()).collect();
        let walk = Walk { types: self, document, failed };
        let set = &operation.node.selection_set.node;
        response.data = walk.object(root, &[set], data, &mut Vec::new()).unwrap_or(Value::Null);
    }
}

fn segment(segment: &async_graphql::PathSegment) -> String {
    match segment {
        async_graphql::PathSegment::Field(name) => name.clone(),
        async_graphql::PathSegment::Index(index) => index.to_string(),
    }
}

/// One walk over an answer beside its document.
struct Walk<'a> {
    types: &'a Types,
    document: &'a ExecutableDocument,
    failed: Vec<Vec<String>>,
}

impl<'a> Walk<'a> {
    /// The object with its fields in the document's order; none where a field is null that must not be.
    fn object(
        &self,
        type_name: &str,
        sets: &[&'a SelectionSet],
        mut data: IndexMap<Name, Value>,
        path: &mut Vec<String>,
    ) -> Option<Value> {
        let Some(types) = self.types.0.get(type_name) else { return Some(Value::Object(data)) };
        let mut fields: IndexMap<&'a Name, (&'a Name, Vec<&'a SelectionSet>)> = IndexMap::new();
        for set in sets {
            self.collect(set, &mut fields);
        }
        let mut completed = IndexMap::new();
        for (key, (name, sets)) in fields {
            path.push(key.to_string());
            let value = data.shift_remove(key);
            let failed = value.is_none() && self.failed.contains(path);
            let value = match (value, types.get(name.as_str())) {
                (Some(value), Some(ty)) => self.value(ty, &sets, value, path),
                (None, Some(ty)) if failed => ty.nullable.then_some(Value::Null),
                // What was skipped stays out, and `__typename` and introspection are what they are.
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
                let each = values.into_iter().enumerate().map(|(index, value)| {
                    path.push(index.to_string());
                    let value = self.value(item, sets, value, path);
                    path.pop();
                    value
                });
                each.collect::<Option<Vec<_>>>().map(Value::List)
            }
            (BaseType::Named(name), Value::Object(data)) => self.object(name, sets, data, path),
            // An object of which every field failed has become null.
            (BaseType::Named(name), Value::Null) if self.is_above_failure(path) => {
                self.object(name, sets, IndexMap::new(), path)
            }
            (_, value) => Some(value).filter(|value| ty.nullable || *value != Value::Null),
        };
        completed.or_else(|| ty.nullable.then_some(Value::Null))
    }

    fn is_above_failure(&self, path: &[String]) -> bool {
        self.failed.iter().any(|failed| failed.len() > path.len() && failed.starts_with(path))
    }

    fn collect(&self, set: &'a SelectionSet, fields: &mut IndexMap<&'a Name, (&'a Name, Vec<&'a SelectionSet>)>) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let entry = fields.entry(&field.response_key().node).or_insert((&field.name.node, Vec::new()));
                    entry.1.push(&field.selection_set.node);
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.node.selection_set.node, fields),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.collect(&fragment.node.selection_set.node, fields);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};

    struct Query;
    struct Item(i32);

    #[Object]
    #[expect(clippy::unused_async, reason = "resolvers are asynchronous, whether they wait or not")]
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
    }

    #[Object]
    #[expect(clippy::unused_async, reason = "resolvers are asynchronous, whether they wait or not")]
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

    async fn data(document: &str) -> serde_json::Value {
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        let mut request = async_graphql::Request::new(document);
        let parsed = request.parsed_query().unwrap().clone();
        let mut response = schema.execute(request).await;
        assert!(!response.errors.is_empty());
        Types::of(&schema.sdl()).complete(&mut response, &parsed, None);
        serde_json::to_value(&response.data).unwrap()
    }

    #[tokio::test]
    async fn a_field_that_failed_is_null_or_takes_the_nearest_that_may_be_along() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
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
}
