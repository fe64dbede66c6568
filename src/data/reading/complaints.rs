//! Errors in a data file, with the line and column of each. A file can have many, so they are collected and counted,
//! and the first ones are reported.

use std::fmt;

use crate::domain::Violation;

/// Largest number of reported errors.
const MOST_COMPLAINTS: usize = 50;

/// Why a data file cannot be used for training.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file is not a table.
    #[error("{0}")]
    Table(String),
    /// Errors in the header or in whole columns.
    #[error("{}", .0.join("; "))]
    Header(Vec<String>),
    /// Invalid cells.
    #[error(transparent)]
    Cells(BadCells),
    /// Too few rows or measured values.
    #[error("{0}")]
    TooFew(String),
}

impl DataError {
    /// The errors as violations of the field `data` of a request.
    pub fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Cells(cells) => cells.violations(),
            other => vec![Violation::new("/data", other.to_string())],
        }
    }
}

/// The invalid cells: their number, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct BadCells {
    /// Number of invalid cells.
    pub total: usize,
    /// The first ones, in the order of the file.
    pub first: Vec<BadCell>,
    /// Number of errors that are counted but not reported.
    untold: usize,
}

/// An error in one cell, or in several cells of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCell {
    /// Line in the file, counted from 1 as in an editor.
    pub line: u64,
    /// Name of the column in the file; empty for a whole row.
    pub column: String,
    /// The message.
    pub detail: String,
}

impl BadCells {
    pub(in crate::data) fn add(&mut self, line: u64, column: &str, detail: impl Into<String>) {
        self.add_all(1, line, column, detail);
    }

    /// Adds one error about several cells of a column, with the line of the first.
    pub(in crate::data) fn add_all(&mut self, cells: usize, line: u64, column: &str, detail: impl Into<String>) {
        self.total += cells;
        if self.first.len() < MOST_COMPLAINTS {
            self.first.push(BadCell { line, column: column.to_owned(), detail: detail.into() });
        } else {
            self.untold += 1;
        }
    }

    pub(in crate::data) fn into_result(mut self) -> Result<(), DataError> {
        self.first.sort_by_key(|cell| cell.line);
        if self.total == 0 { Ok(()) } else { Err(DataError::Cells(self)) }
    }

    /// The errors as violations of the field `data` of a request, with pointers `/data/LINE/COLUMN`.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations: Vec<Violation> = self.first.iter().map(BadCell::violation).collect();
        if self.untold > 0 {
            violations.push(Violation::new("/data", self.headline()));
        }
        violations
    }

    fn headline(&self) -> String {
        match self.total {
            1 => "1 bad cell".to_owned(),
            total if self.untold > 0 => format!("{total} bad cells; the first {}", self.first.len()),
            total => format!("{total} bad cells"),
        }
    }
}

impl fmt::Display for BadCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.headline())?;
        self.first.iter().try_for_each(|cell| write!(f, "\n{cell}"))
    }
}

impl fmt::Display for BadCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column.is_empty() {
            true => write!(f, "line {}: {}", self.line, self.detail),
            false => write!(f, "line {}, column {}: {}", self.line, self.column, self.detail),
        }
    }
}

impl BadCell {
    fn violation(&self) -> Violation {
        let line = format!("/data/{}", self.line);
        let pointer = if self.column.is_empty() { line } else { Violation::child(&line, &self.column) };
        Violation::new(pointer, self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_fifty_told() {
        let mut bad = BadCells::default();
        bad.add(7, "YS", "\"x\" is not a number");
        assert_eq!(bad.to_string(), "1 bad cell:\nline 7, column YS: \"x\" is not a number");
        bad.add_all(3, 4, "", "3 cells, the header has 4");
        assert!(bad.to_string().starts_with("4 bad cells:\n"));
        assert_eq!(bad.violations().len(), 2);
        (0..90).for_each(|line| bad.add(line + 10, "a/b", "bad"));
        assert!(bad.to_string().starts_with("94 bad cells; the first 50:\n"), "{bad}");
        let violations = bad.violations();
        assert_eq!((violations.len(), violations[2].pointer.as_str()), (51, "/data/10/a~1b"));
        assert_eq!(violations[50].detail, "94 bad cells; the first 50");
        let Err(DataError::Cells(sorted)) = bad.into_result() else { panic!() };
        assert_eq!(sorted.first[0].line, 4);
        assert!(BadCells::default().into_result().is_ok());
    }
}
