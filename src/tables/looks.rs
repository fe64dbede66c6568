//! Classifies cells near a header: numbers, units, names that only a header has.

use crate::domain::{Element, parse_formula};

/// Units that are clearly units in a table of materials data, spelt as by [`plain`].
const UNITS: &str = "
    % wt% wt-% wtpct %wt weight% weightpercent at% at-% atpct %at atomic% atomicpercent mass% mass-%
    %mass m% ma% ma-% gew% gew-% mol% mol-% vol% vol-% 质量分数 质量% 重量% 原子% 原子分数 ppm wtppm ppmw massppm
    atppm ppb °c °f °k degc degf mpa gpa kpa pa ksi psi n/mm2 n/mm^2 kn hv hb hbw hrc hrb hra mm um nm
    cm min hr hrs hours sec days cycles kj/mol j/mol j/cm2 kj ev ev/atom g/cm3 g/cc g/cm^3 kg/m3 kg/m^3
    °c/s °c/min °c/h k/s k/min w/mk ms/m %iacs emu/g mpa√m mpa*m^1/2 mpam1/2
";
/// Texts that may be a unit or something else, mostly an element.
const SHORT_UNITS: [&str; 20] =
    ["k", "h", "s", "m", "t", "n", "v", "w", "j", "g", "kg", "d", "c", "f", "a", "in", "1/s", "s-1", "s^-1", "μ"];
/// Cells of a row of units that mean "no unit", or introduce the row.
const NO_UNITS: [&str; 12] = ["-", "–", "—", "/", "none", "text", "1", "unit", "units", "einheit", "einheiten", "单位"];

/// How a cell reads as a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Clearly a unit.
    Clear,
    /// A unit or something else.
    Short,
    /// "No unit".
    None,
}

/// Whether a cell is a number, range or date: digits and their usual marks.
pub(super) fn is_number(cell: &str) -> bool {
    cell.bytes().any(|byte| byte.is_ascii_digit())
        && cell.chars().all(|c| c.is_ascii_digit() || ".,-+eE/:% ()±–<>≤≥~'".contains(c))
}

/// Whether a cell is a formula of several elements with amounts. A header never is.
pub(super) fn is_formula(cell: &str) -> bool {
    let written = cell.bytes().any(|byte| byte.is_ascii_digit())
        && cell.starts_with(|c: char| c.is_ascii_uppercase() || c == '(');
    written && parse_formula(cell).is_ok_and(|composition| composition.amounts().len() > 1)
}

/// Whether a cell names the column of formulas.
pub(super) fn names_formulas(cell: &str) -> bool {
    cell.eq_ignore_ascii_case("formula") || cell.eq_ignore_ascii_case("composition")
}

/// Whether a cell is the symbol of an element.
pub(super) fn is_element(cell: &str) -> bool {
    cell.parse::<Element>().is_ok()
}

/// A unit without brackets around it.
pub(super) fn bare(cell: &str) -> &str {
    let inner = |open, close| cell.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
    inner('[', ']').or_else(|| inner('(', ')')).unwrap_or(cell).trim()
}

/// Classifies a cell as a unit; `None` if it is not one.
pub(super) fn unit(cell: &str) -> Option<Unit> {
    let text = plain(bare(cell));
    let text = text.as_str();
    let hardness = |scale| text.strip_prefix(scale).is_some_and(|load: &str| load.parse::<f64>().is_ok());
    match () {
        () if UNITS.split_whitespace().any(|unit| unit == text) || hardness("hv") || hardness("hbw") => {
            Some(Unit::Clear)
        }
        () if NO_UNITS.contains(&text) => Some(Unit::None),
        () if SHORT_UNITS.contains(&text) => Some(Unit::Short),
        () => None,
    }
}

/// Normalises the spelling of a unit.
pub(super) fn plain(unit: &str) -> String {
    let unit = unit.strip_prefix("in ").unwrap_or(unit);
    let letter = |c: char| match c {
        'µ' | 'μ' => Some('u'),
        '²' => Some('2'),
        '³' => Some('3'),
        '·' | '⋅' => Some('*'),
        '−' => Some('-'),
        'º' | '˚' => Some('°'),
        '％' => Some('%'),
        ' ' | '.' | '\u{a0}' | '_' => None,
        other => Some(other),
    };
    unit.replace('℃', "°c").replace('℉', "°f").chars().filter_map(letter).flat_map(char::to_lowercase).collect()
}
