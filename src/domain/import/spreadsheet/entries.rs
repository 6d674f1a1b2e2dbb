//! From cells to entries: what a sheet says about each user, checked cell by cell.

use std::collections::HashSet;

use sea_orm::ActiveEnum as _;

use super::{COLUMNS, Errors};
use crate::domain::users::details::{MAX_ADDRESS, MAX_BIO, MAX_NAME, MAX_PHONE};
use crate::entity::user::{Permission, Role};
use crate::error::{Code, Refusal, Result};
use crate::tools::sheet::read::{Fault, SheetRow};
use crate::tools::{identifier, text};

/// Columns of exports that say what nobody decides, and are passed over.
const PASSED_OVER: [&str; 4] = ["is_verified", "date_joined", "last_login", "external_id"];

/// As much of a heading is repeated, in characters.
const MAX_HEADING: usize = 60;

/// What the sheet says about a user. Boxed, because there may be a hundred thousand.
#[derive(Debug)]
pub(super) struct Entry {
    /// The row's number.
    pub(super) row: u32,
    /// The address.
    pub(super) email: Box<str>,
    /// The address as it is compared.
    pub(super) email_key: Box<str>,
    /// The username, and the same as it is compared.
    pub(super) username: Option<(Box<str>, Box<str>)>,
    /// The names, the text about oneself, the telephone number and the postal address, in the order of the columns; empty
    /// where nothing is said.
    pub(super) texts: [Box<str>; 5],
    pub(super) role: Option<Role>,
    pub(super) permission: Option<Permission>,
    pub(super) is_active: Option<bool>,
    /// What an export said of the staff flag, which is not imported: it may stand there unchanged.
    pub(super) is_staff: Option<bool>,
}

/// What the sheet says about all users: no two have the same address, nor the same username.
#[derive(Debug, Default)]
pub(super) struct Entries(pub(super) Vec<Entry>);

/// A column of the sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// One of [`COLUMNS`], by its place there.
    Known(usize),
    /// The staff flag of an export.
    Staff,
    /// One to pass over.
    PassedOver,
    /// One without a heading.
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

/// Entries that are still being read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    columns: Option<Vec<Column>>,
    entries: Vec<Entry>,
    errors: Errors,
    rows: usize,
}

impl Reading {
    /// How many rows were read.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes up the next row, of which the first is the heading.
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

    /// The entries in the order of their addresses, and what is wrong with the sheet. Of two with the same address or
    /// username, the second is wrong.
    pub(super) fn finish(mut self) -> (Entries, Errors) {
        if self.columns.is_none() {
            headings(&SheetRow { number: 1, ..SheetRow::default() }, &mut self.errors);
        }
        let errors = &mut self.errors;
        let mut taken = HashSet::new();
        let is_twice = |entry: &Entry| match &entry.username {
            Some((_, key)) => !taken.insert(key.clone()),
            None => false,
        };
        let twice: Vec<bool> = self.entries.iter().map(is_twice).collect();
        drop(taken);
        for (entry, _) in self.entries.iter().zip(twice).filter(|(_, twice)| *twice) {
            errors.add(entry.row, "username", repeated("username"));
        }
        // The sort is stable: of equals, the first of the sheet stays the first.
        self.entries.sort_by(|one, other| one.email_key.cmp(&other.email_key));
        self.entries.dedup_by(|later, earlier| {
            let is_same = later.email_key == earlier.email_key && !later.email_key.is_empty();
            if is_same && identifier::same_address(&later.email, &earlier.email) {
                errors.add(later.row, "email", repeated("address"));
            } else if is_same {
                let place = format!("the address {} in row {}", earlier.email, earlier.row);
                errors.add(later.row, "email", look_alike(&later.email, &place));
            }
            is_same
        });
        self.entries.retain(|entry| !entry.email_key.is_empty());
        (Entries(self.entries), self.errors)
    }
}

fn repeated(what: &str) -> Refusal {
    Refusal::new(Code::AlreadyExists, format!("A row above has this {what} already."))
}

/// The refusal of an address that looks like another one without being equal.
pub(super) fn look_alike(email: &str, other: &str) -> Refusal {
    let message = format!("The address {email} looks like {other}, but is not the same. Correct one of them.");
    Refusal::new(Code::AlreadyExists, message)
}

/// What the columns are.
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
            let message = format!("There is no such column: use {}.", COLUMNS.join(", "));
            errors.add(row.number, &shown, Refusal::new(Code::Invalid, message));
            columns.push(Column::PassedOver);
            continue;
        }
        if matches!(column, Column::Known(_) | Column::Staff) && columns.contains(&column) {
            errors.add(row.number, &shown, Refusal::new(Code::Invalid, "This column is there twice."));
        }
        columns.push(column);
    }
    if !columns.contains(&Column::Known(0)) {
        let message = "The first row must be the heading, with a column `email`.";
        errors.add(row.number, "email", Refusal::new(Code::Required, message));
        // Without one, each row would be wrong, and no row is to blame.
        columns.clear();
    }
    columns
}

/// What is right of what a row says; so rows with a mistake are looked at in all other ways too.
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
            Some(Fault::Error) => {
                Err(Refusal::new(Code::Invalid, "The cell has no value but an error of the spreadsheet."))
            }
            Some(Fault::NoValue) => Err(Refusal::new(Code::Invalid, NO_VALUE)),
            None => take(&mut entry, column, cell),
        };
        if let Err(refusal) = taken {
            errors.add(row.number, column.name(), refusal);
        }
    }
    if !has_email {
        errors.add(row.number, "email", Refusal::new(Code::Required, "Enter an e-mail address."));
    }
    Some(entry)
}

/// Notes what a cell says that is not empty.
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
            let roles = "Use ADMIN, MANAGER, AGENT or MEMBER.";
            entry.role = Some(Role::try_from_value(&upper(cell)).map_err(|_| Refusal::new(Code::Invalid, roles))?);
        }
        Column::Known(8) => {
            let permissions = "Use FULL_ACCESS, DOWNLOAD or ONLY_VIEW.";
            let permission = Permission::try_from_value(&upper(cell));
            entry.permission = Some(permission.map_err(|_| Refusal::new(Code::Invalid, permissions))?);
        }
        Column::Known(_) => entry.is_active = Some(yes_or_no(cell)?),
        Column::Staff => entry.is_staff = Some(yes_or_no(cell)?),
        Column::PassedOver => {}
        Column::Nameless => return Err(Refusal::new(Code::Invalid, "This cell stands under no heading.")),
    }
    Ok(())
}

/// The refusal of a formula without a value.
const NO_VALUE: &str = "The cell has a formula without a value. Open the file in a spreadsheet program, save it there, and \
                        import it again; or write the value itself.";

/// Whether a row is one that nobody filled in: all that it holds are boxes that are not ticked, which spreadsheet programs
/// put into each row of a sheet.
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
        _ => Err(Refusal::new(Code::Invalid, "Use true or false.")),
    }
}
