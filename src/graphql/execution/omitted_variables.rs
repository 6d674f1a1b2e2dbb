//! Variables that were not sent.
//!
//! The library takes them for null, and so refuses them where an argument has a default and may not be null. The
//! specification (October 2021, section 6.4.1) takes such an argument, or field of an input object, for one that was not
//! given. Here they are taken out of the document, which then says just that.

use std::collections::HashSet;

use async_graphql::parser::types::{Directive, ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;

use crate::graphql::execution::variables::operations_mut;

/// Takes these variables out of the operation that is executed and of all that it spreads. Whether they may be missing
/// was checked before.
pub(in crate::graphql) fn take_out(document: &mut ExecutableDocument, selected: Option<&str>, absent: &HashSet<Name>) {
    if absent.is_empty() {
        return;
    }
    let mut spread = HashSet::new();
    for (is_selected, operation) in operations_mut(document, selected) {
        if is_selected {
            shorten(&mut operation.selection_set.node, absent);
            spreads(&operation.selection_set.node, &mut spread);
        }
    }
    let mut waiting: Vec<Name> = spread.iter().cloned().collect();
    while let Some(name) = waiting.pop() {
        let Some(fragment) = document.fragments.get_mut(&name) else { continue };
        shorten(&mut fragment.node.selection_set.node, absent);
        let mut inner = HashSet::new();
        spreads(&fragment.node.selection_set.node, &mut inner);
        waiting.extend(inner.into_iter().filter(|name| spread.insert(name.clone())));
    }
    // Another operation may have shared a fragment in which alone it used one of them.
    let used: Vec<HashSet<Name>> =
        document.operations.iter().map(|(_, operation)| used(document, &operation.node)).collect();
    for ((_, operation), used) in operations_mut(document, selected).into_iter().zip(used) {
        operation.variable_definitions.retain(|definition| used.contains(&definition.node.name.node));
    }
}

fn shorten(set: &mut SelectionSet, absent: &HashSet<Name>) {
    for item in &mut set.items {
        match &mut item.node {
            Selection::Field(field) => {
                let arguments = &mut field.node.arguments;
                arguments.retain(|(_, value): &(_, Positioned<Value>)| !is_absent(&value.node, absent));
                for (_, value) in arguments {
                    prune(&mut value.node, absent);
                }
                shorten(&mut field.node.selection_set.node, absent);
            }
            Selection::InlineFragment(fragment) => shorten(&mut fragment.node.selection_set.node, absent),
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// Takes them out of input objects; in lists, where nothing can be left out, they are null.
fn prune(value: &mut Value, absent: &HashSet<Name>) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !is_absent(value, absent));
            for value in fields.values_mut() {
                prune(value, absent);
            }
        }
        Value::List(items) => {
            for item in items {
                if is_absent(item, absent) {
                    *item = Value::Null;
                }
                prune(item, absent);
            }
        }
        _ => {}
    }
}

fn is_absent(value: &Value, absent: &HashSet<Name>) -> bool {
    matches!(value, Value::Variable(name) if absent.contains(name))
}

/// The fragments that selections spread themselves.
fn spreads(set: &SelectionSet, found: &mut HashSet<Name>) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => spreads(&field.node.selection_set.node, found),
            Selection::InlineFragment(fragment) => spreads(&fragment.node.selection_set.node, found),
            Selection::FragmentSpread(spread) => {
                found.insert(spread.node.fragment_name.node.clone());
            }
        }
    }
}

/// The variables that an operation uses, in fragments too.
fn used(document: &ExecutableDocument, operation: &OperationDefinition) -> HashSet<Name> {
    let mut usages = Usages { document, seen: HashSet::new(), found: HashSet::new() };
    usages.directives(&operation.directives);
    usages.set(&operation.selection_set.node);
    usages.found
}

struct Usages<'a> {
    document: &'a ExecutableDocument,
    seen: HashSet<&'a Name>,
    found: HashSet<Name>,
}

impl<'a> Usages<'a> {
    fn set(&mut self, set: &'a SelectionSet) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => {
                    field.node.arguments.iter().for_each(|(_, value)| self.value(&value.node));
                    self.directives(&field.node.directives);
                    self.set(&field.node.selection_set.node);
                }
                Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.node.directives);
                    self.set(&fragment.node.selection_set.node);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives);
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.document.fragments.get(name).filter(|_| self.seen.insert(name)) {
                        self.directives(&fragment.node.directives);
                        self.set(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) {
        let arguments = directives.iter().flat_map(|directive| &directive.node.arguments);
        arguments.for_each(|(_, value)| self.value(&value.node));
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Variable(name) => {
                self.found.insert(name.clone());
            }
            Value::List(items) => items.iter().for_each(|value| self.value(value)),
            Value::Object(fields) => fields.values().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}
