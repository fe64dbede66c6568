//! Guesses about a table, each with why.

use std::collections::BTreeMap;

use crate::domain::{Basis, Element};

/// Guesses about a table.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// What was understood of the file, in words.
    pub(super) notes: Vec<String>,
    pub(super) formula: Option<String>,
    pub(super) basis: Basis,
    /// Why the basis is what it is.
    pub(super) basis_why: String,
    pub(super) balance: Option<Element>,
    pub(super) balance_why: String,
    /// Each element's column.
    pub(super) elements: BTreeMap<Element, String>,
    /// Whether columns are found by the symbols alone.
    pub(super) by_symbol: bool,
    pub(super) processing: Vec<Condition>,
    pub(super) targets: Vec<Property>,
    pub(super) class: Option<(String, Vec<String>)>,
    pub(super) group: Option<String>,
    pub(super) group_why: String,
    pub(super) fill_down: Vec<String>,
    /// Columns that are not used, and why.
    pub(super) unused: Vec<(String, &'static str)>,
    pub(super) rows: usize,
}

#[derive(Debug)]
pub(super) struct Condition {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) unit: String,
    /// Of a category.
    pub(super) levels: bool,
    pub(super) default: Option<String>,
    pub(super) why: String,
}

#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) unit: String,
    pub(super) log: bool,
    pub(super) censored: bool,
    pub(super) why: String,
}
