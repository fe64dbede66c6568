//! Draws folds for cross-validation: every row is a test row exactly once.
//!
//! Random folds may put rows of the same heat, alloy or chemical system into training and test; grouped folds do not.
//! (Splits from a file are read by [`super::read_splits`].)

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::data::splits::Split;
use crate::model::{rng, shuffled};

/// How test rows are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Row by row.
    Random,
    /// Whole groups: no training row belongs to the group of a test row.
    Grouped,
}

impl Protocol {
    /// Name in files and progress lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Grouped => "grouped",
        }
    }
}

/// Splits rows, given by their groups, into `folds` parts of about equal size. Each part is the test set of one split.
/// Groups are assigned from the largest to the smallest, each to the smallest fold so far; the seed orders groups of
/// equal size. `None` if there are fewer groups (or rows) than folds.
pub fn draw_folds(groups: &[String], protocol: Protocol, folds: usize, seed: u64) -> Option<Vec<Split>> {
    let units: Vec<Vec<usize>> = match protocol {
        Protocol::Random => (0..groups.len()).map(|row| vec![row]).collect(),
        Protocol::Grouped => {
            let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            groups.iter().enumerate().for_each(|(row, group)| rows.entry(group).or_default().push(row));
            rows.into_values().collect()
        }
    };
    if folds < 2 || units.len() < folds {
        return None;
    }
    let mut order = shuffled(units.len(), &mut rng(seed, protocol.name()));
    // The sort is stable, so groups of equal size stay shuffled.
    order.sort_by_key(|unit| Reverse(units[*unit].len()));
    let mut fold_of = vec![0; groups.len()];
    let mut sizes = vec![0; folds];
    for unit in order {
        let smallest = (0..folds).min_by_key(|fold| sizes[*fold]).unwrap_or(0);
        sizes[smallest] += units[unit].len();
        units[unit].iter().for_each(|row| fold_of[*row] = smallest);
    }
    let split = |fold: usize| {
        let (test, train) = (0..groups.len()).partition(|row| fold_of[*row] == fold);
        Split { train, test }
    };
    Some((0..folds).map(split).collect())
}

/// Splits rows into folds as [`draw_folds`] does for groups, but every third group that has several rows is divided: its
/// rows are held out one by one, while the rest of the group stays in training. So the folds show the errors on new
/// groups and on known ones.
pub fn draw_mixed_folds(groups: &[String], folds: usize, seed: u64) -> Option<Vec<Split>> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    groups.iter().for_each(|group| *sizes.entry(group).or_default() += 1);
    let several: Vec<&str> = sizes.into_iter().filter(|(_, size)| *size > 1).map(|(group, _)| group).collect();
    let order = shuffled(several.len(), &mut rng(seed, "known groups"));
    let known: BTreeSet<&str> = order.into_iter().take(several.len() / 3).map(|group| several[group]).collect();
    let units: Vec<String> = groups
        .iter()
        .enumerate()
        .map(|(row, group)| if known.contains(group.as_str()) { format!("{group} {row}") } else { group.clone() })
        .collect();
    draw_folds(&units, Protocol::Grouped, folds, seed)
}

/// Draws `count` independent splits with a ratio of 2 : 1. `None` if there are fewer than three groups (or rows).
pub fn draw_splits(groups: &[String], protocol: Protocol, count: usize, seed: u64) -> Option<Vec<Split>> {
    // Only groups of equal size are assigned at random, so the choice of the test fold varies as well.
    let split =
        |index: usize| draw_folds(groups, protocol, 3, seed.wrapping_add(index as u64))?.into_iter().nth(index % 3);
    (0..count).map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<String> {
        // Sizes 1, 2, …, 9.
        (1..10).flat_map(|group| (0..group).map(move |_| format!("heat {group}"))).collect()
    }

    #[test]
    fn each_row_tests_once_and_parts_are_balanced() {
        for protocol in [Protocol::Random, Protocol::Grouped] {
            let splits = draw_folds(&groups(), protocol, 3, 7).unwrap();
            let mut tested: Vec<usize> = splits.iter().flat_map(|split| split.test.clone()).collect();
            tested.sort_unstable();
            assert_eq!(tested, (0..45).collect::<Vec<_>>());
            for split in &splits {
                assert!((14..=16).contains(&split.test.len()), "{}", split.test.len());
                assert!(split.train.len() + split.test.len() == 45);
                assert!(split.train.iter().all(|row| !split.test.contains(row)));
            }
        }
    }

    #[test]
    fn grouped_folds_keep_groups_whole() {
        let groups = groups();
        for split in draw_folds(&groups, Protocol::Grouped, 4, 7).unwrap() {
            assert!(split.test.iter().all(|test| split.train.iter().all(|row| groups[*row] != groups[*test])));
        }
        assert_eq!(draw_folds(&groups, Protocol::Grouped, 10, 7), None);
        assert!(draw_folds(&groups, Protocol::Random, 10, 7).is_some());
        let splits = draw_splits(&groups, Protocol::Grouped, 4, 7).unwrap();
        assert!(splits.len() == 4 && splits[0] != splits[1] && (14..=16).contains(&splits[0].test.len()));
    }

    #[test]
    fn mixed_folds_hold_out_groups_and_single_rows() {
        let groups: Vec<String> = (0..90).map(|row| (row / 3).to_string()).collect();
        let folds = draw_mixed_folds(&groups, 5, 7).unwrap();
        let mut tested: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
        tested.sort_unstable();
        assert_eq!(tested, (0..90).collect::<Vec<_>>());
        let known = |fold: &Split| {
            fold.test.iter().filter(|row| fold.train.iter().any(|other| groups[*other] == groups[**row])).count()
        };
        // Ten of thirty groups have their three rows held out one by one.
        let known: usize = folds.iter().map(known).sum();
        assert!((24..=30).contains(&known), "{known}");
        let alone: Vec<String> = (0..20).map(|row| row.to_string()).collect();
        assert_eq!(draw_mixed_folds(&alone, 5, 7), draw_folds(&alone, Protocol::Grouped, 5, 7));
    }

    #[test]
    fn the_same_seed_draws_the_same_folds() {
        let draw = |protocol, seed| draw_folds(&groups(), protocol, 3, seed);
        assert_eq!(draw(Protocol::Random, 7), draw(Protocol::Random, 7));
        assert_ne!(draw(Protocol::Random, 7), draw(Protocol::Random, 8));
        let pairs: Vec<String> = (0..20).map(|row| (row / 2).to_string()).collect();
        let draw = |seed| draw_folds(&pairs, Protocol::Grouped, 3, seed);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
