//! The lower bound of the marginal likelihood for training a sparse Gaussian process (Titsias 2009), with its gradient
//! and the posterior.
//!
//! Plain matrices in, gradients and posterior out. All targets share the kernel.
//! With Φ = [K(x,Z) L⁻ᵀ, F], L Lᵀ = K(Z,Z), F the linear part and A = s²I + ΦᵀΦ, the loss is
//!
//! ```text
//! Σ over targets  ½ log|ΦΦᵀ + s²I| + ½ yᵀ(ΦΦᵀ + s²I)⁻¹y + ½ tr(K − Q)/s²,   Q = K(x,Z) K(Z,Z)⁻¹ K(Z,x)
//! ```

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, MatRef, Side};

use super::linalg::NotDefinite;

/// The matrices of one step. x are n rows, Z are m inducing points, y are t standardised targets.
pub(in crate::train) struct Bound<'a> {
    /// K(Z,Z) with jitter: (m, m).
    pub(in crate::train) keys: MatRef<'a, f64>,
    /// K(x,Z): (n, m).
    pub(in crate::train) cross: MatRef<'a, f64>,
    /// Features of the linear part: (n, l).
    pub(in crate::train) linear: MatRef<'a, f64>,
    /// (n, t)
    pub(in crate::train) targets: MatRef<'a, f64>,
    /// k(x, x), the same for all x.
    pub(in crate::train) prior: f64,
    /// s²
    pub(in crate::train) noise: f64,
}

/// The loss and its gradients.
pub(in crate::train) struct Gradients {
    pub(in crate::train) loss: f64,
    pub(in crate::train) keys: Mat<f64>,
    pub(in crate::train) cross: Mat<f64>,
    pub(in crate::train) linear: Mat<f64>,
    pub(in crate::train) prior: f64,
    pub(in crate::train) noise: f64,
}

/// The quantities for serving.
pub(in crate::train) struct Posterior {
    /// (m, t)
    pub(in crate::train) values: Mat<f64>,
    /// (l, t)
    pub(in crate::train) slopes: Mat<f64>,
    /// The variance is `prior − |k·directions|²`: (m, rank).
    pub(in crate::train) directions: Mat<f64>,
}

/// Intermediate results for gradients and posterior.
struct Parts {
    /// L⁻¹: (m, m).
    inverse_root: Mat<f64>,
    /// Φ: (n, m + l).
    features: Mat<f64>,
    /// A⁻¹
    inverse: Mat<f64>,
    /// log|A|
    log_determinant: f64,
    /// ΦᵀY: (m + l, t)
    moments: Mat<f64>,
}

impl Bound<'_> {
    fn parts(&self) -> Result<Parts, NotDefinite> {
        let (n, m, l) = (self.cross.nrows(), self.cross.ncols(), self.linear.ncols());
        let root = self.keys.llt(Side::Lower).map_err(|_| NotDefinite)?;
        let mut inverse_root = Mat::<f64>::identity(m, m);
        root.L().solve_lower_triangular_in_place(inverse_root.as_mut());
        let mut features = Mat::<f64>::zeros(n, m + l);
        features.as_mut().subcols_mut(0, m).copy_from(self.cross * inverse_root.transpose());
        features.as_mut().subcols_mut(m, l).copy_from(self.linear);
        let mut a = features.transpose() * &features;
        (0..m + l).for_each(|index| a[(index, index)] += self.noise);
        let a_root = a.llt(Side::Lower).map_err(|_| NotDefinite)?;
        let log_determinant = (0..m + l).map(|index| 2.0 * a_root.L()[(index, index)].ln()).sum();
        let moments = features.transpose() * self.targets;
        Ok(Parts { inverse_root, inverse: a_root.inverse(), log_determinant, moments, features })
    }

    /// The loss and its gradients for all learned quantities.
    pub(in crate::train) fn gradients(&self) -> Result<Gradients, NotDefinite> {
        let Parts { inverse_root, features, inverse, log_determinant, moments } = self.parts()?;
        let (n, m, t) = (self.cross.nrows(), self.cross.ncols(), self.targets.ncols() as f64);
        let (width, s2) = (features.ncols(), self.noise);
        // Σ⁻¹Y = (Y − Φ A⁻¹ ΦᵀY) / s²
        let solved = (self.targets - &features * (&inverse * &moments)) * (1.0 / s2);
        let fit = dot(self.targets, solved.as_ref());
        let log_noise = (n as f64 - width as f64) * s2.ln();
        let smooth = features.as_ref().subcols(0, m);
        let missing = n as f64 * self.prior - dot(smooth, smooth);
        let loss = 0.5 * (t * (log_determinant + log_noise) + fit + t * missing / s2);

        // G = ½ (t Σ⁻¹ − aaᵀ) is the gradient for ΦΦᵀ. It is applied to B without being built.
        let applied = |b: MatRef<f64>, with_identity: bool| {
            let inner = &inverse * (features.transpose() * b);
            let outer = &solved * (solved.transpose() * b);
            let mut g = (&features * inner) * (-0.5 * t / s2) - outer * 0.5;
            if with_identity {
                g += b * (0.5 * t / s2);
            }
            g
        };
        // W = K(x,Z) K(Z,Z)⁻¹. The gradient of the trace for Q, −½ t/s² I, cancels the identity in Σ⁻¹.
        let w = smooth * &inverse_root;
        let gw = applied(w.as_ref(), false);
        let keys = (w.transpose() * &gw) * -1.0;
        let trace_inverse: f64 = (0..width).map(|index| inverse[(index, index)]).sum();
        let trace = (n as f64 - (width as f64 - s2 * trace_inverse)) / s2;
        let noise = 0.5 * (t * trace - dot(solved.as_ref(), solved.as_ref())) - 0.5 * t * missing / (s2 * s2);
        Ok(Gradients {
            loss,
            keys,
            cross: gw * 2.0,
            linear: applied(self.linear, true) * 2.0,
            prior: 0.5 * t * n as f64 / s2,
            noise,
        })
    }

    /// Weights, slopes, and at most `rank` directions of the posterior variance.
    pub(in crate::train) fn posterior(&self, rank: usize) -> Result<Posterior, NotDefinite> {
        let Parts { inverse_root, inverse, moments, .. } = self.parts()?;
        let (m, l) = (self.cross.ncols(), self.linear.ncols());
        let weights = &inverse * &moments;
        let values = inverse_root.transpose() * weights.as_ref().subrows(0, m);
        let slopes = weights.as_ref().subrows(m, l).to_owned();
        // k* (L⁻ᵀ (I − s² [A⁻¹]) L⁻¹) k*ᵀ is the reduction of the prior variance k(x*, x*) by the data.
        let mut known = inverse.as_ref().submatrix(0, 0, m, m) * -self.noise;
        (0..m).for_each(|index| known[(index, index)] += 1.0);
        let known = inverse_root.transpose() * known * &inverse_root;
        // Keep only the eigenvectors with the largest eigenvalues, weighted by the training rows.
        let spread = self.cross.transpose() * self.cross;
        let root = spread.llt(Side::Lower).map_err(|_| NotDefinite);
        let directions = match root {
            Ok(root) => {
                let seen = root.L().transpose() * &known * root.L();
                let eigen = seen.self_adjoint_eigen(Side::Lower).map_err(|_| NotDefinite)?;
                let kept = rank.min(m);
                // known = L_s⁻ᵀ U S Uᵀ L_s⁻¹
                let mut vectors = eigen.U().subcols(m - kept, kept).to_owned();
                for column in 0..kept {
                    let scale = eigen.S().column_vector()[m - kept + column].max(0.0).sqrt();
                    vectors.as_mut().col_mut(column).iter_mut().for_each(|value| *value *= scale);
                }
                root.L().transpose().solve_upper_triangular_in_place(vectors.as_mut());
                vectors
            }
            Err(NotDefinite) => Mat::zeros(m, rank.min(m)),
        };
        Ok(Posterior { values, slopes, directions })
    }
}

fn dot(a: MatRef<f64>, b: MatRef<f64>) -> f64 {
    let column = |j: usize| (0..a.nrows()).map(|i| a[(i, j)] * b[(i, j)]).sum::<f64>();
    (0..a.ncols()).map(column).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::linalg::solvers::Solve;

    struct Case {
        keys: Mat<f64>,
        cross: Mat<f64>,
        linear: Mat<f64>,
        targets: Mat<f64>,
    }

    fn case() -> Case {
        let kernel = |a: f64, b: f64| 0.7 * (-(a - b) * (a - b)).exp();
        let (x, z) = (|i: usize| i as f64 * 0.37 % 2.0, |j: usize| j as f64 * 0.6);
        let mut keys = Mat::from_fn(3, 3, |i, j| kernel(z(i), z(j)));
        (0..3).for_each(|index| keys[(index, index)] += 1e-3);
        Case {
            keys,
            cross: Mat::from_fn(9, 3, |i, j| kernel(x(i), z(j))),
            linear: Mat::from_fn(9, 2, |i, j| if j == 0 { 0.3 * x(i) } else { 0.5 }),
            targets: Mat::from_fn(9, 2, |i, j| (x(i) * (1.0 + j as f64)).sin()),
        }
    }

    fn bound(case: &Case, prior: f64, noise: f64) -> Bound<'_> {
        let (keys, cross) = (case.keys.as_ref(), case.cross.as_ref());
        Bound { keys, cross, linear: case.linear.as_ref(), targets: case.targets.as_ref(), prior, noise }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let loss = |case: &Case, prior, noise| bound(case, prior, noise).gradients().unwrap().loss;
        let found = bound(&case(), 0.7, 0.05).gradients().unwrap();
        let h = 1e-6;
        let difference = |change: &dyn Fn(&mut Case, f64)| {
            let moved = |by| {
                let mut case = case();
                change(&mut case, by);
                loss(&case, 0.7, 0.05)
            };
            (moved(h) - moved(-h)) / (2.0 * h)
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5 * (1.0 + a.abs()), "{a} and {b}");
        close(found.cross[(4, 1)], difference(&|case, by| case.cross[(4, 1)] += by));
        close(found.linear[(5, 0)], difference(&|case, by| case.linear[(5, 0)] += by));
        // K(Z,Z) is symmetric, so both entries change.
        let both = difference(&|case, by| {
            case.keys[(2, 0)] += by;
            case.keys[(0, 2)] += by;
        });
        close(found.keys[(2, 0)] + found.keys[(0, 2)], both);
        close(found.keys[(1, 1)], difference(&|case, by| case.keys[(1, 1)] += by));
        close(found.prior, (loss(&case(), 0.7 + h, 0.05) - loss(&case(), 0.7 - h, 0.05)) / (2.0 * h));
        close(found.noise, (loss(&case(), 0.7, 0.05 + h) - loss(&case(), 0.7, 0.05 - h)) / (2.0 * h));
    }

    #[test]
    fn the_posterior_is_that_of_the_whole_gaussian_process() {
        // With Σ = Q + FFᵀ + s²I, the mean at the training rows is (Q + FFᵀ) Σ⁻¹ Y.
        let case = case();
        let posterior = bound(&case, 0.7, 0.05).posterior(3).unwrap();
        let inverse = case.keys.llt(Side::Lower).unwrap().inverse();
        let q = &case.cross * inverse * case.cross.transpose() + &case.linear * case.linear.transpose();
        let sigma = &q + Mat::<f64>::identity(9, 9) * 0.05;
        let expected = &q * sigma.llt(Side::Lower).unwrap().solve(&case.targets);
        let found = &case.cross * &posterior.values + &case.linear * &posterior.slopes;
        assert!((expected - found).norm_max() < 1e-9);
        let known = (&case.cross * &posterior.directions).row(0).squared_norm_l2();
        assert!(known > 0.3 && known < 0.7, "{known}");
    }
}
