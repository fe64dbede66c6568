//! The guesses about a table, each with its reason.

use std::collections::BTreeMap;

use crate::domain::{Basis, Element};

/// The guesses about a table.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// Notes on how the file was read.
    pub(super) notes: Vec<String>,
    pub(super) formula: Option<String>,
    pub(super) basis: Basis,
    /// Reason for the basis.
    pub(super) basis_why: String,
    pub(super) balance: Option<Element>,
    pub(super) balance_why: String,
    /// The column of each element.
    pub(super) elements: BTreeMap<Element, String>,
    /// Whether the symbols alone are enough to find the columns.
    pub(super) by_symbol: bool,
    pub(super) processing: Vec<Condition>,
    pub(super) targets: Vec<Property>,
    pub(super) class: Option<(String, Vec<String>)>,
    pub(super) group: Option<String>,
    pub(super) group_why: String,
    pub(super) fill_down: Vec<String>,
    /// Unused columns, with the reason.
    pub(super) unused: Vec<(String, &'static str)>,
}

#[derive(Debug)]
pub(super) struct Condition {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) unit: String,
    /// Whether it is a category.
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
