//! Fragments at the root of a subscription.
//!
//! The library subscribes only to fields that stand at the root themselves, and ends the stream if there is none. The
//! specification (October 2021, section 6.2.3.1) looks into fragments. This module replaces each by its selections.

use std::collections::HashSet;

use async_graphql::parser::types::{Directive, ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{Name, Positioned};

use crate::graphql::execution::schema_index::SchemaIndex;
use crate::graphql::execution::selections::{operations_mut, root_type, visit};

/// Replaces the fragments at the root of each subscription by their selections. Conditions of a fragment become
/// conditions of its fields.
pub(super) fn flatten(index: &SchemaIndex, document: &mut ExecutableDocument) {
    let original = document.clone();
    let mut walk = Walk { document: &original, replaced: HashSet::new() };
    for (_, operation) in operations_mut(document, None) {
        if operation.ty == OperationType::Subscription {
            let set = &mut operation.selection_set.node;
            set.items = walk.selections(set, &[]);
        }
    }
    // Validation rejects unused fragments.
    let mut replaced = walk.replaced;
    for (_, operation) in document.operations.iter() {
        let Ok(used) = visit(index, document, &operation.node, &mut ());
        replaced.retain(|name| !used.contains(name));
    }
    document.fragments.retain(|name, _| !replaced.contains(name));
}

/// A walk over the roots of a document.
struct Walk<'a> {
    document: &'a ExecutableDocument,
    /// Names of the replaced fragments.
    replaced: HashSet<Name>,
}

impl Walk<'_> {
    fn selections(&mut self, set: &SelectionSet, outer: &[Positioned<Directive>]) -> Vec<Positioned<Selection>> {
        let root = root_type(OperationType::Subscription);
        let mut flat = Vec::new();
        for item in &set.items {
            let conditions = [outer, item.node.directives()].concat();
            match &item.node {
                Selection::InlineFragment(fragment)
                    if fragment.node.type_condition.as_ref().is_none_or(|on| on.node.on.node == root) =>
                {
                    flat.extend(self.selections(&fragment.node.selection_set.node, &conditions));
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = self.document.fragments.get(name);
                    match fragment.filter(|fragment| fragment.node.type_condition.node.on.node == root) {
                        Some(fragment) => {
                            self.replaced.insert(name.clone());
                            flat.extend(self.selections(&fragment.node.selection_set.node, &conditions));
                        }
                        // Validation rejects it.
                        None => flat.push(item.clone()),
                    }
                }
                Selection::Field(field) => {
                    let mut field = field.clone();
                    field.node.directives = conditions;
                    flat.push(Positioned::new(Selection::Field(field), item.pos));
                }
                Selection::InlineFragment(_) => flat.push(item.clone()),
            }
        }
        flat
    }
}
