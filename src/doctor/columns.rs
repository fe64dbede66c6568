//! Findings about whole columns: those that are the same in every row, those that give a target away, and amounts that
//! do not sum to 100.

use super::report::{Finding, FindingKind};
use super::robust::{median, spread};
use super::table::Table;

/// A target is given away by a column if a curve through the column leaves this share of its spread.
const GIVEN_AWAY: f64 = 0.01;
/// A sum of amounts further from 100 than this is doubted.
const FAR_FROM_100: f64 = 2.0;
/// Least number of rows for such a statement.
const LEAST_ROWS: usize = 20;

/// Columns that are the same in every row.
pub(super) fn constant(table: &Table, findings: &mut Vec<Finding>) {
    let mut say = |column: &str, value: f64, teaches: &str| {
        let detail = format!("{column} is {value} in every row: {teaches}");
        findings.push(table.note(FindingKind::ConstantColumn, column, detail));
    };
    let input = "it teaches nothing. Leave it out, or add rows with other values.";
    for property in &table.properties {
        if let Some(value) = only(property.values.iter().flatten().copied()) {
            say(&property.column, value, "there is nothing to learn. Leave it out of the targets.");
        }
    }
    for condition in &table.conditions {
        if let Some(value) = only(condition.values.iter().flatten().copied()) {
            say(&condition.column, value, input);
        }
    }
    if table.has_amount_columns() {
        for (element, column) in table.recipe.composition.elements.iter() {
            let place = table.elements.iter().position(|own| *own == element);
            let amount = |row: usize| place.map_or(0.0, |place| table.amounts[row][place]);
            if let Some(value) = only((0..table.rows()).map(amount)) {
                say(column, value, input);
            }
        }
    }
}

/// The only value, if there are at least two and all are the same.
fn only(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let first = *values.first()?;
    (values.len() > 1 && values.iter().all(|value| *value == first)).then_some(first)
}

/// Input columns from which a target, or the class, can be read off.
pub(super) fn leaking(table: &Table, findings: &mut Vec<Finding>) {
    for condition in &table.conditions {
        for property in &table.properties {
            let pairs = condition.values.iter().zip(&property.values);
            let pairs: Vec<(f64, f64)> = pairs.filter_map(|(input, value)| input.zip(*value)).collect();
            if follows(&pairs) {
                let detail = format!(
                    "{} follows from {} alone, in every part of its range. Is {} calculated from it, or known only after \
                     the test? Then leave it out of [[processing]].",
                    property.column, condition.column, condition.column
                );
                findings.push(table.note(FindingKind::LeakingColumn, &condition.column, detail));
            }
        }
        if separates(table, condition) {
            let detail = format!(
                "each class has its own range of {}: is it known before the class is? Otherwise leave it out of \
                 [[processing]].",
                condition.column
            );
            findings.push(table.note(FindingKind::LeakingColumn, &condition.column, detail));
        }
    }
}

/// Whether the second of a pair follows from the first: a line between the two nearest leaves next to nothing.
fn follows(pairs: &[(f64, f64)]) -> bool {
    let mut pairs = pairs.to_vec();
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let mut different = pairs.iter().map(|(input, _)| *input).collect::<Vec<_>>();
    different.dedup();
    if pairs.len() < LEAST_ROWS || different.len() * 2 < pairs.len() {
        return false;
    }
    let left: Vec<f64> = pairs
        .windows(3)
        .map(|three| {
            let [(low, one), (at, own), (high, other)] = [three[0], three[1], three[2]];
            let share = if high > low { (at - low) / (high - low) } else { 0.5 };
            own - (one + share * (other - one))
        })
        .collect();
    let Some(centre) = median(pairs.iter().map(|(_, value)| *value)) else { return false };
    let whole = spread(pairs.iter().map(|(_, value)| *value), centre);
    whole > 0.0 && spread(left, 0.0) < GIVEN_AWAY * whole
}

/// Whether the classes lie in ranges of a column that do not overlap.
fn separates(table: &Table, condition: &super::table::Condition) -> bool {
    let mut pairs: Vec<(f64, usize)> =
        condition.values.iter().zip(&table.classes).filter_map(|(value, class)| Some(((*value)?, *class))).collect();
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut classes: Vec<usize> = pairs.iter().map(|(_, class)| *class).collect();
    let changes = classes.windows(2).filter(|two| two[0] != two[1]).count();
    classes.sort_unstable();
    classes.dedup();
    pairs.len() >= LEAST_ROWS && classes.len() > 1 && changes < classes.len()
}

/// Rows whose amounts were far from 100, as the reader says.
pub(super) fn sums(table: &Table, findings: &mut Vec<Finding>) {
    for (row, sample) in table.data.samples.iter().enumerate() {
        let far = |warning: &&String| stated_sum(warning).is_some_and(|sum| (sum - 100.0).abs() > FAR_FROM_100);
        for warning in sample.warnings().iter().filter(far) {
            let mut finding = table.doubt(FindingKind::SumOfAmounts, row, "", None);
            finding.detail = format!("{warning}. Compare with the certificate; correct the amounts, or confirm them.");
            findings.push(finding);
        }
    }
}

/// The sum that a warning of the reader names.
fn stated_sum(warning: &str) -> Option<f64> {
    let (_, rest) = warning.split_once("sum to ")?;
    rest.split_whitespace().next()?.parse().ok().filter(|sum| *sum != 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_the_target_in_disguise_leaks() {
        let pairs: Vec<(f64, f64)> = (0..60).map(|row| f64::from(row * 37 % 61)).map(|x| (x, 3.2 * x + 5.0)).collect();
        assert!(follows(&pairs));
        let noisy: Vec<(f64, f64)> =
            pairs.iter().enumerate().map(|(at, (x, y))| (*x, y + f64::from(at as u8 % 7) * 3.0)).collect();
        assert!(!follows(&noisy));
        assert!(!follows(&pairs[..5]));
    }
}
