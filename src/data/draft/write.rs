//! From a table to a recipe's text.

use super::{columns, writing};
use crate::data::reading::complaints::{BadCells, DataError};
use crate::data::reading::sheet::Sheet;
use crate::tables::ReadOptions;

/// Writes a commented recipe for a table.
///
/// # Errors
/// [`DataError`] where the file is no table, or neither a composition nor anything to predict is found in it.
pub fn draft_recipe(bytes: &[u8], options: &ReadOptions, name: &str) -> Result<String, DataError> {
    let mut bad = BadCells::default();
    let sheet = Sheet::read(bytes, options, &mut bad)?;
    let draft = columns::guess(&sheet, name)?;
    Ok(writing::text(&draft))
}
