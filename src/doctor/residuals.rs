//! How far each measured value is from what all other rows say of it, in standard deviations.
//!
//! Wrong values must not teach the others, and what is wrong is not known before. So the rows are fitted several times:
//! first by medians over rows of other groups, then by a Gaussian process without the values that looked wrong so far.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::jumps::{Jump, jumps};
use super::kernel::{Fitted, LeftOut, Lengths, Point, alike};
use super::robust::{correlation, median, quantile, spread};
use super::table::{Property, Table};

/// How often the values are fitted again without those that looked wrong.
const ROUNDS: usize = 4;
/// A value further off than this, in standard deviations, teaches nothing in the next round.
const IGNORED_BEYOND: f64 = 4.5;
/// The same for the first round, which only knows medians.
const AT_FIRST: f64 = 5.0;
/// Number of rows of other groups in a median.
const MEDIAN_OF: usize = 15;
/// Number of rows by which the lengths of the kernel are chosen.
const CHOSEN_BY: usize = 280;
/// Number of rows around a row that say how much values scatter there.
const AROUND: usize = 40;
/// Where values scatter less than usual they are judged no stricter than by this share of the usual.
const LEAST_LOCAL: f64 = 0.8;
/// Properties with fewer values are not judged.
pub(super) const LEAST_VALUES: usize = 12;

/// The scale on which a property is judged: logarithmic for positive values that vary by their own size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Form {
    logarithmic: bool,
    centre: f64,
    unit: f64,
    least: f64,
}

impl Form {
    /// The form that suits a property; `None` if too few values were measured, or all are the same.
    fn of(property: &Property) -> Option<Self> {
        let values: Vec<f64> = property.values.iter().flatten().copied().collect();
        if values.len() < LEAST_VALUES {
            return None;
        }
        let positive = values.iter().filter(|value| **value > 0.0).count();
        let end = |share| quantile(values.iter().copied(), share).unwrap_or(0.0);
        let bounded = property.unit == "%" && end(0.5) > 45.0;
        let logarithmic = positive * 100 >= values.len() * 90 && end(0.1) > 0.0 && !bounded;
        let least = if logarithmic { end(0.1) * 1e-6 } else { f64::NEG_INFINITY };
        let plain = Self { logarithmic, centre: 0.0, unit: 1.0, least };
        let learned: Vec<f64> = values.iter().map(|value| plain.learned(*value)).collect();
        let centre = median(learned.iter().copied())?;
        let unit = spread(learned.iter().copied(), centre);
        let mean = learned.iter().map(|value| (value - centre).abs()).sum::<f64>() / learned.len() as f64;
        let unit = if unit > 1e-9 { unit } else { mean };
        (unit > 1e-9).then_some(Self { centre, unit, ..plain })
    }

    /// A value on the scale.
    pub(super) fn learned(&self, value: f64) -> f64 {
        let own = if self.logarithmic { value.max(self.least).ln() } else { value };
        (own - self.centre) / self.unit
    }

    /// A number of the scale as a value.
    pub(super) fn value(&self, learned: f64) -> f64 {
        let own = learned * self.unit + self.centre;
        if self.logarithmic { own.exp() } else { own }
    }
}

/// A value judged by the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Judged {
    /// What the others say, on the property's scale.
    pub(super) said: f64,
    /// Standard deviation of what is measured around that.
    pub(super) deviation: f64,
}

/// All values judged.
pub(super) struct Residuals {
    /// By property; `None` for one that cannot be judged.
    pub(super) forms: Vec<Option<Form>>,
    /// By row and property. Values that were not measured are judged as well: what they would be.
    pub(super) judged: Vec<Vec<Option<Judged>>>,
    /// Correlation of the properties' residuals.
    pub(super) correlation: Vec<Vec<f64>>,
    /// For each row the rows most like it, nearest first.
    pub(super) nearest: Vec<Vec<usize>>,
    /// The fits behind the last round, for questions about other inputs.
    pub(super) fits: Vec<BlockFit>,
}

/// The fit of one property on one block.
pub(super) struct BlockFit {
    pub(super) property: usize,
    pub(super) rows: Vec<usize>,
    fitted: Rc<Fitted>,
    left: LeftOut,
}

impl Residuals {
    /// Standardised distance of a value from what the others say.
    pub(super) fn distance(&self, row: usize, property: usize, value: f64) -> Option<f64> {
        let form = self.forms.get(property)?.as_ref()?;
        let judged = self.judged.get(row)?.get(property)?.as_ref()?;
        Some((form.learned(value) - judged.said) / judged.deviation)
    }

    /// The range in which a value was expected.
    pub(super) fn expected(&self, row: usize, property: usize) -> Option<[f64; 2]> {
        let form = self.forms.get(property)?.as_ref()?;
        let judged = self.judged.get(row)?.get(property)?.as_ref()?;
        let end = |side: f64| form.value(judged.said + side * 2.5 * judged.deviation);
        Some([end(-1.0), end(1.0)]).filter(|ends| ends.iter().all(|end| end.is_finite()))
    }
}

/// Judges all measured values.
pub(super) fn judge(table: &Table, points: &[Point], blocks: &[Vec<usize>]) -> Residuals {
    let forms: Vec<Option<Form>> = table.properties.iter().map(Form::of).collect();
    // By how much a typical value is off if it was misread, on the scale of its property.
    let jumps: Vec<Vec<f64>> = table
        .properties
        .iter()
        .zip(&forms)
        .map(|(property, form)| {
            let form = form.as_ref();
            form.map_or(Vec::new(), |form| {
                let typical = form.value(0.0);
                let off = |jump: Jump| form.learned(typical) - form.learned(jump.back(typical));
                jumps(&property.unit).into_iter().map(off).collect()
            })
        })
        .collect();
    let learned: Vec<Vec<Option<f64>>> = table
        .properties
        .iter()
        .zip(&forms)
        .map(|(property, form)| {
            property
                .values
                .iter()
                .map(|value| form.as_ref().zip(*value).map(|(form, value)| form.learned(value)))
                .collect()
        })
        .collect();
    let mut doubted: Vec<Vec<bool>> = learned.iter().map(|values| vec![false; values.len()]).collect();
    let nearest = nearest(points, blocks);
    for (property, values) in learned.iter().enumerate().filter(|(property, _)| forms[*property].is_some()) {
        first_doubts(points, blocks, values, &mut doubted[property]);
    }
    let lengths: Vec<Lengths> =
        (0..forms.len()).map(|property| choose(points, blocks, &learned[property], &doubted[property])).collect();
    let mut result = Residuals {
        judged: vec![vec![None; forms.len()]; points.len()],
        correlation: vec![vec![0.0; forms.len()]; forms.len()],
        forms,
        nearest,
        fits: Vec::new(),
    };
    for round in 0..ROUNDS {
        fit(&mut result, points, blocks, &learned, &doubted, &lengths);
        standardise(&mut result, &learned, &doubted);
        correlate(&mut result, &learned);
        if round + 1 == ROUNDS {
            break;
        }
        for (property, values) in learned.iter().enumerate() {
            for (row, value) in values.iter().enumerate() {
                let judged = result.judged[row][property];
                let off = value.zip(judged).map(|(value, judged)| (value - judged.said).abs() / judged.deviation);
                doubted[property][row] = off.is_some_and(|off| off > IGNORED_BEYOND);
            }
        }
        whole_groups(&result, table, blocks, &learned, &jumps, &mut doubted);
    }
    result
}

/// Doubts values far from the median of similar rows of other groups.
fn first_doubts(points: &[Point], blocks: &[Vec<usize>], values: &[Option<f64>], doubted: &mut [bool]) {
    let mut off: Vec<(usize, f64)> = Vec::new();
    for block in blocks {
        for row in block {
            let Some(own) = values[*row] else { continue };
            let lengths = Lengths::default();
            let mut others: Vec<(f64, f64)> = block
                .iter()
                .filter(|other| points[**other].group != points[*row].group)
                .filter_map(|other| {
                    values[*other].map(|value| (alike(&points[*row], &points[*other], &lengths), value))
                })
                .collect();
            let count = MEDIAN_OF.min(others.len());
            if count < others.len() && count > 0 {
                others.select_nth_unstable_by(count - 1, |one, other| other.0.total_cmp(&one.0));
            }
            if let Some(middle) = median(others[..count].iter().map(|(_, value)| *value)) {
                off.push((*row, own - middle));
            }
        }
    }
    let usual = spread(off.iter().map(|(_, off)| *off), 0.0).max(1e-6);
    off.into_iter().filter(|(_, off)| off.abs() > AT_FIRST * usual).for_each(|(row, _)| doubted[row] = true);
}

/// Doubts whole groups that are off by a misread unit, so that their rows do not confirm each other.
fn whole_groups(
    result: &Residuals,
    table: &Table,
    blocks: &[Vec<usize>],
    learned: &[Vec<Option<f64>>],
    jumps: &[Vec<f64>],
    doubted: &mut [Vec<bool>],
) {
    let block_of: BTreeMap<usize, usize> =
        blocks.iter().enumerate().flat_map(|(block, rows)| rows.iter().map(move |row| (*row, block))).collect();
    for (property, values) in learned.iter().enumerate().filter(|(property, _)| result.forms[*property].is_some()) {
        let mut off: Vec<(&Vec<usize>, f64)> = Vec::new();
        for group in table.groups.iter().filter(|group| group.len() > 1) {
            let Some(block) = group.first().and_then(|row| block_of.get(row)) else { continue };
            let Some(fit) = result.fits.iter().find(|fit| fit.property == property && fit.rows == blocks[*block])
            else {
                continue;
            };
            let places: Vec<usize> = group
                .iter()
                .filter(|row| values[**row].is_some())
                .filter_map(|row| fit.rows.binary_search(row).ok())
                .collect();
            if places.len() < 2 {
                continue;
            }
            let Some(residuals) = fit.fitted.left_out_together(&fit.left, &places) else { continue };
            if let Some(middle) = median(residuals) {
                off.push((group, middle));
            }
        }
        let usual = spread(off.iter().map(|(_, off)| *off), 0.0).max(1e-6);
        for (group, middle) in off {
            let jumped = jumps[property].iter().any(|jump| (middle - jump).abs() < 3.0 * usual);
            if middle.abs() > 5.0 * usual && jumped {
                group.iter().for_each(|row| doubted[property][*row] = true);
            }
        }
    }
}

/// The rows most like each row, nearest first.
fn nearest(points: &[Point], blocks: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut nearest = vec![Vec::new(); points.len()];
    let lengths = Lengths { amounts: 2.0, conditions: 0.5, noise: 0.0 };
    for block in blocks {
        for row in block {
            let mut others: Vec<(f64, usize)> = block
                .iter()
                .filter(|other| *other != row)
                .map(|other| (alike(&points[*row], &points[*other], &lengths), *other))
                .collect();
            let order = |one: &(f64, usize), other: &(f64, usize)| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1));
            if others.len() > AROUND {
                others.select_nth_unstable_by(AROUND - 1, order);
                others.truncate(AROUND);
            }
            others.sort_by(order);
            nearest[*row] = others.into_iter().map(|(_, row)| row).collect();
        }
    }
    nearest
}

/// Chooses the lengths of the kernel for a property, by how well left-out values are answered on some groups.
fn choose(points: &[Point], blocks: &[Vec<usize>], learned: &[Option<f64>], doubted: &[bool]) -> Lengths {
    let mut best = Lengths::default();
    let Some(block) = blocks.iter().max_by_key(|block| block.len()) else { return best };
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let sound = block.iter().filter(|row| learned[**row].is_some() && !doubted[**row]);
    sound.for_each(|row| groups.entry(points[*row].group).or_default().push(*row));
    let stride = block.len().div_ceil(CHOSEN_BY);
    let rows: Vec<usize> = groups.into_values().step_by(stride.max(1)).flatten().take(CHOSEN_BY).collect();
    let own: Vec<&Point> = rows.iter().map(|row| &points[*row]).collect();
    let values: Vec<f64> = rows.iter().filter_map(|row| learned[*row]).collect();
    let loss = |lengths: &Lengths| {
        let Some(fitted) = Fitted::new(&own, &vec![false; own.len()], lengths) else { return f64::INFINITY };
        let left = fitted.left_out(&values);
        let term = |(off, deviation): (&f64, &f64)| (off / deviation).powi(2).min(16.0) / 2.0 + deviation.ln();
        left.residual.iter().zip(&left.deviation).map(term).sum::<f64>()
    };
    if rows.len() < LEAST_VALUES {
        return best;
    }
    let mut least = loss(&best);
    let mut attempt = |lengths: Lengths, best: &mut Lengths| {
        let own = loss(&lengths);
        if own < least {
            (least, *best) = (own, lengths);
        }
    };
    [0.003, 0.01, 0.1, 0.3].into_iter().for_each(|noise| attempt(Lengths { noise, ..best }, &mut best));
    [0.35, 0.6, 1.7, 3.0].into_iter().for_each(|conditions| attempt(Lengths { conditions, ..best }, &mut best));
    [1.0, 2.0, 8.0].into_iter().for_each(|amounts| attempt(Lengths { amounts, ..best }, &mut best));
    [0.55, 1.8].into_iter().for_each(|factor| attempt(Lengths { noise: best.noise * factor, ..best }, &mut best));
    best
}

/// Fits each property on each block. Properties with equal gaps share a matrix.
fn fit(
    result: &mut Residuals,
    points: &[Point],
    blocks: &[Vec<usize>],
    learned: &[Vec<Option<f64>>],
    doubted: &[Vec<bool>],
    lengths: &[Lengths],
) {
    result.fits.clear();
    for rows in blocks {
        let own: Vec<&Point> = rows.iter().map(|row| &points[*row]).collect();
        let mut known: Vec<(Vec<bool>, Lengths, Rc<Fitted>)> = Vec::new();
        for property in (0..learned.len()).filter(|property| result.forms[*property].is_some()) {
            let missing: Vec<bool> = rows.iter().map(|row| learned[property][*row].is_none()).collect();
            // A row that is doubted in one property teaches none: so that one matrix is enough for most files.
            let ignored: Vec<bool> = rows
                .iter()
                .zip(&missing)
                .map(|(row, missing)| *missing || doubted.iter().any(|doubted| doubted[*row]))
                .collect();
            let lengths = lengths[property];
            let same = known.iter().find(|(other, of, _)| *other == ignored && *of == lengths);
            let fitted = match same {
                Some((.., fitted)) => Rc::clone(fitted),
                None => {
                    let Some(fitted) = Fitted::new(&own, &ignored, &lengths) else { continue };
                    let fitted = Rc::new(fitted);
                    known.push((ignored, lengths, Rc::clone(&fitted)));
                    fitted
                }
            };
            let values: Vec<f64> = rows.iter().map(|row| learned[property][*row].unwrap_or(0.0)).collect();
            let left = fitted.left_out(&values);
            for (place, row) in rows.iter().enumerate() {
                let (said, deviation) = (values[place] - left.residual[place], left.deviation[place]);
                result.judged[*row][property] = Some(Judged { said, deviation });
            }
            result.fits.push(BlockFit { property, rows: rows.clone(), fitted, left });
        }
    }
}

/// Adapts the deviations to how much values really scatter, over the whole file and around each row.
fn standardise(result: &mut Residuals, learned: &[Vec<Option<f64>>], doubted: &[Vec<bool>]) {
    for (property, values) in learned.iter().enumerate().filter(|(property, _)| result.forms[*property].is_some()) {
        let off: Vec<Option<f64>> = values
            .iter()
            .enumerate()
            .map(|(row, value)| {
                let judged = result.judged[row][property]?;
                value.map(|value| (value - judged.said) / judged.deviation)
            })
            .collect();
        let overall = spread(off.iter().flatten().copied(), 0.0).max(1e-6);
        let local: Vec<f64> = (0..values.len())
            .map(|row| {
                let around = result.nearest[row].iter().filter(|other| !doubted[property][**other]);
                let around: Vec<f64> = around.filter_map(|other| off[*other]).collect();
                let own = spread(around.iter().copied(), 0.0) / overall;
                // As if as many rows with the usual scatter stood around as well.
                let (count, usual) = (around.len() as f64, AROUND as f64 / 2.0);
                ((count * own * own + usual) / (count + usual)).sqrt()
            })
            .collect();
        for (row, local) in local.into_iter().enumerate() {
            if let Some(judged) = &mut result.judged[row][property] {
                judged.deviation *= overall * local.max(LEAST_LOCAL);
            }
        }
    }
}

/// Measures how the residuals of properties go together.
fn correlate(result: &mut Residuals, learned: &[Vec<Option<f64>>]) {
    let count = learned.len();
    let off = |row: usize, property: usize| {
        let judged = result.judged[row][property]?;
        learned[property][row].map(|value| (value - judged.said) / judged.deviation)
    };
    let pair = |one: usize, other: usize| {
        if one == other {
            return 1.0;
        }
        let (one, other) = (one.max(other), one.min(other));
        let rows = 0..result.judged.len();
        let pairs: Vec<(f64, f64)> = rows.filter_map(|row| Some((off(row, one)?, off(row, other)?))).collect();
        // Pulled to 0, so that the matrix can be inverted and chance correlations of few rows count little.
        correlation(&pairs) * 0.97 * pairs.len() as f64 / (pairs.len() as f64 + 10.0)
    };
    result.correlation = (0..count).map(|one| (0..count).map(|other| pair(one, other)).collect()).collect();
}
