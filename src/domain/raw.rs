//! User input: typed but not yet checked; and the violations found in it.
//!
//! All sources (JSON, tables, training files) produce these types. Only [`super::Sample::parse`] turns them into a
//! sample.

use std::borrow::Cow;

use super::Basis;

/// A composition from user input.
#[derive(Clone, Debug, PartialEq)]
pub enum RawComposition<'a> {
    /// A formula.
    Formula(String),
    /// Symbols and amounts, on the sample's basis, or the schema's if the sample gives none.
    Amounts(Vec<(Cow<'a, str>, f64)>),
}

/// How an input says that an amount was not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMeasured {
    /// In words, or by `null`.
    Stated,
    /// By an empty cell, or a dash. In some columns people leave cells empty where there is nothing of an element.
    Blank,
}

/// A process parameter from user input.
#[derive(Clone, Debug, PartialEq)]
pub enum RawValue {
    /// A number.
    Number(f64),
    /// A level of a categorical parameter.
    Text(String),
}

/// A sample from user input: typed but not yet checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawSample<'a> {
    /// The composition.
    pub composition: Option<RawComposition<'a>>,
    /// Basis of the amounts. If `None`: the schema's basis for amounts, atomic parts for a formula.
    pub basis: Option<Basis>,
    /// Symbols of elements whose amounts were not measured.
    pub not_measured: Vec<(Cow<'a, str>, NotMeasured)>,
    /// The element stated as the balance (`"Fe": "bal."`). If `None`: the schema's.
    pub balance: Option<Cow<'a, str>>,
    /// Process parameters by name.
    pub processing: Vec<(Cow<'a, str>, RawValue)>,
}

/// Words for the balance in place of an amount, in small letters and without a final dot.
const BALANCE: [&str; 12] =
    ["bal", "balance", "rest", "rem", "remainder", "remaining", "base", "basis", "余量", "余", "其余", "reste"];

/// Whether a text in place of an amount is a word for the balance: `Bal.`, `rest`, `余量`.
pub fn is_balance(text: &str) -> bool {
    BALANCE.contains(&text.trim().to_lowercase().trim_end_matches('.'))
}

/// Most violations that are reported for one input. A body of 2 MB can have a hundred thousand. Checks stop collecting
/// when there is one more than this.
pub const MOST_VIOLATIONS: usize = 100;

/// One violation in an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending field.
    pub pointer: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl Violation {
    /// A violation at the field `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The violation as text for a table, where a field is a column: `column: detail`.
    pub fn in_words(&self) -> String {
        match self.pointer.rsplit('/').next() {
            Some(column) if !column.is_empty() => {
                format!("{}: {}", column.replace("~1", "/").replace("~0", "~"), self.detail)
            }
            _ => self.detail.clone(),
        }
    }

    /// The pointer `base/name`, escaped as in RFC 6901.
    pub fn child(base: &str, name: &str) -> String {
        format!("{base}/{}", name.replace('~', "~0").replace('/', "~1"))
    }
}
