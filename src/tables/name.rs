//! Splits the name of a column into a name and a unit: `Cr (wt.%)`, `Ni_wt`, `Temperature (°F)`.

use super::looks::{Unit, unit};
use super::opening::Head;
use super::units::amount_unit;
use crate::domain::Element;

/// The result of a search for a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its index.
    pub at: usize,
    /// Its unit, as written in its name or in the row of units, if there is one.
    pub unit: Option<String>,
}

/// The parts of a column's name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    /// The name without its unit.
    pub(super) base: String,
    /// The unit, as written.
    pub(super) unit: Option<String>,
}

/// Splits a name. Text in brackets that is not a unit stays in the name: `C (Min)`.
pub(super) fn split(text: &str) -> Name {
    let text: String = text.chars().map(plain_bracket).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found =
        in_brackets(&text).or_else(|| of_mass_fraction(&text)).or_else(|| before(&text)).or_else(|| behind(&text));
    match found {
        Some((base, unit)) => Name { base, unit: Some(unit) },
        None => Name { base: text, unit: None },
    }
}

fn plain_bracket(c: char) -> char {
    match c {
        '（' | '[' | '【' | '{' | '［' => '(',
        '）' | ']' | '】' | '}' | '］' => ')',
        '／' => '/',
        '％' => '%',
        '，' => ',',
        other => other,
    }
}

/// `C (wt.%)`, `Temperature (in °C)`, `(wt%) C`
fn in_brackets(text: &str) -> Option<(String, String)> {
    if let Some(rest) = text.strip_suffix(')') {
        let (base, inner) = rest.rsplit_once('(')?;
        let (base, inner) = (base.trim_end_matches([' ', '_', ',', '/']), unit_text(inner));
        // `C (Min)` is a minimum of carbon, not carbon in minutes.
        let minutes = !inner.eq_ignore_ascii_case("min") || base.parse::<Element>().is_err();
        return (!base.is_empty() && is_unit(inner, true) && minutes).then(|| (base.to_owned(), inner.to_owned()));
    }
    let (inner, base) = text.strip_prefix('(')?.split_once(')')?;
    let (base, inner) = (base.trim(), unit_text(inner));
    (!base.is_empty() && is_unit(inner, true)).then(|| (base.to_owned(), inner.to_owned()))
}

/// A mass fraction as in chemistry: `w(C)`, `ω(C)/%`.
fn of_mass_fraction(text: &str) -> Option<(String, String)> {
    let rest = text.strip_prefix(['w', 'ω', 'W'])?.strip_prefix('(')?;
    let (base, rest) = rest.split_once(')')?;
    let unit = match rest.trim_start_matches(['/', ' ', '(']).trim_end_matches(')') {
        "" | "%" => "wt%",
        other if amount_unit(other).is_some() => other,
        _ => return None,
    };
    Some((base.trim().to_owned(), unit.to_owned()))
}

/// `C wt%`, `Ni_wt`, `N, ppm`, `YS / MPa`, `Temperature in °C`, `C%`, `Mn质量分数`
fn behind(text: &str) -> Option<(String, String)> {
    if text.ends_with(')') {
        return None;
    }
    let separators = |(_, c): &(usize, char)| " _,/:;|-".contains(*c);
    for (at, c) in text.char_indices().filter(separators) {
        let (base, unit) =
            (text[..at].trim_end_matches([' ', '_', ',', '/', ':', '-']), unit_text(&text[at + c.len_utf8()..]));
        // A single letter after a short name is ambiguous.
        let short = base.chars().count() > 2 && c != '-';
        if !base.is_empty() && is_unit(unit, short) {
            return Some((base.to_owned(), unit.to_owned()));
        }
    }
    let letters = text.find(|c: char| !c.is_ascii_alphabetic())?;
    let (base, unit) = text.split_at(letters);
    (!base.is_empty() && amount_unit(unit).is_some()).then(|| (base.to_owned(), unit.trim().to_owned()))
}

/// `wt% C`, `wt_C`, `%C`, `质量分数 Mn`
fn before(text: &str) -> Option<(String, String)> {
    if let Some(base) = text.strip_prefix('%') {
        return Some((base.trim().to_owned(), "%".to_owned())).filter(|(base, _)| !base.is_empty());
    }
    let (at, c) = text.char_indices().rfind(|(_, c)| " _:".contains(*c))?;
    let (unit, base) = (text[..at].trim(), text[at + c.len_utf8()..].trim());
    (!base.is_empty() && amount_unit(unit).is_some()).then(|| (base.to_owned(), unit.to_owned()))
}

fn unit_text(text: &str) -> &str {
    let text = text.trim().trim_start_matches(['_', ',', '/', ' ', '(']).trim_end_matches(')').trim();
    text.strip_prefix("in ").unwrap_or(text).trim()
}

fn is_unit(text: &str, short: bool) -> bool {
    amount_unit(text).is_some()
        || match unit(text) {
            Some(Unit::Clear) => true,
            Some(Unit::Short) => short,
            Some(Unit::None) => false,
            None => false,
        }
}

/// Normal form of a name: letters and digits only, in small letters. Names with the same form are equal.
pub fn normal(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Parts of German and Chinese words, and their meanings.
#[rustfmt::skip]
const PARTS: [(&str, &str); 14] = [
    ("temperatur", "temperature"), ("温度", "temperature"), ("prüf", "test"), ("pruef", "test"), ("试验", "test"),
    ("测试", "test"), ("anlass", "tempering"), ("回火", "tempering"), ("abschreck", "quenching"), ("淬火", "quenching"),
    ("normalglüh", "normalizing"), ("正火", "normalizing"), ("退火", "annealing"), ("时效", "aging"),
];

/// The words of a name, in small letters, translated to English if known.
pub(super) fn words(text: &str) -> Vec<String> {
    let spelt_out = |part: &str| -> Vec<String> {
        let small = part.to_lowercase();
        if matches!(small.as_str(), "temp" | "t") {
            return vec!["temperature".to_owned()];
        }
        let known: Vec<String> =
            PARTS.iter().filter(|(part, _)| small.contains(part)).map(|(_, word)| (*word).to_owned()).collect();
        if known.is_empty() { vec![small] } else { known }
    };
    text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).flat_map(spelt_out).collect()
}

impl Head {
    /// The name of a column without its unit, and its unit: from the name, else from the row of units.
    pub(super) fn name(&self, at: usize) -> Name {
        let mut name = split(self.names.get(at).map_or("", String::as_str));
        let below = self.units.as_ref().and_then(|units| units.get(at)).filter(|unit| !unit.is_empty());
        name.unit = name.unit.or_else(|| below.cloned());
        name
    }
}

/// The name of a column without its unit, and the unit from its name or the row of units, if there is one.
pub fn column_name(head: &Head, at: usize) -> (String, Option<String>) {
    let Name { base, unit } = head.name(at);
    (base, unit)
}

/// Finds a column by name: exactly, else the only one that differs only by case, spaces, underscores or a unit.
///
/// # Errors
/// A message: the column is missing (with a similar column, if any) or occurs twice.
pub fn find_column(head: &Head, wanted: &str) -> Result<Found, String> {
    let own_unit = |at: usize| Found { at, unit: head.name(at).unit };
    let exact: Vec<usize> = (0..head.names.len()).filter(|at| head.names[*at] == wanted.trim()).collect();
    let alike = || {
        let wanted = normal(&split(wanted).base);
        (0..head.names.len()).filter(move |at| !wanted.is_empty() && normal(&head.name(*at).base) == wanted)
    };
    match exact.as_slice() {
        // With an exact match, a letter at the end of the name need not be a unit.
        [at] => {
            let Found { at, unit } = own_unit(*at);
            let unit = unit.filter(|text| amount_unit(text).is_some() || super::looks::unit(text) == Some(Unit::Clear));
            return Ok(Found { at, unit });
        }
        [_, _, ..] => return Err(format!("the column {wanted} is there twice")),
        [] => {}
    }
    let alike: Vec<usize> = alike().collect();
    match alike.as_slice() {
        [at] => Ok(own_unit(*at)),
        [] => Err(format!("the column {wanted} is missing{}", hint(head, wanted))),
        several => {
            let names: Vec<String> = several.iter().map(|at| format!("\"{}\"", head.names[*at])).collect();
            Err(format!(
                "the column {wanted} is missing; {} are both like it: which one is meant?",
                names.join(" and ")
            ))
        }
    }
}

/// A hint that names a similar column.
fn hint(head: &Head, wanted: &str) -> String {
    let wanted_words = words(wanted);
    let shared = |at: &usize| words(&head.names[*at]).iter().filter(|word| wanted_words.contains(word)).count();
    let likely = (0..head.names.len()).filter(|at| shared(at) > 0).max_by_key(shared);
    likely.map_or_else(String::new, |at| format!("; \"{}\" looks like it", head.names[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (text, base, unit) in [
            ("C (wt.%)", "C", Some("wt.%")),
            ("C [ppm]", "C", Some("ppm")),
            ("Ni(at%)", "Ni", Some("at%")),
            ("wt% C", "C", Some("wt%")),
            ("C_wt", "C", Some("wt")),
            ("Ni_wt%", "Ni", Some("wt%")),
            ("wt_C", "C", Some("wt")),
            ("C mass%", "C", Some("mass%")),
            ("C wt. %", "C", Some("wt. %")),
            ("Mn 质量分数", "Mn", Some("质量分数")),
            ("Mn质量分数", "Mn", Some("质量分数")),
            ("C（%）", "C", Some("%")),
            ("C%", "C", Some("%")),
            ("%C", "C", Some("%")),
            ("N_ppm", "N", Some("ppm")),
            ("w(C)/%", "C", Some("wt%")),
            ("C, wt%", "C", Some("wt%")),
            ("Temperature (°F)", "Temperature", Some("°F")),
            ("Temperature in °C", "Temperature", Some("°C")),
            ("Temperature_C", "Temperature", Some("C")),
            ("YS_MPa", "YS", Some("MPa")),
            ("UTS / ksi", "UTS", Some("ksi")),
            ("C (Min)", "C (Min)", None),
            ("Nb + Ta", "Nb + Ta", None),
            ("test_temperature", "test_temperature", None),
            ("AlT", "AlT", None),
            ("C", "C", None),
            ("Alloy code", "Alloy code", None),
            ("", "", None),
        ] {
            let expected = Name { base: base.to_owned(), unit: unit.map(str::to_owned) };
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
