//! Rows with equal inputs whose results differ by more than a repeated test would.

use std::collections::BTreeMap;

use super::jumps::shown;
use super::report::{Finding, FindingKind};
use super::residuals::Residuals;
use super::robust::median;
use super::table::Table;

/// Results differ if they are further apart than this, in standard deviations of a difference, …
const APART: f64 = 3.0;
/// … and by this share of the larger one.
const SHARE: f64 = 0.03;
/// Without an idea of how much a property scatters, results differ from this share on.
const SHARE_ALONE: f64 = 0.25;
/// One of two rows is the wrong one if the other rows speak this much more against it.
const CLEARER: f64 = 2.0;

/// Doubts rows with equal inputs and different results.
pub(super) fn repeats(table: &Table, residuals: &Residuals, findings: &mut Vec<Finding>) {
    for rows in equal_inputs(table) {
        for property in 0..table.properties.len() {
            differing(table, residuals, &rows, property, findings);
        }
        let class = |row: &usize| table.classes.get(*row).copied();
        if rows.iter().any(|row| class(row) != class(&rows[0])) {
            for row in &rows {
                let mut finding = table.doubt(FindingKind::Duplicate, *row, &class_column(table), None);
                let others: Vec<String> =
                    rows.iter().filter(|other| *other != row).map(|other| table.line(*other).to_string()).collect();
                finding.detail = format!(
                    "the class is {}, and another one in a row with equal inputs (line {}). Keep the right row.",
                    class_name(table, *row),
                    others.join(", ")
                );
                findings.push(finding);
            }
        }
    }
}

/// Column of the class.
pub(super) fn class_column(table: &Table) -> String {
    table.recipe.class.as_ref().map_or_else(String::new, |class| class.column.clone())
}

/// Name of a row's class.
pub(super) fn class_name(table: &Table, row: usize) -> String {
    let level = table.classes.get(row).and_then(|class| table.recipe.class.as_ref()?.levels.get(*class));
    level.cloned().unwrap_or_default()
}

/// Sets of rows with equal inputs.
fn equal_inputs(table: &Table) -> Vec<Vec<usize>> {
    let number = |value: f64| (value * 1e6).round().clamp(-9e15, 9e15) as i64;
    let mut sets: BTreeMap<(Vec<i64>, Vec<usize>), Vec<usize>> = BTreeMap::new();
    for row in 0..table.rows() {
        let amounts = table.amounts[row].iter().map(|amount| number(*amount));
        let conditions = table.conditions.iter().map(|own| own.values[row].map_or(i64::MIN, number));
        let key = (amounts.chain(conditions).collect(), table.levels[row].clone());
        sets.entry(key).or_default().push(row);
    }
    let mut sets: Vec<Vec<usize>> = sets.into_values().filter(|rows| rows.len() > 1).collect();
    sets.sort();
    sets
}

fn differing(table: &Table, residuals: &Residuals, rows: &[usize], index: usize, findings: &mut Vec<Finding>) {
    let property = &table.properties[index];
    let known: Vec<(usize, f64)> =
        rows.iter().filter_map(|row| property.values[*row].map(|value| (*row, value))).collect();
    let Some(middle) = median(known.iter().map(|(_, value)| *value)) else { return };
    let apart = |row: usize, one: f64, other: f64| {
        let share = (one - other).abs() / one.abs().max(other.abs()).max(1e-12);
        match residuals.distance(row, index, one).zip(residuals.distance(row, index, other)) {
            Some((one, other)) => share > SHARE && (one - other).abs() > APART * 2f64.sqrt(),
            None => share > SHARE_ALONE,
        }
    };
    let far: Vec<(usize, f64)> = known
        .iter()
        .filter(|(row, value)| known.iter().any(|(_, other)| apart(*row, *value, *other)))
        .copied()
        .collect();
    let off = |row: usize, value: f64| residuals.distance(row, index, value).map_or(0.0, f64::abs);
    let least = far.iter().map(|(row, value)| off(*row, *value)).fold(f64::MAX, f64::min);
    for (row, value) in far.iter().copied() {
        // Of more than two rows those far from the middle are wrong; of two the one that others speak against.
        let right = match known.len() {
            0..=2 => off(row, value) <= least && far.iter().any(|(o, v)| off(*o, *v) > CLEARER * least.max(1.0)),
            _ => !apart(row, value, middle),
        };
        if right {
            continue;
        }
        let mut finding = table.doubt(FindingKind::Duplicate, row, &property.column, Some(value));
        let others: Vec<_> = known.iter().filter(|(other, _)| *other != row).copied().collect();
        let lines: Vec<String> = others
            .iter()
            .take(4)
            .map(|(other, value)| format!("{} in line {}", shown(*value), table.line(*other)))
            .collect();
        finding.detail = format!(
            "{} is {} {}, and {} with equal inputs. Is an input missing that tells the rows apart? Otherwise keep the right \
             one.",
            property.column,
            shown(value),
            property.unit,
            lines.join(", ")
        );
        finding.expected = residuals.expected(row, index);
        finding.neighbours = others.into_iter().take(4).map(|(row, value)| table.neighbour(row, value)).collect();
        findings.push(finding);
    }
}
