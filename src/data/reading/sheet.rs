//! A data file as a header and rows, before columns are interpreted. Filters and the filling of empty cells are applied
//! here, so all later steps see only the rows used for training.

use std::sync::Arc;

use crate::data::reading::complaints::{BadCells, DataError};
use crate::data::source::RowFilter;
use crate::domain::is_balance;
use crate::tables::{Head, Limits, ReadOptions, Row, read_table};

/// Size limits of training tables. A larger training would not finish, and each row needs many times its size in
/// memory.
const MOST_ROWS: usize = 100_000;
const MOST_COLUMNS: usize = 2_000;
const MOST_CELLS: usize = 10_000_000;

/// A table with the line of each row.
pub(in crate::data) struct Sheet {
    pub(in crate::data) head: Arc<Head>,
    pub(in crate::data) rows: Vec<SheetRow>,
}

pub(in crate::data) struct SheetRow {
    /// Counted from 1 as in an editor.
    pub(in crate::data) line: u64,
    pub(in crate::data) row: Row,
}

impl SheetRow {
    pub(in crate::data) fn cell(&self, at: usize) -> &str {
        self.row.cells.get(at).unwrap_or_default()
    }
}

impl Sheet {
    /// Reads a file. Empty rows are skipped. Rows with too few or too many cells are reported and left out.
    pub(in crate::data) fn read(bytes: &[u8], options: &ReadOptions, bad: &mut BadCells) -> Result<Self, DataError> {
        let read = read_table(bytes, options, Limits::default());
        let (head, chunk) = read.map_err(|error| DataError::Table(error.to_string()))?;
        let (mut rows, width) = (Vec::new(), head.names.len());
        if width > MOST_COLUMNS {
            return Err(too_much(width, MOST_COLUMNS, "columns", "leave out those that the recipe does not name"));
        }
        let most = MOST_ROWS.min(MOST_CELLS / width.max(1));
        for (line, row) in head.numbered_rows(&chunk).filter(|(_, row)| !row.is_blank()) {
            let cells = row.cells.len();
            if cells < width || row.cells.iter().skip(width).any(|cell| !cell.is_empty()) {
                bad.add(line, "", format!("{cells} cells, the header has {width}"));
                continue;
            }
            if rows.len() == most {
                let what = format!("rows of {width} columns");
                return Err(too_much(most + 1, most, &what, "train on a part of them"));
            }
            rows.push(SheetRow { line, row });
        }
        Ok(Self { head, rows })
    }

    /// Fills empty cells of a column with the text above them. Returns the number of filled cells.
    pub(in crate::data) fn fill_down(&mut self, at: usize) -> usize {
        let (mut above, mut filled) = (String::new(), 0);
        for row in &mut self.rows {
            let own = row.cell(at);
            if !own.is_empty() {
                above = own.to_owned();
            } else if !above.is_empty() {
                let cells = &mut row.row.cells;
                *cells = cells
                    .iter()
                    .enumerate()
                    .map(|(place, cell)| if place == at { above.as_str() } else { cell })
                    .collect();
                filled += 1;
            }
        }
        filled
    }

    /// Keeps the rows selected by a filter. Returns the number of removed rows.
    pub(in crate::data) fn keep(&mut self, at: usize, filter: &RowFilter) -> usize {
        let before = self.rows.len();
        self.rows.retain(|row| row.cell(at) == filter.equals.trim());
        before - self.rows.len()
    }

    /// Whether a column contains anything other than `bal.`, which adds no information.
    pub(in crate::data) fn has_values(&self, at: usize) -> bool {
        self.rows.iter().map(|row| row.cell(at)).any(|cell| !cell.is_empty() && !is_balance(cell))
    }
}

fn too_much(seen: usize, most: usize, what: &str, remedy: &str) -> DataError {
    DataError::Table(format!("the table has {seen} or more {what}, and at most {most} are read: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Sheet, BadCells) {
        let mut bad = BadCells::default();
        (Sheet::read(text.as_bytes(), &ReadOptions::default(), &mut bad).unwrap(), bad)
    }

    #[test]
    fn lines_are_those_of_an_editor() {
        for end in ["\n", "\r\n"] {
            let text = ["a,b", "1,2", "", "", "\"3", "x\",4", ",", "5,6", ""].join(end);
            let (sheet, bad) = read(&text);
            assert_eq!(sheet.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 5, 8], "{end:?}");
            assert_eq!(bad, BadCells::default());
        }
    }

    #[test]
    fn rows_columns_and_cells_have_limits() {
        let refused = |text: &str| {
            let read = Sheet::read(text.as_bytes(), &ReadOptions::default(), &mut BadCells::default());
            read.map(|sheet| sheet.rows.len()).map_err(|error| error.to_string())
        };
        assert_eq!(refused(&format!("a\n{}", "1\n".repeat(MOST_ROWS))), Ok(MOST_ROWS));
        let rows = refused(&format!("a\n{}", "1\n".repeat(MOST_ROWS + 1))).unwrap_err();
        assert!(rows.contains("at most 100000 are read"), "{rows}");
        let wide = |columns: usize, rows: usize| {
            let header: Vec<String> = (0..columns).map(|at| format!("c{at}")).collect();
            format!("{}\n", header.join(",")) + &("1,".repeat(columns - 1) + "1\n").repeat(rows)
        };
        assert!(refused(&wide(MOST_COLUMNS + 1, 2)).unwrap_err().contains("at most 2000 are read"));
        let cells = refused(&wide(MOST_COLUMNS, 5_001)).unwrap_err();
        assert!(cells.contains("at most 5000 are read"), "{cells}");
    }

    #[test]
    fn a_ragged_row_costs_itself() {
        let (sheet, bad) = read("a,b\n1,2\n3\n4,5,,\n6,7,8\n");
        assert_eq!(sheet.rows.len(), 2);
        assert_eq!(
            bad.to_string(),
            "2 bad cells:\nline 3: 1 cells, the header has 2\nline 5: 3 cells, the header has 2"
        );
    }

    #[test]
    fn blank_cells_are_filled_and_rows_left_out() {
        let (mut sheet, _) = read("heat,p\n,x\nH0,x\n,y\nH1,x\n,x\n");
        assert_eq!(sheet.fill_down(0), 2);
        let heats: Vec<&str> = sheet.rows.iter().map(|row| row.cell(0)).collect();
        assert_eq!(heats, ["", "H0", "H0", "H1", "H1"]);
        assert_eq!(sheet.keep(1, &RowFilter { column: "p".into(), equals: "x".into() }), 1);
        assert_eq!(sheet.rows.len(), 4);
    }
}
