//! A table of comma-separated values, its first row the names of the columns, as databases write it.

use super::{Raw, missing};
use crate::domain::moving::mapping::{Field, Mapping};

/// The users in a file. A column of a table beside that of the users is headed as in the mapping (`profile.phone`), that of
/// tokens `token`.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(file: &[u8], mapping: &Mapping, with_tokens: bool) -> Result<Vec<Raw>, String> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut reader = csv::Reader::from_reader(file);
    let headings: Vec<String> =
        reader.headers().map_err(|error| error.to_string())?.iter().map(|name| name.trim().to_owned()).collect();
    let mut columns = Vec::new();
    let mut absent = Vec::new();
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
    if !absent.is_empty() {
        return Err(missing("the heading", &absent, &headings));
    }
    let rows = reader.records().map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        let mut raw = Raw::default();
        for (field, at) in &columns {
            raw.set(*field, record.get(*at).map(str::to_owned));
        }
        Ok(raw)
    });
    rows.collect()
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
        assert!(problem.starts_with("the heading has no token: it has email, id, "), "{problem}");
        let ragged = format!("{file}1,2\n");
        assert!(read(ragged.as_bytes(), &mapping, false).is_err());
    }
}
