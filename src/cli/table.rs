//! Lists for people: columns that stand below each other, and nothing that could control the terminal.

/// Prints rows below their headings.
pub(super) fn print(headings: &[&str], rows: &[Vec<String>]) {
    for line in lines(headings, rows) {
        super::say(&line);
    }
}

fn lines(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = std::iter::once(headings.iter().map(|text| plain(text)).collect())
        .chain(rows.iter().map(|row| row.iter().map(|text| plain(text)).collect()))
        .collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row: &Vec<String>| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What others wrote, without characters that control a terminal or turn the direction of writing; "-" where it is empty.
pub(super) fn plain(text: &str) -> String {
    let tame = |c: char| match c {
        c if c.is_control() => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    if text.is_empty() { "-".to_owned() } else { text.chars().map(tame).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_control_nothing() {
        let rows =
            [vec!["1".to_owned(), "b\u{e4}r\u{1b}[2J\u{202e}\n".to_owned()], vec!["1000".to_owned(), String::new()]];
        let expected = ["ID    NAME", "1     b\u{e4}r\u{fffd}[2J\u{fffd}\u{fffd}", "1000  -"];
        assert_eq!(lines(&["ID", "NAME"], &rows), expected);
    }
}
