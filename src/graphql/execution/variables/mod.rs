//! Checks and coercion of the values of arguments and variables, before anything is executed.
//!
//! The library checks variables where they are used, and only there. A missing one fails a field instead of the
//! request, a default is ignored in `@include`, and an unknown type causes a panic. This module follows the
//! specification (October 2021, sections 5.6, 5.8 and 6.1.2), and passes only complete variables on to the library.

// Use of the variables in a document.
mod usage;
// Checks of values against their types.
mod value;

use std::collections::HashSet;

use async_graphql::parser::types::{ExecutableDocument, VariableDefinition};
use async_graphql::{Name, Pos, Positioned, Request, Variables};
use async_graphql_value::ConstValue;

use self::usage::Usage;
use self::value::{Check, Origin, coerce_integers, invalid_input};
use crate::graphql::execution::omitted_variables;
use crate::graphql::execution::rejected_document::RejectedDocument;
use crate::graphql::execution::schema_index::SchemaIndex;
use crate::graphql::execution::selections::{operations_mut, select};

pub use self::value::FILE_MARK;

/// Longest name that a message repeats, in bytes.
const MAX_NAME: usize = 60;

/// Checks the values in a request whose document is within the limits, and coerces its variables.
///
/// # Errors
/// GRAPHQL_VALIDATION_FAILED for wrong declarations and uses of variables, BAD_USER_INPUT for wrong values.
pub(super) fn coerce(index: &SchemaIndex, request: &mut Request) -> Result<(), RejectedDocument> {
    let sent = std::mem::take(&mut request.variables);
    let origin = Origin::Variable(request.uploads.len());
    let name = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else { return Ok(()) };
    let selected = select(document, name.as_deref())?;
    let mut not_null = HashSet::new();
    for (_, operation) in document.operations.iter() {
        let usage = Usage::of(index, document, &operation.node)?;
        usage.check_unused(&operation.node)?;
        if std::ptr::eq(&raw const operation.node, selected) {
            not_null = usage.not_null;
        }
    }
    let mut values = Variables::default();
    let mut omitted = HashSet::new();
    for Positioned { node: definition, pos } in &selected.variable_definitions {
        let name = &definition.name.node;
        match value(index, definition, *pos, sent.get(name), origin)? {
            Some(ConstValue::Null) if not_null.contains(name) => {
                return Err(invalid_input(format!("The variable `${}` must not be null.", short(name)), *pos));
            }
            Some(value) => drop(values.insert(name.clone(), value)),
            None => drop(omitted.insert(name.clone())),
        }
    }
    if document.operations.iter().any(|(_, operation)| !operation.node.variable_definitions.is_empty()) {
        let mut document = document.clone();
        if !omitted.is_empty() {
            omitted_variables::remove(index, &mut document, name.as_deref(), &omitted);
            undeclare_unused(index, &mut document)?;
        }
        redeclare(&mut document, name.as_deref(), &values);
        request.set_parsed_query(document);
    }
    request.variables = values;
    Ok(())
}

/// Coerced value of a variable; none if it is optional and was not sent.
fn value(
    index: &SchemaIndex,
    definition: &VariableDefinition,
    pos: Pos,
    sent: Option<&ConstValue>,
    origin: Origin,
) -> Result<Option<ConstValue>, RejectedDocument> {
    let (name, ty) = (&definition.name.node, &definition.var_type.node);
    match (sent, &definition.default_value) {
        (Some(value), _) => {
            let check = Check { index, origin, pos };
            check.value(ty, &value.clone().into_value(), &format_args!("${}", short(name)))?;
            let mut value = value.clone();
            coerce_integers(index, ty, &mut value);
            Ok(Some(value))
        }
        (None, Some(default)) => Ok(Some(default.node.clone())),
        (None, None) if ty.nullable => Ok(None),
        (None, None) => Err(invalid_input(format!("The variable `${}` is required.", short(name)), pos)),
    }
}

/// Removes the declarations of variables that an operation no longer uses. Another operation may share a fragment that
/// contained its only use of a variable.
fn undeclare_unused(index: &SchemaIndex, document: &mut ExecutableDocument) -> Result<(), RejectedDocument> {
    let usages = document.operations.iter().map(|(_, operation)| Usage::of(index, document, &operation.node));
    let used: Vec<HashSet<Name>> = usages.map(|usage| usage.map(|usage| usage.used)).collect::<Result<_, _>>()?;
    for ((_, operation), used) in operations_mut(document, None).into_iter().zip(used) {
        operation.variable_definitions.retain(|definition| used.contains(&definition.node.name.node));
    }
    Ok(())
}

/// Declares the variables so that they pass the library's own checks: each has its value, and no default.
fn redeclare(document: &mut ExecutableDocument, selected: Option<&str>, values: &Variables) {
    for (is_selected, operation) in operations_mut(document, selected) {
        for definition in &mut operation.variable_definitions {
            let definition = &mut definition.node;
            let has_value = values.get(&definition.name.node).is_some_and(|value| *value != ConstValue::Null);
            definition.default_value = None;
            definition.var_type.node.nullable = is_selected && !has_value;
        }
    }
}

/// A name, shortened for a message.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

#[cfg(test)]
mod tests;
