//! Finds out the format of a workbook and whether it is safe to open.
//!
//! This check comes before any other reading. A small zip file can unpack to more than the memory, and the sizes it
//! states can be false.

use std::io::{Cursor, Read, copy, sink};

use zip::ZipArchive;

use super::error::{Limits, TableError};

/// Largest number of parts in a workbook. Real workbooks have up to some hundred.
const MOST_PARTS: usize = 20_000;

/// Workbook formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Excel since 2007 (XML).
    Xlsx,
    /// Excel since 2007 (binary).
    Xlsb,
    /// `OpenDocument`.
    Ods,
    /// Excel before 2007.
    Xls,
}

/// The format of a workbook. Also checks the number and the unpacked size of its parts.
///
/// # Errors
/// The file is not a workbook, has a password, or unpacks to more than the limit.
pub(super) fn kind_of(bytes: &[u8], limits: Limits) -> Result<Kind, TableError> {
    if !bytes.starts_with(b"PK") {
        return old(bytes);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(unreadable)?;
    if archive.len() > MOST_PARTS {
        return Err(TableError::TooLarge(format!("the workbook has more than {MOST_PARTS} parts")));
    }
    let has = |name: &str| archive.file_names().flatten().any(|part| part.eq_ignore_ascii_case(name));
    let kind = match () {
        () if has("xl/workbook.bin") => Kind::Xlsb,
        () if has("xl/workbook.xml") || has("[Content_Types].xml") => Kind::Xlsx,
        () if has("mimetype") && has("content.xml") => Kind::Ods,
        () => {
            let detail = "this is a zip file, but no workbook (.xlsx, .ods) is in it: unpack it first";
            return Err(TableError::Unreadable(detail.to_owned()));
        }
    };
    let mut left = limits.unzipped_bytes;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(unreadable)?;
        let size = copy(&mut part.take(left + 1), &mut sink()).map_err(unreadable)?;
        left = left.checked_sub(size).ok_or_else(|| {
            let most = limits.unzipped_bytes >> 20;
            TableError::TooLarge(format!("the workbook unpacks to more than {most} MiB: save the sheet as CSV"))
        })?;
    }
    Ok(kind)
}

/// The format of a file that is not a zip archive. Excel stores an encrypted workbook in the old file format.
fn old(bytes: &[u8]) -> Result<Kind, TableError> {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if memchr::memmem::find(bytes, &name).is_some() {
        let detail = "the workbook has a password: save it without one, or save the sheet as CSV UTF-8";
        return Err(TableError::Unreadable(detail.to_owned()));
    }
    Ok(Kind::Xls)
}

fn unreadable(error: impl std::fmt::Display) -> TableError {
    let detail = format!("the workbook cannot be unpacked ({error}): was it cut off on its way?");
    TableError::Unreadable(detail)
}
