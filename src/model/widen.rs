//! Widens an interval by what is not known of the input.
//!
//! Half widths come from held-out rows whose inputs were known. If amounts were not measured, a prediction also varies
//! with what they may be. The two errors are independent, so their squares add.

/// The half width of an interval of this confidence, with the standard deviation of the prediction over what the input
/// may be.
pub(in crate::model) fn widened(half_width: f64, spread: f64, confidence: f64) -> f64 {
    half_width.hypot(two_sided_quantile(confidence) * spread)
}

/// How many standard deviations to both sides of its mean hold this share of a normal distribution (Abramowitz and
/// Stegun 26.2.23; the error is below 5e-4).
fn two_sided_quantile(share: f64) -> f64 {
    let t = (-2.0 * ((1.0 - share) / 2.0).max(1e-12).ln()).sqrt();
    t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_add() {
        assert_eq!(widened(3.0, 0.0, 0.9), 3.0);
        for (share, wanted) in [(0.5, 0.6745), (0.9, 1.6449), (0.99, 2.5758)] {
            assert!((two_sided_quantile(share) - wanted).abs() < 5e-4, "{share}");
            assert!((widened(3.0, 4.0 / wanted, share) - 5.0).abs() < 3e-3);
        }
    }
}
