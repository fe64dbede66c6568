//! Parser of formulas such as `Zr41.2Ti13.8Cu12.5Ni10Be22.5` or `(Fe0.5Co0.5)70B30`.
//!
//! [`spelling`] removes typesetting, [`grammar`] finds the parts, [`brackets`] multiplies brackets out, and [`hints`]
//! explains texts that are not formulas.

mod brackets;
mod grammar;
mod hints;
mod spelling;

use super::{Basis, Composition, CompositionError, ElementError};

pub(super) use hints::{looks_like_grade, nominal};

/// Longest accepted formula, in characters.
const MAX_LENGTH: usize = 512;
/// Deepest accepted nesting of brackets.
const MAX_DEPTH: usize = 16;

/// Why a formula could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FormulaError {
    /// Empty, or a word for "no value": `NaN`, `None`, `-`.
    #[error("no formula is given")]
    Empty,
    /// Over 512 characters.
    #[error("the formula is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Brackets nested more than 16 deep.
    #[error("the formula nests brackets more than {MAX_DEPTH} deep")]
    TooDeep,
    /// An unexpected character.
    #[error("unexpected '{found}' at character {at} of the formula")]
    Unexpected {
        /// The offending character.
        found: char,
        /// Its place, counted from 1.
        at: usize,
    },
    /// An invisible character, or one that looks like a Latin letter.
    #[error("character {at} of the formula is U+{:04X}{}: type it again", *found as u32, likeness(*looks_like))]
    Strange {
        /// The offending character.
        found: char,
        /// The letter that it looks like; `None` for an invisible character.
        looks_like: Option<char>,
        /// Its place, counted from 1.
        at: usize,
    },
    /// A footnote or reference mark.
    #[error("\"{text}\" at character {at} of the formula looks like the mark of a footnote: leave it out")]
    Footnote {
        /// As written.
        text: String,
        /// Its place, counted from 1.
        at: usize,
    },
    /// A letter in place of an amount.
    #[error("\"{text}\" is not a chemical element: {letter} looks like a placeholder for an amount; write a number")]
    Placeholder {
        /// As written.
        text: String,
        /// The letter.
        letter: char,
    },
    /// An unmatched bracket, or an empty pair.
    #[error("the bracket at character {at} of the formula is not matched, or has nothing inside")]
    Bracket {
        /// Its place, counted from 1.
        at: usize,
    },
    /// A number that cannot be read or is out of range.
    #[error("\"{0}\" is not an amount")]
    Number(String),
    /// Only capitals, where two-letter symbols are more likely.
    #[error("\"{written}\" is in capitals: is {meant} meant? Write symbols with a capital and a small letter")]
    Capitals {
        /// As written.
        written: String,
        /// The probable formula.
        meant: String,
    },
    /// The name of a grade or a nominal composition.
    #[error("{0}")]
    Grade(String),
    /// A symbol that is not an element.
    #[error(transparent)]
    Element(#[from] ElementError),
    /// The amounts are not a valid composition.
    #[error(transparent)]
    Composition(#[from] CompositionError),
}

fn likeness(looks_like: Option<char>) -> String {
    match looks_like {
        Some(letter) => format!(", which looks like {letter}"),
        None => ", which cannot be seen".to_owned(),
    }
}

/// A formula that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// Parts of each element, on the scale as written. They are atomic parts unless the user stated another basis.
    pub composition: Composition,
    /// For a formula with two possible readings: which one was used, as text.
    pub notes: Vec<String>,
}

/// Reads a formula into a composition in atomic parts, with the scale as written.
///
/// # Errors
/// [`FormulaError`] says what is wrong and where.
pub fn parse_formula(text: &str) -> Result<Composition, FormulaError> {
    read_formula(text).map(|formula| formula.composition)
}

/// Reads a formula, with notes if it has more than one possible reading.
///
/// # Errors
/// [`FormulaError`] says what is wrong and where.
pub fn read_formula(text: &str) -> Result<Formula, FormulaError> {
    let text = text.trim();
    if hints::is_nothing(text) {
        return Err(FormulaError::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(FormulaError::TooLong);
    }
    let parsed = spelling::plain(text).and_then(|plain| {
        if let Some(meant) = hints::in_small_letters(&plain) {
            return Err(FormulaError::Capitals { written: text.to_owned(), meant });
        }
        grammar::parse(&plain)
    });
    // If the text is the name of a grade, say so instead of reporting the syntax error.
    let parts = parsed.map_err(|error| match error {
        FormulaError::Footnote { .. } | FormulaError::Strange { .. } => error,
        other => hints::grade(text).map_or(other, FormulaError::Grade),
    })?;
    let (amounts, notes) = brackets::expand(&parts)?;
    let present = amounts.into_iter().enumerate().map(|(index, amount)| (super::Element::ALL[index], amount));
    Ok(Formula { composition: Composition::new(Basis::AtomicPercent, present)?, notes })
}

#[cfg(test)]
mod tests;
