//! Use of the variables in an operation.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    BaseType, Directive, ExecutableDocument, Field, OperationDefinition, Type, VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::{ConstValue, Value};

use super::short;
use super::value::{Check, Origin};
use crate::graphql::execution::rejected_document::RejectedDocument;
use crate::graphql::execution::schema_index::{self, InputType, InputValue, SchemaIndex, core_name};
use crate::graphql::execution::selections::{Visitor, visit};

/// Visitor that collects the uses of variables.
pub(super) struct Usage<'a> {
    index: &'a SchemaIndex,
    definitions: HashMap<&'a Name, &'a VariableDefinition>,
    /// The variables that are used.
    pub(super) used: HashSet<Name>,
    /// The variables that must not be null.
    pub(super) not_null: HashSet<Name>,
}

impl<'a> Usage<'a> {
    /// Checks the variables of an operation, its arguments and directives.
    pub(super) fn of(
        index: &'a SchemaIndex,
        document: &'a ExecutableDocument,
        operation: &'a OperationDefinition,
    ) -> Result<Self, RejectedDocument> {
        let mut definitions = HashMap::new();
        for Positioned { node: definition, pos } in &operation.variable_definitions {
            let name = &definition.name.node;
            if definitions.insert(name, definition).is_some() {
                return Err(invalid("A variable is declared twice.", *pos));
            }
            let ty = &definition.var_type.node;
            if index.input(core_name(ty)).is_none() {
                return Err(invalid("The type of a variable is not an input type of this schema.", *pos));
            }
            if let Some(default) = &definition.default_value {
                let check = Check { index, origin: Origin::Document, pos: *pos };
                let checked = check.value(ty, &default.node.clone().into_value(), &format_args!("${}", short(name)));
                checked.map_err(|rejected| RejectedDocument { code: "GRAPHQL_VALIDATION_FAILED", ..rejected })?;
            }
        }
        let mut usage = Self { index, definitions, used: HashSet::new(), not_null: HashSet::new() };
        visit(index, document, operation, &mut usage)?;
        Ok(usage)
    }

    /// Checks that each variable of the operation is used.
    pub(super) fn check_unused(&self, operation: &OperationDefinition) -> Result<(), RejectedDocument> {
        let mut definitions = operation.variable_definitions.iter();
        let unused = definitions.find(|definition| !self.used.contains(&definition.node.name.node));
        unused.map_or(Ok(()), |definition| {
            let message = format!("The variable `${}` is never used.", short(&definition.node.name.node));
            Err(invalid(message, definition.pos))
        })
    }
}

impl<'a> Visitor<'a> for Usage<'a> {
    type Error = RejectedDocument;

    fn field(
        &mut self,
        field: &'a Positioned<Field>,
        definition: Option<&'a schema_index::Field>,
    ) -> Result<(), RejectedDocument> {
        let Field { name, arguments, selection_set, .. } = &field.node;
        if name.node == "__typename" && !(arguments.is_empty() && selection_set.node.items.is_empty()) {
            return Err(invalid("`__typename` has no arguments and no fields.", field.pos));
        }
        arguments.iter().try_for_each(|(name, value)| {
            let place = definition.and_then(|definition| definition.arguments.get(name.node.as_str()));
            self.argument(place, &name.node, value)
        })
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<(), RejectedDocument> {
        let condition = &self.index.condition;
        for directive in directives {
            // The library does not check those of `__typename`.
            if !matches!(directive.node.name.node.as_str(), "include" | "skip") {
                return Err(invalid("The only directives here are `@include` and `@skip`.", directive.pos));
            }
            for (name, value) in &directive.node.arguments {
                self.argument((name.node == "if").then_some(condition), &name.node, value)?;
            }
        }
        Ok(())
    }
}

impl Usage<'_> {
    fn argument(
        &mut self,
        place: Option<&InputValue>,
        name: &Name,
        value: &Positioned<Value>,
    ) -> Result<(), RejectedDocument> {
        self.variables(place, &value.node, value.pos)?;
        let Some(place) = place else { return Ok(()) };
        let check = Check { index: self.index, origin: Origin::Document, pos: value.pos };
        check.value(&place.ty, &value.node, name)
    }

    /// Checks that the variables in a value are allowed in their places.
    fn variables(&mut self, place: Option<&InputValue>, value: &Value, pos: Pos) -> Result<(), RejectedDocument> {
        match value {
            Value::Variable(name) => {
                let Some(definition) = self.definitions.get(name) else {
                    return Err(invalid(format!("The variable `${}` is not declared.", short(name)), pos));
                };
                self.used.insert(name.clone());
                let Some(place) = place else { return Ok(()) };
                if !is_allowed(definition, place) {
                    let message = format!(
                        "The variable `${}` of type `{}` cannot be used where `{}` is expected.",
                        short(name),
                        short(&definition.var_type.node.to_string()),
                        place.ty
                    );
                    return Err(invalid(message, pos));
                }
                if !place.ty.nullable {
                    self.not_null.insert(name.clone());
                }
                Ok(())
            }
            Value::List(items) => {
                let item = place.and_then(|place| match &place.ty.base {
                    BaseType::List(ty) => Some(InputValue { ty: Type::clone(ty), has_default: false }),
                    BaseType::Named(_) => None,
                });
                items.iter().try_for_each(|value| self.variables(item.as_ref(), value, pos))
            }
            Value::Object(fields) => {
                let index = self.index;
                let definitions = place.and_then(|place| match index.input(core_name(&place.ty)) {
                    Some(InputType::Object(definitions)) => Some(definitions),
                    _ => None,
                });
                fields.iter().try_for_each(|(name, value)| {
                    let place = definitions.and_then(|definitions| definitions.get(name.as_str()));
                    self.variables(place, value, pos)
                })
            }
            _ => Ok(()),
        }
    }
}

/// True if a variable is allowed in a place (October 2021, section 5.8.5).
fn is_allowed(definition: &VariableDefinition, place: &InputValue) -> bool {
    let ty = &definition.var_type.node;
    if place.ty.nullable || !ty.nullable {
        return is_compatible(ty, &place.ty);
    }
    let has_value = definition.default_value.as_ref().is_some_and(|default| default.node != ConstValue::Null);
    (has_value || place.has_default) && is_compatible(ty, &Type { nullable: true, ..place.ty.clone() })
}

fn is_compatible(ty: &Type, expected: &Type) -> bool {
    if ty.nullable && !expected.nullable {
        return false;
    }
    match (&ty.base, &expected.base) {
        (BaseType::Named(name), BaseType::Named(expected)) => name == expected,
        (BaseType::List(item), BaseType::List(expected)) => is_compatible(item, expected),
        _ => false,
    }
}

fn invalid(message: impl Into<String>, pos: Pos) -> RejectedDocument {
    RejectedDocument::new("GRAPHQL_VALIDATION_FAILED", message).at(pos)
}
