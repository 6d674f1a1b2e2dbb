//! Malicious spreadsheets: each is refused, and none exhausts memory.

use std::io::{Cursor, Write as _};
use test_macros::both_databases;

use rust_xlsxwriter::Workbook;
use serde_json::json;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::process::{Serving, command};
use crate::spreadsheet_import::{import, workbook};
use crate::test_app::ADMIN;
use crate::test_client::Client;
use crate::test_database::Place;

/// Memory limit for an import in bytes: some copies of a file of 10 MB.
const MORE_MEMORY: usize = 80 * 1024 * 1024;

fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in parts {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A workbook with this sheet and these shared strings.
fn book(sheet: &str, strings: &str) -> Vec<u8> {
    let sheet =
        format!("<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\">{sheet}</worksheet>");
    book_of(sheet.as_bytes(), strings.as_bytes(), &[])
}

fn book_of(sheet: &[u8], strings: &[u8], more: &[(&str, &[u8])]) -> Vec<u8> {
    let types = "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>";
    let relation = |kind: &str, target: &str, id: u8| {
        format!(
            "<Relationship Id=\"rId{id}\" \
             Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}\" Target=\"{target}\"/>"
        )
    };
    let relations = |inner: &str| {
        format!(
            "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{inner}</Relationships>"
        )
    };
    let root = relations(&relation("officeDocument", "xl/workbook.xml", 1));
    let inner = relations(
        &(relation("worksheet", "worksheets/sheet1.xml", 1) + &relation("sharedStrings", "sharedStrings.xml", 2)),
    );
    let workbook = "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
                    xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"><sheets>\
                    <sheet name=\"Users\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>";
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", root.as_bytes()),
        ("xl/_rels/workbook.xml.rels", inner.as_bytes()),
        ("xl/workbook.xml", workbook.as_bytes()),
        ("xl/sharedStrings.xml", strings),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    parts.extend(more);
    archive(&parts)
}

const NO_STRINGS: &str = "<sst/>";

fn data(cells: &str) -> String {
    format!("<sheetData>{cells}</sheetData>")
}

fn text(cell: &str, text: &str) -> String {
    format!("<c r=\"{cell}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

/// Expensive sheets, each with the code of its refusal.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let heading = format!("<row r=\"1\">{}</row>", text("A1", "email"));
    let far =
        |cell: &str, row: u32| book(&data(&format!("{heading}<row r=\"{row}\">{}</row>", text(cell, "x"))), NO_STRINGS);
    let named: String =
        (2..6000).map(|row| format!("<row r=\"{row}\"><c r=\"A{row}\" t=\"s\"><v>0</v></c></row>")).collect();
    let strings = |length: usize| format!("<sst><si><t>{}</t></si></sst>", "x".repeat(length));
    let doctype = |entity: &str| {
        let lol =
            "<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">";
        format!(
            "<?xml version=\"1.0\"?><!DOCTYPE x [{lol}<!ENTITY e {entity}>]><worksheet><sheetData>{heading}</sheetData></worksheet>"
        )
    };
    let entities = doctype("SYSTEM \"file:///etc/passwd\"");
    let wide: Vec<u8> = entities.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let names: Vec<String> = (0..300).map(|number| format!("xl/media/{number}.bin")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let whole = workbook([["email"], ["ann@example.com"]]);
    let mut lying = whole.clone();
    // The sizes in the directory at the end are wrong.
    let directory = lying.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    lying[directory + 24..directory + 28].copy_from_slice(&[1, 0, 0, 0]);
    let nested = "<a>".repeat(2_000_000);
    let mut png = Vec::new();
    image::DynamicImage::new_rgb8(8, 8).write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    vec![
        ("a far cell", far("XFD1048576", 1_048_576), "FILE_TOO_LARGE"),
        ("a far column", far("BZZ2", 2), "FILE_TOO_LARGE"),
        ("a far row", far("A200000", 200_000), "FILE_TOO_LARGE"),
        ("a row beyond numbers", far("A99999999999999999999", 4_294_967_295), "FILE_UNSUPPORTED"),
        ("a long text named often", book(&data(&format!("{heading}{named}")), &strings(1024 * 1024)), "FILE_TOO_LARGE"),
        ("a text named very often", book(&data(&format!("{heading}{named}")), &strings(30_000)), "FILE_TOO_LARGE"),
        (
            "so many texts as no memory holds",
            book(&data(&heading), "<sst uniqueCount=\"99999999999\"></sst>"),
            "FILE_TOO_LARGE",
        ),
        (
            "more texts than there are numbers",
            book(&data(&heading), "<sst uniqueCount=\"18446744073709551615\"></sst>"),
            "FILE_UNSUPPORTED",
        ),
        ("70 MB of blanks", book(&format!("{}{}", " ".repeat(70 << 20), data(&heading)), NO_STRINGS), "FILE_TOO_LARGE"),
        (
            "a comment of 70 MB in another part",
            book_of(b"", b"", &[("docProps/core.xml", &vec![b' '; 70 << 20])]),
            "FILE_TOO_LARGE",
        ),
        ("entities", book_of(entities.as_bytes(), b"<sst/>", &[]), "FILE_UNSUPPORTED"),
        ("entities in UTF-16", book_of(&wide, b"<sst/>", &[]), "FILE_UNSUPPORTED"),
        ("300 parts", book_of(b"", b"<sst/>", &many), "FILE_TOO_LARGE"),
        (
            "a nest in a cell",
            book(&data(&format!("<row><c t=\"inlineStr\"><is>{nested}")), NO_STRINGS),
            "FILE_UNSUPPORTED",
        ),
        (
            "rows that go back",
            book(
                &data(&format!(
                    "{heading}<row r=\"9\">{}</row><row r=\"3\">{}</row>",
                    text("A9", "x"),
                    text("A3", "x")
                )),
                NO_STRINGS,
            ),
            "FILE_UNSUPPORTED",
        ),
        ("no end", whole[..whole.len() / 2].to_vec(), "FILE_UNSUPPORTED"),
        ("false sizes", lying, "FILE_UNSUPPORTED"),
        ("an empty archive", archive(&[]), "FILE_UNSUPPORTED"),
        ("another archive", archive(&[("word/document.xml", b"<a/>")]), "FILE_UNSUPPORTED"),
        ("a picture", png, "FILE_UNSUPPORTED"),
        ("an old workbook", [&b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..], &[0; 4096]].concat(), "FILE_UNSUPPORTED"),
        ("no UTF-8", b"email\nj\xf6rg@example.com".to_vec(), "FILE_UNSUPPORTED"),
        ("a quote without end", format!("email\n\"{}", "x".repeat(9 << 20)).into_bytes(), "FILE_UNSUPPORTED"),
        ("a long quote", format!("email\n\"{}\"", "x".repeat(9 << 20)).into_bytes(), "FILE_TOO_LARGE"),
        ("columns without end", format!("email{}x", ",".repeat(9 << 20)).into_bytes(), "FILE_TOO_LARGE"),
        ("rows without end", format!("email\n{}", "x\n".repeat(4 << 20)).into_bytes(), "FILE_TOO_LARGE"),
        ("more than 10 MB", vec![b'x'; (10 << 20) + 1], "FILE_TOO_LARGE"),
    ]
}

#[both_databases]
async fn hostile_files_are_refused_and_cost_nothing(place: Place) {
    let mut setup = command(&place);
    setup.env("VESTIBULE_ADMIN_PASSWORD", ADMIN.1);
    let serving = Serving::start(setup);
    let admin = Client::new(&serving.url).sign_in(ADMIN.0, ADMIN.1).await;
    // A valid file shows that the files below are built correctly.
    let good = book(&data(&format!("<row r=\"1\">{}</row>", text("A1", "email"))), NO_STRINGS);
    assert_eq!(import(&admin, good).await["created"], 0);
    let mut book = Workbook::new();
    book.add_worksheet().write(0, 0, "email").unwrap();
    assert_eq!(import(&admin, book.save_to_buffer().unwrap()).await["created"], 0);
    let before = serving.peak_memory();
    for (what, file, code) in hostile() {
        let payload = import(&admin, file).await;

        assert_eq!(
            (&payload["errors"][0]["code"], &payload["errors"][0]["field"]),
            (&json!(code), &json!("file")),
            "{what}: {payload}"
        );
        assert!(payload["created"].is_null() && payload["rowErrors"] == json!([]));
    }
    let more = serving.peak_memory() - before;
    assert!(more < MORE_MEMORY, "{more} bytes more");
    assert_eq!(import(&admin, "email\nann@example.com\n").await["created"], 1);
}
