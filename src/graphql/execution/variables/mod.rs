//! The values that a document and its variables give to arguments, checked before anything is executed.
//!
//! The library looks at variables where they are used, and only there: one that is missing fails a field instead of the
//! request, a default is forgotten in `@include`, and an unknown type makes it panic. Here variables get their values as
//! the specification says (October 2021, sections 5.6, 5.8 and 6.1.2), and the library is left nothing to doubt.

// Where variables stand in a document.
mod usage;
// Whether a value is of its type.
mod value;

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, InputValueDefinition, OperationDefinition, Type, TypeKind,
    TypeSystemDefinition, VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned, Request, Variables};
use async_graphql_value::ConstValue;

use self::usage::Usage;
use self::value::{At, Check, Origin, coerced};
use crate::graphql::execution::limits::Refusal;
use crate::graphql::execution::omitted_variables;

/// What the library writes for a file in place of a variable, before the file's number.
pub const FILE_MARK: &str = "#__graphql_file__:";

/// The longest name that a message repeats.
const MAX_NAME: usize = 60;

/// Which values a schema's arguments take.
#[derive(Debug)]
pub struct Inputs {
    shapes: HashMap<String, Shape>,
    fields: HashMap<String, HashMap<String, Field>>,
    condition: Slot,
}

/// What a value of an input type looks like.
#[derive(Debug)]
enum Shape {
    Scalar,
    Enum(HashSet<String>),
    Object(HashMap<String, Slot>),
}

/// A field of an object: what it takes, and the name of the type that it returns.
#[derive(Debug)]
struct Field {
    slots: HashMap<String, Slot>,
    returns: String,
}

/// An argument, or a field of an input object.
#[derive(Debug)]
struct Slot {
    ty: Type,
    has_default: bool,
}

impl Inputs {
    /// Reads them off the schema's document.
    pub fn of(sdl: &str) -> Self {
        let document = async_graphql::parser::parse_schema(sdl).expect("the schema that we print is valid");
        let scalars = ["Boolean", "Float", "ID", "Int", "String"];
        let mut shapes: HashMap<_, _> = scalars.into_iter().map(|name| (name.to_owned(), Shape::Scalar)).collect();
        let mut fields = HashMap::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match definition.node.kind {
                TypeKind::Scalar => {
                    shapes.insert(name, Shape::Scalar);
                }
                TypeKind::Enum(the_enum) => {
                    let values = the_enum.values.into_iter().map(|value| value.node.value.node.to_string());
                    shapes.insert(name, Shape::Enum(values.collect()));
                }
                TypeKind::InputObject(object) => {
                    shapes.insert(name, Shape::Object(slots(object.fields)));
                }
                TypeKind::Object(object) => {
                    let of_type = object.fields.into_iter().map(|field| {
                        let field = field.node;
                        let returns = core_name(&field.ty.node).to_string();
                        (field.name.node.to_string(), Field { slots: slots(field.arguments), returns })
                    });
                    fields.insert(name, of_type.collect());
                }
                TypeKind::Interface(_) | TypeKind::Union(_) => {}
            }
        }
        let condition =
            Slot { ty: Type { base: BaseType::Named(Name::new("Boolean")), nullable: false }, has_default: false };
        Self { shapes, fields, condition }
    }

    /// Checks the values in an admitted request, and gives its variables the values that they have in the end.
    ///
    /// # Errors
    /// GRAPHQL_VALIDATION_FAILED for variables that are used or declared wrongly, BAD_USER_INPUT for values that do not
    /// fit.
    pub fn admit(&self, request: &mut Request) -> Result<(), Refusal> {
        let sent = std::mem::take(&mut request.variables);
        let origin = Origin::Variable(request.uploads.len());
        let name = request.operation_name.clone();
        let Ok(document) = request.parsed_query() else { return Ok(()) };
        let mut not_null = HashSet::new();
        let Some(selected) = selected(document, name.as_deref()) else { return Ok(()) };
        for (_, operation) in document.operations.iter() {
            let usages = Usage::of(self, document, &operation.node)?;
            if std::ptr::eq(operation, selected) {
                not_null = usages;
            }
        }
        let definitions = &selected.node.variable_definitions;
        let mut values = Variables::default();
        let mut left_out = HashSet::new();
        for Positioned { node: definition, pos } in definitions {
            let name = &definition.name.node;
            match self.value(definition, *pos, sent.get(name), origin)? {
                Some(ConstValue::Null) if not_null.contains(name) => {
                    return Err(input(format!("The variable `${}` must not be null.", short(name)), *pos));
                }
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => {
                    left_out.insert(name.clone());
                }
            }
        }
        if document.operations.iter().any(|(_, operation)| !operation.node.variable_definitions.is_empty()) {
            let mut document = document.clone();
            settle(&mut document, name.as_deref(), &values);
            omitted_variables::take_out(&mut document, name.as_deref(), &left_out);
            request.set_parsed_query(document);
        }
        request.variables = values;
        Ok(())
    }

    /// The value that a variable has in the end; none where it is optional and was left out.
    fn value(
        &self,
        definition: &VariableDefinition,
        pos: Pos,
        sent: Option<&ConstValue>,
        origin: Origin,
    ) -> Result<Option<ConstValue>, Refusal> {
        let (name, ty) = (&definition.name.node, &definition.var_type.node);
        match (sent, &definition.default_value) {
            (Some(value), _) => {
                let check = Check { inputs: self, origin, pos };
                check.value(ty, &value.clone().into_value(), &At::Start(&format!("${}", short(name))))?;
                Ok(Some(coerced(self, ty, value.clone())))
            }
            (None, Some(default)) => Ok(Some(default.node.clone())),
            (None, None) if ty.nullable => Ok(None),
            (None, None) => Err(input(format!("The variable `${}` is required.", short(name)), pos)),
        }
    }
}

/// Declares the variables so that the library finds nothing to say: each has its value, which is what its place takes.
fn settle(document: &mut ExecutableDocument, selected: Option<&str>, values: &Variables) {
    for (is_selected, operation) in operations_mut(document, selected) {
        for definition in &mut operation.variable_definitions {
            let definition = &mut definition.node;
            let has_value = values.get(&definition.name.node).is_some_and(|value| *value != ConstValue::Null);
            definition.default_value = None;
            definition.var_type.node.nullable = is_selected && !has_value;
        }
    }
}

/// The operations of a document, each with whether it is the one that is executed.
pub(in crate::graphql) fn operations_mut<'a>(
    document: &'a mut ExecutableDocument,
    selected: Option<&'a str>,
) -> Vec<(bool, &'a mut OperationDefinition)> {
    match &mut document.operations {
        DocumentOperations::Single(operation) => vec![(true, &mut operation.node)],
        DocumentOperations::Multiple(all) => {
            let is_only = all.len() == 1;
            let one = all
                .iter_mut()
                .map(|(name, operation)| (is_only || selected == Some(name.as_str()), &mut operation.node));
            one.collect()
        }
    }
}

fn selected<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a Positioned<OperationDefinition>> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name),
        (DocumentOperations::Multiple(all), None) => all.values().next(),
    }
}

fn slots(definitions: Vec<Positioned<InputValueDefinition>>) -> HashMap<String, Slot> {
    let slot = |definition: InputValueDefinition| {
        let has_default = definition.default_value.is_some();
        (definition.name.node.to_string(), Slot { ty: definition.ty.node, has_default })
    };
    definitions.into_iter().map(|definition| slot(definition.node)).collect()
}

/// The name of the type that lists of any depth hold.
fn core_name(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => core_name(item),
    }
}

/// As much of a name as a message may repeat.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

fn invalid(message: &str, pos: Pos) -> Refusal {
    Refusal { code: "GRAPHQL_VALIDATION_FAILED", message: message.to_owned(), location: Some((pos.line, pos.column)) }
}

fn input(message: String, pos: Pos) -> Refusal {
    Refusal { code: "BAD_USER_INPUT", message, location: Some((pos.line, pos.column)) }
}

#[cfg(test)]
mod tests;
