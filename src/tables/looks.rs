//! What a cell near a header looks like: a number, a unit, a name that only a header has.
//!
//! Its own because these are words of the trade, while where a header stands is a matter of shape.

use crate::domain::{Element, parse_formula};

/// Units that nothing else is called in a table of materials, in the spelling of [`plain`].
const UNITS: &str = "
    % wt% wt-% wtpct %wt weight% weightpercent at% at-% atpct %at atomic% atomicpercent mass% mass-%
    %mass m% ma% ma-% gew% gew-% mol% mol-% vol% vol-% 质量分数 质量% 重量% 原子% 原子分数 ppm wtppm ppmw massppm
    atppm ppb °c °f °k degc degf mpa gpa kpa pa ksi psi n/mm2 n/mm^2 kn hv hb hbw hrc hrb hra mm um nm
    cm min hr hrs hours sec days cycles kj/mol j/mol j/cm2 kj ev ev/atom g/cm3 g/cc g/cm^3 kg/m3 kg/m^3
    °c/s °c/min °c/h k/s k/min w/mk ms/m %iacs emu/g mpa√m mpa*m^1/2 mpam1/2
";
/// Units that may be something else, an element most often.
const SHORT_UNITS: [&str; 20] =
    ["k", "h", "s", "m", "t", "n", "v", "w", "j", "g", "kg", "d", "c", "f", "a", "in", "1/s", "s-1", "s^-1", "μ"];
/// What stands in a row of units where there is none, or before them.
const NO_UNITS: [&str; 12] = ["-", "–", "—", "/", "none", "text", "1", "unit", "units", "einheit", "einheiten", "单位"];

/// What a cell is in a row of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Nothing else is called that.
    Clear,
    /// It may be something else.
    Short,
    /// Stands for none.
    None,
}

/// Numbers, ranges, dates: digits and what goes with them.
pub(super) fn is_number(cell: &str) -> bool {
    cell.bytes().any(|byte| byte.is_ascii_digit())
        && cell.chars().all(|c| c.is_ascii_digit() || ".,-+eE/:% ()±–<>≤≥~'".contains(c))
}

/// A formula of several elements with amounts: no header is called that.
pub(super) fn is_formula(cell: &str) -> bool {
    let written = cell.bytes().any(|byte| byte.is_ascii_digit())
        && cell.starts_with(|c: char| c.is_ascii_uppercase() || c == '(');
    written && parse_formula(cell).is_ok_and(|composition| composition.amounts().len() > 1)
}

/// The name of the column of formulas.
pub(super) fn names_formulas(cell: &str) -> bool {
    cell.eq_ignore_ascii_case("formula") || cell.eq_ignore_ascii_case("composition")
}

/// An element's symbol.
pub(super) fn is_element(cell: &str) -> bool {
    cell.parse::<Element>().is_ok()
}

/// A unit without the brackets around it.
pub(super) fn bare(cell: &str) -> &str {
    let inner = |open, close| cell.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
    inner('[', ']').or_else(|| inner('(', ')')).unwrap_or(cell).trim()
}

/// What a cell is as a unit, where it may be one.
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

/// Units are spelt in many ways.
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
