//! Conversion of a sheet's rows to entries, with checks of each cell.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use sea_orm::ActiveEnum as _;

use super::{COLUMNS, Errors};
use crate::domain::users::details::{MAX_ADDRESS, MAX_BIO, MAX_NAME, MAX_PHONE};
use crate::entity::user::{Permission, Role};
use crate::error::{Code, Refusal, Result};
use crate::tools::sheet::read::{Fault, SheetRow};
use crate::tools::{identifier, text};

/// Columns of exports that cannot be imported and are ignored.
const PASSED_OVER: [&str; 5] = ["is_verified", "date_joined", "last_login", "external_id", "id"];

/// Maximum length of a heading in an error, in characters.
const MAX_HEADING: usize = 60;

/// A user in the sheet. Texts are boxed slices to save memory: a sheet can have 100,000 users.
#[derive(Debug)]
pub(super) struct Entry {
    /// The row's number.
    pub(super) row: u32,
    /// The address.
    pub(super) email: Box<str>,
    /// The folded address, for comparison.
    pub(super) email_key: Box<str>,
    /// The username, and the same folded for comparison.
    pub(super) username: Option<(Box<str>, Box<str>)>,
    /// First name, last name, bio, phone number and postal address; empty if the sheet gives none.
    pub(super) texts: [Box<str>; 5],
    pub(super) role: Option<Role>,
    pub(super) permission: Option<Permission>,
    pub(super) is_active: Option<bool>,
    /// The staff flag of an export. It is not imported, and must match the account.
    pub(super) is_staff: Option<bool>,
}

/// All users in the sheet, with unique addresses and usernames.
#[derive(Debug, Default)]
pub(super) struct Entries(pub(super) Vec<Entry>);

/// A column of the sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// One of [`COLUMNS`], by its index.
    Known(usize),
    /// The staff flag of an export.
    Staff,
    /// An ignored column.
    PassedOver,
    /// A column without a heading.
    Nameless,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Known(place) => COLUMNS.get(place).copied().unwrap_or_default(),
            Self::Staff => "is_staff",
            Self::PassedOver | Self::Nameless => "",
        }
    }
}

/// Entries while the sheet is read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    columns: Option<Vec<Column>>,
    entries: Vec<Entry>,
    errors: Errors,
    rows: usize,
}

impl Reading {
    /// Number of rows read.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the next row. The first row is the heading.
    pub(super) fn add(&mut self, row: &SheetRow) {
        let Some(columns) = &self.columns else {
            self.columns = Some(headings(row, &mut self.errors));
            return;
        };
        if is_unfilled(columns, row) {
            return;
        }
        self.rows += 1;
        self.entries.extend(entry(columns, row, &mut self.errors));
    }

    /// The entries in the order of their addresses, and the errors of the sheet. Of two rows with the same address or
    /// username, the second one has the error.
    pub(super) fn finish(mut self) -> (Entries, Errors) {
        if self.columns.is_none() {
            headings(&SheetRow { number: 1, ..SheetRow::default() }, &mut self.errors);
        }
        let errors = &mut self.errors;
        let mut rows: HashMap<&str, u32> = HashMap::new();
        for entry in &self.entries {
            let Some((_, key)) = &entry.username else { continue };
            match rows.entry(key) {
                Slot::Occupied(first) => {
                    let refusal = Refusal::new(Code::AlreadyExists, "username-in-other-row");
                    errors.add(entry.row, "username", &refusal.with("row", u64::from(*first.get())));
                }
                Slot::Vacant(slot) => {
                    slot.insert(entry.row);
                }
            }
        }
        // The sort is stable, so that rows with equal keys keep their order.
        self.entries.sort_by(|one, other| one.email_key.cmp(&other.email_key));
        self.entries.dedup_by(|later, earlier| {
            let is_same = later.email_key == earlier.email_key && !later.email_key.is_empty();
            if is_same && identifier::same_address(&later.email, &earlier.email) {
                let refusal = Refusal::new(Code::AlreadyExists, "email-in-other-row");
                errors.add(later.row, "email", &refusal.with("row", u64::from(earlier.row)));
            } else if is_same {
                let refusal = Refusal::new(Code::AlreadyExists, "email-resembles-row").with("email", &*later.email);
                let refusal = refusal.with("other", &*earlier.email).with("row", u64::from(earlier.row));
                errors.add(later.row, "email", &refusal);
            }
            is_same
        });
        self.entries.retain(|entry| !entry.email_key.is_empty());
        (Entries(self.entries), self.errors)
    }
}

/// The columns by their headings.
fn headings(row: &SheetRow, errors: &mut Errors) -> Vec<Column> {
    let mut columns = Vec::with_capacity(row.cells.len());
    for cell in &row.cells {
        let heading = text::trim(cell);
        let name = heading.to_lowercase();
        let column = match COLUMNS.iter().position(|known| *known == name) {
            Some(place) => Column::Known(place),
            None if name == "is_staff" => Column::Staff,
            None if PASSED_OVER.contains(&name.as_str()) => Column::PassedOver,
            None => Column::Nameless,
        };
        let shown: String = heading.chars().filter(|c| !c.is_control()).take(MAX_HEADING).collect();
        if column == Column::Nameless && !heading.is_empty() {
            let refusal = Refusal::new(Code::Invalid, "column-unknown").with("columns", COLUMNS.join(", "));
            errors.add(row.number, &shown, &refusal);
            columns.push(Column::PassedOver);
            continue;
        }
        if matches!(column, Column::Known(_) | Column::Staff) && columns.contains(&column) {
            errors.add(row.number, &shown, &Refusal::new(Code::Invalid, "column-repeated"));
        }
        columns.push(column);
    }
    if !columns.contains(&Column::Known(0)) {
        errors.add(row.number, "email", &Refusal::new(Code::Required, "heading-without-email"));
        // Without the column, the same error would be reported for each row.
        columns.clear();
    }
    columns
}

/// The entry of a row, without its invalid cells, so that all other checks apply to rows with errors too.
fn entry(columns: &[Column], row: &SheetRow, errors: &mut Errors) -> Option<Entry> {
    if columns.is_empty() {
        return None;
    }
    let mut entry = Entry {
        row: row.number,
        email: Box::default(),
        email_key: Box::default(),
        username: None,
        texts: std::array::from_fn(|_| Box::default()),
        role: None,
        permission: None,
        is_active: None,
        is_staff: None,
    };
    let mut has_email = false;
    let columns = columns.iter().copied().chain(std::iter::repeat(Column::Nameless));
    for (place, (cell, column)) in row.cells.iter().zip(columns).enumerate() {
        let fault = row.faults.iter().find(|(faulty, _)| *faulty == place).map(|(_, fault)| *fault);
        if text::trim(cell).is_empty() && fault.is_none() {
            continue;
        }
        has_email |= column == Column::Known(0);
        let taken = match fault.filter(|_| column != Column::PassedOver) {
            Some(Fault::Error) => Err(Refusal::new(Code::Invalid, "cell-shows-error")),
            Some(Fault::NoValue) => Err(Refusal::new(Code::Invalid, "cell-never-calculated")),
            None => take(&mut entry, column, cell),
        };
        if let Err(refusal) = taken {
            errors.add(row.number, column.name(), &refusal);
        }
    }
    if !has_email {
        errors.add(row.number, "email", &Refusal::new(Code::Required, "row-without-email"));
    }
    Some(entry)
}

/// Stores the value of a cell that is not empty.
fn take(entry: &mut Entry, column: Column, cell: &str) -> Result<(), Refusal> {
    match column {
        Column::Known(0) => {
            entry.email = identifier::email(cell)?.into();
            entry.email_key = identifier::fold(&entry.email).into();
        }
        Column::Known(1) => {
            let username = identifier::username(cell)?;
            entry.username = Some((username.as_str().into(), identifier::fold(&username).into()));
        }
        Column::Known(place @ 2..=6) => {
            let checked = match place {
                2 => text::line("first_name", cell, MAX_NAME),
                3 => text::line("last_name", cell, MAX_NAME),
                4 => text::lines("bio", cell, MAX_BIO),
                5 => text::line("phone", cell, MAX_PHONE),
                _ => text::lines("address", cell, MAX_ADDRESS),
            }?;
            if let Some(text) = entry.texts.get_mut(place - 2) {
                *text = checked.into();
            }
        }
        Column::Known(7) => {
            let unknown = |_| Refusal::new(Code::Invalid, "role-unknown");
            entry.role = Some(Role::try_from_value(&upper(cell)).map_err(unknown)?);
        }
        Column::Known(8) => {
            let unknown = |_| Refusal::new(Code::Invalid, "permission-unknown");
            entry.permission = Some(Permission::try_from_value(&upper(cell)).map_err(unknown)?);
        }
        Column::Known(_) => entry.is_active = Some(yes_or_no(cell)?),
        Column::Staff => entry.is_staff = Some(yes_or_no(cell)?),
        Column::PassedOver => {}
        Column::Nameless => return Err(Refusal::new(Code::Invalid, "cell-without-heading")),
    }
    Ok(())
}

/// True if a row has nothing but unticked checkboxes, which spreadsheet programs put into each row of a sheet.
fn is_unfilled(columns: &[Column], row: &SheetRow) -> bool {
    let is_unticked = |(place, cell): (usize, &String)| {
        let cell = text::trim(cell);
        cell.is_empty() || cell.eq_ignore_ascii_case("false") && columns.get(place) != Some(&Column::Known(0))
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
