//! Objects without selected fields: all are skipped, or in fragments on other types.
//!
//! The library returns null for such an object, as if it did not exist. The specification (October 2021, section 6.3)
//! requires an empty object. This module adds a field that is never skipped, the object's type; null propagation leaves
//! it out of the response, because the client's document does not have it. Values of interfaces and unions always get
//! the field, because null propagation needs their types.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Pos, Positioned};

use crate::graphql::execution::schema_index::{SchemaIndex, core_name};
use crate::graphql::execution::selections::{operations_mut, root_type};

/// Response key of the added field. It is not a name in GraphQL, so that it differs from every key of the client.
pub(super) const TYPE_KEY: &str = "(type)";

/// Adds the field to each selection set that may select nothing. Returns false if there is none.
pub(super) fn keep_objects(index: &SchemaIndex, document: &mut ExecutableDocument) -> bool {
    let fragments = document.fragments.clone();
    let mut walk = Walk { index, fragments: &fragments, has_added: false };
    for (_, operation) in operations_mut(document, None) {
        walk.fields(root_type(operation.ty), &mut operation.selection_set.node);
    }
    for fragment in document.fragments.values_mut() {
        let condition = fragment.node.type_condition.node.on.node.clone();
        walk.fields(&condition, &mut fragment.node.selection_set.node);
    }
    walk.has_added
}

/// A walk over the selections of a document.
struct Walk<'a> {
    index: &'a SchemaIndex,
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    has_added: bool,
}

impl Walk<'_> {
    /// Walks over the fields of a selection set, those in inline fragments included.
    fn fields(&mut self, parent: &str, set: &mut SelectionSet) {
        for item in &mut set.items {
            match &mut item.node {
                Selection::Field(field) => self.field(parent, &mut field.node),
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.clone());
                    let parent = condition.as_deref().unwrap_or(parent).to_owned();
                    self.fields(&parent, &mut fragment.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, parent: &str, field: &mut Field) {
        let index = self.index;
        let set = &mut field.selection_set.node;
        let Some(definition) = index.field(parent, &field.name.node) else { return };
        let ty = core_name(&definition.ty);
        self.fields(ty, set);
        let may_be_empty = index.fields(ty).is_some() && !self.selects(ty, set);
        if !set.items.is_empty() && (index.is_abstract(ty) || may_be_empty) {
            set.items.push(never_skipped());
            self.has_added = true;
        }
    }

    /// True if these selections of an object include a field without a condition.
    fn selects(&self, ty: &str, set: &SelectionSet) -> bool {
        let selects = |condition: Option<&Name>, set: &SelectionSet| {
            condition.is_none_or(|condition| self.index.always_applies(condition, ty)) && self.selects(ty, set)
        };
        set.items.iter().filter(|item| item.node.directives().is_empty()).any(|item| match &item.node {
            Selection::Field(_) => true,
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref().map(|condition| &condition.node.on.node);
                selects(condition, &fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let fragment = self.fragments.get(&spread.node.fragment_name.node).map(|fragment| &fragment.node);
                fragment.is_some_and(|fragment| {
                    selects(Some(&fragment.type_condition.node.on.node), &fragment.selection_set.node)
                })
            }
        })
    }
}

fn never_skipped() -> Positioned<Selection> {
    let at = |name: &str| Positioned::new(Name::new(name), Pos::default());
    let field = Field {
        alias: Some(at(TYPE_KEY)),
        name: at("__typename"),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::default(),
    };
    Positioned::new(Selection::Field(Positioned::new(field, Pos::default())), Pos::default())
}
