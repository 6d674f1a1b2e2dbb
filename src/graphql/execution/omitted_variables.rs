//! Removal of optional variables without a value.
//!
//! The library reads such a variable as null, and so rejects it where an argument is non-null with a default. The
//! specification (October 2021, section 6.4.1) treats the argument, or field of an input object, as omitted. This
//! module removes them from the document.

use std::collections::HashSet;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql_value::Value;

use crate::graphql::execution::schema_index::SchemaIndex;
use crate::graphql::execution::selections::{operations_mut, select, visit};

/// Removes these variables from the selected operation and its fragments. The caller has checked that each may be
/// omitted.
pub(super) fn remove(
    index: &SchemaIndex,
    document: &mut ExecutableDocument,
    selected: Option<&str>,
    omitted: &HashSet<Name>,
) {
    let Ok(operation) = select(document, selected) else { return };
    let Ok(spread) = visit(index, document, operation, &mut ());
    let spread: HashSet<Name> = spread.into_iter().cloned().collect();
    for (_, operation) in operations_mut(document, selected).into_iter().filter(|(is_selected, _)| *is_selected) {
        shorten(&mut operation.selection_set.node, omitted);
    }
    for (_, fragment) in document.fragments.iter_mut().filter(|(name, _)| spread.contains(*name)) {
        shorten(&mut fragment.node.selection_set.node, omitted);
    }
}

/// Removes the variables from the arguments of these selections, fragments spread there left out.
fn shorten(set: &mut SelectionSet, omitted: &HashSet<Name>) {
    for item in &mut set.items {
        match &mut item.node {
            Selection::Field(field) => {
                let arguments = &mut field.node.arguments;
                arguments.retain(|(_, value)| !is_omitted(&value.node, omitted));
                for (_, value) in arguments {
                    prune(&mut value.node, omitted);
                }
                shorten(&mut field.node.selection_set.node, omitted);
            }
            Selection::InlineFragment(fragment) => shorten(&mut fragment.node.selection_set.node, omitted),
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// Removes the variables from input objects. Items of lists cannot be omitted and become null.
fn prune(value: &mut Value, omitted: &HashSet<Name>) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !is_omitted(value, omitted));
            fields.values_mut().for_each(|value| prune(value, omitted));
        }
        Value::List(items) => {
            for item in items {
                if is_omitted(item, omitted) {
                    *item = Value::Null;
                }
                prune(item, omitted);
            }
        }
        _ => {}
    }
}

fn is_omitted(value: &Value, omitted: &HashSet<Name>) -> bool {
    matches!(value, Value::Variable(name) if omitted.contains(name))
}
