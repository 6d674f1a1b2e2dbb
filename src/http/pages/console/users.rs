//! The list of users.

use askama::Template;
use axum::response::Response;

use super::super::frame::Frame;
use super::list_query::{ListQuery, SIZES};
use super::shell::{Page, Screen, Shell};
use super::time::Time;
use super::{StaffVisit, words};
use crate::domain::presence::ONLINE;
use crate::domain::users::list;
use crate::entity::user;
use crate::error::Result;
use crate::texts::Text;
use crate::tools::clock::Now;

/// Columns that the list can be sorted by: name of the order, label, and true if it descends at first.
const COLUMNS: [(&str, Text, bool); 5] = [
    ("lastName", Text::new("console-column-name"), false),
    ("username", Text::new("console-label-username"), false),
    ("email", Text::new("console-label-email"), false),
    ("dateJoined", Text::new("console-column-joined"), true),
    ("lastActivity", Text::new("console-column-active"), true),
];

/// `GET /console/users`
pub(super) async fn list(staff: StaffVisit) -> Response {
    match load(&staff).await {
        Ok(page) => staff.show(&page),
        Err(error) => staff.refuse(Screen::Users, error),
    }
}

/// `GET` of a form whose page is the list.
pub(super) async fn list_instead(staff: StaffVisit) -> Response {
    staff.visit.redirect("/console/users")
}

async fn load(staff: &StaffVisit) -> Result<UsersPage<'_>> {
    let (app, now) = (&staff.visit.app, &staff.visit.now);
    let query = ListQuery::of(&staff.visit.query);
    let list = query.list()?;
    let page = list::page(&app.db, now, *staff.staff()?, &list).await?;
    let total = match query.is_counted {
        true => Some(list::count(&app.db, now, *staff.staff()?, &list).await?),
        false => None,
    };
    let edge = |cursor: Option<&(user::Model, String)>| cursor.map(|(_, cursor)| cursor.clone()).unwrap_or_default();
    let previous = page.has_previous.then(|| query.before(&edge(page.rows.first())));
    let next = page.has_next.then(|| query.after(&edge(page.rows.last())));
    let notice = match staff.visit.parameter("done") {
        "deleted" => Some(Text::new("console-done-deleted")),
        "anonymized" => Some(Text::new("console-done-anonymized")),
        _ => None,
    };
    Ok(UsersPage {
        frame: staff.frame(),
        shell: Shell::new(Screen::Users, Text::new("console-users-title").english()).noticing(notice),
        rows: page.rows.into_iter().map(|(user, _)| Row::of(now, user)).collect(),
        query,
        total,
        previous,
        next,
    })
}

#[derive(Template)]
#[template(path = "console/users.html", config = "src/http/pages/askama.toml")]
struct UsersPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    query: ListQuery,
    rows: Vec<Row>,
    total: Option<u64>,
    previous: Option<String>,
    next: Option<String>,
}

impl Page for UsersPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

/// A filter with its options: value, label, and true for the chosen one.
struct Filter {
    name: &'static str,
    label: Text,
    options: Vec<(&'static str, Text, bool)>,
}

/// The heading of a column: label, address of the list sorted by it, and the direction if it is sorted by it now.
struct Heading {
    label: String,
    address: String,
    sorted: Option<&'static str>,
}

impl UsersPage<'_> {
    fn heading(&self, index: usize) -> Heading {
        let (name, label, descends_first) = &COLUMNS[index];
        let sorted = self.query.order_of(name).map(|descends| if descends { "descending" } else { "ascending" });
        let address = format!("{}{}", self.frame.base(), self.query.sorted_by(name, *descends_first));
        Heading { label: label.english(), address, sorted }
    }

    fn filters(&self) -> Vec<Filter> {
        let flag = |name, label, yes, no| (name, label, vec![("true", Text::new(yes)), ("false", Text::new(no))]);
        let filters = [
            flag("isActive", Text::new("console-filter-active"), "console-active", "console-inactive"),
            flag("isVerified", Text::new("console-filter-verified"), "console-verified", "console-unverified"),
            ("role", Text::new("console-label-role"), words::roles()),
            flag("isStaff", Text::new("console-filter-staff"), "console-yes", "console-no"),
            flag("hasSecondFactor", Text::new("console-filter-factor"), "console-yes", "console-no"),
            flag("isOnline", Text::new("console-filter-online"), "console-online", "console-offline"),
        ];
        let filter = |(name, label, options): (&'static str, Text, Vec<(&'static str, Text)>)| {
            let chosen = self.query.value(name);
            let options = options.into_iter().map(|(value, label)| (value, label, value == chosen)).collect();
            Filter { name, label, options }
        };
        filters.map(filter).into()
    }

    /// Heading of the filters, with their number.
    fn filters_summary(&self) -> String {
        match self.query.filters() {
            0 => Text::new("console-filters").english(),
            count => Text::new("console-filters-some").with("count", count).english(),
        }
    }

    /// Number of users on this page or, if it is known, in the list.
    fn summary(&self) -> String {
        match self.total {
            Some(total) => Text::new("console-total").with("count", total).english(),
            None => Text::new("console-on-page").with("count", self.rows.len()).english(),
        }
    }

    /// Number of this page and, if it is known, of all.
    fn page_number(&self) -> String {
        let number = u64::from(self.query.number);
        match self.total.map(|total| total.div_ceil(u64::from(self.query.size)).max(number)) {
            Some(pages) => Text::new("console-page-of").with("page", number).with("pages", pages).english(),
            None => Text::new("console-page").with("page", number).english(),
        }
    }

    fn sizes(&self) -> impl Iterator<Item = (u32, bool)> {
        SIZES.into_iter().map(|size| (size, size == self.query.size))
    }

    fn export(&self, file: &str) -> String {
        let (base, selection) = (self.frame.base(), self.query.selection());
        let mark = if file.ends_with("csv") { "bom=true" } else { "" };
        let parts: Vec<&str> = [selection.as_str(), mark].into_iter().filter(|part| !part.is_empty()).collect();
        let mark = if parts.is_empty() { "" } else { "?" };
        format!("{base}/export/{file}{mark}{}", parts.join("&"))
    }
}

/// A user in the list.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) username: String,
    pub(super) email: String,
    role: String,
    pub(super) badges: Vec<Badge>,
    joined: Time,
    seen: Option<Time>,
}

/// A state of a user: its kind for the stylesheet, and its label.
pub(super) struct Badge {
    pub(super) kind: &'static str,
    pub(super) label: String,
}

impl Row {
    /// The row of a user.
    pub(super) fn of(now: &Now, user: user::Model) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name(),
            role: words::role(user.role).english(),
            badges: badges(now, &user),
            joined: Time::day(user.date_joined),
            seen: user.last_activity.map(Time::minute),
            username: user.username,
            email: user.email,
        }
    }

    /// The first letter of the name, as a picture of the user.
    fn initial(&self) -> String {
        initial(&self.name)
    }
}

/// The first letter of a name.
pub(super) fn initial(name: &str) -> String {
    let letter = name.chars().find(|c| c.is_alphanumeric()).unwrap_or('?');
    letter.to_uppercase().collect()
}

/// The states of a user that are not usual.
pub(super) fn badges(now: &Now, user: &user::Model) -> Vec<Badge> {
    let is_online = user.last_activity.is_some_and(|at| at > now.at.minus(ONLINE));
    let badges = [
        (!user.is_active).then_some(("bad", Text::new("console-inactive"))),
        (!user.is_verified).then_some(("warn", Text::new("console-unverified"))),
        user.is_superuser.then_some(("key", Text::new("console-label-superuser"))),
        (user.is_staff && !user.is_superuser).then_some(("key", Text::new("console-label-staff"))),
        user.has_second_factor.then_some(("plain", Text::new("console-two-factors"))),
        is_online.then_some(("good", Text::new("console-online"))),
    ];
    badges.into_iter().flatten().map(|(kind, label)| Badge { kind, label: label.english() }).collect()
}
