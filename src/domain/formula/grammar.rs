//! The grammar of a formula: symbols and groups, each with a number.
//!
//! `formula = part+ "T"?`, `part = (symbol | group) number?`, `group = "(" part+ ")"` with round, square or curly
//! brackets. A missing number means 1. Some tables put a `T` after the last number; it is a mark, not an element.

use super::spelling::Spelt;
use super::{FormulaError, MAX_DEPTH};
use crate::domain::{Element, ElementError};

/// A symbol or group with its number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) what: What,
    pub(super) amount: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Element(Element),
    /// The parts in brackets, and the place of the opening bracket.
    Group(Vec<Part>, usize),
}

pub(super) fn parse(text: &[Spelt]) -> Result<Vec<Part>, FormulaError> {
    let mut parser = Parser { text, at: 0 };
    parser.parts(None, 0)
}

struct Parser<'a> {
    text: &'a [Spelt],
    at: usize,
}

impl Parser<'_> {
    fn here(&self) -> Option<char> {
        self.text.get(self.at).map(|(c, _)| *c)
    }

    /// The place of a character in the text as written. After the end: the place of the last character.
    fn place(&self, at: usize) -> usize {
        self.text.get(at).or(self.text.last()).map_or(1, |(_, place)| *place)
    }

    /// Reads parts up to the end of the text, or up to the closing bracket of the group (`open`: place of its opening
    /// bracket, and the closing character).
    fn parts(&mut self, open: Option<(usize, char)>, depth: usize) -> Result<Vec<Part>, FormulaError> {
        if depth > MAX_DEPTH {
            return Err(FormulaError::TooDeep);
        }
        let mut parts: Vec<Part> = Vec::new();
        while let Some(found) = self.here() {
            let place = self.place(self.at);
            match found {
                '(' | '[' | '{' => {
                    self.footnote(closing(found))?;
                    self.at += 1;
                    let inside = self.parts(Some((place, closing(found))), depth + 1)?;
                    let amount = self.number()?;
                    parts.push(Part { what: What::Group(inside, place), amount });
                }
                ')' | ']' | '}' => {
                    let closes = open.is_some_and(|(_, wanted)| wanted == found);
                    if !closes || parts.is_empty() {
                        return Err(FormulaError::Bracket { at: place });
                    }
                    self.at += 1;
                    return Ok(parts);
                }
                'T' if open.is_none() && self.at + 1 == self.text.len() && self.follows_number() => self.at += 1,
                'A'..='Z' => {
                    let element = self.symbol()?;
                    let amount = self.number()?;
                    parts.push(Part { what: What::Element(element), amount });
                }
                'x' | 'y' | 'z' if !parts.is_empty() => {
                    return Err(FormulaError::Placeholder { text: found.to_string(), letter: found });
                }
                _ => return Err(FormulaError::Unexpected { found, at: place }),
            }
        }
        match open {
            Some((opened, _)) => Err(FormulaError::Bracket { at: opened }),
            None => Ok(parts),
        }
    }

    fn follows_number(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        before.is_some_and(|(c, _)| c.is_ascii_digit())
    }

    /// Refuses brackets that contain only numbers, such as `[52]`.
    fn footnote(&self, close: char) -> Result<(), FormulaError> {
        let rest = &self.text[self.at..];
        let Some(end) = rest.iter().position(|(c, _)| *c == close) else { return Ok(()) };
        let inside = &rest[1..end];
        if inside.is_empty() || !inside.iter().all(|(c, _)| c.is_ascii_digit() || ",-".contains(*c)) {
            return Ok(());
        }
        let text = rest[..=end].iter().map(|(c, _)| *c).collect();
        Err(FormulaError::Footnote { text, at: self.place(self.at) })
    }

    fn symbol(&mut self) -> Result<Element, FormulaError> {
        let start = self.at;
        self.at += 1;
        while self.here().is_some_and(|c| c.is_ascii_lowercase()) {
            self.at += 1;
        }
        let symbol = self.since(start);
        symbol.parse().map_err(|error: ElementError| {
            let letter = symbol.chars().last().filter(|last| matches!(last, 'x' | 'y' | 'z'));
            let known = || symbol[..symbol.len() - 1].parse::<Element>().is_ok();
            match letter {
                Some(letter) if known() => FormulaError::Placeholder { text: symbol.clone(), letter },
                _ => error.into(),
            }
        })
    }

    /// The number at the current position; 1 if there is none.
    fn number(&mut self) -> Result<f64, FormulaError> {
        let start = self.at;
        while self.here().is_some_and(|c| c.is_ascii_digit() || c == '.') {
            self.at += 1;
        }
        if start == self.at {
            return Ok(1.0);
        }
        self.exponent();
        let digits = self.since(start);
        match digits.parse::<f64>() {
            Ok(number) if number < 1e9 => Ok(number),
            _ => Err(FormulaError::Number(digits)),
        }
    }

    /// The text read since a position.
    fn since(&self, start: usize) -> String {
        let read = &self.text[start..self.at];
        let mut text = String::with_capacity(read.len());
        text.extend(read.iter().map(|(c, _)| *c));
        text
    }

    /// Skips an exponent such as `e-05`.
    fn exponent(&mut self) {
        let at = |ahead: usize| self.text.get(self.at + ahead).map(|(c, _)| *c);
        let signed = matches!(at(1), Some('+' | '-'));
        let digits = if signed { 2 } else { 1 };
        if matches!(at(0), Some('e' | 'E')) && at(digits).is_some_and(|c| c.is_ascii_digit()) {
            self.at += digits;
            while self.here().is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1;
            }
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
