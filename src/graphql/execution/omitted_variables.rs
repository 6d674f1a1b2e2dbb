//! Removal of optional variables without a value.
//!
//! The library reads such a variable as null, and so rejects it where an argument is non-null with a default. The
//! specification (October 2021, section 6.4.1) treats the argument, or field of an input object, as omitted. This
//! module removes them from the document.

use std::collections::HashSet;
use std::convert::Infallible;

use async_graphql::parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;

use crate::graphql::execution::schema_index::{self, SchemaIndex};
use crate::graphql::execution::selections::{Visitor, operations_mut, select, visit};

/// Removes these variables from the selected operation and its fragments. The caller has checked that each may be
/// omitted.
pub(super) fn remove(
    index: &SchemaIndex,
    document: &mut ExecutableDocument,
    selected: Option<&str>,
    omitted: &HashSet<Name>,
) {
    let Ok(operation) = select(document, selected) else { return };
    if omitted.is_empty() {
        return;
    }
    let Ok(spread) = visit(index, document, operation, &mut ());
    let spread: HashSet<Name> = spread.into_iter().cloned().collect();
    for (_, operation) in operations_mut(document, selected).into_iter().filter(|(is_selected, _)| *is_selected) {
        shorten(&mut operation.selection_set.node, omitted);
    }
    for (_, fragment) in document.fragments.iter_mut().filter(|(name, _)| spread.contains(*name)) {
        shorten(&mut fragment.node.selection_set.node, omitted);
    }
    // Another operation may share a fragment that contained its only use of a variable.
    let used = document.operations.iter().map(|(_, operation)| {
        let mut used = UsedVariables(HashSet::new());
        let Ok(_) = visit(index, document, &operation.node, &mut used);
        used.0.into_iter().cloned().collect()
    });
    let used: Vec<HashSet<Name>> = used.collect();
    for ((_, operation), used) in operations_mut(document, selected).into_iter().zip(used) {
        operation.variable_definitions.retain(|definition| used.contains(&definition.node.name.node));
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

/// Variables that an operation uses.
struct UsedVariables<'a>(HashSet<&'a Name>);

impl<'a> UsedVariables<'a> {
    fn value(&mut self, value: &'a Value) {
        match value {
            Value::Variable(name) => drop(self.0.insert(name)),
            Value::List(items) => items.iter().for_each(|value| self.value(value)),
            Value::Object(fields) => fields.values().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for UsedVariables<'a> {
    type Error = Infallible;

    fn field(&mut self, field: &'a Positioned<Field>, _: Option<&'a schema_index::Field>) -> Result<(), Infallible> {
        field.node.arguments.iter().for_each(|(_, value)| self.value(&value.node));
        Ok(())
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<(), Infallible> {
        let arguments = directives.iter().flat_map(|directive| &directive.node.arguments);
        arguments.for_each(|(_, value)| self.value(&value.node));
        Ok(())
    }
}
