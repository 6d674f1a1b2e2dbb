//! Whether a value is of the type that its place takes.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{BaseType, Type};
use async_graphql::{Name, Pos, ScalarType as _};
use async_graphql_value::{ConstValue, Number, Value};

use super::{FILE_MARK, Inputs, Shape, Slot, input};
use crate::graphql::execution::limits::Refusal;
use crate::graphql::scalars::{Date, DateTime};

/// Where a value comes from: enumerations look otherwise in JSON, and files come only by variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Document,
    /// A variable's value, in a request with so many files.
    Variable(usize),
}

/// Whether a value is of its type. Where variables stand in it, they are looked at elsewhere.
pub(super) struct Check<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) origin: Origin,
    pub(super) pos: Pos,
}

/// Where in a value something is.
pub(super) enum At<'a> {
    Start(&'a str),
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}.{index}"),
        }
    }
}

impl Check<'_> {
    pub(super) fn value(&self, ty: &Type, value: &Value, at: &At<'_>) -> Result<(), Refusal> {
        let wrong = || Err(input(format!("`{at}` must be of type `{ty}`."), self.pos));
        match (value, &ty.base) {
            (Value::Variable(_), _) => Ok(()),
            (Value::Null, _) if ty.nullable => Ok(()),
            (Value::Null, _) => wrong(),
            (Value::List(items), BaseType::List(item)) => {
                items.iter().enumerate().try_for_each(|(index, value)| self.value(item, value, &At::Item(at, index)))
            }
            // A single value stands for a list of one.
            (value, BaseType::List(item)) => self.value(item, value, at),
            (value, BaseType::Named(name)) => match (self.inputs.shapes.get(name.as_str()), value) {
                (Some(Shape::Scalar), value) if self.is_scalar(name, value) => Ok(()),
                (Some(Shape::Enum(values)), Value::Enum(value)) if self.origin == Origin::Document => {
                    if values.contains(value.as_str()) { Ok(()) } else { wrong() }
                }
                (Some(Shape::Enum(values)), Value::String(value)) if self.origin != Origin::Document => {
                    if values.contains(value) { Ok(()) } else { wrong() }
                }
                (Some(Shape::Object(slots)), Value::Object(fields)) => self.object(name, slots, fields, at),
                _ => wrong(),
            },
        }
    }

    fn object<'v>(
        &self,
        type_name: &str,
        slots: &HashMap<String, Slot>,
        fields: impl IntoIterator<Item = (&'v Name, &'v Value)> + Copy,
        at: &At<'_>,
    ) -> Result<(), Refusal> {
        let mut given = HashSet::new();
        for (name, value) in fields {
            let Some((name, slot)) = slots.get_key_value(name.as_str()) else {
                return Err(input(format!("`{at}` has a field that `{type_name}` does not have."), self.pos));
            };
            self.value(&slot.ty, value, &At::Field(at, name))?;
            given.insert(name);
        }
        let mut missing: Vec<_> = slots.iter().filter(|(_, slot)| !slot.ty.nullable && !slot.has_default).collect();
        missing.retain(|(name, _)| !given.contains(name));
        match missing.iter().map(|(name, _)| name.as_str()).min() {
            Some(name) => Err(input(format!("`{}` is required.", At::Field(at, name)), self.pos)),
            None => Ok(()),
        }
    }

    fn is_scalar(&self, name: &str, value: &Value) -> bool {
        let constant = || value.clone().into_const().unwrap_or_default();
        match (name, value) {
            // A file that was sent for what takes none.
            ("String" | "ID", Value::String(text))
                if matches!(self.origin, Origin::Variable(1..)) && text.starts_with(FILE_MARK) =>
            {
                false
            }
            // `_Any` is what a gateway refers to an entity by; the resolver looks at what is in it.
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

/// The integer that a variable's number is. JSON has one kind of number, so that `1.0` is one, too (GraphQL, September 2025,
/// section 3.5.1).
fn integer(number: &Number) -> Option<i32> {
    let whole = number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= f64::from(u32::MAX))?;
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is small")]
        Some(float as i64)
    });
    whole.and_then(|whole| i32::try_from(whole).ok())
}

/// A checked value of a variable as the library reads it: integers without a fraction.
pub(super) fn coerced(inputs: &Inputs, ty: &Type, value: ConstValue) -> ConstValue {
    match (value, &ty.base) {
        (ConstValue::List(items), BaseType::List(item)) => {
            ConstValue::List(items.into_iter().map(|value| coerced(inputs, item, value)).collect())
        }
        (value, BaseType::List(item)) => coerced(inputs, item, value),
        (ConstValue::Number(number), BaseType::Named(name)) if name == "Int" => match integer(&number) {
            Some(whole) => ConstValue::Number(whole.into()),
            None => ConstValue::Number(number),
        },
        (ConstValue::Object(fields), BaseType::Named(name)) => match inputs.shapes.get(name.as_str()) {
            Some(Shape::Object(slots)) => {
                let field = |(name, value): (Name, ConstValue)| match slots.get(name.as_str()) {
                    Some(slot) => (name, coerced(inputs, &slot.ty, value)),
                    None => (name, value),
                };
                ConstValue::Object(fields.into_iter().map(field).collect())
            }
            _ => ConstValue::Object(fields),
        },
        (value, BaseType::Named(_)) => value,
    }
}
