//! Tables: from bytes to a header and rows of cells, and back.
//!
//! All readers (HTTP, predictions from files, training, descriptors) use this module, so that they read files the same
//! way. It knows encodings, separators, workbooks and the words of headers. It knows no model, sockets or file system.

mod cell;
mod container;
mod dialect;
mod encoding;
mod error;
mod feed;
mod foreign;
mod header;
mod injection;
mod layout;
mod looks;
mod mapping;
mod meaning;
mod name;
mod numbers;
mod opening;
mod reader;
#[cfg(test)]
mod reading_tests;
mod record;
mod rows;
mod spread;
mod suspects;
mod symbols;
mod units;
mod workbook;
#[cfg(test)]
mod workbook_tests;
mod xlsx;

pub use cell::{Cell, says_nothing};
pub use encoding::Charset;
pub use error::{Limits, TableError};
pub use feed::{Feed, FeedError};
pub use injection::would_run;
pub use layout::TableLayout;
pub use mapping::{Mapping, Tally};
pub use name::{Found, column_name, find_column, normal};
pub use opening::{Dialect, Head};
pub use reader::{Chunk, Decide, ReadOptions, Row, TableReader, read_table};
pub use rows::{LONGEST_ROW_BYTES, RowTooLong, Rows};
pub use symbols::{column_element, speaks_of_elements};
pub use units::{Conversion, amount_unit as amount_of};
pub use workbook::{is_workbook, workbook_to_text};
pub use xlsx::text_to_workbook;
