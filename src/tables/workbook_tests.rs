//! Tests of reading workbooks: fixtures, files written by the library that writes answers, and invalid files.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use zip::write::SimpleFileOptions;

use super::*;

const XLS: &[u8] = include_bytes!("../../tests/fixtures/tests.xls");
const ODS: &[u8] = include_bytes!("../../tests/fixtures/tests.ods");

fn text(bytes: &[u8], sheet: Option<&str>) -> (String, Vec<String>) {
    let (text, notes) = workbook_to_text(bytes, sheet, Limits::default()).unwrap();
    (String::from_utf8(text).unwrap(), notes)
}

fn refused(bytes: &[u8], sheet: Option<&str>, limits: Limits) -> String {
    workbook_to_text(bytes, sheet, limits).unwrap_err().to_string()
}

fn xlsx() -> Vec<u8> {
    let mut workbook = Workbook::new();
    workbook.add_worksheet().set_name("Empty").unwrap();
    let hidden = workbook.add_worksheet().set_name("Secret").unwrap().set_hidden(true);
    hidden.write(0, 0, "no").unwrap();
    let sheet = workbook.add_worksheet().set_name("Tests 2024").unwrap();
    let date = Format::new().set_num_format("yyyy-mm-dd");
    let day = ExcelDateTime::from_ymd(2024, 5, 1).unwrap();
    sheet.merge_range(0, 1, 0, 3, "Tensile tests", &Format::new()).unwrap();
    for (column, name) in (1..).zip(["heat", "C", "on", "good", "sum", "missing", "note"]) {
        sheet.write(2, column, name).unwrap();
    }
    sheet.write(3, 1, "A,1").unwrap().write(3, 2, 0.1 + 0.2).unwrap();
    sheet.write_with_format(3, 3, &day, &date).unwrap().write(3, 4, true).unwrap();
    sheet.write_formula(3, 5, rust_xlsxwriter::Formula::new("=1+1").set_result("2")).unwrap();
    sheet.write_formula(3, 6, rust_xlsxwriter::Formula::new("=NA()").set_result("#N/A")).unwrap();
    sheet.write_rich_string(3, 7, &[(&Format::new(), "two\n"), (&Format::new().set_bold(), "lines")]).unwrap();
    sheet.write(5, 1, "007").unwrap().write(5, 2, 1740).unwrap();
    workbook.save_to_buffer().unwrap()
}

#[test]
fn a_sheet_is_read_with_its_values() {
    let bytes = xlsx();
    let (read, notes) = text(&bytes, None);
    let lines = [
        "Tensile tests,,,,,,",
        "",
        "heat,C,on,good,sum,missing,note",
        "\"A,1\",0.30000000000000004,2024-05-01,true,2,#N/A,two lines",
        "",
        "007,1740,,,,,",
    ];
    assert_eq!(read.lines().collect::<Vec<_>>(), lines);
    assert_eq!(
        notes,
        ["sheet \"Tests 2024\" was read, not \"Empty\", \"Secret\" (name another with --sheet or ?sheet=)"]
    );
    assert_eq!(text(&bytes, Some("tests 2024")), (read.clone(), vec![]));
    assert_eq!(text(&bytes, Some("3")), (read, vec![]));
    assert_eq!(text(&bytes, Some("Secret")).0, "no\n");
    let said = refused(&bytes, Some("Tests"), Limits::default());
    assert_eq!(said, "the workbook has no sheet \"Tests\": its sheets are \"Empty\", \"Secret\", \"Tests 2024\"");
    for number in ["0", "4", "-1"] {
        assert!(refused(&bytes, Some(number), Limits::default()).contains("no sheet"));
    }
    let (head, chunk) = read_table(&bytes, &ReadOptions::default(), Limits::default()).unwrap();
    assert_eq!((head.line, head.names.len()), (3, 7));
    assert!(head.notes[1].contains("line 1 (\"Tensile tests\") is a title"), "{:?}", head.notes);
    let lines = head.rows(&chunk).filter(|row| !row.is_blank()).map(|row| chunk.line_of(&row));
    assert_eq!(lines.collect::<Vec<_>>(), [4, 6]);
}

#[test]
fn other_formats_are_read_alike() {
    let lines = [
        "",
        "Tensile tests,,,,",
        "",
        "heat,C,tempered,on,note",
        "A1,0.12,true,2024-05-01,\"870 °C, oil\"",
        "",
        "A2,1740,false,2024-05-02,\"two lines \"\"quoted\"\"\"",
    ];
    for bytes in [XLS, ODS] {
        let (read, notes) = text(bytes, None);
        assert_eq!(read.lines().collect::<Vec<_>>(), lines);
        assert_eq!(notes, ["sheet \"Tests\" was read, not \"Notes\" (name another with --sheet or ?sheet=)"]);
        assert_eq!(text(bytes, Some("Notes")).0, "nothing\n");
        let (head, _) = read_table(bytes, &ReadOptions::default(), Limits::default()).unwrap();
        assert_eq!((head.line, head.names[1].as_str()), (4, "C"));
    }
}

#[test]
fn far_corners_cost_nothing() {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write(0, 0, "C").unwrap().write((1 << 20) - 1, (1 << 14) - 1, 1).unwrap();
    let bytes = workbook.save_to_buffer().unwrap();
    assert_eq!(text(&bytes, None).0.lines().count(), 1 << 20);
    let few = Limits { cells: 100, ..Limits::default() };
    for bytes in [bytes.as_slice(), XLS, ODS] {
        let few = Limits { cells: few.cells.min(if bytes.len() > 9000 { 100 } else { 20 }), ..few };
        assert!(refused(bytes, None, few).contains("more than"), "{}", refused(bytes, None, few));
    }
}

fn ods(content: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let kind = "application/vnd.oasis.opendocument.spreadsheet";
    for (name, part) in [("mimetype", kind), ("META-INF/manifest.xml", "<manifest/>"), ("content.xml", content)] {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(part.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn repeated_cells_are_counted_before_they_are_made() {
    let sheet = |rows: u64, columns: u64| {
        ods(&format!(
            "<body><table:table table:name=\"a\"><table:table-row table:number-rows-repeated=\"{rows}\">\
             <table:table-cell office:value-type=\"float\" office:value=\"1\" \
             table:number-columns-repeated=\"{columns}\"/></table:table-row></table:table></body>"
        ))
    };
    assert_eq!(text(&sheet(2, 3), None).0, "1,1,1\n1,1,1\n");
    for (rows, columns) in [(1 << 20, 1 << 14), (1 << 40, 1 << 40), (1 << 20, 40)] {
        assert!(refused(&sheet(rows, columns), None, Limits::default()).contains("more than 20000000 cells"));
    }
}

#[test]
fn what_unpacks_to_too_much_is_not_opened() {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("xl/workbook.xml", SimpleFileOptions::default()).unwrap();
    (0..64).for_each(|_| archive.write_all(&[b' '; 1 << 16]).unwrap());
    let mut bytes = archive.finish().unwrap().into_inner();
    let limits = Limits { unzipped_bytes: 1 << 20, ..Limits::default() };
    assert!(refused(&bytes, None, limits).contains("unpacks to more than 1 MiB"));
    // Sizes stated in a zip file can be false.
    let stated = (64_u32 << 16).to_le_bytes();
    let lies: Vec<usize> = memchr::memmem::find_iter(&bytes, &stated).collect();
    lies.iter().for_each(|at| bytes[*at..at + 4].copy_from_slice(&1000_u32.to_le_bytes()));
    assert!(!lies.is_empty() && workbook_to_text(&bytes, None, limits).is_err());
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("table.csv", SimpleFileOptions::default()).unwrap();
    let bytes = archive.finish().unwrap().into_inner();
    assert!(refused(&bytes, None, limits).contains("no workbook"));
    assert!(refused(b"PK\x03\x04", None, limits).contains("cut off"));
    let sealed: Vec<u8> =
        XLS[..512].iter().copied().chain("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(refused(&sealed, None, limits).contains("password"));
}

/// Repacks the parts of a workbook after changing each.
fn rezipped(bytes: &[u8], change: impl Fn(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut copy = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).unwrap();
        let mut content = Vec::new();
        std::io::copy(&mut part, &mut content).unwrap();
        change(at, &mut content);
        copy.start_file(part.name().unwrap(), SimpleFileOptions::default()).unwrap();
        copy.write_all(&content).unwrap();
    }
    copy.finish().unwrap().into_inner()
}

#[test]
fn a_sheet_that_does_not_end_is_refused() {
    // calamine would wait forever for its end.
    let cut = rezipped(ODS, |_, content| {
        if let Some(at) = memchr::memmem::find(content, b"</table:table>") {
            content.truncate(at);
        }
    });
    assert!(matches!(workbook_to_text(&cut, None, Limits::default()), Err(TableError::Unreadable(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn broken_workbooks_are_refused(
        which in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let whole = vec![xlsx(), XLS.to_vec(), ODS.to_vec()].swap_remove(which);
        let mut bytes = whole.clone();
        for (_, place, byte) in &changes {
            let at = place.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = workbook_to_text(&bytes, None, Limits::default());
        if which != 1 {
            let parts = zip::ZipArchive::new(Cursor::new(&whole)).unwrap().len();
            let inside = rezipped(&whole, |at, content| {
                for (part, place, byte) in &changes {
                    if part.index(parts) == at && !content.is_empty() {
                        let place = place.index(content.len());
                        content[place] = *byte;
                    }
                }
            });
            let _ = workbook_to_text(&inside, None, Limits::default());
        }
    }
}
