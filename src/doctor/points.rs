//! Rows as points of the kernel, scaled so that a few wrong values do not squeeze the others, and cut into blocks of
//! similar rows so that the work stays bounded.

use super::kernel::Point;
use super::robust::quantile;
use super::table::Table;

/// Scaled values beyond this are cut.
const CLIP: f64 = 4.0;
/// Largest number of rows examined together; fewer for long files.
const BLOCK: usize = 500;
const BLOCK_OF_LONG_FILES: usize = 250;
const LONG_FILE: usize = 10_000;

/// The points of all rows.
pub(super) fn points(table: &Table) -> Vec<Point> {
    let rows = table.rows();
    let mut points: Vec<Point> = (0..rows)
        .map(|row| Point { amounts: Vec::new(), conditions: Vec::new(), group: table.group_of[row] })
        .collect();
    for place in 0..table.elements.len() {
        let column: Vec<f64> = table.amounts.iter().map(|amounts| amounts[place]).collect();
        let scaled = scaled(&column);
        points.iter_mut().zip(scaled).for_each(|(point, value)| point.amounts.push(value));
    }
    for condition in &table.conditions {
        // A value that was not stated stands in the middle.
        let column: Vec<f64> = condition.values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        let scaled = scaled(&column);
        points.iter_mut().zip(scaled).for_each(|(point, value)| point.conditions.push(value));
    }
    for (point, levels) in points.iter_mut().zip(&table.levels) {
        // Different levels of a category are as far from each other as two standard deviations.
        point.conditions.extend(levels.iter().map(|level| 2.0 * *level as f64));
    }
    points
}

/// Centre and unit of a column's scale: the mean and the standard deviation without the outer hundredths.
pub(super) fn scale(column: &[f64]) -> (f64, f64) {
    let end = |share| quantile(column.iter().copied(), share).unwrap_or(0.0);
    let (low, high) = (end(0.01), end(0.99));
    let inner: Vec<f64> =
        column.iter().copied().filter(|value| value.is_finite()).map(|v| v.clamp(low, high)).collect();
    let count = inner.len().max(1) as f64;
    let mean = inner.iter().sum::<f64>() / count;
    let deviation = (inner.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 1e-12 { deviation } else { f64::INFINITY })
}

fn scaled(column: &[f64]) -> Vec<f64> {
    let (centre, unit) = scale(column);
    let own = |value: &f64| ((value - centre) / unit).clamp(-CLIP, CLIP);
    column.iter().map(|value| if value.is_finite() { own(value) } else { 0.0 }).collect()
}

/// Cuts the rows into blocks of similar rows. Groups stay whole where they fit into a block.
pub(super) fn blocks(points: &[Point], groups: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let most = if points.len() > LONG_FILE { BLOCK_OF_LONG_FILES } else { BLOCK };
    let units: Vec<Vec<usize>> = groups.iter().flat_map(|rows| rows.chunks(most).map(<[usize]>::to_vec)).collect();
    let (mut open, mut blocks) = (vec![units], Vec::new());
    while let Some(mut units) = open.pop() {
        let rows: usize = units.iter().map(Vec::len).sum();
        if rows <= most || units.len() < 2 {
            let mut block: Vec<usize> = units.into_iter().flatten().collect();
            block.sort_unstable();
            blocks.push(block);
            continue;
        }
        let axis = widest(points, &units);
        let place = |unit: &Vec<usize>| unit.first().map_or(0.0, |row| coordinate(&points[*row], axis));
        units.sort_by(|one, other| place(one).total_cmp(&place(other)));
        let (mut left, mut half) = (0, 0);
        for unit in &units[..units.len() - 1] {
            if left > 0 && left + unit.len() > rows / 2 {
                break;
            }
            left += unit.len();
            half += 1;
        }
        let right = units.split_off(half);
        open.push(right);
        open.push(units);
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

fn coordinate(point: &Point, axis: usize) -> f64 {
    match axis.checked_sub(point.amounts.len()) {
        None => point.amounts[axis],
        Some(axis) => point.conditions.get(axis).copied().unwrap_or(0.0),
    }
}

/// The coordinate in which the units differ most: an amount, or a condition if there are no amounts.
fn widest(points: &[Point], units: &[Vec<usize>]) -> usize {
    let first = units.iter().flatten().next().map(|row| &points[*row]);
    let (amounts, all) =
        first.map_or((0, 0), |point| (point.amounts.len(), point.amounts.len() + point.conditions.len()));
    let variance = |axis: usize| {
        let own: Vec<f64> =
            units.iter().filter_map(|unit| unit.first()).map(|row| coordinate(&points[*row], axis)).collect();
        let mean = own.iter().sum::<f64>() / own.len().max(1) as f64;
        own.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    let axes = if amounts > 0 { amounts } else { all };
    (0..axes).max_by(|one, other| variance(*one).total_cmp(&variance(*other))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_every_row_once_and_groups_whole() {
        let point =
            |row: usize| Point { amounts: vec![(row / 7) as f64], conditions: vec![row as f64], group: row / 7 };
        let points: Vec<Point> = (0..1400).map(point).collect();
        let groups: Vec<Vec<usize>> = (0..200).map(|group| (group * 7..group * 7 + 7).collect()).collect();
        let blocks = blocks(&points, &groups);
        let mut rows: Vec<usize> = blocks.iter().flatten().copied().collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..1400).collect::<Vec<_>>());
        assert!(blocks.len() > 2 && blocks.iter().all(|block| block.len() <= BLOCK && block.len() % 7 == 0));
    }

    #[test]
    fn one_huge_group_is_cut() {
        let points: Vec<Point> = (0..1300).map(|_| Point { amounts: vec![], conditions: vec![], group: 0 }).collect();
        let blocks = blocks(&points, &[(0..1300).collect()]);
        assert!(blocks.iter().all(|block| block.len() <= BLOCK), "{}", blocks.len());
    }

    #[test]
    fn one_wild_value_does_not_squeeze_the_others() {
        let mut column: Vec<f64> = (0..300).map(|row| f64::from(row % 10)).collect();
        column[7] = 1e9;
        let (_, unit) = scale(&column);
        assert!(unit < 5.0, "{unit}");
    }
}
