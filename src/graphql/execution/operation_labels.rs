//! Labels of operations for metrics, traces and logs. They contain names of the schema, never names of a client.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType};
use async_graphql::{Pos, Positioned, ServerError};

use crate::graphql::execution::response::code_of;
use crate::graphql::execution::schema_index::{self, SchemaIndex};
use crate::graphql::execution::selections::{Visitor, root_type, select, top_fields, visit};
use crate::tools::request_metrics::OperationLabels;

/// Labels of the selected operation: its kind, and the field at its root.
pub(super) fn describe(index: &SchemaIndex, document: &ExecutableDocument, name: Option<&str>) -> OperationLabels {
    let Ok(operation) = select(document, name) else { return rejected() };
    let kind = match operation.ty {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    };
    // Fields that the schema does not have fail validation later, and get no label.
    let mut labels = top_fields(document, &operation.selection_set.node).into_iter().filter_map(|field| {
        match field.name.node.as_str() {
            "__typename" => None,
            "__schema" | "__type" => Some(Arc::from("introspection")),
            name => index.field(root_type(operation.ty), name).map(|field| Arc::clone(&field.name)),
        }
    });
    let label = labels.next().unwrap_or_else(|| Arc::from("none"));
    let is_only = labels.all(|other| other == label);
    OperationLabels { kind, operation: if is_only { label } else { Arc::from("several") } }
}

/// Labels of a rejected document.
pub(super) fn rejected() -> OperationLabels {
    OperationLabels { kind: "none", operation: Arc::from("none") }
}

/// The schema's names of the fields that failed with FORBIDDEN. The paths of errors contain names of the client.
pub(super) fn forbidden_fields<'a>(
    index: &'a SchemaIndex,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    errors: &[ServerError],
) -> BTreeSet<&'a str> {
    let failed = errors.iter().filter(|error| code_of(error) == Some("FORBIDDEN"));
    let wanted: HashSet<Pos> = failed.flat_map(|error| error.locations.clone()).collect();
    let mut fields = FieldsAt { wanted, names: BTreeSet::new() };
    if !fields.wanted.is_empty() {
        let Ok(_) = visit(index, document, operation, &mut fields);
    }
    fields.names
}

/// Names of the fields at these places.
struct FieldsAt<'a> {
    wanted: HashSet<Pos>,
    names: BTreeSet<&'a str>,
}

impl<'a> Visitor<'a> for FieldsAt<'a> {
    type Error = Infallible;

    fn field(&mut self, field: &'a Positioned<Field>, _: Option<&'a schema_index::Field>) -> Result<(), Infallible> {
        if self.wanted.contains(&field.pos) {
            self.names.insert(field.node.name.node.as_str());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn an_operation_is_labelled_by_its_root_field() {
        let index = SchemaIndex::parse(&crate::graphql::sdl());
        for (document, name, expected) in [
            ("{ me { id } }", None, ("query", "me")),
            ("query Mine { mine: me { id } __typename }", None, ("query", "me")),
            ("{ a: me { id } b: me { email } }", None, ("query", "me")),
            ("{ me { id } users { totalCount } }", None, ("query", "several")),
            ("{ __schema { types { name } } }", None, ("query", "introspection")),
            ("{ __typename }", None, ("query", "none")),
            ("{ madeUp }", None, ("query", "none")),
            ("{ ...F } fragment F on Query { ... on Query { me { id } } }", None, ("query", "me")),
            ("{ ...F me { id } } fragment F on Query { users { totalCount } }", None, ("query", "several")),
            ("mutation Anything { login(input: {}) { user { id } } }", None, ("mutation", "login")),
            ("mutation { me }", None, ("mutation", "none")),
            ("subscription { onlineUsers { id } }", None, ("subscription", "onlineUsers")),
            ("query A { me { id } } mutation B { logout { success } }", Some("B"), ("mutation", "logout")),
            ("query A { me { id } } mutation B { logout { success } }", None, ("none", "none")),
        ] {
            let labels = describe(&index, &parse_query(document).unwrap(), name);
            assert_eq!((labels.kind, &*labels.operation), expected, "{document}");
        }
    }
}
