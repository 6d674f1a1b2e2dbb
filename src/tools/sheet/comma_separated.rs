//! Comma-separated values (RFC 4180), read strictly: with unmatched quotation marks, several rows would be read as one
//! cell.

use std::io::{Chain, Read as _};

use crate::texts::Text;

/// Possible separators of cells. Of equally frequent ones, the last is chosen.
const SEPARATORS: [u8; 3] = [b'\t', b';', b','];

/// The records of a text with their rows.
pub(crate) struct Records<'a> {
    reader: csv::Reader<Chain<&'a [u8], &'static [u8]>>,
    record: csv::StringRecord,
    row: u32,
    line: u64,
}

impl<'a> Records<'a> {
    /// Checks the text and prepares to read it. The separator is the most frequent of comma, semicolon and tab in the
    /// first line, unless a first line such as `sep=;` names it.
    ///
    /// # Errors
    /// [`Malformed`] with the line.
    pub(crate) fn of(text: &'a str) -> Result<Self, Malformed> {
        let (named, text, skipped) = named_separator(text);
        // Spreadsheet programs count empty lines as rows, but the reader skips them.
        let after = text.trim_start_matches(['\r', '\n']);
        let row = line_breaks(text.strip_suffix(after).unwrap_or_default());
        let (frequent, end) = first_line(after);
        let separator = named.unwrap_or(frequent);
        check(after, separator, 1 + skipped + u64::from(row))?;
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.has_headers(false).flexible(true).delimiter(separator);
        let reader = reader.from_reader(after.as_bytes().chain(end));
        let line = reader.position().line();
        Ok(Self { reader, record: csv::StringRecord::new(), row, line })
    }

    /// The next record with its row as counted by spreadsheet programs, from 0; none at the end. A first line that
    /// names the separator is not counted, and a cell of several lines is in one row.
    ///
    /// # Errors
    /// Those of the reader, which do not occur for a checked text.
    pub(crate) fn next(&mut self) -> csv::Result<Option<(u32, &csv::StringRecord)>> {
        if !self.reader.read_record(&mut self.record)? {
            return Ok(None);
        }
        let passed = u32::try_from(self.reader.position().line() - self.line).unwrap_or(u32::MAX);
        self.line = self.reader.position().line();
        let own = 1 + self.record.iter().map(line_breaks).sum::<u32>();
        let row = self.row.saturating_add(passed.saturating_sub(own));
        self.row = row.saturating_add(1);
        Ok(Some((row, &self.record)))
    }
}

/// A text that is not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The line in which the cell begins, from 1.
    line: u64,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A quotation mark opens a cell and is never closed.
    Unclosed,
    /// Text follows the closing quotation mark, in this line.
    TextBehind(u64),
    /// A cell contains a quotation mark but does not begin with one.
    Within,
}

impl Malformed {
    /// The line, the problem and its remedy.
    pub(crate) fn text(&self) -> Text {
        let text = match self.fault {
            Fault::Unclosed => Text::new("csv-quote-unclosed"),
            Fault::TextBehind(line) if line == self.line => Text::new("csv-text-after-quote"),
            Fault::TextBehind(line) => Text::new("csv-quote-closed-late").with("until", line),
            Fault::Within => Text::new("csv-quote-within"),
        };
        text.with("line", self.line)
    }
}

/// Position of the check within a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Plain,
    Quoted,
    Closed,
    BlankBehind,
}

fn check(text: &str, separator: u8, first: u64) -> Result<(), Malformed> {
    let (mut place, mut line, mut begun, mut previous) = (Place::Start, first, first, 0);
    for byte in text.bytes() {
        let ends_cell = byte == separator || matches!(byte, b'\r' | b'\n');
        if place == Place::Start {
            begun = line;
        }
        place = match (place, byte) {
            (Place::Quoted, b'"') => Place::Closed,
            (Place::Start | Place::Closed, b'"') | (Place::Quoted, _) => Place::Quoted,
            _ if ends_cell => Place::Start,
            (Place::Closed | Place::BlankBehind, b' ') => Place::BlankBehind,
            (Place::Closed | Place::BlankBehind, _) => {
                return Err(Malformed { line: begun, fault: Fault::TextBehind(line) });
            }
            (_, b'"') => return Err(Malformed { line, fault: Fault::Within }),
            _ => Place::Plain,
        };
        // A carriage return and a line feed are one line break.
        line += u64::from(byte == b'\r' || byte == b'\n' && previous != b'\r');
        previous = byte;
    }
    if place == Place::Quoted { Err(Malformed { line: begun, fault: Fault::Unclosed }) } else { Ok(()) }
}

/// The separator named by a first line such as `sep=;`, the text after that line, and the number of skipped lines.
fn named_separator(text: &str) -> (Option<u8>, &str, u64) {
    let named = || {
        let (name, rest) = text.split_at_checked(4)?;
        let separator = *rest.as_bytes().first().filter(|byte| b",;\t|".contains(byte))?;
        let rest = rest.get(1..)?;
        let after = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\r', '\n']));
        let after = after.or_else(|| rest.is_empty().then_some(rest))?;
        name.eq_ignore_ascii_case("sep=").then_some((Some(separator), after, 1))
    };
    named().unwrap_or((None, text, 0))
}

fn line_breaks(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

/// The most frequent separator in the first line outside of quotation marks, and the line break after it.
fn first_line(text: &str) -> (u8, &'static [u8]) {
    let mut end: &[u8] = b"\n";
    let mut counts = SEPARATORS.map(|separator| (separator, 0));
    let mut quoted = false;
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            b'\r' if !quoted => {
                end = b"\r\n";
                break;
            }
            _ if quoted => {}
            _ => counts.iter_mut().filter(|(sign, _)| *sign == byte).for_each(|(_, count)| *count += 1),
        }
    }
    (counts.iter().max_by_key(|(_, count)| *count).map_or(b',', |(sign, _)| *sign), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(u32, Vec<String>)>, String> {
        let mut records = Records::of(text).map_err(|malformed| malformed.text().english())?;
        let mut rows = Vec::new();
        while let Some((row, record)) = records.next().unwrap() {
            rows.push((row, record.iter().map(str::to_owned).collect()));
        }
        Ok(rows)
    }

    #[test]
    fn unmatched_quotation_marks_are_refused_with_their_line() {
        for (text, expected) in [
            ("a,b\n1,\"One Road\n2,Two Road\n", "Line 2: the quotation mark that opens a cell is never closed."),
            (
                "a,b\r\n1,\"One\r\n2,\"Two\",x\r\n",
                "Line 2: the quotation mark that opens a cell is not closed before line 3,",
            ),
            ("a\n\"x\ny\"\n\"b\"c\n", "Line 4: text follows the quotation mark that closes a cell."),
            ("a\n\"b\" \"c\"\n", "Line 2: text follows"),
            ("\n\na,5\" pipe\n", "Line 3: a cell contains a quotation mark"),
            ("a, \"x, y\"\n", "Line 1: a cell contains a quotation mark"),
            ("sep=;\na;\"b", "Line 2: the quotation mark that opens a cell is never closed."),
            ("\"", "Line 1: the quotation mark that opens a cell is never closed."),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.starts_with(expected), "{text:?}: {problem}");
            let remedy = " Enclose such a cell in quotation marks, and double each one inside it.";
            assert!(problem.ends_with(remedy), "{problem}");
        }
        for text in ["\"\"", "\"a\"\"\",\"\"\n\"x\r\ny\" ,b\r\r\n", "\"a\"\r\"b\"", ""] {
            assert!(read(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_first_line_names_the_separator() {
        let row = |row: u32, cells: [&str; 2]| (row, cells.map(str::to_owned).to_vec());
        for text in ["sep=;\r\na,x;b\r\n1;2", "SEP=;\na,x;b\n1;2\n"] {
            assert_eq!(read(text).unwrap(), [row(0, ["a,x", "b"]), row(1, ["1", "2"])], "{text:?}");
        }
        assert_eq!(read("sep=|\na|b").unwrap(), [row(0, ["a", "b"])]);
        assert_eq!(read("sep=,").unwrap(), []);
        assert_eq!(read("sep=;x\na,b").unwrap()[0], row(0, ["sep=", "x"]));
        assert_eq!(read("sep=x\na").unwrap()[0].1, ["sep=x"]);
        assert_eq!(read("sep\u{e9}\na").unwrap()[0].1, ["sep\u{e9}"]);
    }
}
