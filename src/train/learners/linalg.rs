//! Linear algebra for several learners.

use faer::{Mat, MatRef, Side};

/// A matrix is not positive definite.
#[derive(Debug)]
pub(in crate::train) struct NotDefinite;

/// The `count` leading principal components of centred rows with `width` columns, scaled so that the projected columns
/// have a mean variance of 1: (width, count).
pub(in crate::train) fn principal_components(rows: MatRef<f64>, count: usize) -> Result<Mat<f64>, NotDefinite> {
    let covariance = rows.transpose() * rows * (1.0 / rows.nrows().max(1) as f64);
    let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|_| NotDefinite)?;
    let width = rows.ncols();
    let values = eigen.S().column_vector();
    let total: f64 = (width - count..width).map(|index| values[index].max(0.0)).sum();
    // The largest first.
    let mut vectors = Mat::zeros(width, count);
    for column in 0..count {
        vectors.as_mut().col_mut(column).copy_from(eigen.U().col(width - 1 - column));
    }
    Ok(vectors * (count as f64 / total.max(1e-12)).sqrt())
}
