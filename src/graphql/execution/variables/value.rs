//! Checks of values against their types.

use std::collections::{HashMap, HashSet};

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

/// Path to a part of a value.
pub(super) enum ValuePath<'a> {
    Start(&'a str),
    Field(&'a ValuePath<'a>, &'a str),
    Item(&'a ValuePath<'a>, usize),
}

impl std::fmt::Display for ValuePath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}.{index}"),
        }
    }
}

impl Check<'_> {
    pub(super) fn value(&self, ty: &Type, value: &Value, at: &ValuePath<'_>) -> Result<(), RejectedDocument> {
        let wrong = || Err(invalid_input(format!("`{at}` must be of type `{ty}`."), self.pos));
        match (value, &ty.base) {
            (Value::Variable(_), _) => Ok(()),
            (Value::Null, _) if ty.nullable => Ok(()),
            (Value::Null, _) => wrong(),
            (Value::List(items), BaseType::List(item)) => items
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| self.value(item, value, &ValuePath::Item(at, index))),
            // A single value is coerced to a list of one.
            (value, BaseType::List(item)) => self.value(item, value, at),
            (value, BaseType::Named(name)) => match (self.index.input(name), value) {
                (Some(InputType::Scalar), value) if self.is_scalar(name, value) => Ok(()),
                (Some(InputType::Enum(values)), Value::Enum(value)) if self.origin == Origin::Document => {
                    if values.contains(value.as_str()) { Ok(()) } else { wrong() }
                }
                (Some(InputType::Enum(values)), Value::String(value)) if self.origin != Origin::Document => {
                    if values.contains(value) { Ok(()) } else { wrong() }
                }
                (Some(InputType::Object(definitions)), Value::Object(fields)) => {
                    self.object(name, definitions, fields, at)
                }
                _ => wrong(),
            },
        }
    }

    fn object<'v>(
        &self,
        type_name: &str,
        definitions: &HashMap<String, InputValue>,
        fields: impl IntoIterator<Item = (&'v Name, &'v Value)> + Copy,
        at: &ValuePath<'_>,
    ) -> Result<(), RejectedDocument> {
        let mut given = HashSet::new();
        for (name, value) in fields {
            let Some((name, definition)) = definitions.get_key_value(name.as_str()) else {
                return Err(invalid_input(format!("`{at}` has a field that `{type_name}` does not have."), self.pos));
            };
            self.value(&definition.ty, value, &ValuePath::Field(at, name))?;
            given.insert(name);
        }
        let required = definitions.iter().filter(|(_, field)| !field.ty.nullable && !field.has_default);
        let missing = required.map(|(name, _)| name).filter(|name| !given.contains(name));
        match missing.min() {
            Some(name) => Err(invalid_input(format!("`{}` is required.", ValuePath::Field(at, name)), self.pos)),
            None => Ok(()),
        }
    }

    fn is_scalar(&self, name: &str, value: &Value) -> bool {
        let constant = || value.clone().into_const().unwrap_or_default();
        match (name, value) {
            // A file in place of a text.
            ("String" | "ID", Value::String(text))
                if matches!(self.origin, Origin::Variable(1..)) && text.starts_with(FILE_MARK) =>
            {
                false
            }
            // A gateway refers to an entity by `_Any`; its resolver checks the contents.
            ("Boolean", Value::Boolean(_))
            | ("String" | "ID", Value::String(_))
            | ("Float", Value::Number(_))
            | ("_Any", _) => true,
            ("Int", Value::Number(number)) if self.origin == Origin::Document => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            ("Int", Value::Number(number)) => integer(number).is_some(),
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

/// A checked value of a variable in the form that the library reads: integers without a fraction.
pub(super) fn coerced(index: &SchemaIndex, ty: &Type, value: ConstValue) -> ConstValue {
    match (value, &ty.base) {
        (ConstValue::List(items), BaseType::List(item)) => {
            ConstValue::List(items.into_iter().map(|value| coerced(index, item, value)).collect())
        }
        (value, BaseType::List(item)) => coerced(index, item, value),
        (ConstValue::Number(number), BaseType::Named(name)) if name == "Int" => match integer(&number) {
            Some(whole) => ConstValue::Number(whole.into()),
            None => ConstValue::Number(number),
        },
        (ConstValue::Object(fields), BaseType::Named(name)) => match index.input(name) {
            Some(InputType::Object(definitions)) => {
                let field = |(name, value): (Name, ConstValue)| match definitions.get(name.as_str()) {
                    Some(definition) => (name, coerced(index, &definition.ty, value)),
                    None => (name, value),
                };
                ConstValue::Object(fields.into_iter().map(field).collect())
            }
            _ => ConstValue::Object(fields),
        },
        (value, BaseType::Named(_)) => value,
    }
}

pub(super) fn invalid_input(message: String, pos: Pos) -> RejectedDocument {
    RejectedDocument::new("BAD_USER_INPUT", message).at(pos)
}
