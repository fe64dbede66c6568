//! The Cholesky factor of a small symmetric matrix, and what is solved with it.
//!
//! The matrices are covariances of some ten amounts, so plain loops are enough. They run in one order: the same numbers
//! give the same bits.

/// The lower factor L of a positive definite matrix A = L Lᵀ.
pub(super) struct Cholesky {
    size: usize,
    /// Row by row, with zeros above the diagonal.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a matrix of `size` rows; `entry(i, j)` is asked for j ≤ i only. `None` if it is not positive definite.
    pub(super) fn of(size: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let mut lower = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let done: f64 = (0..column).map(|k| lower[row * size + k] * lower[column * size + k]).sum();
                let rest = entry(row, column) - done;
                lower[row * size + column] = if row == column {
                    if !rest.is_finite() || rest <= 0.0 {
                        return None;
                    }
                    rest.sqrt()
                } else {
                    rest / lower[column * size + column]
                };
            }
        }
        Some(Self { size, lower })
    }

    /// L⁻¹ b.
    pub(super) fn forward(&self, mut b: Vec<f64>) -> Vec<f64> {
        for row in 0..self.size {
            let known: f64 = (0..row).map(|k| self.lower[row * self.size + k] * b[k]).sum();
            b[row] = (b[row] - known) / self.lower[row * self.size + row];
        }
        b
    }

    /// L b.
    pub(super) fn times(&self, b: &[f64]) -> Vec<f64> {
        (0..self.size).map(|row| (0..=row).map(|k| self.lower[row * self.size + k] * b[k]).sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_of_a_known_matrix() {
        // [[4, 2], [2, 5]] = [[2, 0], [1, 2]] times its transpose.
        let matrix = [[4.0, 2.0], [2.0, 5.0]];
        let factor = Cholesky::of(2, |row, column| matrix[row][column]).unwrap();
        assert_eq!(factor.times(&[1.0, 1.0]), [2.0, 3.0]);
        assert_eq!(factor.forward(vec![2.0, 3.0]), [1.0, 1.0]);
        assert!(Cholesky::of(2, |row, column| if row == column { 1.0 } else { 2.0 }).is_none());
        assert!(Cholesky::of(1, |_, _| f64::NAN).is_none());
    }
}
