//! What an operation asks for, in a word, for those who watch the service.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use async_graphql::parser::types::{
    ExecutableDocument, OperationType, Selection, SelectionSet, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Pos, Positioned, ServerError, Value};

use crate::graphql::execution::limits;
use crate::tools::request_metrics::OperationLabels;

/// What introspection is called; the schema has no field of this name.
const INTROSPECTION: &str = "introspection";

/// The fields at the root of a schema.
#[derive(Debug)]
pub struct Operations {
    fields: HashMap<&'static str, HashSet<Arc<str>>>,
    introspection: Arc<str>,
    several: Arc<str>,
    none: Arc<str>,
}

impl Operations {
    /// Reads them off the schema's document.
    pub fn of(sdl: &str) -> Self {
        let document = async_graphql::parser::parse_schema(sdl).expect("the schema that we print is valid");
        let mut fields = HashMap::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let TypeKind::Object(object) = definition.node.kind else { continue };
            if let Some(kind) = kind_of_root(definition.node.name.node.as_str()) {
                let names = object.fields.iter().map(|field| Arc::from(field.node.name.node.as_str()));
                fields.insert(kind, names.collect());
            }
        }
        let [introspection, several, none] = [INTROSPECTION, "several", "none"].map(Arc::from);
        Self { fields, introspection, several, none }
    }

    /// What this operation of the document asks for.
    pub fn describe(&self, document: &ExecutableDocument, name: Option<&str>) -> OperationLabels {
        let Ok(operation) = limits::select(document, name) else { return self.refused() };
        let kind = match operation.ty {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        };
        let mut asked = Asked { operations: self, kind, document, found: None };
        let found = match asked.walk(&operation.selection_set) {
            true => asked.found.unwrap_or_else(|| Arc::clone(&self.none)),
            false => Arc::clone(&self.several),
        };
        OperationLabels { kind, operation: found }
    }

    /// What a document is that was refused before it was known what it asks for.
    pub fn refused(&self) -> OperationLabels {
        OperationLabels { kind: "none", operation: Arc::clone(&self.none) }
    }
}

/// The names of the fields at the root of this operation, those among them that a directive leaves out.
pub fn root_fields<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    if let Ok(operation) = limits::select(document, name) {
        names_in(&operation.selection_set, document, &mut names);
    }
    names
}

/// Fragments have been found to spread nothing without an end.
fn names_in<'a>(set: &'a Positioned<SelectionSet>, document: &'a ExecutableDocument, names: &mut BTreeSet<&'a str>) {
    for item in &set.node.items {
        match &item.node {
            Selection::Field(field) => drop(names.insert(field.node.name.node.as_str())),
            Selection::InlineFragment(fragment) => names_in(&fragment.node.selection_set, document, names),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    names_in(&fragment.node.selection_set, document, names);
                }
            }
        }
    }
}

/// The schema's names of the fields that were refused with this code. Their paths consist of names that the client chose.
pub fn refused_fields<'a>(errors: &[ServerError], code: &str, document: &'a ExecutableDocument) -> BTreeSet<&'a str> {
    let has_code = |error: &&ServerError| {
        let found = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        matches!(found, Some(Value::String(found)) if found == code)
    };
    let refused: HashSet<Pos> = errors.iter().filter(has_code).flat_map(|error| error.locations.clone()).collect();
    let mut names = BTreeSet::new();
    if !refused.is_empty() {
        let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set);
        let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set);
        for set in operations.chain(fragments) {
            names_at(set, &refused, &mut names);
        }
    }
    names
}

fn names_at<'a>(set: &'a Positioned<SelectionSet>, wanted: &HashSet<Pos>, names: &mut BTreeSet<&'a str>) {
    for item in &set.node.items {
        match &item.node {
            Selection::Field(field) => {
                if wanted.contains(&field.pos) {
                    names.insert(field.node.name.node.as_str());
                }
                names_at(&field.node.selection_set, wanted, names);
            }
            Selection::InlineFragment(fragment) => names_at(&fragment.node.selection_set, wanted, names),
            // Each fragment is walked on its own.
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn kind_of_root(name: &str) -> Option<&'static str> {
    match name {
        "Query" => Some("query"),
        "Mutation" => Some("mutation"),
        "Subscription" => Some("subscription"),
        _ => None,
    }
}

/// A walk over the fields at an operation's root.
struct Asked<'a> {
    operations: &'a Operations,
    kind: &'static str,
    document: &'a ExecutableDocument,
    found: Option<Arc<str>>,
}

impl Asked<'_> {
    /// Whether there is still one field at most. Fragments have been found to spread nothing without an end.
    fn walk(&mut self, set: &Positioned<SelectionSet>) -> bool {
        set.node.items.iter().all(|item| match &item.node {
            Selection::Field(field) => self.meet(field.node.name.node.as_str()),
            Selection::InlineFragment(fragment) => self.walk(&fragment.node.selection_set),
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                fragment.is_none_or(|fragment| self.walk(&fragment.node.selection_set))
            }
        })
    }

    fn meet(&mut self, name: &str) -> bool {
        let Operations { fields, introspection, .. } = self.operations;
        let known = match name {
            "__typename" => return true,
            "__schema" | "__type" => Some(introspection),
            name => fields.get(self.kind).and_then(|fields| fields.get(name)),
        };
        // What the schema does not have is refused later on, and has no name here.
        let Some(known) = known else { return true };
        let is_first = self.found.as_ref().is_none_or(|found| found == known);
        self.found = Some(Arc::clone(known));
        is_first
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn an_operation_is_known_by_the_field_at_its_root() {
        let operations = Operations::of(&crate::graphql::sdl());
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
            let labels = operations.describe(&parse_query(document).unwrap(), name);
            assert_eq!((labels.kind, &*labels.operation), expected, "{document}");
        }
    }
}
