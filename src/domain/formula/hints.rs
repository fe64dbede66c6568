//! Hints for texts that are not formulas: names of grades, nominal compositions, words for "no value", symbols in
//! capitals.
//!
//! A hint about what was probably meant helps the user more than the place where the parser stopped.

use super::spelling::Spelt;
use super::{grammar, spelling};
use crate::domain::{Basis, Composition, Element};

/// Words for "no formula", in small letters.
const NOTHING: [&str; 14] =
    ["", "nan", "none", "null", "n/a", "na", "n.a.", "#n/a", "-", "--", "–", "—", "?", "unknown"];

/// Metals with two-letter symbols that occur in alloys.
#[rustfmt::skip]
const METALS: [Element; 40] = [
    Element::Li, Element::Be, Element::Mg, Element::Al, Element::Si, Element::Ca, Element::Sc, Element::Ti, Element::Cr,
    Element::Mn, Element::Fe, Element::Co, Element::Ni, Element::Cu, Element::Zn, Element::Ga, Element::Ge, Element::Zr,
    Element::Nb, Element::Mo, Element::Ru, Element::Rh, Element::Pd, Element::Ag, Element::Sn, Element::Sb, Element::La,
    Element::Ce, Element::Pr, Element::Nd, Element::Sm, Element::Gd, Element::Dy, Element::Er, Element::Hf, Element::Ta,
    Element::Re, Element::Pt, Element::Au, Element::Pb,
];

/// Prefixes of standards and trade names in names of grades.
const STANDARDS: [&str; 20] = [
    "aisi",
    "sae",
    "astm",
    "uns",
    "din",
    "en ",
    "gb",
    "jis",
    "ss",
    "aa",
    "inconel",
    "hastelloy",
    "monel",
    "incoloy",
    "waspaloy",
    "nimonic",
    "grade",
    "alloy",
    "steel",
    "type",
];

pub(super) fn is_nothing(text: &str) -> bool {
    text.len() < 8 && NOTHING.contains(&text.to_lowercase().as_str())
}

/// Spells a formula in capitals with small letters where two capitals are the symbol of a metal: `NI60NB40` →
/// `Ni60Nb40`. `None` if the text has small letters already, or no such pair (`WC`, `Y2O3`).
pub(super) fn in_small_letters(text: &[Spelt]) -> Option<String> {
    if text.iter().any(|(c, _)| c.is_ascii_lowercase()) {
        return None;
    }
    let (mut meant, mut changed, mut at) = (String::new(), false, 0);
    while let Some((c, _)) = text.get(at) {
        let next = text.get(at + 1).map(|(c, _)| *c).filter(char::is_ascii_uppercase);
        let symbol = next.map(|next| format!("{c}{}", next.to_ascii_lowercase()));
        let metal = symbol.filter(|symbol| symbol.parse().is_ok_and(|element| METALS.contains(&element)));
        match metal {
            Some(symbol) => {
                meant += &symbol;
                (changed, at) = (true, at + 2);
            }
            None => {
                meant.push(*c);
                at += 1;
            }
        }
    }
    changed.then_some(meant)
}

/// How to correct a text that would be a formula without its unit or dashes.
fn nearly(text: &str) -> Option<String> {
    let is_formula = |text: &str| {
        let parts = spelling::plain(text).and_then(|plain| grammar::parse(&plain));
        parts.is_ok_and(|parts| !parts.is_empty())
    };
    for unit in ["at%", "at.%", "at. %", "at %", "mol%", "wt%", "wt.%", "wt. %", "wt %"] {
        let bare = text.trim_end_matches(')').trim_end().strip_suffix(unit);
        if let Some(bare) = bare.map(|bare| bare.trim_end_matches(['(', ' ', ','])).filter(|bare| is_formula(bare)) {
            let how = match unit.starts_with("wt") {
                true => "say \"basis\": \"weight_percent\" instead",
                false => "a formula is in atomic parts anyway",
            };
            return Some(format!("has a unit behind it: write {bare}; {how}"));
        }
    }
    if let Some(letter) = ['x', 'y', 'z'].into_iter().find(|letter| text.contains(&format!("-{letter}"))) {
        return Some(format!("has the letter {letter} in the place of a number: write a number"));
    }
    let parts: Vec<&str> = text.split(['-', '–', '−']).map(str::trim).collect();
    let amount = |part: &&str| is_formula(part) && part.ends_with(|c: char| c.is_ascii_digit());
    let joined = parts.concat();
    (parts.len() > 1 && parts.iter().all(amount)).then(|| format!("has dashes between its parts: is {joined} meant?"))
}

/// For the name of a grade: a message that says so and explains how to write its composition. Otherwise `None`.
pub(super) fn grade(text: &str) -> Option<String> {
    const HOW: &str = "give amounts in percent by mass, such as {\"C\": 0.4, \"Cr\": 1.0}, and leave out the element that \
                       makes up the rest (or give it as \"bal.\")";
    let said: String = text.chars().take(40).collect();
    if let Some(mended) = nearly(text) {
        return Some(format!("\"{said}\" {mended}"));
    }
    if nominal(text).is_some() {
        return Some(format!(
            "\"{said}\" is a nominal composition in percent by mass, not a formula: say \"basis\": \"weight_percent\", or {HOW}"
        ));
    }
    let small = text.to_lowercase();
    let letters = || text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits = || text.bytes().any(|byte| byte.is_ascii_digit());
    let numbered =
        text.starts_with(|c: char| c.is_ascii_digit()) && (letters() || text.contains('.') || text.len() > 2);
    let standard = STANDARDS.iter().any(|word| small.starts_with(word)) && (digits() || small.contains(' '));
    // `X5CrNi18-10`, `GX40CrNiSi25-12`
    let european = text
        .trim_start_matches('G')
        .strip_prefix('X')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let dashed = text.contains('-') && letters() && digits() && !text.contains(['(', '[', '{']);
    let is_grade = numbered || standard || european || dashed;
    is_grade.then(|| format!("\"{said}\" looks like the name of a grade, not a formula: {HOW}"))
}

/// Reads a nominal composition in wt%, such as `Ti-6Al-4V`: its base element, and the amounts of the others.
pub(in crate::domain) fn nominal(text: &str) -> Option<(Element, Composition)> {
    let mut parts = text.split(['-', '–', '−']).map(str::trim);
    let base = parts.next()?.parse::<Element>().ok()?;
    let amount = |part: &str| {
        let letters = part.find(|c: char| c.is_ascii_alphabetic()).filter(|at| *at > 0)?;
        let (number, symbol) = part.split_at(letters);
        Some((symbol.parse::<Element>().ok()?, number.trim().parse::<f64>().ok()?))
    };
    let amounts: Vec<(Element, f64)> = parts.map(amount).collect::<Option<_>>()?;
    let composition = Composition::new(Basis::WeightPercent, amounts).ok()?;
    (composition.total() < 100.0 && composition.amount(base) == 0.0).then_some((base, composition))
}

/// Whether a valid formula looks like the name of a grade, whose numbers are percent by mass: `Ti6Al4V`, `Cr12MoV`.
pub(in crate::domain) fn looks_like_grade(text: &str) -> bool {
    let text = text.trim();
    // Neither of the two patterns below ends in a number, but most formulas do.
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    // The number after each symbol, if there is one.
    let mut numbers: Vec<Option<f64>> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().skip(1).find(|(_, c)| !c.is_ascii_lowercase()).map_or(rest.len(), |(at, _)| at);
        let (symbol, after) = rest.split_at(end);
        if symbol.parse::<Element>().is_err() {
            return false;
        }
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        let (number, after) = after.split_at(end);
        numbers.push(number.parse().ok());
        rest = after;
    }
    let given: Vec<f64> = numbers.iter().flatten().copied().collect();
    let last = numbers.last().copied().flatten();
    let first = numbers.first().copied().flatten();
    // Nominal composition: a number before each symbol except the first, and none after the last.
    let nominal =
        numbers.len() > 2 && last.is_none() && given.len() == numbers.len() - 1 && given.iter().sum::<f64>() < 50.0;
    // Grade with one number: it follows the first of several symbols.
    let numbered = numbers.len() > 2 && given.len() == 1 && first.is_some_and(|first| first >= 5.0);
    nominal || numbered
}
