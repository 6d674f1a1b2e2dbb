//! Lists with filters and cursors in the address, so that a list can be shared, and the browser's buttons work.

use crate::domain::paging::PageArgs;

/// Number of rows on a page.
const SIZE: i32 = 50;

/// A list as the address names it.
#[derive(Clone, Debug)]
pub(super) struct Pager {
    path: &'static str,
    /// Filters that are not empty.
    filters: Vec<(&'static str, String)>,
    after: String,
    before: String,
}

impl Pager {
    /// The list at this path with the filters of these names; `value` returns the value of a parameter.
    pub(super) fn of<'a>(path: &'static str, names: &[&'static str], value: impl Fn(&str) -> &'a str) -> Self {
        let given = |name: &&'static str| {
            let text = value(name).trim().replace('\0', "");
            (!text.is_empty()).then_some((*name, text))
        };
        let filters = names.iter().filter_map(given).collect();
        Self { path, filters, after: value("after").to_owned(), before: value("before").to_owned() }
    }

    /// The page in the terms of the domain.
    pub(super) fn page(&self) -> PageArgs {
        let cursor = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        match (cursor(&self.after), cursor(&self.before)) {
            (None, Some(before)) => PageArgs { last: Some(SIZE), before: Some(before), ..PageArgs::default() },
            (after, _) => PageArgs { first: Some(SIZE), after, ..PageArgs::default() },
        }
    }

    /// Value of a filter; `None` without one.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.filters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// The filters with their values.
    pub(super) fn filters(&self) -> &[(&'static str, String)] {
        &self.filters
    }

    /// Address of the first page, with another parameter unless its value is empty.
    pub(super) fn address(&self, name: &str, value: &str) -> String {
        format!("{}{}", self.path, self.query(name, value))
    }

    /// The filters and another parameter as a query string that begins with `?`; empty without any.
    pub(super) fn query(&self, name: &str, value: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.filters.iter().map(|(name, value)| (*name, value.as_str())));
        query.extend_pairs([(name, value)].iter().filter(|(_, value)| !value.is_empty()));
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &[(&str, &'static str)]) -> Pager {
        Pager::of("/console/mails", &["recipient", "status"], |name| {
            query.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
        })
    }

    #[test]
    fn every_link_keeps_the_filters_and_nothing_else() {
        let list = of(&[("recipient", " ö & b "), ("status", ""), ("other", "x"), ("after", "abc")]);
        assert_eq!(list.address("before", "c="), "/console/mails?recipient=%C3%B6+%26+b&before=c%3D");
        assert_eq!(of(&[]).address("after", ""), "/console/mails");
    }

    #[test]
    fn a_cursor_leads_to_one_side() {
        assert_eq!(of(&[]).page(), PageArgs { first: Some(SIZE), ..PageArgs::default() });
        let before = of(&[("before", "b")]).page();
        assert_eq!((before.last, before.before.as_deref()), (Some(SIZE), Some("b")));
        let both = of(&[("before", "b"), ("after", "a")]).page();
        assert_eq!((both.first, both.after.as_deref(), both.before), (Some(SIZE), Some("a"), None));
    }
}
