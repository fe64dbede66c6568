//! Scores: R², MAE, RMSE for targets; precision, recall, F1, accuracy and log loss for classes (the paper's Eqs. 6–9).

use std::collections::BTreeMap;

use crate::domain::most_probable;
use crate::model::Spread;

/// Scores of one split: by target or class (and `all`), then by metric.
pub type Scores = BTreeMap<String, BTreeMap<String, f64>>;

/// `r2`, `mae` and `rmse` of each target over the rows on which it was measured, and the mean R² as `all`.
pub fn regression_scores(names: &[&str], actual: &[Vec<Option<f64>>], predicted: &[Vec<f64>]) -> Scores {
    let mut scores = Scores::new();
    for (target, name) in names.iter().enumerate() {
        let rows = actual.iter().zip(predicted);
        let measured: Vec<(f64, f64)> =
            rows.filter_map(|(actual, predicted)| Some((actual[target]?, predicted[target]))).collect();
        let Some((first, _)) = measured.first() else { continue };
        let (pairs, count) = (|| measured.iter().copied(), measured.len() as f64);
        let mean = pairs().map(|(actual, _)| actual).sum::<f64>() / count;
        let squares: f64 = pairs().map(|(actual, predicted)| (actual - predicted).powi(2)).sum();
        let spread: f64 = pairs().map(|(actual, _)| (actual - mean).powi(2)).sum();
        let absolute: f64 = pairs().map(|(actual, predicted)| (actual - predicted).abs()).sum();
        let entry = scores.entry((*name).to_owned()).or_default();
        // For constant actual values R² is undefined: use 1 for a perfect prediction, else 0, as scikit-learn does. A
        // manifest cannot store an infinite score.
        let varies = pairs().any(|(actual, _)| actual != *first);
        let r2 = if varies { 1.0 - squares / spread } else { f64::from(u8::from(squares == 0.0)) };
        entry.insert("r2".to_owned(), r2);
        entry.insert("mae".to_owned(), absolute / count);
        entry.insert("rmse".to_owned(), (squares / count).sqrt());
    }
    let mean = scores.values().map(|entry| entry["r2"]).sum::<f64>() / scores.len().max(1) as f64;
    if !scores.is_empty() {
        scores.entry("all".to_owned()).or_default().insert("r2".to_owned(), mean);
    }
    scores
}

/// `precision`, `recall` and `f1` of each class; `macro_f1`, `accuracy` and `log_loss` as `all`.
pub fn classification_scores(classes: &[String], actual: &[usize], probabilities: &[Vec<f64>]) -> Scores {
    let chosen: Vec<usize> = probabilities.iter().map(|row| most_probable(row)).collect();
    let count = |wanted: &dyn Fn(usize, usize) -> bool| {
        actual.iter().zip(&chosen).filter(|(actual, chosen)| wanted(**actual, **chosen)).count() as f64
    };
    let mut scores = Scores::new();
    for (class, name) in classes.iter().enumerate() {
        let both = count(&|actual, chosen| actual == class && chosen == class);
        let precision = both / count(&|_, chosen| chosen == class).max(1.0);
        let recall = both / count(&|actual, _| actual == class).max(1.0);
        let f1 = if both > 0.0 { 2.0 / (1.0 / precision + 1.0 / recall) } else { 0.0 };
        let entry = [("precision", precision), ("recall", recall), ("f1", f1)];
        scores.insert(name.clone(), entry.map(|(metric, value)| (metric.to_owned(), value)).into());
    }
    let rows = actual.len().max(1) as f64;
    let log_loss = log_loss(actual.iter().zip(probabilities).map(|(class, row)| (*class, row.as_slice())));
    let macro_f1 = scores.values().map(|entry| entry["f1"]).sum::<f64>() / classes.len().max(1) as f64;
    let accuracy = count(&|actual, chosen| actual == chosen) / rows;
    let all = [("macro_f1", macro_f1), ("accuracy", accuracy), ("log_loss", log_loss)];
    scores.insert("all".to_owned(), all.map(|(metric, value)| (metric.to_owned(), value)).into());
    scores
}

/// Mean of −ln p for the measured class. Rows are pairs of a class and predicted probabilities.
pub(in crate::train) fn log_loss<'a>(rows: impl Iterator<Item = (usize, &'a [f64])>) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    for (class, answer) in rows {
        sum += -answer[class].max(1e-15).ln();
        count += 1;
    }
    sum / count.max(1) as f64
}

/// Predictions whose largest probability is in one tenth of 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::train) struct Bin {
    /// Number of predictions.
    pub(in crate::train) count: f64,
    /// Sum of their largest probabilities.
    pub(in crate::train) promised: f64,
    /// Number of correct classes.
    pub(in crate::train) kept: f64,
}

/// Predictions in ten bins by their largest probability.
pub(in crate::train) fn reliability_bins<'a>(rows: impl Iterator<Item = (usize, &'a [f64])>) -> [Bin; 10] {
    let mut bins = [Bin::default(); 10];
    for (class, answer) in rows {
        let chosen = most_probable(answer);
        let bin = &mut bins[((answer[chosen] * 10.0) as usize).min(9)];
        bin.count += 1.0;
        bin.promised += answer[chosen];
        bin.kept += f64::from(u8::from(chosen == class));
    }
    bins
}

/// Mean gap between the largest probability and the fraction of correct classes, over ten bins.
pub(in crate::train) fn expected_calibration_error<'a>(rows: impl Iterator<Item = (usize, &'a [f64])>) -> f64 {
    let bins = reliability_bins(rows);
    let count: f64 = bins.iter().map(|bin| bin.count).sum();
    bins.iter().map(|bin| (bin.promised - bin.kept).abs()).sum::<f64>() / count.max(1.0)
}

/// Mean and sample standard deviation of every score over the splits that have it.
pub fn summarise(splits: &[Scores]) -> BTreeMap<String, BTreeMap<String, Spread>> {
    let spread = |name: &str, metric: &str| {
        let values: Vec<f64> = splits.iter().filter_map(|scores| scores.get(name)?.get(metric)).copied().collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Spread { mean, std: (squares / (count - 1.0).max(1.0)).sqrt() }
    };
    let mut summary: BTreeMap<String, BTreeMap<String, Spread>> = BTreeMap::new();
    for (name, metrics) in splits.iter().flatten() {
        let entry = summary.entry(name.clone()).or_default();
        for metric in metrics.keys() {
            entry.entry(metric.clone()).or_insert_with(|| spread(name, metric));
        }
    }
    summary
}

/// Spearman's rank correlation; equal values have their mean rank. 0 if one of the two is constant.
pub(in crate::train) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut ranks = vec![0.0; values.len()];
        for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
            let first = order.partition_point(|other| values[*other] < values[equal[0]]);
            equal.iter().for_each(|index| ranks[*index] = first as f64 + (equal.len() - 1) as f64 / 2.0);
        }
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len().max(1) - 1) as f64 / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum::<f64>();
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    if spread > 0.0 { product(&a, &b) / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_by_hand() {
        // scikit-learn 1.5: r2_score([1,2,3],[1.1,1.9,3.3]) = 0.945, mean_absolute_error = 0.16666…
        let actual = vec![vec![Some(1.0)], vec![Some(2.0)], vec![None], vec![Some(3.0)]];
        let predicted = vec![vec![1.1], vec![1.9], vec![700.0], vec![3.3]];
        let scores = regression_scores(&["x"], &actual, &predicted);
        assert!((scores["x"]["r2"] - 0.945).abs() < 1e-12);
        assert!((scores["x"]["mae"] - 0.5 / 3.0).abs() < 1e-12);
        assert!((scores["x"]["rmse"] - (0.11f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_constant_target_has_a_finite_score() {
        // The floating-point mean of three values 0.1 is not exactly 0.1. This must not count as spread.
        let actual = vec![vec![Some(0.1)]; 3];
        let r2 = |last: f64| regression_scores(&["x"], &actual, &[vec![0.1], vec![0.1], vec![last]])["x"]["r2"];
        assert_eq!((r2(0.2), r2(0.1)), (0.0, 1.0));
    }

    #[test]
    fn classification_by_hand() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let rows = vec![vec![0.9, 0.1], vec![0.4, 0.6], vec![0.2, 0.8], vec![0.6, 0.4]];
        let scores = classification_scores(&classes, &[0, 0, 1, 1], &rows);
        assert_eq!(scores["a"]["precision"], 0.5);
        assert_eq!(scores["a"]["f1"], 0.5);
        assert_eq!(scores["all"]["accuracy"], 0.5);
        let log_loss = -(0.9f64.ln() + 0.4f64.ln() + 0.8f64.ln() + 0.4f64.ln()) / 4.0;
        assert!((scores["all"]["log_loss"] - log_loss).abs() < 1e-12);
    }

    #[test]
    fn ranks_correlate() {
        assert!((spearman(&[1.0, 5.0, 9.0], &[-3.0, 0.0, 100.0]) - 1.0).abs() < 1e-12);
        assert!((spearman(&[1.0, 5.0, 9.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
        // Ranks 0 1 2 3 against ½ ½ 2 3.
        let tied = spearman(&[1.0, 2.0, 3.0, 4.0], &[7.0, 7.0, 8.0, 9.0]);
        assert!((tied - 4.5 / (5.0f64 * 4.5).sqrt()).abs() < 1e-12, "{tied}");
        assert_eq!(spearman(&[1.0, 2.0], &[3.0, 3.0]), 0.0);
        assert_eq!(spearman(&[], &[]), 0.0);
    }

    #[test]
    fn spread_over_splits() {
        let scores = |value: f64| Scores::from([("x".to_owned(), BTreeMap::from([("r2".to_owned(), value)]))]);
        let spread = summarise(&[scores(0.8), scores(0.9)])["x"]["r2"];
        let first = Scores::new();
        assert_eq!(summarise(&[first, scores(0.8)])["x"]["r2"].mean, 0.8, "not measured in the first split");
        assert!((spread.mean - 0.85).abs() < 1e-12 && (spread.std - 0.07071067811865474).abs() < 1e-12);
    }
}
