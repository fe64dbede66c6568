//! Formula strings such as `Zr41.2Ti13.8Cu12.5Ni10Be22.5` or `(Fe0.5Co0.5)70B30`, always in atomic parts.
//!
//! Its own because it is a small grammar:
//! `formula = part+ "T"?`, `part = (symbol | group) number?`, `group = "(" part+ ")"` with any of the three
//! kinds of brackets. A number left out is 1. The inside of a group is normalised to 1 and then multiplied,
//! as the alloy literature writes it: `(Fe0.75B0.25)96Nb4` is Fe 72, B 24, Nb 4. A trailing `T` (a note of
//! some tables, not an element) is ignored.

use super::{Basis, Composition, CompositionError, Element, ElementError};

/// A formula longer than this is not an alloy.
const MAX_LENGTH: usize = 512;
/// Brackets deeper than this are not an alloy.
const MAX_DEPTH: usize = 16;

/// Why a formula could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FormulaError {
    /// Nothing but white space.
    #[error("the formula is empty")]
    Empty,
    /// Over 512 characters.
    #[error("the formula is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Brackets nested more than 16 deep.
    #[error("the formula nests brackets more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A character that fits nowhere.
    #[error("unexpected '{found}' at character {at} of the formula")]
    Unexpected {
        /// The offending character.
        found: char,
        /// Its place, counted from 1.
        at: usize,
    },
    /// A bracket without its partner, or an empty pair.
    #[error("the bracket at character {at} of the formula is not matched, or has nothing inside")]
    Bracket {
        /// Its place, counted from 1.
        at: usize,
    },
    /// A number that is none, or is out of range.
    #[error("\"{0}\" is not an amount")]
    Number(String),
    /// A symbol that is no element.
    #[error(transparent)]
    Element(#[from] ElementError),
    /// The amounts are no composition.
    #[error(transparent)]
    Composition(#[from] CompositionError),
}

/// Reads a formula into a composition in atomic parts, with the scale as written.
///
/// # Errors
/// [`FormulaError`] says what is wrong and where.
pub fn parse_formula(text: &str) -> Result<Composition, FormulaError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(FormulaError::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(FormulaError::TooLong);
    }
    let mut parser = Parser { chars: text.chars().collect(), at: 0 };
    let amounts = parser.parts(None, 0)?;
    let present = amounts.into_iter().enumerate().map(|(index, amount)| (Element::ALL[index], amount));
    Ok(Composition::new(Basis::AtomicPercent, present)?)
}

/// Amounts by element index.
type Amounts = [f64; Element::ALL.len()];

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    /// Parts up to the end, or up to the bracket that closes the group opened by `open` (its place).
    fn parts(&mut self, open: Option<(usize, char)>, depth: usize) -> Result<Amounts, FormulaError> {
        if depth > MAX_DEPTH {
            return Err(FormulaError::TooDeep);
        }
        let mut amounts = [0.0; Element::ALL.len()];
        let start = self.at;
        while let Some(&found) = self.chars.get(self.at) {
            match found {
                '(' | '[' | '{' => {
                    let opened = self.at;
                    self.at += 1;
                    let inside = self.parts(Some((opened, closing(found))), depth + 1)?;
                    let factor = self.number()? / inside.iter().sum::<f64>();
                    if !factor.is_finite() {
                        return Err(FormulaError::Bracket { at: opened + 1 });
                    }
                    amounts.iter_mut().zip(inside).for_each(|(total, part)| *total += part * factor);
                }
                ')' | ']' | '}' => {
                    let closes = open.is_some_and(|(_, wanted)| wanted == found);
                    if !closes || self.at == start {
                        return Err(FormulaError::Bracket { at: self.at + 1 });
                    }
                    self.at += 1;
                    return Ok(amounts);
                }
                'T' if open.is_none() && self.at > start && self.at + 1 == self.chars.len() => self.at += 1,
                'A'..='Z' => {
                    let element = self.symbol()?;
                    amounts[element.index()] += self.number()?;
                }
                _ => return Err(FormulaError::Unexpected { found, at: self.at + 1 }),
            }
        }
        match open {
            Some((opened, _)) => Err(FormulaError::Bracket { at: opened + 1 }),
            None => Ok(amounts),
        }
    }

    fn symbol(&mut self) -> Result<Element, FormulaError> {
        let start = self.at;
        self.at += 1;
        while self.chars.get(self.at).is_some_and(char::is_ascii_lowercase) {
            self.at += 1;
        }
        let symbol: String = self.chars[start..self.at].iter().collect();
        Ok(symbol.parse()?)
    }

    /// The number at this place, or 1 where none stands.
    fn number(&mut self) -> Result<f64, FormulaError> {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|c| c.is_ascii_digit() || *c == '.') {
            self.at += 1;
        }
        if start == self.at {
            return Ok(1.0);
        }
        let digits: String = self.chars[start..self.at].iter().collect();
        match digits.parse::<f64>() {
            Ok(number) if number < 1e9 => Ok(number),
            _ => Err(FormulaError::Number(digits)),
        }
    }
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amounts(text: &str) -> Vec<(&'static str, f64)> {
        let composition = parse_formula(text).unwrap();
        composition.amounts().iter().map(|(element, amount)| (element.symbol(), *amount)).collect()
    }

    #[test]
    fn plain_and_nested() {
        assert_eq!(amounts("AlCrMoSiTi").len(), 5);
        assert_eq!(amounts("Zr53Ti5Cu20Ni12Al15").iter().map(|(_, amount)| amount).sum::<f64>(), 105.0);
        assert_eq!(amounts("(Fe0.5Co0.5)70B30"), [("B", 30.0), ("Fe", 35.0), ("Co", 35.0)]);
        assert_eq!(amounts("(CaCu)70Mg30"), [("Mg", 30.0), ("Ca", 35.0), ("Cu", 35.0)]);
        assert_eq!(amounts("[{Fe2Co2}2Ni2]8B2"), [("B", 2.0), ("Fe", 2.0), ("Co", 2.0), ("Ni", 4.0)]);
        assert_eq!(amounts("Al40Cu60T"), [("Al", 40.0), ("Cu", 60.0)]);
        assert_eq!(amounts("AlTi"), [("Al", 1.0), ("Ti", 1.0)]);
        assert_eq!(amounts(" Fe56B44 ").len(), 2);
        assert_eq!(amounts("Fe10B20Fe30"), [("B", 20.0), ("Fe", 40.0)]);
    }

    #[test]
    fn complaints_name_the_place() {
        assert_eq!(parse_formula("  "), Err(FormulaError::Empty));
        assert_eq!(parse_formula("Fe-Co"), Err(FormulaError::Unexpected { found: '-', at: 3 }));
        assert_eq!(parse_formula("Fe(Co"), Err(FormulaError::Bracket { at: 3 }));
        assert_eq!(parse_formula("Fe)"), Err(FormulaError::Bracket { at: 3 }));
        assert_eq!(parse_formula("(Fe]2"), Err(FormulaError::Bracket { at: 4 }));
        assert_eq!(parse_formula("()2"), Err(FormulaError::Bracket { at: 2 }));
        assert_eq!(parse_formula("Fe1.2.3"), Err(FormulaError::Number("1.2.3".into())));
        assert_eq!(parse_formula("Xx2"), Err(FormulaError::Element(ElementError::Unknown("Xx".into()))));
        assert_eq!(parse_formula("Fe0"), Err(FormulaError::Composition(CompositionError::Empty)));
        assert_eq!(parse_formula("(Fe0)3"), Err(FormulaError::Bracket { at: 1 }));
        assert_eq!(parse_formula(&"(".repeat(400)), Err(FormulaError::TooDeep));
        assert_eq!(parse_formula(&"Fe".repeat(400)), Err(FormulaError::TooLong));
        assert_eq!(parse_formula("T"), Err(FormulaError::Element(ElementError::Unknown("T".into()))));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = parse_formula(&text);
        }

        #[test]
        fn never_panics_on_formula_like_text(text in r"([A-Z][a-z]?|[0-9.]{1,3}|[()\[\]{}]){0,30}") {
            let _ = parse_formula(&text);
        }
    }
}
