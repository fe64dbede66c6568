//! What a user wrote: well-typed, but not yet checked; and what is wrong with it.
//!
//! Its own because every door (JSON, tables, training files) ends in these types, and only
//! [`super::Sample::parse`] goes on from them.

use std::borrow::Cow;

use super::Basis;

/// A composition as a user wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum RawComposition<'a> {
    /// A formula.
    Formula(String),
    /// Symbols and amounts, on the basis of the sample or else of the schema.
    Amounts(Vec<(Cow<'a, str>, f64)>),
}

/// A process parameter as a user wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum RawValue {
    /// A number.
    Number(f64),
    /// A level of a categorical parameter.
    Text(String),
}

/// A sample as a user wrote it: well-typed, but not yet checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawSample<'a> {
    /// The composition.
    pub composition: Option<RawComposition<'a>>,
    /// Basis of the amounts; the schema's where it is not given. Of a formula: atomic parts where it is not given.
    pub basis: Option<Basis>,
    /// The element that was said to make up the rest to 100 (`"Fe": "bal."`); the schema's where it is not given.
    pub balance: Option<Cow<'a, str>>,
    /// Process parameters by name.
    pub processing: Vec<(Cow<'a, str>, RawValue)>,
}

/// Words for the rest to 100 in the place of an amount, in small letters and without a dot at the end.
const BALANCE: [&str; 12] =
    ["bal", "balance", "rest", "rem", "remainder", "remaining", "base", "basis", "余量", "余", "其余", "reste"];

/// Whether a text in the place of an amount is a word for the rest: `Bal.`, `rest`, `余量`.
pub fn is_balance(text: &str) -> bool {
    BALANCE.contains(&text.trim().to_lowercase().trim_end_matches('.'))
}

/// Complaints about one input that are told. Nobody reads more, and a body of two megabytes can deserve a hundred thousand:
/// whoever looks for them stops when there is one more than these.
pub const MOST_VIOLATIONS: usize = 100;

/// One complaint about an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending field.
    pub pointer: String,
    /// What is wrong with it, for people.
    pub detail: String,
}

impl Violation {
    /// A complaint about the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The complaint for a table, where a field is a column: `column: detail`.
    pub fn in_words(&self) -> String {
        match self.pointer.rsplit('/').next() {
            Some(column) if !column.is_empty() => {
                format!("{}: {}", column.replace("~1", "/").replace("~0", "~"), self.detail)
            }
            _ => self.detail.clone(),
        }
    }

    /// `base/name`, with the escapes of RFC 6901.
    pub fn child(base: &str, name: &str) -> String {
        format!("{base}/{}", name.replace('~', "~0").replace('/', "~1"))
    }
}
