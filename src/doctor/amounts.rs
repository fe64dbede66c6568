//! Amounts that cannot be right: compositions in at% among wt%, a lost decimal mark, rows that differ from their own
//! heat.
//!
//! Rows of one heat share one analysis in most tables. There the heat's other rows are the best witness; elsewhere the
//! columns are.

use std::collections::BTreeMap;

use super::jumps::shown;
use super::report::{Finding, FindingKind, Severity};
use super::robust::{median, quantile, spread};
use super::table::Table;
use crate::domain::{Basis, Composition};

/// Amounts closer than this share of themselves are equal.
const EQUAL: f64 = 0.004;
/// Amounts that differ less than this, in percent, are equal.
const TRACE: f64 = 1e-5;
/// Share of groups in which most rows must agree before a group's rows are witnesses.
const AGREEING: f64 = 0.6;
/// A lost decimal mark must stand out by at least this factor from all other amounts.
const GAP: f64 = 2.5;
/// Largest share of a column that may stand out.
const MOST_OUT: f64 = 0.25;
/// By how much another basis must explain a composition better, in units of log likelihood …
const BETTER: f64 = 4.0;
/// … and in spreads of the same figure over all compositions.
const UNUSUAL: f64 = 4.5;
/// Elements in fewer compositions are not compared.
const LEAST_PRESENT: usize = 8;

/// Rows of a group with equal amounts.
struct Analysis {
    group: usize,
    rows: Vec<usize>,
}

/// How the amounts of an element are distributed, in logarithms.
struct Usual {
    centre: f64,
    unit: f64,
}

/// The usual amounts of each element; `None` for the balance and for rare elements.
struct Amounts {
    usual: Vec<Option<Usual>>,
}

/// Doubts compositions and corrects them in the table where the right one is known. Returns the doubted rows.
pub(super) fn amounts(table: &mut Table, findings: &mut Vec<Finding>) -> Vec<bool> {
    let mut doubted = vec![false; table.rows()];
    let analyses = analyses(table);
    let by_group = by_group(&analyses);
    let agreeing = agree(table, &analyses, &by_group);
    let first: Vec<usize> = by_group.values().filter_map(|own| own.first().copied()).collect();
    let usual = Amounts::of(table, first.iter().map(|analysis| analyses[*analysis].rows[0]));
    let mut corrections: Vec<(usize, Vec<f64>)> = Vec::new();
    let mut witnesses: Vec<usize> = Vec::new();
    for own in by_group.values() {
        let Some(reference) = reference(table, &usual, &analyses, own) else { continue };
        witnesses.push(reference);
        if own.len() < 2 || !agreeing {
            witnesses.extend(own.iter().copied().filter(|analysis| *analysis != reference));
            continue;
        }
        let right = table.amounts[analyses[reference].rows[0]].clone();
        for other in own.iter().copied().filter(|analysis| *analysis != reference) {
            let even = analyses[other].rows.len() == analyses[reference].rows.len();
            for row in &analyses[other].rows {
                let finding = differs(table, *row, &right, &analyses[reference], even);
                if finding.severity == Severity::Doubt {
                    doubted[*row] = true;
                    corrections.push((*row, right.clone()));
                }
                findings.push(finding);
            }
        }
    }
    let rows: Vec<usize> = witnesses.iter().map(|analysis| analyses[*analysis].rows[0]).collect();
    let usual = Amounts::of(table, rows.iter().copied());
    for (place, right) in other_basis(table, &usual, &rows) {
        for row in &analyses[witnesses[place]].rows {
            doubted[*row] = true;
            findings.push(misread_basis(table, *row, &right));
            corrections.push((*row, right.clone()));
        }
    }
    if table.has_amount_columns() {
        for (place, element, factor) in decimal_marks(table, &rows) {
            for row in &analyses[witnesses[place]].rows {
                doubted[*row] = true;
                findings.push(misread_amount(table, *row, element, factor, None));
                let mut right = table.amounts[*row].clone();
                right[element] *= factor;
                corrections.push((*row, right));
            }
        }
    }
    corrections.into_iter().for_each(|(row, right)| table.amounts[row] = right);
    doubted
}

fn equal(one: f64, other: f64) -> bool {
    (one - other).abs() <= TRACE + EQUAL * one.abs().max(other.abs())
}

fn all_equal(one: &[f64], other: &[f64]) -> bool {
    one.iter().zip(other).all(|(one, other)| equal(*one, *other))
}

/// Whether an analysis is another one after its conversion, and was not before. Both may be rounded.
fn is_meant(own: &[f64], converted: &[f64], other: &[f64]) -> bool {
    let compared: Vec<usize> = (0..own.len()).filter(|at| (0.05..50.0).contains(&own[*at].max(other[*at]))).collect();
    let off = |amounts: &[f64]| {
        let each = |at: &usize| ((amounts[*at] + TRACE) / (other[*at] + TRACE)).ln().abs().min(2.0);
        compared.iter().map(each).sum::<f64>()
    };
    let (before, after) = (off(own), off(converted));
    after < 0.06 * compared.len() as f64 && after < 0.3 * before
}

/// The different analyses of each group; every row is its own group where groups are made of compositions.
fn analyses(table: &Table) -> Vec<Analysis> {
    let mut analyses: Vec<Analysis> = Vec::new();
    for (group, rows) in table.groups.iter().enumerate() {
        let first = analyses.len();
        for row in rows {
            let same = |analysis: &&mut Analysis| all_equal(&table.amounts[analysis.rows[0]], &table.amounts[*row]);
            match analyses[first..].iter_mut().take(50).find(same) {
                Some(analysis) => analysis.rows.push(*row),
                None => analyses.push(Analysis { group, rows: vec![*row] }),
            }
        }
    }
    analyses
}

/// The analyses of each group, the one with most rows first.
fn by_group(analyses: &[Analysis]) -> BTreeMap<usize, Vec<usize>> {
    let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    analyses.iter().enumerate().for_each(|(index, own)| by_group.entry(own.group).or_default().push(index));
    by_group.values_mut().for_each(|own| own.sort_by_key(|index| std::cmp::Reverse(analyses[*index].rows.len())));
    by_group
}

/// Whether the rows of a group usually share one analysis.
fn agree(table: &Table, analyses: &[Analysis], by_group: &BTreeMap<usize, Vec<usize>>) -> bool {
    let large: Vec<&Vec<usize>> = by_group
        .values()
        .filter(|own| own.iter().map(|index| analyses[*index].rows.len()).sum::<usize>() > 2)
        .collect();
    let agreeing = large.iter().filter(|own| {
        let rows: usize = own.iter().map(|index| analyses[*index].rows.len()).sum();
        own.first().is_some_and(|first| 2 * analyses[*first].rows.len() > rows)
    });
    table.has_named_groups() && !large.is_empty() && agreeing.count() as f64 >= AGREEING * large.len() as f64
}

/// The analysis of a group that is taken as the right one.
fn reference(table: &Table, usual: &Amounts, analyses: &[Analysis], own: &[usize]) -> Option<usize> {
    let row = |analysis: usize| analyses[analysis].rows[0];
    // Of two analyses that are the same on different bases, the more usual one is right, however many rows it has.
    let misread = |one: usize| {
        let back = converted(table, row(one));
        let likelier = |other: &usize| {
            is_meant(&table.amounts[row(one)], &back, &table.amounts[row(*other)])
                && usual.oddness(&table.amounts[row(*other)]) < usual.oddness(&table.amounts[row(one)])
        };
        own.iter().any(likelier)
    };
    let best = |one: &usize, other: &usize| {
        let odd = |analysis: usize| usual.oddness(&table.amounts[row(analysis)]);
        let rows = |analysis: usize| analyses[analysis].rows.len();
        rows(*one).cmp(&rows(*other)).then_with(|| odd(*other).total_cmp(&odd(*one)))
    };
    own.iter().copied().filter(|analysis| own.len() == 1 || !misread(*analysis)).max_by(|a, b| best(a, b))
}

/// The amounts of a row, read on the other basis.
fn converted(table: &Table, row: usize) -> Vec<f64> {
    let basis = table.recipe.composition.basis;
    let other = if basis == Basis::WeightPercent { Basis::AtomicPercent } else { Basis::WeightPercent };
    let own = table.elements.iter().copied().zip(table.amounts[row].iter().copied());
    match Composition::new(other, own) {
        Ok(composition) => {
            let right = composition.to_basis(basis).scaled_to(100.0);
            table.elements.iter().map(|element| right.amount(*element)).collect()
        }
        Err(_) => table.amounts[row].clone(),
    }
}

impl Amounts {
    fn of(table: &Table, rows: impl Iterator<Item = usize> + Clone) -> Self {
        let usual = |place: usize| {
            let is_balance = table.recipe.composition.balance == table.elements.get(place).copied();
            let present: Vec<f64> = rows
                .clone()
                .map(|row| table.amounts[row][place])
                .filter(|amount| *amount > 1e-6)
                .map(f64::ln)
                .collect();
            if is_balance || present.len() < LEAST_PRESENT {
                return None;
            }
            let centre = median(present.iter().copied())?;
            Some(Usual { centre, unit: spread(present, centre).max(0.1) })
        };
        Self { usual: (0..table.elements.len()).map(usual).collect() }
    }

    /// How odd amounts are: squared distances of the elements that are there.
    fn oddness(&self, amounts: &[f64]) -> f64 {
        let terms = amounts.iter().zip(&self.usual).filter(|(amount, _)| **amount > 1e-6);
        terms.filter_map(|(amount, usual)| Some(usual.as_ref()?.distance(*amount).powi(2).min(25.0))).sum()
    }
}

impl Usual {
    fn distance(&self, amount: f64) -> f64 {
        (amount.ln() - self.centre) / self.unit
    }
}

/// Compositions that are as usual on the other basis, and unusual on their own: place among the rows, and what is meant.
fn other_basis(table: &Table, usual: &Amounts, rows: &[usize]) -> Vec<(usize, Vec<f64>)> {
    // Of a formula without a balance both bases are as usual: nothing would be compared.
    if table.recipe.composition.balance.is_none() {
        return Vec::new();
    }
    let gains: Vec<(Vec<f64>, f64)> = rows
        .iter()
        .map(|row| {
            let right = converted(table, *row);
            let gain = (usual.oddness(&table.amounts[*row]) - usual.oddness(&right)) / 2.0;
            (right, gain)
        })
        .collect();
    let Some(centre) = median(gains.iter().map(|(_, gain)| *gain)) else { return Vec::new() };
    let unit = spread(gains.iter().map(|(_, gain)| *gain), centre).max(0.5);
    let better = |gain: f64| gain > BETTER && gain > centre + UNUSUAL * unit;
    gains.into_iter().enumerate().filter(|(_, (_, gain))| better(*gain)).map(|(at, (right, _))| (at, right)).collect()
}

/// Amounts that stand out from their column and fit into it after their decimal mark is moved: place among the rows,
/// element, factor.
fn decimal_marks(table: &Table, rows: &[usize]) -> Vec<(usize, usize, f64)> {
    let mut found = Vec::new();
    for (element, symbol) in table.elements.iter().enumerate() {
        if table.recipe.composition.balance == Some(*symbol) {
            continue;
        }
        let mut present: Vec<(f64, usize)> = rows
            .iter()
            .enumerate()
            .map(|(place, row)| (table.amounts[*row][element], place))
            .filter(|(amount, _)| *amount > 1e-6)
            .collect();
        if present.len() < LEAST_PRESENT {
            continue;
        }
        present.sort_by(|one, other| one.0.total_cmp(&other.0));
        let least = present.len() - (present.len() as f64 * MOST_OUT) as usize;
        let widest = (least.max(1)..present.len())
            .map(|at| (present[at].0 / present[at - 1].0, at))
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let Some((_, start)) = widest.filter(|(gap, _)| *gap > GAP) else { continue };
        let (inner, outer) = present.split_at(start);
        let end = |share| quantile(inner.iter().map(|(amount, _)| *amount), share).unwrap_or(0.0);
        let (low, high, resolution) = (end(0.01), end(0.99), resolution(inner));
        for (amount, place) in outer {
            let factor = [0.1, 0.01, 0.001, 0.0001].into_iter().filter(|factor| {
                let back = amount * factor;
                // What was written without its decimal mark is a whole multiple of the column's last digit.
                let whole = amount * factor / resolution;
                (low..=high).contains(&back) && (whole - whole.round()).abs() < 1e-3 * whole.max(1.0)
            });
            let centre = (low.ln() + high.ln()) / 2.0;
            let nearest = |factor: &f64| ((amount * factor).ln() - centre).abs();
            // A block of some rows is more likely another kind of alloy, unless its last digits are missing, too.
            let few = outer.len() * 33 <= present.len() || outer.len() <= 2;
            let coarse = |factor: &f64| is_whole(*amount, resolution / factor);
            let factor = factor.filter(|factor| few || coarse(factor));
            if let Some(factor) = factor.min_by(|one, other| nearest(one).total_cmp(&nearest(other))) {
                found.push((*place, element, factor));
            }
        }
    }
    found
}

fn is_whole(amount: f64, unit: f64) -> bool {
    let parts = amount / unit;
    (parts - parts.round()).abs() < 1e-4 * parts.max(1.0)
}

/// The last digit in which the amounts of a column are given.
fn resolution(amounts: &[(f64, usize)]) -> f64 {
    let fits = |unit: &f64| {
        let whole = amounts.iter().filter(|(amount, _)| is_whole(*amount, *unit)).count();
        whole * 10 >= amounts.len() * 9
    };
    [1.0, 0.1, 0.01, 0.001, 0.0001].into_iter().find(fits).unwrap_or(1e-5)
}

fn misread_basis(table: &Table, row: usize, right: &[f64]) -> Finding {
    let own = table.recipe.composition.basis.unit();
    let other = if own == "wt%" { "at%" } else { "wt%" };
    let largest = largest_change(table, &table.amounts[row], right);
    let (column, value) = (table.amount_column(table.elements[largest]), table.amounts[row][largest]);
    let mut finding = table.doubt(FindingKind::UnitJump, row, &column, Some(value));
    finding.detail = format!(
        "The composition is unusual in {own} ({column} {}), and as usual as the others if its amounts are {other} \
         ({column} would be {} {own}). Convert the row, or confirm it.",
        shown(value),
        shown(right[largest])
    );
    finding.suggestion = Some(format!("{other} for {own}: {column} = {} {own}", shown(right[largest])));
    finding
}

fn misread_amount(table: &Table, row: usize, element: usize, factor: f64, witness: Option<&str>) -> Finding {
    let (column, value) = (table.amount_column(table.elements[element]), table.amounts[row][element]);
    let unit = table.recipe.composition.basis.unit();
    let mut finding = table.doubt(FindingKind::UnitJump, row, &column, Some(value));
    let by = witness.unwrap_or("the other amounts of the column");
    finding.detail = format!(
        "{column} is {} {unit}, which is far from {by}: a lost or misplaced decimal mark? Correct the amount, or confirm \
         it.",
        shown(value)
    );
    let words = if factor < 1.0 { format!("÷ {}", shown(1.0 / factor)) } else { format!("× {}", shown(factor)) };
    finding.suggestion = Some(format!("{words} = {} {unit}", shown(value * factor)));
    finding
}

/// Place of the amount that changes by the largest factor, the balance aside.
fn largest_change(table: &Table, own: &[f64], right: &[f64]) -> usize {
    let change = |place: &usize| {
        let is_balance = table.recipe.composition.balance == Some(table.elements[*place]);
        if is_balance { 0.0 } else { ((own[*place] + TRACE) / (right[*place] + TRACE)).ln().abs() }
    };
    (0..own.len()).max_by(|one, other| change(one).total_cmp(&change(other))).unwrap_or(0)
}

/// The finding about a row whose composition is not that of its group.
fn differs(table: &Table, row: usize, right: &[f64], reference: &Analysis, even: bool) -> Finding {
    if is_meant(&table.amounts[row], &converted(table, row), right) {
        return misread_basis(table, row, right);
    }
    let own = &table.amounts[row];
    let is_balance = |place: &usize| table.recipe.composition.balance == Some(table.elements[*place]);
    let different: Vec<usize> =
        (0..own.len()).filter(|place| !is_balance(place) && !equal(own[*place], right[*place])).collect();
    if let [place] = different[..] {
        let factor = right[place] / own[place].max(1e-12);
        let power = factor.log10();
        if (power - power.round()).abs() < 0.003 && power.abs() > 0.5 {
            let exact = 10f64.powi(power.round() as i32);
            return misread_amount(table, row, place, exact, Some("the other rows of its group"));
        }
    }
    let place = largest_change(table, own, right);
    let column = table.amount_column(table.elements[place]);
    let unit = table.recipe.composition.basis.unit();
    let mut finding = table.doubt(FindingKind::SplitGroup, row, &column, Some(own[place]));
    let more = match different.len() {
        0 | 1 => String::new(),
        count => format!(" ({} more amounts differ)", count - 1),
    };
    finding.detail = format!(
        "{column} is {} {unit}{more}, where other rows of group {} have {}: another heat, or a typing error? Give the row \
         its own group, or correct the amount.",
        shown(own[place]),
        table.data.groups[row],
        shown(right[place])
    );
    if even {
        finding.severity = Severity::Note;
    }
    finding.expected = Some([right[place], right[place]]);
    finding.neighbours = reference.rows.iter().take(4).map(|row| table.neighbour(*row, right[place])).collect();
    finding
}
