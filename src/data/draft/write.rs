//! Drafts the text of a recipe for a table.

use super::{columns, writing};
use crate::data::reading::complaints::{BadCells, DataError};
use crate::data::reading::sheet::Sheet;
use crate::tables::ReadOptions;

/// Writes a commented recipe for a table.
///
/// # Errors
/// [`DataError`] if the file is not a table, or has no composition or nothing to predict.
pub fn draft_recipe(bytes: &[u8], options: &ReadOptions, name: &str) -> Result<String, DataError> {
    let mut bad = BadCells::default();
    let sheet = Sheet::read(bytes, options, &mut bad)?;
    let draft = columns::guess(&sheet, name)?;
    Ok(writing::text(&draft))
}
