//! The 58 properties of 94 elements (XenonPy's `elements_completed`; the paper's Table 9). For its source and licence
//! see `THIRD-PARTY.md`.

use std::sync::LazyLock;

use crate::domain::Element;

/// Number of properties per element.
pub const PROPERTIES: usize = 58;

/// The table as published: a header, then one line per element, H to Pu.
pub(super) const ELEMENTS_CSV: &str = include_str!("elements.csv");

struct Table {
    names: Vec<&'static str>,
    values: Vec<[f64; PROPERTIES]>,
    logarithms: Vec<[f64; PROPERTIES]>,
}

#[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads it")]
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut lines = ELEMENTS_CSV.lines();
    let names: Vec<_> = lines.next().expect("a header").split(',').skip(1).collect();
    let row = |line: &str| {
        let mut values = [0.0; PROPERTIES];
        let cells = line.split(',').skip(1);
        values.iter_mut().zip(cells).for_each(|(value, cell)| *value = cell.parse().expect("a number"));
        values
    };
    let values: Vec<[f64; PROPERTIES]> = lines.map(row).collect();
    let logarithms = values.iter().map(|values| values.map(|value| value.abs().ln())).collect();
    Table { names, values, logarithms }
});

/// Names of the properties, in the order of the table.
pub fn property_names() -> &'static [&'static str] {
    &TABLE.names
}

/// The properties of one element, in the order of [`property_names`].
pub fn property_values(element: Element) -> &'static [f64; PROPERTIES] {
    &TABLE.values[element.index()]
}

/// The natural logarithms of the absolute values, in the same order; −∞ for a zero.
pub(super) fn property_logarithms(element: Element) -> &'static [f64; PROPERTIES] {
    &TABLE.logarithms[element.index()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_in_order() {
        assert_eq!(property_names().len(), PROPERTIES);
        assert_eq!(TABLE.values.len(), Element::ALL.len());
        let weight = property_names().iter().position(|name| *name == "atomic_weight").unwrap();
        let number = property_names().iter().position(|name| *name == "atomic_number").unwrap();
        for (element, line) in Element::ALL.iter().zip(ELEMENTS_CSV.lines().skip(1)) {
            assert_eq!(line.split(',').next(), Some(element.symbol()));
            assert_eq!(line.split(',').count(), PROPERTIES + 1);
            assert_eq!(property_values(*element)[number], element.index() as f64 + 1.0);
            assert_eq!(property_values(*element)[weight], element.atomic_weight());
            assert!(property_values(*element).iter().all(|value| value.is_finite()));
        }
    }
}
