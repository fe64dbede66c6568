//! Recognises files that are not text tables by their first bytes, so that the error can say what the file is.

use super::error::TableError;

/// Refuses files of other formats.
///
/// # Errors
/// The message says what the file is and what to send instead.
pub(super) fn refuse(bytes: &[u8]) -> Result<(), TableError> {
    let text = bytes.trim_ascii_start();
    let starts = |with: &str| text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()));
    let json = text.starts_with(b"{\"") || text.starts_with(b"[{") || text.starts_with(b"[[");
    let detail = match () {
        () if bytes.starts_with(b"PK\x03\x04") => {
            "this is an Excel or OpenDocument workbook (a zip file), not text: send it as a file that ends in .xlsx or \
             .ods, or save the sheet as CSV UTF-8"
        }
        () if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") => {
            "this is an old Excel workbook, not text: send it as a file that ends in .xls, or save the sheet as CSV UTF-8"
        }
        () if bytes.starts_with(b"\x1f\x8b") => {
            "this is a gzip file: unpack it first (over HTTP, say `content-encoding: gzip`)"
        }
        () if starts("%PDF-") => "this is a PDF file: a table as text (CSV) or a workbook is expected",
        () if ["<!doctype", "<html", "<table", "<?xml"].into_iter().any(starts) => {
            "this is a web page or XML, not a table: save the table as CSV UTF-8 or as a workbook"
        }
        () if json => "this is JSON, not a table: send it as application/json or application/x-ndjson (.ndjson)",
        () => return Ok(()),
    };
    Err(TableError::Unreadable(detail.to_owned()))
}
