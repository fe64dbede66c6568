//! Numbers for the confidence levels 50, 51 … 99 %: half widths of intervals, and quantiles of errors.

/// Least and largest confidence of an interval, in percent.
pub const CONFIDENCE_PERCENT: (usize, usize) = (50, 99);
/// Confidence if a request does not state one.
pub const DEFAULT_CONFIDENCE: f64 = 0.9;

/// One of the numbers for 50, 51 … 99 % confidence, interpolated linearly between whole percents. `None` if the
/// confidence is outside 0.5 to 0.99.
pub(in crate::model) fn level_of(levels: &[f64], confidence: f64) -> Option<f64> {
    let place = confidence * 100.0 - CONFIDENCE_PERCENT.0 as f64;
    let last = (CONFIDENCE_PERCENT.1 - CONFIDENCE_PERCENT.0) as f64;
    // Allow for rounding in 0.99 · 100.
    if !(-1e-9..=last + 1e-9).contains(&place) {
        return None;
    }
    let place = place.clamp(0.0, last);
    let (below, above) = (*levels.get(place.floor() as usize)?, *levels.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// Half widths of the intervals of 50, 51 … 99 % confidence, from absolute errors on held-out rows: of n errors the ⌈(n
/// + 1) · confidence⌉-th (the largest if there are too few).
pub fn half_widths(mut errors: Vec<f64>) -> Vec<f64> {
    errors.sort_by(f64::total_cmp);
    let of = |percent: usize| {
        let rank = ((errors.len() + 1) * percent).div_ceil(100).clamp(1, errors.len().max(1));
        errors.get(rank - 1).copied().unwrap_or(0.0)
    };
    (CONFIDENCE_PERCENT.0..=CONFIDENCE_PERCENT.1).map(of).collect()
}
