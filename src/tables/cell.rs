//! Reads one cell of a column of numbers. Besides numbers, such cells hold detection limits, dashes, units and words
//! for the balance.

use super::numbers::{grouped, pointed};
use crate::domain::is_balance;

/// Words for a value that was not measured, in small letters. They contain no digits.
#[rustfmt::skip]
const NOT_MEASURED: [&str; 40] = [
    "-", "--", "---", "–", "—", ".", "…", "/", "?", "n.d.", "n.d", "nd", "n/d", "na", "n/a", "n.a.", "n.a", "nan", "none",
    "null", "#n/a", "k.a.", "n.b.", "n.b", "n.m.", "n.m", "nm", "nicht bestimmt", "nicht gemessen", "nicht analysiert",
    "keine angabe", "non mesuré", "non déterminé", "unknown", "missing", "unbekannt", "未测", "未检测", "未测定", "未知",
];

/// Words for an amount that was looked for and not found, or too small to be determined, in small letters.
#[rustfmt::skip]
const NOTHING_FOUND: [&str; 13] = [
    "nil", "tr", "tr.", "trace", "traces", "bdl", "<bdl", "lod", "<lod", "<dl", "not detected", "未检出", "无",
];

/// The content of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Empty, or a word for "no value": `n.d.`, `-`, `N/A`, `tr.` …
    NotMeasured,
    /// A number.
    Number(f64),
    /// A number with thousands separators or similar marks, and a description of the marks: `1,234`, `1 234`.
    Marked(f64, &'static str),
    /// A number and its unit: `0.12%`, `600 °C`.
    Quantity(f64, &'a str),
    /// A word for the balance: `Bal.`, `rest`, `余量`.
    Balance,
    /// `<0.005`: a value from 0 to this limit.
    Below(f64),
    /// `>50`, `over40`: a censored value above this limit.
    Above(f64),
    /// Any other text.
    Text(&'a str),
}

impl<'a> Cell<'a> {
    /// Reads a trimmed cell.
    pub fn read(text: &'a str, decimal_comma: bool) -> Self {
        // Fast path: most cells are plain numbers.
        if !decimal_comma
            && let Ok(number) = text.parse::<f64>()
            && number.is_finite()
        {
            return Self::Number(number);
        }
        if says_nothing(text) {
            return Self::NotMeasured;
        }
        let small = text.to_lowercase();
        if is_balance(text) {
            return Self::Balance;
        }
        let bound = |signs: &[&str]| {
            let rest = signs.iter().find_map(|sign| small.strip_prefix(sign))?;
            let digits = rest.trim_start_matches('=').trim().trim_end_matches(['%', ' ']);
            pointed(digits, decimal_comma)
        };
        if let Some(limit) = bound(&["<", "≤", "＜"]) {
            return Self::Below(limit);
        }
        if let Some(limit) = bound(&[">", "≥", "＞", "over"]) {
            return Self::Above(limit);
        }
        if let Some(number) = pointed(text, decimal_comma) {
            return Self::Number(number);
        }
        if let Some(number) = grouped(text, decimal_comma) {
            return Self::Marked(number, "marks between thousands were read as such");
        }
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text[digits.len()..].trim();
        match pointed(digits, decimal_comma).or_else(|| grouped(digits, decimal_comma)) {
            Some(number) if is_unit(unit) => Self::Quantity(number, unit),
            _ => match text.rsplit_once(' ') {
                // Some units end in a digit.
                Some((digits, unit)) if is_unit(unit) => match pointed(digits.trim(), decimal_comma) {
                    Some(number) => Self::Quantity(number, unit),
                    None => Self::Text(text),
                },
                _ => Self::Text(text),
            },
        }
    }

    /// A message why a text is not a number: `"0.18-0.23" is a range: give one value`.
    pub fn complaint(text: &str) -> String {
        let said = format!("\"{}\"", text.chars().take(40).collect::<String>());
        let digits = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
        let in_number = |c: char| c.is_ascii_digit() || ".,% ".contains(c);
        let is_range = ["-", "–", "—", "...", "…", "~", " to ", " bis "].iter().any(|sign| {
            text.split_once(sign)
                .is_some_and(|(low, high)| [low, high].iter().all(|end| digits(end) && end.chars().all(in_number)))
        });
        let dashes = text.matches('-').count() + text.matches('/').count();
        if ["±", "+/-", "+-"].iter().any(|sign| text.contains(sign)) && digits(text) {
            format!("{said} is a value with an uncertainty: give the value alone")
        } else if dashes == 2 && digits(text) && text.chars().all(|c| c.is_ascii_digit() || "-/".contains(c)) {
            format!("{said} looks like a date: spreadsheets make dates of some numbers; give the number")
        } else if is_range {
            format!("{said} is a range: give one value")
        } else if text.starts_with('#') && text.ends_with(['!', '?', 'A']) {
            format!("{said} is the error of a spreadsheet's formula: give the number, or leave the cell empty")
        } else if pointed(text, true).is_some() {
            format!("{said} has a decimal comma, but commas separate the cells of this table: write a decimal point")
        } else if text.to_lowercase().starts_with("max") || text.to_lowercase().starts_with("min") {
            format!("{said} is a limit of a specification: give what was measured")
        } else if text.parse::<f64>().is_ok() {
            format!("{said} is not a finite number")
        } else {
            format!("{said} is not a number")
        }
    }
}

/// Whether a cell is empty or says that nothing was measured: `n.d.`, `-`, `not analysed`.
pub fn says_nothing(text: &str) -> bool {
    // Fast path: formulas and numbers contain digits, these words do not.
    if text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let small = text.to_lowercase();
    let negated = |rest: &str| rest.chars().all(|c| c.is_alphabetic() || c == ' ');
    small.is_empty()
        || NOT_MEASURED.contains(&small.as_str())
        || NOTHING_FOUND.contains(&small.as_str())
        || small.strip_prefix("not ").is_some_and(negated)
}

/// Whether a cell says that an amount was looked for and not found: `tr.`, `<LOD`, `nil`.
pub(super) fn found_nothing(text: &str) -> bool {
    NOTHING_FOUND.contains(&text.to_lowercase().as_str())
}

/// Whether a cell is empty or a dash: it says nothing in words.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| "-–—./… ".contains(c))
}

/// Whether a text can be the unit after a number: a percent sign or a known unit.
fn is_unit(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 12 && super::looks::unit(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_as_labs_write_them() {
        for (text, cell) in [
            ("0.12", Cell::Number(0.12)),
            ("-1e-3", Cell::Number(-1e-3)),
            ("", Cell::NotMeasured),
            ("N/A", Cell::NotMeasured),
            ("n.d.", Cell::NotMeasured),
            ("tr.", Cell::NotMeasured),
            ("-", Cell::NotMeasured),
            ("nan", Cell::NotMeasured),
            ("not determined", Cell::NotMeasured),
            ("Bal.", Cell::Balance),
            ("REST", Cell::Balance),
            ("余量", Cell::Balance),
            ("<0.005", Cell::Below(0.005)),
            ("≤ 0.005 %", Cell::Below(0.005)),
            (">50", Cell::Above(50.0)),
            ("over40", Cell::Above(40.0)),
            ("0.12%", Cell::Quantity(0.12, "%")),
            ("600 °C", Cell::Quantity(600.0, "°C")),
            ("450MPa", Cell::Quantity(450.0, "MPa")),
            ("450 N/mm2", Cell::Quantity(450.0, "N/mm2")),
            ("1,234", Cell::Marked(1234.0, "marks between thousands were read as such")),
            ("1 234.5", Cell::Marked(1234.5, "marks between thousands were read as such")),
            ("0,12", Cell::Text("0,12")),
            ("0.18-0.23", Cell::Text("0.18-0.23")),
            ("5 ± 1", Cell::Text("5 ± 1")),
            ("inf", Cell::Text("inf")),
            ("H12", Cell::Text("H12")),
        ] {
            assert_eq!(Cell::read(text, false), cell, "{text}");
        }
        for (text, cell) in [
            ("0,12", Cell::Number(0.12)),
            ("0.12", Cell::Number(0.12)),
            ("12", Cell::Number(12.0)),
            ("<0,005", Cell::Below(0.005)),
            ("1.234,5", Cell::Marked(1234.5, "marks between thousands were read as such")),
            ("0,12 %", Cell::Quantity(0.12, "%")),
        ] {
            assert_eq!(Cell::read(text, true), cell, "{text}");
        }
    }

    #[test]
    fn complaints_say_what_a_text_is() {
        for (text, words) in [
            ("0.18-0.23", "is a range: give one value"),
            ("0.18–0.23", "is a range"),
            ("5 ± 1", "is a value with an uncertainty"),
            ("2024-05-01", "looks like a date"),
            ("#REF!", "the error of a spreadsheet"),
            ("0,35", "has a decimal comma"),
            ("max. 0.03", "a limit of a specification"),
            ("inf", "is not a finite number"),
            ("x", "\"x\" is not a number"),
        ] {
            assert!(Cell::complaint(text).contains(words), "{}", Cell::complaint(text));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,20}", decimal_comma: bool) {
            Cell::read(&text, decimal_comma);
            Cell::complaint(&text);
        }

        #[test]
        fn numbers_are_themselves(number in -1e9f64..1e9) {
            let text = number.to_string();
            prop_assert_eq!(Cell::read(&text, false), Cell::Number(number));
            let text = text.replace('.', ",");
            prop_assert_eq!(Cell::read(&text, true), Cell::Number(number));
        }
    }
}
