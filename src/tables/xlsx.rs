//! Writes a table as an `.xlsx` workbook.

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::error::TableError;
use super::injection::would_run;

/// Limits of a sheet.
const MOST_ROWS: u32 = 1 << 20;
const MOST_COLUMNS: usize = 1 << 14;
const LONGEST_TEXT: usize = 32_767;
/// Number of significant digits that a spreadsheet keeps.
const DIGITS: usize = 15;

/// Converts CSV (UTF-8, commas, a header) to a workbook, with numbers as numbers, and a sheet `notes` if there are
/// notes.
///
/// # Errors
/// More rows or columns than a sheet can have.
pub fn text_to_workbook(text: &[u8], notes: &[String]) -> Result<Vec<u8>, TableError> {
    write(text, notes).map_err(|error| match error {
        Broken::Table(error) => error,
        Broken::Writer(error) => TableError::Unreadable(format!("the workbook cannot be written: {error}")),
    })
}

enum Broken {
    Table(TableError),
    Writer(XlsxError),
}

impl From<XlsxError> for Broken {
    fn from(error: XlsxError) -> Self {
        Self::Writer(error)
    }
}

fn write(text: &[u8], notes: &[String]) -> Result<Vec<u8>, Broken> {
    let mut workbook = Workbook::new();
    // Fixed date, so that the same answer always gives the same bytes.
    let long_ago = ExcelDateTime::from_ymd(2000, 1, 1)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&long_ago));
    let bold = Format::new().set_bold();
    let sheet = workbook.add_worksheet();
    let (rows, columns) = write_rows(sheet, text, &bold)?;
    if rows > 0 && columns > 0 {
        sheet.set_freeze_panes(1, 0)?;
        sheet.autofilter(0, 0, rows - 1, columns - 1)?;
    }
    if !notes.is_empty() {
        let sheet = workbook.add_worksheet().set_name("notes")?;
        sheet.write_string_with_format(0, 0, "notes", &bold)?;
        for (row, note) in (1..).zip(notes) {
            sheet.write_string(row, 0, note.chars().take(LONGEST_TEXT).collect::<String>())?;
        }
    }
    Ok(workbook.save_to_buffer()?)
}

/// Writes the rows; returns the numbers of rows and columns.
fn write_rows(sheet: &mut Worksheet, text: &[u8], bold: &Format) -> Result<(u32, u16), Broken> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let (mut record, mut rows, mut columns) = (csv::ByteRecord::new(), 0, 0);
    // A text is not a formula in the file, but would become one when somebody edits the cell. The quote prefix prevents
    // that.
    let (text, bold_text) = (Format::new().set_quote_prefix(), bold.clone().set_quote_prefix());
    while reader.read_byte_record(&mut record).map_err(|error| unreadable(error.to_string()))? {
        if rows == MOST_ROWS || record.len() > MOST_COLUMNS {
            let most = format!("a sheet has at most {MOST_ROWS} rows and {MOST_COLUMNS} columns: ask for CSV");
            return Err(Broken::Table(TableError::TooLarge(most)));
        }
        for (column, cell) in (0..).zip(&record) {
            let cell = String::from_utf8_lossy(cell);
            match number(&cell) {
                _ if cell.is_empty() => continue,
                _ if would_run(&cell) && number(&cell).is_none() => {
                    let format = if rows == 0 { &bold_text } else { &text };
                    sheet.write_string_with_format(rows, column, short(&cell), format)?
                }
                _ if rows == 0 => sheet.write_string_with_format(0, column, short(&cell), bold)?,
                Some(number) => sheet.write_number(rows, column, number)?,
                None => sheet.write_string(rows, column, short(&cell))?,
            };
        }
        columns = columns.max(record.len() as u16);
        rows += 1;
    }
    Ok((rows, columns))
}

fn unreadable(detail: String) -> Broken {
    Broken::Table(TableError::Unreadable(detail))
}

fn short(cell: &str) -> String {
    cell.chars().take(LONGEST_TEXT).collect()
}

/// The number in a cell, if it is written back as the same text. Not for names such as `007`, `+1` or `1e5`, or more
/// digits than a spreadsheet keeps.
fn number(cell: &str) -> Option<f64> {
    let unsigned = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'));
    let significant = whole.trim_start_matches('0').len() + if unsigned.contains('.') { fraction.len() } else { 0 };
    (plain && significant <= DIGITS && whole.len() <= DIGITS).then(|| cell.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{Limits, workbook_to_text};

    #[test]
    fn numbers_are_numbers_and_names_stay_names() {
        for (cell, value) in [
            ("0", 0.0),
            ("-1.50", -1.5),
            ("870", 870.0),
            ("0.00012", 0.00012),
            ("123456789012345", 123_456_789_012_345.0),
        ] {
            assert_eq!(number(cell), Some(value), "{cell}");
        }
        for cell in
            ["007", "+1", "1e5", "inf", "NaN", "", "-", "1.", ".5", "1234567890123456", "0x1", " 1", "1,5", "00.5"]
        {
            assert_eq!(number(cell), None, "{cell}");
        }
    }

    #[test]
    fn a_table_comes_back_as_it_went() {
        let text = "id,yield_strength,note\n007,355.5,\"a, \"\"b\"\"\"\n,12,870 °C\n";
        let notes = ["12 blank cells were taken as 0".to_owned()];
        let workbook = text_to_workbook(text.as_bytes(), &notes).unwrap();
        assert_eq!(workbook, text_to_workbook(text.as_bytes(), &notes).unwrap());
        let (read, said) = workbook_to_text(&workbook, None, Limits::default()).unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), text);
        assert_eq!(said.len(), 1);
        let (read, _) = workbook_to_text(&workbook, Some("notes"), Limits::default()).unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), "notes\n12 blank cells were taken as 0\n");
    }

    #[test]
    fn what_looks_like_a_formula_is_a_text_that_stays_one() {
        let text = "id,=note\n=1+1,-1.5\n@SUM(A1),x\n";
        let workbook = text_to_workbook(text.as_bytes(), &[]).unwrap();
        let mut parts = zip::ZipArchive::new(std::io::Cursor::new(&workbook)).unwrap();
        let mut part = |name: &str| std::io::read_to_string(parts.by_name(name).unwrap()).unwrap();
        let (sheet, styles) = (part("xl/worksheets/sheet1.xml"), part("xl/styles.xml"));
        assert!(!sheet.contains("<f>") && sheet.contains("<v>-1.5</v>"), "{sheet}");
        assert_eq!(styles.matches("quotePrefix=\"1\"").count(), 2, "{styles}");
        let (read, _) = workbook_to_text(&workbook, None, Limits::default()).unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), text);
    }

    #[test]
    fn what_no_sheet_holds_is_refused() {
        let wide = "a,".repeat(MOST_COLUMNS) + "b\n";
        assert!(matches!(text_to_workbook(wide.as_bytes(), &[]), Err(TableError::TooLarge(_))));
        assert!(text_to_workbook(b"", &[]).is_ok());
    }
}
