//! K-medoids: selects representative training samples.
//!
//! k-means++ seeding, then Voronoi iteration. (The maintained k-medoids crate is GPL and cannot be linked here.)

use std::collections::HashSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Number of rounds of Voronoi iteration. It converges after a few.
const ROUNDS: usize = 20;
/// Largest number of cluster members tried as medoid. It bounds the quadratic step.
const CANDIDATES: usize = 256;

/// Indices of `count` medoids among rows of `width` columns, in ascending order. No two are equal rows, so there are
/// fewer if there are fewer different rows.
pub(in crate::train) fn medoids(rows: &[f32], width: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let row = |index: usize| &rows[index * width..(index + 1) * width];
    let distance = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(x, y)| (x - y) * (x - y)).sum::<f32>().sqrt();
    let total = rows.len() / width.max(1);
    let candidates = different((0..total).collect(), &row);
    if candidates.len() <= count {
        return candidates;
    }
    let mut chosen = seeds(total, count, &distance, rng);
    for _ in 0..ROUNDS {
        let mut clusters = vec![Vec::new(); chosen.len()];
        for index in 0..total {
            clusters[nearest(index, &chosen, &distance)].push(index);
        }
        let moved: Vec<usize> =
            clusters.iter().zip(&chosen).map(|(members, medoid)| centre(members, *medoid, &distance)).collect();
        if moved == chosen {
            break;
        }
        chosen = moved;
    }
    chosen.sort_unstable();
    // A seed can be drawn twice if rounding hides distances.
    different(chosen, &row)
}

/// The first of each set of equal rows.
fn different<'a>(mut indices: Vec<usize>, row: &impl Fn(usize) -> &'a [f32]) -> Vec<usize> {
    let mut seen = HashSet::new();
    // 0 and −0 are equal.
    indices.retain(|index| seen.insert(row(*index).iter().map(|value| (value + 0.0).to_bits()).collect::<Vec<_>>()));
    indices
}

/// k-means++: the probability of each next seed is proportional to its squared distance to the chosen ones.
fn seeds(total: usize, count: usize, distance: &impl Fn(usize, usize) -> f32, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut chosen = vec![rng.random_range(0..total)];
    let mut closest: Vec<f32> = (0..total).map(|index| distance(index, chosen[0]).powi(2)).collect();
    while chosen.len() < count {
        let mut left = rng.random_range(0.0..1.0f32) * closest.iter().sum::<f32>();
        let mut next = total - 1;
        for (index, weight) in closest.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                next = index;
                break;
            }
        }
        chosen.push(next);
        closest.iter_mut().enumerate().for_each(|(index, best)| *best = best.min(distance(index, next).powi(2)));
    }
    chosen
}

fn nearest(index: usize, chosen: &[usize], distance: &impl Fn(usize, usize) -> f32) -> usize {
    let by_distance = |a: &usize, b: &usize| distance(index, chosen[*a]).total_cmp(&distance(index, chosen[*b]));
    (0..chosen.len()).min_by(by_distance).unwrap_or(0)
}

/// The member with the least sum of distances to the others.
fn centre(members: &[usize], medoid: usize, distance: &impl Fn(usize, usize) -> f32) -> usize {
    let stride = members.len().div_ceil(CANDIDATES).max(1);
    let cost = |candidate: usize| members.iter().map(|member| distance(candidate, *member)).sum::<f32>();
    let candidates = members.iter().step_by(stride).copied();
    candidates.map(|index| (cost(index), index)).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(medoid, |(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng;

    #[test]
    fn one_medoid_for_each_clear_cluster() {
        let rows = [0.0f32, 0.1, -0.1, 10.0, 10.1, 9.9, 20.0, 20.1, 19.9];
        let chosen = medoids(&rows, 1, 3, &mut rng(1, "test"));
        assert_eq!(chosen, [0, 3, 6]);
        assert_eq!(medoids(&rows, 1, 50, &mut rng(1, "test")).len(), 9);
    }

    #[test]
    fn no_row_is_chosen_twice() {
        let rows = [0.0f32, 5.0, -0.0, 5.0, 9.0, 0.0, 9.0, 9.0];
        for count in 3..10 {
            assert_eq!(medoids(&rows, 1, count, &mut rng(1, "test")), [0, 1, 4], "{count} of 3 different rows");
        }
        let two = medoids(&rows, 1, 2, &mut rng(1, "test"));
        assert!(two.len() == 2 && rows[two[0]] != rows[two[1]], "{two:?}");
        assert_eq!(medoids(&[7.0; 20], 2, 4, &mut rng(1, "test")), [0]);
    }
}
