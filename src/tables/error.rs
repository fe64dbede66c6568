//! Why a table cannot be read, and what a workbook may cost.
//!
//! Its own because every file here can fail of it.

/// Why a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// In words: what was seen, what was expected, what to do.
    #[error("{0}")]
    Unreadable(String),
    /// Over a limit.
    #[error("{0}")]
    TooLarge(String),
}

/// What a workbook may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its parts together, unzipped.
    pub unzipped_bytes: u64,
    /// Cells of the sheet.
    pub cells: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unzipped_bytes: 256 << 20, cells: 20_000_000 }
    }
}

/// A workbook that contradicts itself.
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

/// A sheet over the limit.
pub(super) fn too_many(limits: Limits) -> TableError {
    TableError::TooLarge(format!("the sheet has more than {} cells: save the part that matters as CSV", limits.cells))
}
