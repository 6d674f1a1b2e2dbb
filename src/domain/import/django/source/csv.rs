//! Source that is a table of comma-separated values, with the names of the columns in its first row.

use super::{Raw, missing};
use crate::domain::import::django::mapping::{Field, Mapping};
use crate::texts::Text;
use crate::tools::sheet::comma_separated::Records;
use crate::tools::text;

/// The users in a file. Columns of joined tables have the headings of the mapping (`profile.phone`), the column of
/// tokens has `token`. Blank rows are ignored.
///
/// # Errors
/// A description of the problem, with the line or row.
pub(super) fn read(file: &[u8], mapping: &Mapping, with_tokens: bool) -> Result<Vec<Raw>, String> {
    let text = text::decode(file).ok_or_else(|| Text::new("source-not-utf8").english())?;
    let mut records = Records::of(&text).map_err(|malformed| malformed.text().english())?;
    let unreadable = |error: ::csv::Error| error.to_string();
    let headings: Vec<String> = match records.next().map_err(unreadable)? {
        Some((_, record)) => record.iter().map(|name| text::trim(name).to_owned()).collect(),
        None => Vec::new(),
    };
    let columns = columns(&headings, mapping, with_tokens)?;
    let mut users = Vec::new();
    while let Some((row, record)) = records.next().map_err(unreadable)? {
        if record.iter().all(|cell| text::trim(cell).is_empty()) {
            continue;
        }
        if record.len() != headings.len() {
            let text = Text::new("source-row-length").with("row", u64::from(row) + 1);
            return Err(text.with("cells", record.len()).with("heading", headings.len()).english());
        }
        let mut raw = Raw::default();
        for (field, at) in &columns {
            raw.set(*field, record.get(*at).map(str::to_owned));
        }
        users.push(raw);
    }
    Ok(users)
}

/// The imported fields with the indices of their columns.
fn columns(headings: &[String], mapping: &Mapping, with_tokens: bool) -> Result<Vec<(Field, usize)>, String> {
    let (mut columns, mut absent) = (Vec::new(), Vec::new());
    for field in Field::ALL {
        let heading = match mapping.place(field) {
            Some(place) => mapping.heading(place),
            None if field == Field::Token && with_tokens => "token".to_owned(),
            None => continue,
        };
        match headings.iter().position(|name| *name == heading) {
            Some(at) => columns.push((field, at)),
            None => absent.push(heading),
        }
    }
    if absent.is_empty() {
        return Ok(columns);
    }
    Err(missing(Text::new("source-heading-lacks-columns"), &absent, headings).english())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_their_names() {
        let mapping = Mapping::parse("[columns]\nlast_login = ''\ndate_joined = ''\nis_staff = ''\nis_superuser = ''\nphone = 'p.tel'\n[joins.p]\ntable = 'p'\nuser = 'u'").unwrap();
        let file = "\u{feff}email,id,username,password,first_name,last_name,is_active,p.tel,more\na@x.example,7,ann,!,\"A,\"\"B\",,t,+44,x\n";
        let rows = read(file.as_bytes(), &mapping, false).unwrap();
        let fields = [Field::Id, Field::Email, Field::FirstName, Field::LastName, Field::Phone];
        assert_eq!(
            fields.map(|field| rows[0].get(field)),
            [Some("7"), Some("a@x.example"), Some("A,\"B"), None, Some("+44")]
        );
        let problem = read(file.as_bytes(), &mapping, true).unwrap_err();
        assert!(problem.starts_with("The heading has no token. It has email, id, "), "{problem}");
        let problem = read(format!("{file},,\n1,2\n").as_bytes(), &mapping, false).unwrap_err();
        assert_eq!(problem, "Row 4 has 2 cells, but the heading has 9. Export the table again.");
        let blank = format!("{file}\n,,,,,,,,\n, ,,,,,,,\n");
        assert_eq!(read(blank.as_bytes(), &mapping, false).unwrap(), rows);
        let wide: Vec<u8> = file.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&wide, &mapping, false).unwrap(), rows);
        let problem = read(format!("{file}b@x.example,8,\"ann\n").as_bytes(), &mapping, false).unwrap_err();
        assert!(problem.starts_with("Line 3: the quotation mark that opens a cell is never closed."), "{problem}");
    }
}
