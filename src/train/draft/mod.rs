//! A first recipe for any table: what its columns probably are, each guess marked as one.
//!
//! Its own because it only helps a person to begin. What a recipe means, and what is wrong with a table, is said elsewhere.

mod columns;
mod words;
mod writing;

use std::collections::BTreeMap;

use super::complaints::{BadCells, DataError};
use super::sheet::Sheet;
use crate::domain::{Basis, Element};
use crate::tables::ReadOptions;

/// Guesses about a table.
#[derive(Debug)]
struct Draft {
    name: String,
    /// What was understood of the file, in words.
    notes: Vec<String>,
    formula: Option<String>,
    basis: Basis,
    /// Why the basis is what it is.
    basis_why: String,
    balance: Option<Element>,
    balance_why: String,
    /// Each element's column.
    elements: BTreeMap<Element, String>,
    /// Whether columns are found by the symbols alone.
    by_symbol: bool,
    processing: Vec<Condition>,
    targets: Vec<Property>,
    class: Option<(String, Vec<String>)>,
    group: Option<String>,
    group_why: String,
    fill_down: Vec<String>,
    /// Columns that are not used, and why.
    unused: Vec<(String, &'static str)>,
    rows: usize,
}

#[derive(Debug)]
struct Condition {
    name: String,
    column: String,
    unit: String,
    /// Of a category.
    levels: bool,
    default: Option<String>,
    why: String,
}

#[derive(Debug)]
struct Property {
    name: String,
    column: String,
    unit: String,
    log: bool,
    censored: bool,
    why: String,
}

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
