//! Conversion of a sheet's rows to entries, with checks of each cell.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use sea_orm::ActiveEnum as _;

use super::COLUMNS;
use super::columns::Target;
use super::mapping::{Mapping, MatchBy, folded};
use super::problems::{Errors, Fault as CellFault};
use crate::domain::users::details::{MAX_ADDRESS, MAX_BIO, MAX_NAME, MAX_PHONE};
use crate::entity::user::{Permission, Role};
use crate::error::{Code, Refusal, Result};
use crate::tools::sheet::read::{Fault, SheetRow};
use crate::tools::{identifier, text};

/// Columns of exports that cannot be imported and are ignored. An external id is read only if a mapping or the key of
/// the match names it.
const PASSED_OVER: [&str; 5] = ["is_verified", "date_joined", "last_login", "external_id", "id"];

/// Maximum length of an external id, in characters.
const MAX_EXTERNAL_ID: usize = 255;

/// A user in the sheet. Texts are boxed slices to save memory: a sheet can have 100,000 users.
#[derive(Debug)]
pub(super) struct Entry {
    /// The row's number.
    pub(super) row: u32,
    /// The address; empty if the sheet gives none.
    pub(super) email: Box<str>,
    /// The folded address, for comparison.
    pub(super) email_key: Box<str>,
    /// The username, and the same folded for comparison.
    pub(super) username: Option<(Box<str>, Box<str>)>,
    /// The id that other systems use.
    pub(super) external_id: Option<Box<str>>,
    /// First name, last name, bio, phone number and postal address; empty if the sheet gives none.
    pub(super) texts: [Box<str>; 5],
    pub(super) role: Option<Role>,
    pub(super) permission: Option<Permission>,
    pub(super) is_active: Option<bool>,
    /// The staff flag of an export. It is not imported, and must match the account.
    pub(super) is_staff: Option<bool>,
}

impl Entry {
    fn of(row: u32) -> Self {
        Self {
            row,
            email: Box::default(),
            email_key: Box::default(),
            username: None,
            external_id: None,
            texts: std::array::from_fn(|_| Box::default()),
            role: None,
            permission: None,
            is_active: None,
            is_staff: None,
        }
    }

    /// The folded username; empty if the sheet gives none.
    pub(super) fn username_key(&self) -> &str {
        self.username.as_ref().map_or("", |(_, key)| key)
    }

    /// The value that must be unique, as compared; empty if the sheet gives none.
    pub(super) fn key(&self, by: MatchBy) -> &str {
        match by {
            MatchBy::Email => &self.email_key,
            MatchBy::Username => self.username_key(),
            MatchBy::ExternalId => self.external_id.as_deref().unwrap_or_default(),
        }
    }

    /// The same value as the sheet gives it.
    pub(super) fn shown_key(&self, by: MatchBy) -> &str {
        match by {
            MatchBy::Email => &self.email,
            MatchBy::Username => self.username.as_ref().map_or("", |(name, _)| name),
            MatchBy::ExternalId => self.key(by),
        }
    }

    /// The value for a column, as it is read; empty if the sheet gives none.
    pub(super) fn value_of(&self, column: &str) -> String {
        let [first_name, last_name, bio, phone, address] = &self.texts;
        match Target::ALL.into_iter().find(|target| target.name() == column) {
            Some(Target::Email) => self.email.to_string(),
            Some(Target::Username) => self.shown_key(MatchBy::Username).to_owned(),
            Some(Target::FirstName) => first_name.to_string(),
            Some(Target::LastName) => last_name.to_string(),
            Some(Target::Bio) => bio.to_string(),
            Some(Target::Phone) => phone.to_string(),
            Some(Target::Address) => address.to_string(),
            Some(Target::Role) => self.role.map(|role| role.to_value()).unwrap_or_default(),
            Some(Target::Permission) => self.permission.map(|permission| permission.to_value()).unwrap_or_default(),
            Some(Target::IsActive) => self.is_active.map(|flag| flag.to_string()).unwrap_or_default(),
            Some(Target::ExternalId) => self.shown_key(MatchBy::ExternalId).to_owned(),
            None => self.is_staff.map(|flag| flag.to_string()).unwrap_or_default(),
        }
    }
}

/// All users in the sheet, in the order of their keys, with unique addresses, usernames and external ids.
#[derive(Debug, Default)]
pub(super) struct Entries(pub(super) Vec<Entry>);

/// A column of the sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    /// A column that is imported, with the values of its words.
    Known(Target, HashMap<String, String>),
    /// The staff flag of an export.
    Staff,
    /// An ignored column.
    PassedOver,
    /// A column without a heading.
    Nameless,
}

impl Column {
    fn target(&self) -> Option<Target> {
        if let Self::Known(target, _) = self { Some(*target) } else { None }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Known(target, _) => target.name(),
            Self::Staff => "is_staff",
            Self::PassedOver | Self::Nameless => "",
        }
    }
}

/// Entries while the sheet is read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    mapping: Mapping,
    match_by: MatchBy,
    columns: Option<Vec<Column>>,
    entries: Vec<Entry>,
    errors: Errors,
    rows: usize,
}

impl Reading {
    /// Reads a sheet with this mapping, whose rows match accounts by this key.
    pub(super) fn new(mapping: Mapping, match_by: MatchBy) -> Self {
        Self { mapping, match_by, ..Self::default() }
    }

    /// Number of rows read.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the next row. The first row is the heading.
    pub(super) fn add(&mut self, row: &SheetRow) {
        let Some(columns) = &self.columns else {
            self.columns = Some(self.headings(row));
            return;
        };
        if is_unfilled(columns, row) {
            return;
        }
        self.rows += 1;
        self.entries.extend(entry(columns, self.match_by, row, &mut self.errors));
    }

    /// The entries in the order of their keys, and the errors of the sheet. Of two rows with the same address, username
    /// or external id, the second one has the error.
    pub(super) fn finish(mut self) -> (Entries, Errors) {
        if self.columns.is_none() {
            self.headings(&SheetRow { number: 1, ..SheetRow::default() });
        }
        for by in [MatchBy::Username, MatchBy::Email, MatchBy::ExternalId] {
            self.find_repeated(by);
        }
        let by = self.match_by;
        // The sort is stable, so that rows with equal keys keep their order.
        self.entries.sort_by(|one, other| one.key(by).cmp(other.key(by)));
        self.entries.dedup_by(|later, earlier| later.key(by) == earlier.key(by) && !later.key(by).is_empty());
        self.entries.retain(|entry| !entry.key(by).is_empty());
        (Entries(self.entries), self.errors)
    }

    /// Reports rows with the same value of a unique column as an earlier row.
    fn find_repeated(&mut self, by: MatchBy) {
        let mut first: HashMap<&str, &Entry> = HashMap::new();
        for entry in self.entries.iter().filter(|entry| !entry.key(by).is_empty()) {
            let earlier = match first.entry(entry.key(by)) {
                Slot::Occupied(earlier) => *earlier.get(),
                Slot::Vacant(slot) => {
                    slot.insert(entry);
                    continue;
                }
            };
            let refusal = match by {
                MatchBy::Username => Refusal::new(Code::AlreadyExists, "username-in-other-row"),
                MatchBy::ExternalId => Refusal::new(Code::AlreadyExists, "external-id-in-other-row"),
                MatchBy::Email if identifier::same_address(&entry.email, &earlier.email) => {
                    Refusal::new(Code::AlreadyExists, "email-in-other-row")
                }
                MatchBy::Email => Refusal::new(Code::AlreadyExists, "email-resembles-row")
                    .with("email", &*entry.email)
                    .with("other", &*earlier.email),
            };
            let fault = CellFault::of(entry.row, by.target(), entry.shown_key(by)).against_row(earlier.row);
            self.errors.add(fault, &refusal.with("row", u64::from(earlier.row)));
        }
    }

    /// The columns by their headings.
    fn headings(&mut self, row: &SheetRow) -> Vec<Column> {
        let Self { mapping, match_by, errors, .. } = self;
        let key = match_by.target();
        let mut columns: Vec<Column> = Vec::with_capacity(row.cells.len());
        for (place, cell) in row.cells.iter().enumerate() {
            let heading = text::trim(cell);
            let column = column(mapping, *match_by, heading);
            errors.add_column(column.as_ref().map_or("", Column::name), heading);
            let fault = CellFault::heading(row.number, place, heading);
            let Some(column) = column else {
                errors.add(fault, &Refusal::new(Code::Invalid, "column-unknown").with("columns", COLUMNS.join(", ")));
                columns.push(Column::PassedOver);
                continue;
            };
            if !column.name().is_empty() && columns.iter().any(|known| known.name() == column.name()) {
                errors.add(fault, &Refusal::new(Code::Invalid, "column-repeated"));
            }
            columns.push(column);
        }
        if !columns.iter().any(|column| column.target() == Some(key)) {
            let refusal = match key {
                Target::Email => Refusal::new(Code::Required, "heading-without-email"),
                key => Refusal::new(Code::Required, "heading-without-key").with("column", key.name()),
            };
            errors.add(CellFault::of(row.number, key, ""), &refusal);
            // Without the column, the same error would be reported for each row.
            columns.clear();
        }
        columns
    }
}

/// The column with this heading; none if it is unknown.
fn column(mapping: &Mapping, match_by: MatchBy, heading: &str) -> Option<Column> {
    if let Some(mapped) = mapping.of(heading) {
        return Some(mapped.target.map_or(Column::PassedOver, |target| Column::Known(target, mapped.values())));
    }
    let name = folded(heading);
    let known = Target::ALL.into_iter().find(|target| target.name() == name);
    match known.filter(|target| *target != Target::ExternalId || match_by == MatchBy::ExternalId) {
        Some(target) => Some(Column::Known(target, HashMap::new())),
        None if name == "is_staff" => Some(Column::Staff),
        None if name.is_empty() => Some(Column::Nameless),
        None => PASSED_OVER.contains(&name.as_str()).then_some(Column::PassedOver),
    }
}

/// The entry of a row, without its invalid cells, so that all other checks apply to rows with errors too.
fn entry(columns: &[Column], match_by: MatchBy, row: &SheetRow, errors: &mut Errors) -> Option<Entry> {
    if columns.is_empty() {
        return None;
    }
    let key = match_by.target();
    let mut entry = Entry::of(row.number);
    let mut has_key = false;
    let columns = columns.iter().chain(std::iter::repeat(&Column::Nameless));
    for (place, (cell, column)) in row.cells.iter().zip(columns).enumerate() {
        let fault = row.faults.iter().find(|(faulty, _)| *faulty == place).map(|(_, fault)| *fault);
        let value = match column {
            Column::Known(_, words) if !words.is_empty() => words.get(&folded(cell)).unwrap_or(cell),
            _ => cell,
        };
        if text::trim(value).is_empty() && fault.is_none() {
            continue;
        }
        has_key |= column.target() == Some(key);
        let taken = match fault.filter(|_| *column != Column::PassedOver) {
            Some(Fault::Error) => Err(Refusal::new(Code::Invalid, "cell-shows-error")),
            Some(Fault::NoValue) => Err(Refusal::new(Code::Invalid, "cell-never-calculated")),
            None => take(&mut entry, column, value),
        };
        if let Err(refusal) = taken {
            errors.add(CellFault::at(row.number, place, cell), &refusal);
        }
    }
    if !has_key {
        let refusal = match key {
            Target::Email => Refusal::new(Code::Required, "row-without-email"),
            key => Refusal::new(Code::Required, "row-without-key").with("column", key.name()),
        };
        errors.add(CellFault::of(row.number, key, ""), &refusal);
    }
    Some(entry)
}

/// Stores the value of a cell that is not empty.
fn take(entry: &mut Entry, column: &Column, cell: &str) -> Result<(), Refusal> {
    let target = match column {
        Column::Known(target, _) => *target,
        Column::Staff => {
            entry.is_staff = Some(yes_or_no(cell)?);
            return Ok(());
        }
        Column::PassedOver => return Ok(()),
        Column::Nameless => return Err(Refusal::new(Code::Invalid, "cell-without-heading")),
    };
    let [first_name, last_name, bio, phone, address] = &mut entry.texts;
    match target {
        Target::Email => {
            entry.email = identifier::email(cell)?.into();
            entry.email_key = identifier::fold(&entry.email).into();
        }
        Target::Username => {
            let username = identifier::username(cell)?;
            entry.username = Some((username.as_str().into(), identifier::fold(&username).into()));
        }
        Target::FirstName => *first_name = text::line("first_name", cell, MAX_NAME)?.into(),
        Target::LastName => *last_name = text::line("last_name", cell, MAX_NAME)?.into(),
        Target::Bio => *bio = text::lines("bio", cell, MAX_BIO)?.into(),
        Target::Phone => *phone = text::line("phone", cell, MAX_PHONE)?.into(),
        Target::Address => *address = text::lines("address", cell, MAX_ADDRESS)?.into(),
        Target::Role => {
            let unknown = |_| Refusal::new(Code::Invalid, "role-unknown");
            entry.role = Some(Role::try_from_value(&upper(cell)).map_err(unknown)?);
        }
        Target::Permission => {
            let unknown = |_| Refusal::new(Code::Invalid, "permission-unknown");
            entry.permission = Some(Permission::try_from_value(&upper(cell)).map_err(unknown)?);
        }
        Target::IsActive => entry.is_active = Some(yes_or_no(cell)?),
        Target::ExternalId => entry.external_id = Some(text::line("external_id", cell, MAX_EXTERNAL_ID)?.into()),
    }
    Ok(())
}

/// True if a row has nothing but unticked checkboxes, which spreadsheet programs put into each row of a sheet.
fn is_unfilled(columns: &[Column], row: &SheetRow) -> bool {
    let is_unticked = |(place, cell): (usize, &String)| {
        let cell = text::trim(cell);
        let is_email = || columns.get(place).and_then(Column::target) == Some(Target::Email);
        cell.is_empty() || cell.eq_ignore_ascii_case("false") && !is_email()
    };
    row.faults.is_empty() && row.cells.iter().enumerate().all(is_unticked)
}

fn upper(cell: &str) -> String {
    text::trim(cell).to_ascii_uppercase()
}

fn yes_or_no(cell: &str) -> Result<bool, Refusal> {
    match text::trim(cell).to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(Refusal::new(Code::Invalid, "flag-unknown")),
    }
}
