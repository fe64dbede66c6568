//! Compares the active version and a candidate on the same rows.
//!
//! The active version looks too good on rows it was trained on. If they are known, such rows are not used.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{Comparison, ComparisonBasis, Dataset, FoldScores, Protocol, Recipe, VersionName};
use crate::model::Spread;
use crate::train::evaluation::crossval::CrossValidation;
use crate::train::evaluation::evaluate::score;
use crate::train::metrics::{Scores, summarise};
use crate::train::report::incumbent::{Incumbent, LEAST_ROWS};

/// Compares the candidate's out-of-fold predictions with those of the active version, on rows that nobody doubts.
/// `doubted` holds the doubted lines of the file.
pub fn compare(
    recipe: &Recipe,
    data: &Dataset,
    validation: &CrossValidation,
    active: &Incumbent,
    doubted: &[u64],
) -> Comparison {
    let doubted: BTreeSet<u64> = doubted.iter().copied().collect();
    let counts = |row: &usize| !doubted.contains(&data.lines[*row]);
    let readable: Vec<usize> =
        (0..data.samples.len()).filter(counts).filter(|row| active.predicted[*row].is_some()).collect();
    let mut comparison = Comparison::without(recipe, validation.protocol, Some(active.version.clone()), String::new());
    let unseen =
        active.seen.as_ref().map(|seen| readable.iter().copied().filter(|row| !seen[*row]).collect::<Vec<_>>());
    let rows = match &unseen {
        _ if active.same_file => None,
        Some(unseen) => Some(unseen).filter(|unseen| unseen.len() >= LEAST_ROWS),
        None => Some(&readable),
    };
    let Some(rows) = rows else {
        let own = summarise(&undoubted_scores(recipe, data, validation, &counts));
        comparison.by_recorded_scores(&own, active, unseen.map_or(0, |unseen| unseen.len()));
        return comparison.without_rows(doubted.len());
    };
    let scores = |answer: &dyn Fn(usize) -> Vec<f64>| {
        score(recipe, data, rows, &rows.iter().map(|row| answer(*row)).collect::<Vec<_>>())
    };
    let candidate = scores(&|row| validation.candidate.predicted[row].clone());
    let other = scores(&|row| active.predicted[row].clone().unwrap_or_default());
    let part = recipe.output_metric();
    let output = |name: String| {
        let figures = (*candidate.get(&name)?.get(part)?, *other.get(&name)?.get(part)?);
        Some((name, figures))
    };
    comparison.by_output = recipe.output_names().into_iter().filter_map(output).collect();
    comparison.rows = rows.len();
    let whole = |scores: &Scores| scores.get("all").and_then(|all| all.get(recipe.metric())).copied();
    comparison.judge(whole(&candidate), whole(&other));
    let total = data.samples.len();
    match &active.seen {
        Some(seen) => {
            comparison.basis = ComparisonBasis::UnseenRows;
            comparison.note = format!("{} of {total} rows are new to the version in use", rows.len());
            let known: BTreeSet<&str> =
                (0..total).filter(|row| seen[*row]).map(|row| data.groups[row].as_str()).collect();
            let related = rows.iter().filter(|row| known.contains(data.groups[**row].as_str())).count();
            if related > 0 && validation.protocol == Protocol::Grouped {
                comparison.note += &format!(
                    "; {related} of them belong to groups ({}) that it knows by other rows, the candidate does not: \
                     that favours the version in use",
                    recipe.group
                );
            }
        }
        None => {
            comparison.basis = ComparisonBasis::SameRows;
            comparison.note = format!(
                "on {} of {total} rows; which of them the version in use was trained on is not known: it may have seen \
                 some, which favours it",
                rows.len()
            );
        }
    }
    comparison.without_rows(doubted.len())
}

/// The candidate's scores on the test rows of each fold that count.
fn undoubted_scores(
    recipe: &Recipe,
    data: &Dataset,
    validation: &CrossValidation,
    counts: &impl Fn(&usize) -> bool,
) -> Vec<Scores> {
    let fold = |test: &Vec<usize>| {
        let rows: Vec<usize> = test.iter().copied().filter(counts).collect();
        let answers: Vec<Vec<f64>> = rows.iter().map(|row| validation.candidate.predicted[*row].clone()).collect();
        score(recipe, data, &rows, &answers)
    };
    let folds = validation.splits.iter().map(|split| &split.test);
    folds.filter(|test| test.iter().any(counts)).map(fold).collect()
}

impl Comparison {
    /// No comparison, with the reason.
    pub fn without(recipe: &Recipe, protocol: Protocol, active: Option<VersionName>, note: String) -> Self {
        Self {
            active,
            basis: ComparisonBasis::None,
            protocol,
            rows: 0,
            metric: recipe.metric().to_owned(),
            candidate_score: None,
            active_score: None,
            by_output: BTreeMap::new(),
            worse: false,
            note,
        }
    }

    fn judge(&mut self, candidate: Option<f64>, active: Option<f64>) {
        (self.candidate_score, self.active_score) = (candidate, active);
        self.worse = matches!((candidate, active), (Some(candidate), Some(active)) if candidate < active);
    }

    /// Says how many rows were left out because they are doubted.
    fn without_rows(mut self, doubted: usize) -> Self {
        match doubted {
            0 => {}
            1 => self.note += "; 1 doubted row does not count",
            _ => self.note += &format!("; {doubted} doubted rows do not count"),
        }
        self
    }

    fn by_recorded_scores(&mut self, own: &FoldScores, active: &Incumbent, unseen: usize) {
        let figure = |scores: &BTreeMap<String, BTreeMap<String, Spread>>| {
            scores.get("all").and_then(|all| all.get(&self.metric)).map(|spread| spread.mean)
        };
        let candidate = figure(own);
        let recorded = active.evaluation.iter().find(|evaluation| evaluation.protocol == self.protocol.name());
        let why = match active.same_file {
            true => "the version in use was trained on this very file".to_owned(),
            false => format!("only {unseen} rows are new to the version in use"),
        };
        match recorded.and_then(|evaluation| figure(&evaluation.scores)) {
            Some(figure) => {
                self.basis = ComparisonBasis::RecordedScores;
                self.judge(candidate, Some(figure));
                self.note = format!("{why}: its recorded {} score stands for it, on other folds", self.protocol.name());
            }
            None => self.note = format!("{why}, and it has no recorded {} score", self.protocol.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::{lab, rows};
    use crate::model::Evaluation;
    use crate::train::fixture::{off_by, validation};

    /// An active version with errors `error` that was trained on the first `seen` rows and recorded an R².
    fn active(data: &Dataset, error: impl Fn(usize) -> f64, seen: Option<usize>, recorded: Option<f64>) -> Incumbent {
        let evaluation = |mean| Evaluation {
            protocol: "grouped".to_owned(),
            splits: 3,
            scores: [("all".to_owned(), [("r2".to_owned(), Spread { mean, std: 0.0 })].into())].into(),
        };
        Incumbent {
            version: VersionName { name: "lab".to_owned(), version: "v1".to_owned() },
            predicted: off_by(data, error).into_iter().map(Some).collect(),
            seen: seen.map(|seen| (0..data.samples.len()).map(|row| row < seen).collect()),
            same_file: false,
            evaluation: recorded.map(evaluation).into_iter().collect(),
        }
    }

    #[test]
    fn rows_that_trained_the_version_in_use_do_not_count() {
        let (recipe, data) = lab(&rows(60, 2));
        let validation = validation(&recipe, &data, Protocol::Grouped, |_| 5.0);
        // Perfect on its training rows, worse than the candidate on new ones.
        let knowing = |row: usize| if row < 40 { 0.0 } else { 9.0 };
        let comparison = compare(&recipe, &data, &validation, &active(&data, knowing, Some(40), None), &[]);
        assert_eq!((comparison.basis, comparison.rows, comparison.worse), (ComparisonBasis::UnseenRows, 20, false));
        assert!(comparison.candidate_score > comparison.active_score && comparison.note.starts_with("20 of 60 rows"));
        assert_eq!(comparison.by_output.len(), 2);
        let better = compare(&recipe, &data, &validation, &active(&data, |_| 4.0, Some(40), None), &[]);
        assert!(better.worse && better.active_score > better.candidate_score);
        // Row 41 belongs to the same heat as row 40, on which the version was trained.
        let related = compare(&recipe, &data, &validation, &active(&data, knowing, Some(41), None), &[]);
        assert!(related.note.contains("1 of them belong to groups (heat)"), "{}", related.note);
    }

    #[test]
    fn without_digests_all_rows_count_and_the_note_says_so() {
        let (recipe, data) = lab(&rows(60, 2));
        let validation = validation(&recipe, &data, Protocol::Random, |_| 5.0);
        let comparison = compare(&recipe, &data, &validation, &active(&data, |_| 1.0, None, Some(0.1)), &[]);
        assert_eq!((comparison.basis, comparison.rows, comparison.worse), (ComparisonBasis::SameRows, 60, true));
        assert!(comparison.note.contains("not known"));
        let mut part = active(&data, |_| 1.0, None, None);
        part.predicted[3] = None;
        assert_eq!(compare(&recipe, &data, &validation, &part, &[]).rows, 59);
    }

    #[test]
    fn recorded_scores_stand_in_where_too_few_rows_are_new() {
        let (recipe, data) = lab(&rows(60, 2));
        let validation = validation(&recipe, &data, Protocol::Grouped, |_| 5.0);
        let judge = |active: &Incumbent| compare(&recipe, &data, &validation, active, &[]);
        let worse = judge(&active(&data, |_| 0.0, Some(51), Some(0.999)));
        assert_eq!((worse.basis, worse.rows, worse.worse), (ComparisonBasis::RecordedScores, 0, true));
        assert!(worse.note.contains("only 9 rows are new"), "{}", worse.note);
        let better = judge(&active(&data, |_| 0.0, Some(60), Some(0.1)));
        assert_eq!(
            (better.basis, better.worse, better.active_score),
            (ComparisonBasis::RecordedScores, false, Some(0.1))
        );
        let same_file = Incumbent { same_file: true, ..active(&data, |_| 0.0, None, Some(0.1)) };
        assert_eq!(judge(&same_file).basis, ComparisonBasis::RecordedScores);
        let none = judge(&active(&data, |_| 0.0, Some(60), None));
        assert_eq!((none.basis, none.worse, none.candidate_score), (ComparisonBasis::None, false, None));
        assert!(none.note.contains("no recorded grouped score"));
    }

    #[test]
    fn doubted_rows_do_not_count() {
        let (recipe, data) = lab(&rows(60, 2));
        // The candidate has learned what is wrong with every third row; the version in use has not.
        let wrong = |row: usize| row.is_multiple_of(3);
        let validation = validation(&recipe, &data, Protocol::Grouped, |row| if wrong(row) { 0.0 } else { 5.0 });
        let in_use = active(&data, |row| if wrong(row) { 90.0 } else { 4.0 }, Some(0), None);
        assert!(!compare(&recipe, &data, &validation, &in_use, &[]).worse);
        let lines: Vec<u64> = (0..60).filter(|row| wrong(*row)).map(|row| data.lines[row]).collect();
        let comparison = compare(&recipe, &data, &validation, &in_use, &lines);
        assert!(comparison.worse && comparison.rows == 40, "{comparison:?}");
        assert!(comparison.note.ends_with("; 20 doubted rows do not count"), "{}", comparison.note);
        // Where the recorded score stands for the version in use, the candidate's is of rows that count, too.
        let recorded = Incumbent { same_file: true, ..active(&data, |_| 0.0, None, Some(0.5)) };
        let score = |lines: &[u64]| compare(&recipe, &data, &validation, &recorded, lines).candidate_score.unwrap();
        assert!(score(&[]) > score(&lines), "{} {}", score(&[]), score(&lines));
    }
}
