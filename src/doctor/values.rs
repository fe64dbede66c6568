//! Measured values that cannot be right: outside physics, in another unit, or not allowed by the rows most like theirs.
//!
//! Each row is judged as a whole. A hardness and a tensile strength that are both a little high confirm each other; one
//! of them that is alone in being high is doubted. So distances are measured together, with their correlation.

use std::collections::BTreeMap;

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

use super::jumps::{Jump, jumps, shown};
use super::report::{Finding, FindingKind, Neighbour};
use super::residuals::Residuals;
use super::table::{Property, Table};
use crate::domain::{Scale, Target, relations};

/// A value further off than this, given the row's other values, is doubted, …
const ALONE: f64 = 5.0;
/// … if it is also so far off without them.
const BY_ITSELF: f64 = 3.5;
/// A value must be off by this much before it is taken for a misread unit, …
const JUMPED: f64 = 6.0;
/// … and within this much after it was converted back.
const BACK: f64 = 3.0;
/// Least improvement of the whole row by a conversion: squared distances.
const BETTER: f64 = 30.0;
/// Number of neighbours named.
const NAMED: usize = 4;
/// With more properties than this their correlation is left out.
const MOST_TOGETHER: usize = 24;

/// A row's values, those taken back from a misread unit included.
struct Row {
    number: usize,
    values: Vec<Option<f64>>,
}

/// Physical limits of a property.
fn limits(property: &Property) -> (Option<f64>, Option<f64>) {
    let scale = Scale::Linear;
    Target { name: property.name.clone(), unit: property.unit.clone(), scale }.physical_limits()
}

/// What is wrong with a value by itself, in words.
fn unphysical(property: &Property, value: f64) -> Option<String> {
    let (least, most) = limits(property);
    let unit = &property.unit;
    let is_strength = matches!(unit.as_str(), "MPa" | "GPa" | "HV" | "HB");
    if let Some(least) = least.filter(|least| value < *least || (is_strength && value <= *least)) {
        let than = if is_strength { "above" } else { "at least" };
        return Some(format!("{} {unit}; it must be {than} {} {unit}", shown(value), shown(least)));
    }
    most.filter(|most| value > *most)
        .map(|most| format!("{} {unit}; it can be {} {unit} at most", shown(value), shown(most)))
}

/// Findings about measured values. Rows in `explained` have inputs that are doubted: their values are not judged by
/// others.
pub(super) fn values(table: &Table, residuals: &Residuals, explained: &[bool], findings: &mut Vec<Finding>) {
    let mut inverses: BTreeMap<Vec<usize>, Option<Mat<f64>>> = BTreeMap::new();
    for (number, explained) in explained.iter().enumerate().take(table.rows()) {
        let mut row = Row { number, values: table.properties.iter().map(|property| property.values[number]).collect() };
        physics(table, residuals, &mut row, findings);
        let measured: Vec<usize> = (0..row.values.len())
            .filter(|property| residuals.judged[number][*property].is_some() && row.values[*property].is_some())
            .collect();
        let inverse =
            inverses.entry(measured.clone()).or_insert_with(|| inverse(&residuals.correlation, &measured)).as_ref();
        let together = Together { residuals, measured: &measured, inverse };
        misread(table, &together, &mut row, findings);
        let named = contradictions(table, residuals, &mut row, findings);
        if !explained && !named {
            noise(table, &together, &row, findings);
        }
    }
}

fn inverse(correlation: &[Vec<f64>], measured: &[usize]) -> Option<Mat<f64>> {
    if measured.len() < 2 || measured.len() > MOST_TOGETHER {
        return None;
    }
    // A matrix of pairwise correlations need not be one of any data: correlations are weakened until it is.
    [1.0, 0.9, 0.7, 0.4].into_iter().find_map(|share| {
        let own = Mat::<f64>::from_fn(measured.len(), measured.len(), |one, other| match one == other {
            true => 1.0,
            false => share * correlation[measured[one]][measured[other]],
        });
        let inverse = own.llt(Side::Lower).ok()?.inverse();
        (0..measured.len()).all(|at| inverse[(at, at)] < 40.0).then_some(inverse)
    })
}

/// Measured properties judged together.
struct Together<'a> {
    residuals: &'a Residuals,
    measured: &'a [usize],
    inverse: Option<&'a Mat<f64>>,
}

/// How far a row's values are off.
struct Off {
    /// Squared distance of the whole row.
    whole: f64,
    /// By measured property: the distance by itself, and the distance given the others.
    each: Vec<(f64, f64)>,
}

impl Together<'_> {
    fn off(&self, row: usize, values: &[Option<f64>]) -> Off {
        let distance = |property: &usize| {
            values[*property].and_then(|value| self.residuals.distance(row, *property, value)).unwrap_or(0.0)
        };
        let own: Vec<f64> = self.measured.iter().map(distance).collect();
        let Some(inverse) = self.inverse else {
            return Off {
                whole: own.iter().map(|off| off * off).sum(),
                each: own.into_iter().map(|off| (off, off)).collect(),
            };
        };
        let weights: Vec<f64> =
            (0..own.len()).map(|at| (0..own.len()).map(|other| inverse[(at, other)] * own[other]).sum()).collect();
        let whole = own.iter().zip(&weights).map(|(off, weight)| off * weight).sum();
        let given = |at: usize| weights[at] / inverse[(at, at)].max(1e-12).sqrt();
        Off { whole, each: own.iter().enumerate().map(|(at, off)| (*off, given(at))).collect() }
    }
}

/// Values that no material has. They are removed from the row.
fn physics(table: &Table, residuals: &Residuals, row: &mut Row, findings: &mut Vec<Finding>) {
    for (index, property) in table.properties.iter().enumerate() {
        let Some(value) = row.values[index] else { continue };
        let Some(what) = unphysical(property, value) else { continue };
        let mut finding = table.doubt(FindingKind::OutsidePhysics, row.number, &property.column, Some(value));
        finding.detail = format!("{} is {what}. Correct the value or remove it.", property.column);
        finding.expected = residuals.expected(row.number, index);
        let fits =
            |jump: &Jump| residuals.distance(row.number, index, jump.back(value)).is_some_and(|off| off.abs() < BACK);
        if let Some(jump) = jumps(&property.unit).into_iter().find(fits) {
            finding.suggestion = Some(jump.suggestion(value, &property.unit));
        }
        findings.push(finding);
        row.values[index] = None;
    }
}

/// Values in another unit, or with a lost decimal mark. They are taken back in the row.
fn misread(table: &Table, together: &Together, row: &mut Row, findings: &mut Vec<Finding>) {
    for _ in 0..together.measured.len() {
        let before = together.off(row.number, &row.values);
        let mut best: Option<(f64, Vec<usize>, Jump)> = None;
        for jump_of in attempts(table, together, row, &before) {
            let (properties, jump) = jump_of;
            let mut values = row.values.clone();
            properties.iter().for_each(|property| values[*property] = values[*property].map(|value| jump.back(value)));
            let after = together.off(row.number, &values);
            let fits = together.measured.iter().zip(&after.each).filter(|(property, _)| properties.contains(property));
            let fits =
                fits.clone().count() == properties.len() && fits.into_iter().all(|(_, (own, _))| own.abs() < BACK);
            // A decimal mark is the simplest explanation, and wins unless a unit fits clearly better.
            let loss = after.whole + if jump.is_decimal() { 0.0 } else { 1.0 };
            if fits && before.whole - after.whole > BETTER && best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                best = Some((loss, properties, jump));
            }
        }
        let Some((_, properties, jump)) = best else { return };
        for index in properties {
            let property = &table.properties[index];
            let Some(value) = row.values[index] else { continue };
            let mut finding = table.doubt(FindingKind::UnitJump, row.number, &property.column, Some(value));
            let expected = together.residuals.expected(row.number, index);
            let range = expected.map_or(String::new(), |[low, high]| {
                format!(", where {} to {} {} is expected", shown(low), shown(high), property.unit)
            });
            finding.detail = format!(
                "{} is {} {}{range}: {}? Convert the value, or confirm it.",
                property.column,
                shown(value),
                property.unit,
                jump.reason(&property.unit)
            );
            finding.expected = expected;
            finding.suggestion = Some(jump.suggestion(value, &property.unit));
            finding.neighbours = neighbours(table, together.residuals, row.number, index);
            findings.push(finding);
            row.values[index] = Some(jump.back(value));
        }
    }
}

/// The conversions worth trying: of each value that is far off, and of all values of one unit together.
fn attempts(table: &Table, together: &Together, row: &Row, before: &Off) -> Vec<(Vec<usize>, Jump)> {
    let mut attempts = Vec::new();
    let mut by_unit: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (property, (own, given)) in together.measured.iter().zip(&before.each) {
        if row.values[*property].is_none() {
            continue;
        }
        let unit = table.properties[*property].unit.as_str();
        if own.abs() > BY_ITSELF {
            by_unit.entry(unit).or_default().push(*property);
        }
        if own.abs().max(given.abs()) > JUMPED && own.abs() > BY_ITSELF {
            attempts.extend(jumps(unit).into_iter().map(|jump| (vec![*property], jump)));
        }
    }
    for (unit, properties) in by_unit.into_iter().filter(|(_, properties)| properties.len() > 1) {
        attempts.extend(jumps(unit).into_iter().map(|jump| (properties.clone(), jump)));
    }
    attempts
}

/// Two values of a row that exclude each other; whether there are any.
fn contradictions(table: &Table, residuals: &Residuals, row: &mut Row, findings: &mut Vec<Finding>) -> bool {
    let find = |name: &str| table.properties.iter().position(|property| property.name == name);
    let mut any = false;
    for relation in relations() {
        let Some((lower, upper)) = find(relation.lower).zip(find(relation.upper)) else { continue };
        let (one, other) = (&table.properties[lower], &table.properties[upper]);
        let Some((low, high)) = row.values[lower].zip(row.values[upper]) else { continue };
        if one.unit != other.unit || relation.holds(low, high) {
            continue;
        }
        any = true;
        let unit = &one.unit;
        let mut finding = table.doubt(FindingKind::Contradiction, row.number, &one.column, Some(low));
        let off = |property: usize, value: f64| residuals.distance(row.number, property, value).map(f64::abs);
        let swapped = off(lower, high).zip(off(upper, low)).is_some_and(|(one, other)| one < 3.5 && other < 3.5);
        let cause = match (swapped, off(lower, low).zip(off(upper, high))) {
            (true, _) => format!("The other rows agree with both if {} and {} are swapped.", one.column, other.column),
            (false, Some((low_off, high_off))) => {
                let wrong = if low_off > high_off { &one.column } else { &other.column };
                format!("By the other rows, {wrong} is the wrong one.")
            }
            (false, None) => "One of them is wrong.".to_owned(),
        };
        if swapped {
            let suggestion = format!("{} {} {unit}, {} {} {unit}", one.column, shown(high), other.column, shown(low));
            finding.suggestion = Some(suggestion);
        }
        let bound = if relation.may_be_equal { "cannot be above" } else { "must be below" };
        finding.detail = format!(
            "{} {} {unit} {bound} {} {} {unit}. {cause} Correct the row, or remove it.",
            one.column,
            shown(low),
            other.column,
            shown(high)
        );
        finding.expected = residuals.expected(row.number, lower);
        finding.neighbours = neighbours(table, residuals, row.number, lower);
        findings.push(finding);
    }
    any
}

/// The value of a row that the rows most like it do not allow, if there is one. With one wrong value in a row, the
/// others cannot be judged any more.
fn noise(table: &Table, together: &Together, row: &Row, findings: &mut Vec<Finding>) {
    let off = together.off(row.number, &row.values);
    let given = |(_, (_, (_, given))): &(usize, (&usize, &(f64, f64)))| given.abs();
    let pairs = together.measured.iter().zip(&off.each).enumerate();
    let worst = pairs.max_by(|one, other| given(one).total_cmp(&given(other)));
    let Some((_, (index, (own, given)))) = worst else { return };
    let Some(value) = row.values[*index].filter(|_| given.abs() > ALONE && own.abs() > BY_ITSELF) else { return };
    let property = &table.properties[*index];
    let mut finding = table.doubt(FindingKind::LabelNoise, row.number, &property.column, Some(value));
    finding.expected = together.residuals.expected(row.number, *index);
    finding.neighbours = neighbours(table, together.residuals, row.number, *index);
    let range = finding.expected.map_or(String::new(), |[low, high]| {
        format!("; the rows most like it let {} to {} {} expect", shown(low), shown(high), property.unit)
    });
    finding.detail = format!(
        "{} is {} {}{range}. Compare with the certificate; correct the value, or confirm it.",
        property.column,
        shown(value),
        property.unit
    );
    findings.push(finding);
}

/// The measured rows most like a row, those of its own group first.
fn neighbours(table: &Table, residuals: &Residuals, row: usize, property: usize) -> Vec<Neighbour> {
    let nearest = residuals.nearest[row].iter();
    let known = nearest.filter_map(|other| table.properties[property].values[*other].map(|value| (*other, value)));
    let mut known: Vec<Neighbour> = known.map(|(other, value)| table.neighbour(other, value)).collect();
    known.sort_by_key(|own| Some(&own.group) != table.data.groups.get(row));
    known.truncate(NAMED);
    known
}
