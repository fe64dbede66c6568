//! Recognises elements in the names of columns: symbols, words, and names that resemble them.
//!
//! A column that looks like an element must be read or refused. Without its chromium column a steel would silently
//! become another steel.

use super::name::Name;
use super::opening::Head;
use super::units::amount_unit;
use crate::domain::Element;

/// Elements that are analysed in steels and alloys. A misspelt symbol of another element is more likely a word (`at`,
/// `in`, `RA`).
#[rustfmt::skip]
const ANALYSED: [Element; 33] = [
    Element::C, Element::Si, Element::Mn, Element::P, Element::S, Element::Ni, Element::Cr, Element::Mo, Element::Cu,
    Element::V, Element::Al, Element::N, Element::Ti, Element::Nb, Element::B, Element::Co, Element::W, Element::Ta,
    Element::Zr, Element::Sn, Element::Sb, Element::Pb, Element::Ca, Element::Mg, Element::Fe, Element::Zn,
    Element::Hf, Element::Be, Element::Y, Element::Ag, Element::Bi, Element::Te, Element::O,
];

/// Words after a symbol: what part of the element was analysed, or a limit in a specification.
const QUALIFIERS: [&str; 32] = [
    "min",
    "max",
    "minimum",
    "maximum",
    "t",
    "tot",
    "total",
    "s",
    "sol",
    "soluble",
    "insol",
    "insoluble",
    "acid",
    "as",
    "aim",
    "target",
    "nominal",
    "avg",
    "average",
    "mean",
    "actual",
    "measured",
    "content",
    "amount",
    "ladle",
    "product",
    "free",
    "combined",
    "low",
    "high",
    "upper",
    "lower",
];

/// How a name that means an element is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `Cr`, or a word such as `chromium`.
    Right(Element),
    /// `cr`
    Small(Element),
    /// `CR`
    Capital(Element),
}

/// The element with this name.
pub(super) fn element(text: &str) -> Option<Spelling> {
    if let Ok(element) = text.parse() {
        return Some(Spelling::Right(element));
    }
    if let Some(element) = Element::by_name(text) {
        return Some(Spelling::Right(element));
    }
    let (element, small) = (Element::in_letters(text)?, text.to_lowercase());
    if text == small {
        Some(Spelling::Small(element))
    } else {
        (text == text.to_uppercase()).then_some(Spelling::Capital(element))
    }
}

/// Whether a misspelt symbol of this element probably means the element.
pub(super) fn is_analysed(element: Element) -> bool {
    ANALYSED.contains(&element)
}

/// For a name that refers to elements but is not the name of one: a description, and the first element. Otherwise
/// `None`.
pub(super) fn resembles(text: &str) -> Option<(String, Element)> {
    if text == "Cb" {
        return Some(("is columbium, which is niobium (Nb)".to_owned(), Element::Nb));
    }
    let symbol = |part: &str| part.trim().parse::<Element>().ok();
    let parts: Vec<&str> = text.split(['+', '&']).collect();
    let summed: Option<Vec<Element>> = parts.iter().map(|part| symbol(part)).collect();
    if let Some([first, _, ..]) = summed.as_deref() {
        let names: Vec<&str> = parts.iter().map(|part| part.trim()).collect();
        return Some((format!("looks like the sum of {}", names.join(" and ")), *first));
    }
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let first = words.next()?;
    let rest: Vec<String> = words.map(str::to_lowercase).collect();
    let qualified = !rest.is_empty() && rest.iter().all(|word| QUALIFIERS.contains(&word.as_str()));
    if let (Some(element), true) = (symbol(first), qualified) {
        return Some((format!("looks like an amount of {element}"), element));
    }
    // A symbol and a short word: `AlT`, `Als`, `Titot`. (But `Cat` is not calcium, and `NT` not nitrogen.)
    let glued = |at: usize| {
        let (own, word) = (symbol(text.get(..at)?)?, text.get(at..)?);
        let total = word == "T" && at == 2 || ["tot", "Tot", "TOT", "total", "sol", "Sol"].contains(&word);
        (total || own == Element::Al && ["t", "s", "S"].contains(&word)).then_some(own)
    };
    let element = [2, 1].into_iter().find_map(glued).filter(|element| is_analysed(*element))?;
    Some((format!("looks like an amount of {element}"), element))
}

/// The element that a column is named after, ignoring case. `None` if its unit is not a unit of amounts.
pub fn column_element(head: &Head, at: usize) -> Option<Element> {
    let Name { base, unit } = head.name(at);
    let amount = unit.is_none_or(|unit| amount_unit(&unit).is_some());
    match element(&base).filter(|_| amount)? {
        Spelling::Right(element) => Some(element),
        Spelling::Small(element) | Spelling::Capital(element) => is_analysed(element).then_some(element),
    }
}

/// Whether the name of a column is an element's or refers to one.
pub fn speaks_of_elements(name: &str) -> bool {
    let base = super::name::split(name).base;
    matches!(element(&base), Some(Spelling::Right(_))) || resembles(&base).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, spelling) in [
            ("Cr", Some(Spelling::Right(Element::Cr))),
            ("Chromium", Some(Spelling::Right(Element::Cr))),
            ("铬", Some(Spelling::Right(Element::Cr))),
            ("cr", Some(Spelling::Small(Element::Cr))),
            ("c", Some(Spelling::Small(Element::C))),
            ("CR", Some(Spelling::Capital(Element::Cr))),
            ("YS", None),
            ("heat", None),
            ("", None),
        ] {
            assert_eq!(element(text), spelling, "{text}");
        }
    }

    #[test]
    fn what_only_resembles_an_element() {
        for text in ["AlT", "Als", "Al_sol", "C (Min)", "C max", "Nb+Ta", "Nb + Ta", "Al total", "Ntot", "Cr aim", "Cb"]
        {
            assert!(resembles(text).is_some(), "{text}");
        }
        for text in [
            "Alloy",
            "Heat",
            "Charge",
            "Ceq",
            "No",
            "NT",
            "QT",
            "TT",
            "YS",
            "V notch energy",
            "K factor",
            "note",
            "Ti",
            "",
        ] {
            assert_eq!(resembles(text), None, "{text}");
        }
    }
}
