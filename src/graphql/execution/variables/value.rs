//! Checks of values against their types.

use std::collections::HashMap;
use std::fmt::Display;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{BaseType, Type};
use async_graphql::{Name, Pos, ScalarType as _};
use async_graphql_value::{ConstValue, Number, Value};

use crate::graphql::execution::rejected_document::RejectedDocument;
use crate::graphql::execution::schema_index::{InputType, InputValue, SchemaIndex};
use crate::graphql::scalars::{Date, DateTime};

/// Text by which the library refers to an uploaded file in a variable, followed by the file's number.
pub const FILE_MARK: &str = "#__graphql_file__:";

/// Source of a value: JSON writes enum values as strings, and only variables can be files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Document,
    /// A variable, in a request with this number of files.
    Variable(usize),
}

/// Check of a value against its type. [`usage`](super::usage) checks the variables in it.
pub(super) struct Check<'a> {
    pub(super) index: &'a SchemaIndex,
    pub(super) origin: Origin,
    pub(super) pos: Pos,
}

impl Check<'_> {
    /// Checks the value at this path, such as `$input.name`.
    pub(super) fn value(&self, ty: &Type, value: &Value, at: &dyn Display) -> Result<(), RejectedDocument> {
        let is_literal = self.origin == Origin::Document;
        let fits = match (value, &ty.base) {
            (Value::Variable(_), _) => true,
            (Value::Null, _) => ty.nullable,
            (Value::List(items), BaseType::List(item)) => {
                let mut items = items.iter().enumerate();
                return items.try_for_each(|(index, value)| self.value(item, value, &format_args!("{at}.{index}")));
            }
            // A single value is coerced to a list of one.
            (value, BaseType::List(item)) => return self.value(item, value, at),
            (value, BaseType::Named(name)) => match (self.index.input(name), value) {
                (Some(InputType::Object(definitions)), Value::Object(fields)) => {
                    return self.object(name, definitions, fields, at);
                }
                (Some(InputType::Scalar), value) => self.is_scalar(name, value),
                (Some(InputType::Enum(values)), Value::Enum(value)) => is_literal && values.contains(value.as_str()),
                (Some(InputType::Enum(values)), Value::String(value)) => !is_literal && values.contains(value),
                _ => false,
            },
        };
        if fits { Ok(()) } else { Err(invalid_input(format!("`{at}` must be of type `{ty}`."), self.pos)) }
    }

    fn object(
        &self,
        type_name: &str,
        definitions: &HashMap<String, InputValue>,
        fields: &IndexMap<Name, Value>,
        at: &dyn Display,
    ) -> Result<(), RejectedDocument> {
        for (name, value) in fields {
            let Some(definition) = definitions.get(name.as_str()) else {
                return Err(invalid_input(format!("`{at}` has a field that `{type_name}` does not have."), self.pos));
            };
            self.value(&definition.ty, value, &format_args!("{at}.{name}"))?;
        }
        let is_missing = |(name, field): &(&String, &InputValue)| {
            !field.ty.nullable && !field.has_default && !fields.contains_key(name.as_str())
        };
        match definitions.iter().filter(is_missing).map(|(name, _)| name).min() {
            Some(name) => Err(invalid_input(format!("`{at}.{name}` is required."), self.pos)),
            None => Ok(()),
        }
    }

    fn is_scalar(&self, name: &str, value: &Value) -> bool {
        let constant = || value.clone().into_const().unwrap_or_default();
        match (name, value) {
            // A file is no text.
            ("String" | "ID", Value::String(text)) => {
                !matches!(self.origin, Origin::Variable(1..)) || !text.starts_with(FILE_MARK)
            }
            // A gateway refers to an entity by `_Any`; its resolver checks the contents.
            ("Boolean", Value::Boolean(_)) | ("Float", Value::Number(_)) | ("_Any", _) => true,
            ("Int", Value::Number(number)) => {
                integer(number).is_some() && (self.origin != Origin::Document || number.is_i64())
            }
            ("ID", Value::Number(number)) => number.is_i64(),
            ("DateTime", _) => DateTime::parse(constant()).is_ok(),
            ("Date", _) => Date::parse(constant()).is_ok(),
            ("Upload", Value::String(text)) => match (self.origin, text.strip_prefix(FILE_MARK)) {
                (Origin::Variable(files), Some(number)) => number.parse::<usize>().is_ok_and(|number| number < files),
                _ => false,
            },
            _ => false,
        }
    }
}

/// The integer in a variable. JSON has one type of number, so `1.0` is an integer (GraphQL, September 2025, section
/// 3.5.1).
fn integer(number: &Number) -> Option<i32> {
    let whole = number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= f64::from(u32::MAX))?;
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is small")]
        Some(float as i64)
    });
    whole.and_then(|whole| i32::try_from(whole).ok())
}

/// Removes the fractions of the integers in a checked variable, as the library expects them.
pub(super) fn coerce_integers(index: &SchemaIndex, ty: &Type, value: &mut ConstValue) {
    match (&ty.base, value) {
        (BaseType::List(item), ConstValue::List(items)) => {
            for value in items {
                coerce_integers(index, item, value);
            }
        }
        (BaseType::List(item), value) => coerce_integers(index, item, value),
        (BaseType::Named(name), ConstValue::Number(number)) if name == "Int" => {
            *number = integer(number).map_or_else(|| number.clone(), Number::from);
        }
        (BaseType::Named(name), ConstValue::Object(fields)) => {
            let Some(InputType::Object(definitions)) = index.input(name) else { return };
            for (name, value) in fields {
                definitions.get(name.as_str()).into_iter().for_each(|field| coerce_integers(index, &field.ty, value));
            }
        }
        _ => {}
    }
}

pub(super) fn invalid_input(message: String, pos: Pos) -> RejectedDocument {
    RejectedDocument::new("BAD_USER_INPUT", message).at(pos)
}
