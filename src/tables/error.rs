//! Errors of reading tables, and the size limits of workbooks.

/// Why a table could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A message: what was found, what was expected, what to do.
    #[error("{0}")]
    Unreadable(String),
    /// A limit was exceeded.
    #[error("{0}")]
    TooLarge(String),
}

/// Size limits of a workbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Total unpacked bytes of its parts.
    pub unzipped_bytes: u64,
    /// Number of cells in the sheet.
    pub cells: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unzipped_bytes: 256 << 20, cells: 20_000_000 }
    }
}

/// The error for an invalid workbook.
pub(super) fn broken(error: impl std::fmt::Debug) -> TableError {
    let error = format!("{error:?}");
    if error.contains("Password") {
        let detail = "the workbook has a password: save it without one, or save the sheet as CSV UTF-8";
        return TableError::Unreadable(detail.to_owned());
    }
    TableError::Unreadable(format!(
        "the workbook cannot be read ({error}): save it again, or save the sheet as CSV UTF-8"
    ))
}

/// The error for a sheet with too many cells.
pub(super) fn too_many(limits: Limits) -> TableError {
    TableError::TooLarge(format!("the sheet has more than {} cells: save the part that matters as CSV", limits.cells))
}
