//! What is wrong with a data file, in words that name the line and the column of the file.
//!
//! Its own because a file has many things wrong at once: they are collected, counted, and the first of them told.

use std::fmt;

use crate::domain::Violation;

/// No file needs more complaints than this to be mended.
const MOST_COMPLAINTS: usize = 50;

/// Why a data file cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Not a table.
    #[error("{0}")]
    Table(String),
    /// What is wrong with the header or with a whole column.
    #[error("{}", .0.join("; "))]
    Header(Vec<String>),
    /// Cells that are not what they should be.
    #[error(transparent)]
    Cells(BadCells),
    /// Too little to learn from.
    #[error("{0}")]
    TooFew(String),
}

impl DataError {
    /// The complaints about the field `data` of a request.
    pub fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Cells(cells) => cells.violations(),
            other => vec![Violation::new("/data", other.to_string())],
        }
    }
}

/// Cells that are not what they should be: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct BadCells {
    /// How many there are.
    pub total: usize,
    /// The first ones, in the order of the file.
    pub first: Vec<BadCell>,
    /// Complaints that are counted and not told.
    untold: usize,
}

/// What is wrong with one cell of a file, or with several of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCell {
    /// Line in the file, counted from 1 as an editor does.
    pub line: u64,
    /// Name of the column in the file; empty for a whole row.
    pub column: String,
    /// What is wrong.
    pub detail: String,
}

impl BadCells {
    pub(in crate::data) fn add(&mut self, line: u64, column: &str, detail: impl Into<String>) {
        self.add_all(1, line, column, detail);
    }

    /// One complaint about so many cells of a column, the first of them on a line.
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

    /// The complaints about the field `data` of a request: their pointers are `/data/LINE/COLUMN`.
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
