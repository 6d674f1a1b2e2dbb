//! Filter of audit events in query strings: those of the console's list and of the export. Days are those of UTC.

use std::time::Duration;

use sea_orm::ActiveEnum as _;

use crate::database::Db;
use crate::domain::audit::list::Filter;
use crate::domain::auth::identity::Staff;
use crate::domain::users::lookup;
use crate::entity::audit_event::Action;
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::clock::Timestamp;

/// The parameters.
pub(super) const NAMES: [&str; 5] = ["person", "action", "from", "to", "ip"];

/// One day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The filter in a query string.
///
/// # Errors
/// As for [`read`].
pub(super) async fn of_query(db: &Db, staff: Staff<'_>, query: Option<&str>) -> Result<Filter> {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    read(db, staff, |name| pairs.iter().rev().find(|(key, _)| key == name).map_or("", |(_, value)| value)).await
}

/// The filter in these parameters. An empty one is as good as none, as forms send it.
///
/// # Errors
/// [`Error::BadInput`] for a value that its parameter does not have, and for a person whom the staff do not see.
pub(super) async fn read<'a>(db: &Db, staff: Staff<'_>, value: impl Fn(&str) -> &'a str) -> Result<Filter> {
    let given = |name: &str| Some(value(name).trim()).filter(|text| !text.is_empty());
    let day = |name: &'static str| {
        let day = |text| Timestamp::parse(&format!("{text}T00:00:00Z")).ok_or_else(|| invalid(name));
        given(name).map(day).transpose()
    };
    let action = given("action").map(|text| Action::try_from_value(&text.to_owned()).map_err(|_| invalid("action")));
    let user = match given("person") {
        None => None,
        Some(typed) => {
            let found = lookup::find(db, staff, &typed.replace('\0', "")).await?;
            Some(found.ok_or_else(|| Error::BadInput(Text::new("console-audit-nobody")))?.id.to_string())
        }
    };
    Ok(Filter {
        user,
        action: action.transpose()?,
        after: day("from")?.map(|day| day.minus(Duration::from_millis(1))),
        before: day("to")?.map(|day| day.plus(DAY)),
        ip: given("ip").map(|text| text.replace('\0', "")),
    })
}

fn invalid(name: &str) -> Error {
    Error::BadInput(Text::new("selection-invalid").with("name", name))
}
