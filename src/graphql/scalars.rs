//! Custom scalars of the schema.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::tools::clock::Timestamp;

/// A point in time.
#[derive(Clone)]
pub(crate) struct DateTime(pub(crate) Timestamp);

/// A point in time as in RFC 3339, in UTC with milliseconds: `2026-11-21T09:30:00.000Z`. Input may have any offset if
/// the time is within the years 1 to 9999 in UTC.
#[Scalar(name = "DateTime", specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Timestamp::parse(text)
                .map(Self)
                .ok_or_else(|| InputValueError::custom("not an RFC 3339 time of the years 1 to 9999")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<Timestamp> for DateTime {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

/// Start of a day in UTC.
pub(crate) struct Date(pub(crate) Timestamp);

/// A day as in RFC 3339: `2026-11-21`.
#[Scalar(name = "Date", specified_by_url = "https://scalars.graphql.org/andimarek/local-date")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => {
                let midnight = Timestamp::parse(&format!("{text}T00:00:00Z"));
                midnight.map(Self).ok_or_else(|| InputValueError::custom("not a date such as 2026-11-21"))
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string().chars().take("2026-11-21".len()).collect())
    }
}
