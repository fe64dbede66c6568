//! Process parameters in another unit: °F or K among °C, minutes among hours, a lost decimal mark.
//!
//! Most parameters are settings: few round values, each used often. A setting that nobody else uses, and that is one of
//! the usual ones after its conversion, was written in the other unit. Where values are not settings, they must lie far
//! outside the others.

use std::collections::BTreeMap;

use super::jumps::{Jump, jumps, shown};
use super::report::{Finding, FindingKind};
use super::robust::quantile;
use super::table::{Condition, Table};

/// A column is made of settings if this share of its rows has a value that stands in several rows.
const SETTINGS: f64 = 0.8;
/// A setting stands in at least so many rows.
const REPEATED: usize = 3;
/// How far a converted value may be from a setting, because it was rounded: of itself, and in the unit.
const ROUNDED: (f64, f64) = (0.0015, 0.6);
/// Most of the range that the usual settings with their tolerance may fill: otherwise any value would hit one.
const SPARSE: f64 = 0.35;
/// How far outside the quartiles a value must lie, in their distances.
const OUTSIDE: f64 = 1.5;
/// A lost decimal mark must stand out by at least this factor.
const GAP: f64 = 2.5;

/// A value that is probably in another unit.
struct Misread {
    row: usize,
    value: f64,
    jump: Jump,
    usual: f64,
}

/// Doubts values of process parameters and corrects them in the table. Returns the doubted rows.
pub(super) fn conditions(table: &mut Table, findings: &mut Vec<Finding>) -> Vec<bool> {
    let mut doubted = vec![false; table.rows()];
    for index in 0..table.conditions.len() {
        let own = &table.conditions[index];
        let mut misread = by_settings(own);
        let known: Vec<usize> = misread.iter().map(|own| own.row).collect();
        // A whole group with a large number is more likely an unusual process than a repeated slip of the hand.
        let shared = |misread: &Misread| {
            let group = &table.groups[table.group_of[misread.row]];
            misread.jump.is_decimal()
                && group.len() > 1
                && group.iter().all(|row| own.values[*row] == Some(misread.value))
        };
        misread.extend(by_range(own).into_iter().filter(|own| !known.contains(&own.row) && !shared(own)));
        for Misread { row, value, jump, usual } in &misread {
            let Condition { column, unit, .. } = &table.conditions[index];
            let mut finding = table.doubt(FindingKind::UnitJump, *row, column, Some(*value));
            finding.detail = format!(
                "{column} is {} {unit}, unlike the other rows, and like them ({}) after a conversion: {}? Convert the \
                 value, or confirm it.",
                shown(*value),
                shown(*usual),
                jump.reason(unit)
            );
            finding.suggestion = Some(jump.suggestion(*value, unit));
            findings.push(finding);
            doubted[*row] = true;
        }
        for Misread { row, value, jump, .. } in misread {
            table.conditions[index].values[row] = Some(jump.back(value));
        }
    }
    doubted
}

/// Values as whole numbers, so that equal ones meet in a map.
fn key(value: f64) -> i64 {
    (value * 1e4).round().clamp(-9e15, 9e15) as i64
}

/// Values that are no usual setting, and one after a conversion between units.
fn by_settings(condition: &Condition) -> Vec<Misread> {
    let mut counts: BTreeMap<i64, (f64, usize)> = BTreeMap::new();
    for value in condition.values.iter().flatten() {
        counts.entry(key(*value)).or_insert((*value, 0)).1 += 1;
    }
    let rows: usize = counts.values().map(|(_, count)| count).sum();
    let repeated: usize = counts.values().map(|(_, count)| *count).filter(|count| *count >= REPEATED).sum();
    if rows == 0 || (repeated as f64) < SETTINGS * rows as f64 {
        return Vec::new();
    }
    let close = |one: f64, other: f64| (one - other).abs() <= ROUNDED.0 * other.abs() + ROUNDED.1;
    let mut misread = Vec::new();
    for jump in jumps(&condition.unit).into_iter().filter(|jump| !jump.is_decimal()) {
        // For each rare value the usual one that it is after the conversion.
        let usual = |value: f64, count: usize| {
            let back = jump.back(value);
            let settings = counts.values().filter(|(other, often)| close(back, *other) && *often > 2 * count);
            settings.max_by_key(|(_, often)| *often).map(|(other, _)| *other)
        };
        let hits: BTreeMap<i64, f64> = counts
            .iter()
            .filter_map(|(key, (value, count))| usual(*value, *count).map(|usual| (*key, usual)))
            .collect();
        let settings: Vec<f64> = counts
            .iter()
            .filter(|(key, (_, count))| *count >= REPEATED && !hits.contains_key(key))
            .map(|(_, (value, _))| *value)
            .collect();
        let filled: f64 = settings.iter().map(|value| 2.0 * (ROUNDED.0 * value.abs() + ROUNDED.1)).sum();
        let ends = settings.iter().fold((f64::MAX, f64::MIN), |(low, high), own| (low.min(*own), high.max(*own)));
        if settings.is_empty() || (settings.len() > 1 && filled > SPARSE * (ends.1 - ends.0)) {
            continue;
        }
        for (row, value) in condition.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let known = misread.iter().any(|own: &Misread| own.row == row);
            if let Some(usual) = hits.get(&key(*value)).filter(|_| !known) {
                misread.push(Misread { row, value: *value, jump, usual: *usual });
            }
        }
    }
    misread
}

/// Values far outside the others, and among them after a conversion.
fn by_range(condition: &Condition) -> Vec<Misread> {
    let known: Vec<f64> = condition.values.iter().flatten().copied().collect();
    let end = |share| quantile(known.iter().copied(), share).unwrap_or(0.0);
    let (low, middle, high) = (end(0.25), end(0.5), end(0.75));
    let width = (high - low).max(0.02 * middle.abs());
    if known.len() < 8 || width <= 0.0 {
        return Vec::new();
    }
    let fence = (low - OUTSIDE * width, high + OUTSIDE * width);
    let inner: Vec<f64> = known.iter().copied().filter(|value| (fence.0..=fence.1).contains(value)).collect();
    let ends = inner.iter().fold((f64::MAX, f64::MIN), |(low, high), own| (low.min(*own), high.max(*own)));
    let mut misread = Vec::new();
    for (row, value) in condition.values.iter().enumerate() {
        let Some(value) = *value else { continue };
        if (fence.0..=fence.1).contains(&value) {
            continue;
        }
        let apart = |factor: f64| value > factor * ends.1.max(0.0) || (value > 0.0 && value * factor < ends.0);
        let fits = |jump: &Jump| {
            let back = jump.back(value);
            (ends.0..=ends.1).contains(&back) && (!jump.is_decimal() || apart(GAP))
        };
        if let Some(jump) = jumps(&condition.unit).into_iter().find(fits) {
            misread.push(Misread { row, value, jump, usual: middle });
        }
    }
    misread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(unit: &str, values: impl IntoIterator<Item = f64>) -> Condition {
        Condition { column: "x".into(), unit: unit.into(), values: values.into_iter().map(Some).collect() }
    }

    #[test]
    fn fahrenheit_among_celsius() {
        let celsius = [27.0, 100.0, 200.0, 300.0, 400.0, 500.0];
        let fahrenheit = [81.0, 212.0, 392.0, 572.0, 752.0, 932.0];
        let values = (0..120).map(|row| if row % 5 == 0 { fahrenheit[row % 6] } else { celsius[row % 6] });
        let found = by_settings(&condition("°C", values));
        assert_eq!(found.len(), 24);
        assert!(found.iter().all(|own| own.row % 5 == 0 && own.jump.unit == "°F"));
        let clean = (0..120).map(|row| celsius[row % 6]);
        assert!(by_settings(&condition("°C", clean)).is_empty());
    }

    #[test]
    fn far_values_are_converted_and_settings_of_one_lab_are_not() {
        let values = (0..40).map(|row| if row == 7 { 1157.0 } else { 600.0 + f64::from(row) });
        let found = by_range(&condition("°C", values));
        assert_eq!((found.len(), found[0].row, found[0].jump.unit), (1, 7, "°F"));
        let wide = (0..40).map(|row| 10f64.powf(f64::from(row) / 10.0));
        assert!(by_range(&condition("", wide)).is_empty());
    }
}
