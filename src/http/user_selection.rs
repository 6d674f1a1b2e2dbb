//! Search and filter of users in query strings: those of the console's list and of exports. The names are those of the
//! schema's `UserFilter`, except that the first and last day of joining are days in UTC.

use std::time::Duration;

use sea_orm::ActiveEnum as _;

use crate::domain::users::list::{Filter, Selection};
use crate::entity::user::Role;
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::clock::Timestamp;

/// The parameters.
pub(super) const NAMES: [&str; 10] = [
    "search",
    "isActive",
    "isVerified",
    "isStaff",
    "hasSecondFactor",
    "isOnline",
    "role",
    "joinedFrom",
    "joinedTo",
    "externalId",
];

/// One day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The selection in a query string.
///
/// # Errors
/// [`Error::BadInput`] for a value that its parameter does not have.
pub(super) fn of_query(query: Option<&str>) -> Result<Selection> {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    read(|name| pairs.iter().rev().find(|(key, _)| key == name).map_or("", |(_, value)| value))
}

/// The selection in these parameters. An empty one is as good as none, as forms send it.
///
/// # Errors
/// As for [`of_query`].
pub(super) fn read<'a>(value: impl Fn(&str) -> &'a str) -> Result<Selection> {
    let given = |name: &str| Some(value(name)).filter(|text| !text.is_empty());
    let flag = |name: &'static str| {
        let flag = |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(invalid(name)),
        };
        given(name).map(flag).transpose()
    };
    let day = |name: &'static str| {
        let day = |text| Timestamp::parse(&format!("{text}T00:00:00Z")).ok_or_else(|| invalid(name));
        given(name).map(day).transpose()
    };
    let role = given("role").map(|text| Role::try_from_value(&text.to_owned()).map_err(|_| invalid("role")));
    let text = |name| given(name).map(|text| text.replace('\0', ""));
    let filter = Filter {
        external_id: text("externalId"),
        is_active: flag("isActive")?,
        is_staff: flag("isStaff")?,
        is_staff_member: None,
        is_verified: flag("isVerified")?,
        has_second_factor: flag("hasSecondFactor")?,
        is_online: flag("isOnline")?,
        role: role.transpose()?,
        joined_on: None,
        joined_after: day("joinedFrom")?.map(|day| day.minus(Duration::from_millis(1))),
        joined_before: day("joinedTo")?.map(|day| day.plus(DAY)),
    };
    Ok(Selection { search: text("search"), filter })
}

fn invalid(name: &str) -> Error {
    Error::BadInput(Text::new("selection-invalid").with("name", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_empty_values_match_everybody() {
        let filter = of_query(Some("joinedFrom=2026-01-05&joinedTo=2026-01-05&role=&isActive=")).unwrap().filter;
        let at = |text| Timestamp::parse(text).unwrap();
        assert_eq!(filter.joined_after, Some(at("2026-01-04T23:59:59.999Z")));
        assert_eq!(filter.joined_before, Some(at("2026-01-06T00:00:00Z")));
        assert_eq!((filter.role, filter.is_active), (None, None));
    }

    #[test]
    fn a_value_that_does_not_exist_is_refused_by_the_name_of_its_parameter() {
        for (query, name) in [("role=KING", "role"), ("isStaff=yes", "isStaff"), ("joinedTo=tomorrow", "joinedTo")] {
            let Err(Error::BadInput(text)) = of_query(Some(query)) else { panic!("{query} is accepted") };
            assert!(text.english().contains(name), "{}", text.english());
        }
        let selection = of_query(Some("search=Gr%C3%B6%C3%9Fmann+A&isOnline=true")).unwrap();
        assert_eq!((selection.search.as_deref(), selection.filter.is_online), (Some("Größmann A"), Some(true)));
    }
}
