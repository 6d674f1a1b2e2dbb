//! Lists in the address: search, filter, order and page, so that a list can be shared, and the browser's buttons work.

use std::collections::HashMap;

use crate::domain::paging::PageArgs;
use crate::domain::users::list::{Field, List};
use crate::error::Result;
use crate::http::user_selection::{self, NAMES};

/// Default number of users on a page.
const SIZE: u32 = 25;

/// Numbers of users on a page to choose from.
pub(super) const SIZES: [u32; 3] = [SIZE, 50, 100];

/// Names of the orders, which descend after a hyphen.
const ORDERS: [(&str, Field); 6] = [
    ("lastName", Field::LastName),
    ("firstName", Field::FirstName),
    ("username", Field::Username),
    ("email", Field::Email),
    ("dateJoined", Field::DateJoined),
    ("lastActivity", Field::LastActivity),
];

/// A list as the address names it.
#[derive(Clone, Debug, Default)]
pub(super) struct ListQuery {
    /// Search and filter: parameters that are not empty.
    selection: Vec<(&'static str, String)>,
    /// Name of the order; empty for the default.
    pub(super) sort: String,
    /// Number of users on a page.
    pub(super) size: u32,
    /// Number of the page, from 1.
    pub(super) number: u32,
    after: Option<String>,
    before: Option<String>,
    /// True if the list is counted.
    pub(super) is_counted: bool,
}

impl ListQuery {
    /// The list of these parameters. Unknown orders and numbers count as missing.
    pub(super) fn of(query: &HashMap<String, String>) -> Self {
        let given = |name: &str| query.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        let number = |name: &str| given(name).and_then(|text| text.parse::<u32>().ok());
        let selection = NAMES.into_iter().filter_map(|name| Some((name, given(name)?.to_owned()))).collect();
        let is_known = |sort: &&str| ORDERS.iter().any(|(name, _)| *name == sort.trim_start_matches('-'));
        Self {
            selection,
            sort: given("sort").filter(is_known).unwrap_or_default().to_owned(),
            size: number("size").filter(|size| SIZES.contains(size)).unwrap_or(SIZE),
            number: number("page").unwrap_or(1).max(1),
            after: given("after").map(str::to_owned),
            before: given("before").map(str::to_owned),
            is_counted: given("total").is_some(),
        }
    }

    /// The list in the terms of the domain.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] for a value that its parameter does not have.
    pub(super) fn list(&self) -> Result<List> {
        let selection = user_selection::read(|name| self.value(name))?;
        let order = ORDERS.iter().find(|(name, _)| *name == self.sort.trim_start_matches('-'));
        let size = i32::try_from(self.size).ok();
        let skipped = u64::from(self.number - 1) * u64::from(self.size);
        let page = match (&self.after, &self.before) {
            (Some(after), _) => PageArgs { first: size, after: Some(after.clone()), ..PageArgs::default() },
            (None, Some(before)) => PageArgs { last: size, before: Some(before.clone()), ..PageArgs::default() },
            (None, None) => PageArgs {
                first: size,
                offset: Some(i32::try_from(skipped).unwrap_or(i32::MAX)),
                ..PageArgs::default()
            },
        };
        Ok(List {
            search: selection.search,
            filter: selection.filter,
            order: order.map(|(_, field)| (*field, self.sort.starts_with('-'))).into_iter().collect(),
            page,
        })
    }

    /// Value of a parameter of search and filter; empty if missing.
    pub(super) fn value(&self, name: &str) -> &str {
        self.selection.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// Number of filters besides the search.
    pub(super) fn filters(&self) -> usize {
        self.selection.iter().filter(|(name, _)| *name != "search").count()
    }

    /// True if the list has all users.
    pub(super) fn is_whole(&self) -> bool {
        self.selection.is_empty()
    }

    /// Search and filter as a query string, also for exports.
    pub(super) fn selection(&self) -> String {
        self.query(&[])
    }

    /// Address of the first page in another order, which descends if the present one is its opposite.
    pub(super) fn sorted_by(&self, name: &str, descends_first: bool) -> String {
        let (up, down) = (name.to_owned(), format!("-{name}"));
        let descends = match self.order_of(name) {
            Some(descends) => !descends,
            None => descends_first,
        };
        self.address(&[("sort", if descends { &down } else { &up })])
    }

    /// The direction of the present order if it is this one: true if it descends.
    pub(super) fn order_of(&self, name: &str) -> Option<bool> {
        match self.sort.as_str() {
            "" => (name == "dateJoined").then_some(true),
            sort => (sort.trim_start_matches('-') == name).then(|| sort.starts_with('-')),
        }
    }

    /// Address of the page after this cursor.
    pub(super) fn after(&self, cursor: &str) -> String {
        let number = self.number.saturating_add(1).to_string();
        self.address(&[("sort", &self.sort), ("after", cursor), ("page", &number), ("total", self.total())])
    }

    /// Address of the page before this cursor.
    pub(super) fn before(&self, cursor: &str) -> String {
        let number = self.number.saturating_sub(1).max(1).to_string();
        let cursor = if number == "1" { ("page", "1") } else { ("before", cursor) };
        self.address(&[("sort", &self.sort), cursor, ("page", &number), ("total", self.total())])
    }

    /// Address of this list with its total.
    pub(super) fn counted(&self) -> String {
        let number = self.number.to_string();
        let cursor = |cursor: &Option<String>| cursor.clone().unwrap_or_default();
        let (after, before) = (cursor(&self.after), cursor(&self.before));
        self.address(&[("sort", &self.sort), ("after", &after), ("before", &before), ("page", &number), ("total", "1")])
    }

    /// Parameters to keep when the page is chosen by its number.
    pub(super) fn kept(&self) -> Vec<(&'static str, String)> {
        let size = self.size.to_string();
        let more = [("sort", self.sort.clone()), ("size", size), ("total", self.total().to_owned())];
        self.selection.iter().cloned().chain(more).filter(|(_, value)| !value.is_empty()).collect()
    }

    fn total(&self) -> &'static str {
        if self.is_counted { "1" } else { "" }
    }

    fn address(&self, more: &[(&str, &str)]) -> String {
        let size = self.size.to_string();
        let size = [("size", size.as_str())].into_iter().filter(|_| self.size != SIZE);
        let query = self.query(&more.iter().copied().chain(size).collect::<Vec<_>>());
        if query.is_empty() { "/console/users".to_owned() } else { format!("/console/users?{query}") }
    }

    fn query(&self, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.selection.iter().map(|(name, value)| (*name, value.as_str())));
        query.extend_pairs(more.iter().filter(|(name, value)| !value.is_empty() && (*name, *value) != ("page", "1")));
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> ListQuery {
        ListQuery::of(&url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    #[test]
    fn every_link_keeps_search_and_filter() {
        let list = of("search=M%C3%BCller+%26&isActive=false&size=50&role=&page=3&after=abc");
        let kept = "search=M%C3%BCller+%26&isActive=false";
        assert_eq!(list.selection(), kept);
        assert_eq!(list.after("x"), format!("/console/users?{kept}&after=x&page=4&size=50"));
        assert_eq!(list.before("x"), format!("/console/users?{kept}&before=x&page=2&size=50"));
        assert_eq!(list.sorted_by("email", false), format!("/console/users?{kept}&sort=email&size=50"));
        assert_eq!(list.counted(), format!("/console/users?{kept}&after=abc&page=3&total=1&size=50"));
    }

    #[test]
    fn a_second_click_on_a_heading_turns_the_order_round() {
        assert_eq!(of("").sorted_by("dateJoined", true), "/console/users?sort=dateJoined");
        assert_eq!(of("sort=email").sorted_by("email", false), "/console/users?sort=-email");
        assert_eq!(of("sort=-email").sorted_by("email", false), "/console/users?sort=email");
        assert_eq!(of("sort=king&size=7&page=0").sort, "");
    }

    #[test]
    fn a_number_leads_to_its_page_and_no_number_is_too_large() {
        let page = of("page=3").list().unwrap().page;
        assert_eq!((page.first, page.offset), (Some(25), Some(50)));
        assert_eq!(of("page=4294967295").list().unwrap().page.offset, Some(i32::MAX));
    }
}
