//! Finds the kinds of alloys among training rows: clusters of similar compositions.
//!
//! Clusters are found by k-medoids; what is kept are their means. A cluster of a single alloy joins its nearest
//! neighbour, because a mean of one row would be that row.

use crate::data::Dataset;
use crate::domain::{Basis, Element};
use crate::model::{Kind, Kinds, rng};
use crate::train::learners::kmedoids::medoids;

/// Least number of alloys of a kind.
const LEAST_ALLOYS: usize = 2;
/// Smaller mean amounts, in at%, are left out.
const LEAST_AMOUNT: f64 = 0.05;
const WIDTH: usize = Element::ALL.len();

/// The kinds of some rows, at most `count`. For a classification with `classes` classes they count their alloys by class.
pub(in crate::train) fn kinds(data: &Dataset, rows: &[usize], count: usize, classes: usize, seed: u64) -> Kinds {
    let mut amounts = vec![0.0f32; rows.len() * WIDTH];
    for (row, amounts) in rows.iter().zip(amounts.chunks_exact_mut(WIDTH)) {
        let atomic = data.samples[*row].composition().to_basis(Basis::AtomicPercent).scaled_to(100.0);
        atomic.amounts().iter().for_each(|(element, amount)| amounts[element.index()] = *amount as f32);
    }
    let mut centres = medoids(&amounts, WIDTH, count, &mut rng(seed, "kinds"));
    let mut members = cluster(&amounts, &centres);
    let kept: Vec<usize> = (0..centres.len()).filter(|index| members[*index].len() >= LEAST_ALLOYS).collect();
    if kept.len() < centres.len() && !kept.is_empty() {
        centres = kept.iter().map(|index| centres[*index]).collect();
        members = cluster(&amounts, &centres);
    }
    let kind = |members: Vec<usize>| {
        let mean = |element: &Element| {
            let sum: f64 = members.iter().map(|row| f64::from(amounts[row * WIDTH + element.index()])).sum();
            (*element, (sum / members.len() as f64 * 10.0).round() / 10.0)
        };
        let may_be = |class| members.iter().filter(|row| data.labels[rows[**row]].allows(class)).count();
        Kind {
            centre: Element::ALL.iter().map(mean).filter(|(_, amount)| *amount >= LEAST_AMOUNT).collect(),
            alloys: members.len(),
            may_be: (0..classes).map(may_be).collect(),
        }
    };
    Kinds(members.into_iter().filter(|members| members.len() >= LEAST_ALLOYS).map(kind).collect())
}

/// The rows nearest to each centre, which is a row itself.
fn cluster(amounts: &[f32], centres: &[usize]) -> Vec<Vec<usize>> {
    let row = |index: usize| &amounts[index * WIDTH..(index + 1) * WIDTH];
    let distance = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
    let mut members = vec![Vec::new(); centres.len()];
    for index in 0..amounts.len() / WIDTH {
        let by_distance = |a: &usize, b: &usize| distance(index, centres[*a]).total_cmp(&distance(index, centres[*b]));
        if let Some(nearest) = (0..centres.len()).min_by(by_distance) {
            members[nearest].push(index);
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::fixture::glasses;

    #[test]
    fn a_kind_is_a_mean_of_at_least_two_alloys_and_counts_classes() {
        // Eight ribbons around Cu-Zr, eight crystals around Fe-Ni, one lone alloy.
        let (_, data) = glasses(&["Al90Y10,CRA"]);
        let rows: Vec<usize> = (0..data.samples.len()).collect();
        let Kinds(kinds) = kinds(&data, &rows, 3, 3, 7);
        assert_eq!(kinds.iter().map(|kind| kind.alloys).sum::<usize>(), rows.len());
        assert!(kinds.iter().all(|kind| kind.alloys > 1), "{kinds:?}");
        let copper = kinds.iter().find(|kind| kind.name().contains("Cu")).unwrap();
        assert_eq!(copper.may_be[2] + copper.may_be[1], copper.alloys);
    }
}
