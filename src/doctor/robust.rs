//! Statistics that a fifth of wrong values does not spoil: medians and what is made of them.

/// From the median absolute deviation to the standard deviation of a normal distribution.
const NORMAL: f64 = 1.4826;

/// The quantile of values, between the two nearest; `None` without any finite value.
pub(super) fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * values.len().checked_sub(1)? as f64;
    let (low, high) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
    Some(low + (high - low) * place.fract())
}

/// The median; `None` without any finite value.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    quantile(values, 0.5)
}

/// The spread around a centre, as a standard deviation made of the median absolute deviation; 0 without values.
pub(super) fn spread(values: impl IntoIterator<Item = f64>, centre: f64) -> f64 {
    median(values.into_iter().map(|value| (value - centre).abs())).map_or(0.0, |deviation| NORMAL * deviation)
}

/// The correlation of pairs, from the spreads of their sums and differences (Gnanadesikan and Kettenring). Both are
/// expected around 0 with a spread of 1.
pub(super) fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let sum = spread(pairs.iter().map(|(one, other)| one + other), 0.0).powi(2);
    let difference = spread(pairs.iter().map(|(one, other)| one - other), 0.0).powi(2);
    if sum + difference > 0.0 { (sum - difference) / (sum + difference) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_wrong_values_changes_little() {
        let right: Vec<f64> = (0..80).map(|index| f64::from(index) - 39.5).collect();
        let wrong = (0..20).map(|_| 1e6);
        let centre = median(right.iter().copied().chain(wrong.clone())).unwrap();
        assert!((0.0..15.0).contains(&centre), "{centre}");
        let own = spread(right.iter().copied().chain(wrong), centre);
        assert!(own < 2.0 * spread(right, 0.0), "{own}");
        assert_eq!((median([]), median([f64::NAN]), quantile([1.0, 3.0], 0.25)), (None, None, Some(1.5)));
    }

    #[test]
    fn correlation_of_equal_and_opposite_pairs() {
        let pairs: Vec<(f64, f64)> = (-9..10).map(|index| (f64::from(index), f64::from(index))).collect();
        let opposite: Vec<(f64, f64)> = pairs.iter().map(|(one, other)| (*one, -other)).collect();
        assert_eq!((correlation(&pairs), correlation(&opposite), correlation(&[])), (1.0, -1.0, 0.0));
    }
}
