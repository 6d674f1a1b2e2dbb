//! Where the variables of an operation stand, and whether they may.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    BaseType, Directive, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet, Type,
    VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::{ConstValue, Value};

use super::value::{At, Check, Origin};
use super::{Inputs, Shape, Slot, core_name, invalid, short};
use crate::graphql::execution::limits::Refusal;

/// What one operation, with what it spreads, uses variables for.
pub(super) struct Usage<'a> {
    inputs: &'a Inputs,
    document: &'a ExecutableDocument,
    definitions: HashMap<&'a Name, &'a VariableDefinition>,
    used: HashSet<Name>,
    not_null: HashSet<Name>,
    /// The fragments that were looked at.
    seen: HashSet<&'a Name>,
}

impl<'a> Usage<'a> {
    /// Checks an operation; the variables that must not be null where they are used.
    pub(super) fn of(
        inputs: &'a Inputs,
        document: &'a ExecutableDocument,
        operation: &'a OperationDefinition,
    ) -> Result<HashSet<Name>, Refusal> {
        let mut names = HashSet::new();
        for Positioned { node: definition, pos } in &operation.variable_definitions {
            if !names.insert(&definition.name.node) {
                return Err(invalid("Each variable is declared once.", *pos));
            }
            if !inputs.shapes.contains_key(core_name(&definition.var_type.node).as_str()) {
                return Err(invalid("A variable is of a type that is no input type of this schema.", *pos));
            }
            if let Some(default) = &definition.default_value {
                let check = Check { inputs, origin: Origin::Document, pos: *pos };
                let at = format!("${}", short(&definition.name.node));
                check
                    .value(&definition.var_type.node, &default.node.clone().into_value(), &At::Start(&at))
                    .map_err(|refusal| Refusal { code: "GRAPHQL_VALIDATION_FAILED", ..refusal })?;
            }
        }
        let definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
        let mut usage = Self {
            inputs,
            document,
            definitions: definitions.map(|definition| (&definition.name.node, definition)).collect(),
            used: HashSet::new(),
            not_null: HashSet::new(),
            seen: HashSet::new(),
        };
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        usage.directives(&operation.directives)?;
        usage.set(Some(root), &operation.selection_set.node)?;
        for Positioned { node: definition, pos } in &operation.variable_definitions {
            if !usage.used.contains(&definition.name.node) {
                return Err(invalid(&format!("The variable `${}` is never used.", short(&definition.name.node)), *pos));
            }
        }
        Ok(usage.not_null)
    }

    /// Checks selections of this type; none where the type is not known, which the library tells or which is its own.
    fn set(&mut self, parent: Option<&'a str>, set: &'a SelectionSet) -> Result<(), Refusal> {
        let inputs = self.inputs;
        let fields = parent.and_then(|parent| inputs.fields.get(parent));
        for item in &set.items {
            match &item.node {
                Selection::Field(selection) => {
                    let is_leaf = selection.node.name.node == "__typename";
                    let set = &selection.node.selection_set.node;
                    if is_leaf && !(selection.node.arguments.is_empty() && set.items.is_empty()) {
                        return Err(invalid("`__typename` has no arguments and no fields.", item.pos));
                    }
                    let field = fields.and_then(|fields| fields.get(selection.node.name.node.as_str()));
                    for (name, value) in &selection.node.arguments {
                        let slot = field.and_then(|field| field.slots.get(name.node.as_str()));
                        self.argument(slot, &name.node, value)?;
                    }
                    self.directives(&selection.node.directives)?;
                    self.set(field.map(|field| field.returns.as_str()), &selection.node.selection_set.node)?;
                }
                Selection::InlineFragment(fragment) => {
                    let condition =
                        fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.directives(&fragment.node.directives)?;
                    self.set(condition.or(parent), &fragment.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives)?;
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    if self.seen.insert(name) {
                        self.directives(&fragment.node.directives)?;
                        let condition = fragment.node.type_condition.node.on.node.as_str();
                        self.set(Some(condition), &fragment.node.selection_set.node)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<(), Refusal> {
        let inputs = self.inputs;
        for directive in directives {
            // The library does not look at those of `__typename`.
            if !matches!(directive.node.name.node.as_str(), "include" | "skip") {
                return Err(invalid("There are no directives here but `@include` and `@skip`.", directive.pos));
            }
            for (name, value) in &directive.node.arguments {
                let is_condition = name.node == "if";
                self.argument(is_condition.then_some(&inputs.condition), &name.node, value)?;
            }
        }
        Ok(())
    }

    fn argument(&mut self, slot: Option<&'a Slot>, name: &Name, value: &Positioned<Value>) -> Result<(), Refusal> {
        self.variables(slot, &value.node, value.pos)?;
        let Some(slot) = slot else { return Ok(()) };
        let check = Check { inputs: self.inputs, origin: Origin::Document, pos: value.pos };
        check.value(&slot.ty, &value.node, &At::Start(name))
    }

    /// Checks whether the variables in a value may stand where they do.
    fn variables(&mut self, slot: Option<&Slot>, value: &Value, pos: Pos) -> Result<(), Refusal> {
        match value {
            Value::Variable(name) => {
                let Some((name, definition)) = self.definitions.get_key_value(name) else {
                    return Err(invalid(&format!("The variable `${}` is not declared.", short(name)), pos));
                };
                self.used.insert(Name::clone(name));
                let Some(slot) = slot else { return Ok(()) };
                if !may_stand(definition, slot) {
                    let message = format!(
                        "The variable `${}` of type `{}` cannot be used where `{}` is expected.",
                        short(name),
                        short(&definition.var_type.node.to_string()),
                        slot.ty
                    );
                    return Err(invalid(&message, pos));
                }
                if !slot.ty.nullable {
                    self.not_null.insert(Name::clone(name));
                }
                Ok(())
            }
            Value::List(items) => {
                let item = slot.and_then(|slot| match &slot.ty.base {
                    BaseType::List(ty) => Some(Slot { ty: Type::clone(ty), has_default: false }),
                    BaseType::Named(_) => None,
                });
                items.iter().try_for_each(|value| self.variables(item.as_ref(), value, pos))
            }
            Value::Object(fields) => {
                let inputs = self.inputs;
                let slots = slot.and_then(|slot| match inputs.shapes.get(core_name(&slot.ty).as_str()) {
                    Some(Shape::Object(slots)) => Some(slots),
                    _ => None,
                });
                fields.iter().try_for_each(|(name, value)| {
                    let slot = slots.and_then(|slots| slots.get(name.as_str()));
                    self.variables(slot, value, pos)
                })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a variable may stand at a place (October 2021, section 5.8.5).
fn may_stand(definition: &VariableDefinition, slot: &Slot) -> bool {
    let ty = &definition.var_type.node;
    if slot.ty.nullable || !ty.nullable {
        return is_compatible(ty, &slot.ty);
    }
    let has_value = definition.default_value.as_ref().is_some_and(|default| default.node != ConstValue::Null);
    (has_value || slot.has_default) && is_compatible(ty, &Type { nullable: true, ..slot.ty.clone() })
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
