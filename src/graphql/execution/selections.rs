//! Operations of a document, and walks over their selections.
//!
//! The walks follow fragments without a limit of their own: [`limits`](super::limits) has rejected cycles before.

use std::collections::HashSet;
use std::convert::Infallible;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{Name, Positioned};

use crate::graphql::execution::rejected_document::RejectedDocument;
use crate::graphql::execution::schema_index::{self, SchemaIndex, core_name};

/// The operation that a request selects.
///
/// # Errors
/// OPERATION_RESOLUTION_FAILURE if none or several match.
pub(super) fn select<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, RejectedDocument> {
    let mut all = document.operations.iter();
    let (found, problem) = match name {
        Some(name) => {
            let found = all.find(|(own, _)| own.is_some_and(|own| own == name));
            (found, "The document has no operation of this name.")
        }
        None => {
            let found = all.next().filter(|_| all.len() == 0);
            (found, "The document has several operations: select one by `operationName`.")
        }
    };
    let rejected = || RejectedDocument::new("OPERATION_RESOLUTION_FAILURE", problem);
    found.map(|(_, operation)| &operation.node).ok_or_else(rejected)
}

/// The operations of a document, each with true if it is the selected one.
pub(super) fn operations_mut<'a>(
    document: &'a mut ExecutableDocument,
    selected: Option<&'a str>,
) -> Vec<(bool, &'a mut OperationDefinition)> {
    match &mut document.operations {
        DocumentOperations::Single(operation) => vec![(true, &mut operation.node)],
        DocumentOperations::Multiple(all) => {
            let is_only = all.len() == 1;
            let all = all.iter_mut();
            all.map(|(name, operation)| (is_only || selected == Some(name.as_str()), &mut operation.node)).collect()
        }
    }
}

/// Name of the type at the root of an operation.
pub(super) fn root_type(ty: OperationType) -> &'static str {
    match ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    }
}

/// Fields of a selection set, those of fragments included and repeated for each spread; their own selections are left
/// out.
pub(in crate::graphql) fn top_fields<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet) -> Vec<&'a Field> {
    fields_where(document, set, &|_| true)
}

/// The same, without fragments on types that do not apply.
pub(super) fn fields_where<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    applies: &dyn Fn(&Name) -> bool,
) -> Vec<&'a Field> {
    let of_fragment = |condition: Option<&Name>, set: &'a Positioned<SelectionSet>| {
        if condition.is_none_or(applies) { fields_where(document, &set.node, applies) } else { Vec::new() }
    };
    let fields_of = |item: &'a Positioned<Selection>| match &item.node {
        Selection::Field(field) => vec![&field.node],
        Selection::InlineFragment(fragment) => {
            let condition = fragment.node.type_condition.as_ref().map(|condition| &condition.node.on.node);
            of_fragment(condition, &fragment.node.selection_set)
        }
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node).map(|fragment| &fragment.node);
            fragment.map_or_else(Vec::new, |fragment| {
                of_fragment(Some(&fragment.type_condition.node.on.node), &fragment.selection_set)
            })
        }
    };
    set.items.iter().flat_map(fields_of).collect()
}

/// Receiver of everything that an operation selects, in the order of the document.
pub(super) trait Visitor<'a> {
    type Error;

    /// A field, with its definition if the schema has it.
    fn field(
        &mut self,
        _field: &'a Positioned<Field>,
        _definition: Option<&'a schema_index::Field>,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The directives of an operation, field, fragment or spread.
    fn directives(&mut self, _directives: &'a [Positioned<Directive>]) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Visits nothing, for callers that need only the fragments.
impl Visitor<'_> for () {
    type Error = Infallible;
}

/// Walks over an operation and, once each, over the fragments that it spreads. Returns the names of these fragments.
pub(super) fn visit<'a, V: Visitor<'a>>(
    index: &'a SchemaIndex,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    visitor: &mut V,
) -> Result<HashSet<&'a Name>, V::Error> {
    visitor.directives(&operation.directives)?;
    let mut walk = Walk { index, document, visitor, fragments: HashSet::new() };
    walk.set(Some(root_type(operation.ty)), &operation.selection_set.node)?;
    Ok(walk.fragments)
}

struct Walk<'a, 'v, V> {
    index: &'a SchemaIndex,
    document: &'a ExecutableDocument,
    visitor: &'v mut V,
    fragments: HashSet<&'a Name>,
}

impl<'a, V: Visitor<'a>> Walk<'a, '_, V> {
    /// Walks over selections of this type; none if the schema does not have it.
    fn set(&mut self, parent: Option<&'a str>, set: &'a SelectionSet) -> Result<(), V::Error> {
        for item in &set.items {
            let (ty, inner) = match &item.node {
                Selection::Field(field) => {
                    let index = self.index;
                    let definition = parent.and_then(|parent| index.field(parent, &field.node.name.node));
                    self.visitor.field(field, definition)?;
                    self.visitor.directives(&field.node.directives)?;
                    (definition.map(|definition| core_name(&definition.ty).as_str()), &field.node.selection_set)
                }
                Selection::InlineFragment(fragment) => {
                    self.visitor.directives(&fragment.node.directives)?;
                    let condition = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    (condition.or(parent), &fragment.node.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    self.visitor.directives(&spread.node.directives)?;
                    let name = &spread.node.fragment_name.node;
                    let fragment = self.document.fragments.get(name).filter(|_| self.fragments.insert(name));
                    let Some(Positioned { node: fragment, .. }) = fragment else { continue };
                    self.visitor.directives(&fragment.directives)?;
                    (Some(fragment.type_condition.node.on.node.as_str()), &fragment.selection_set)
                }
            };
            self.set(ty, &inner.node)?;
        }
        Ok(())
    }
}
