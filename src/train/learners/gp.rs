//! Trains a sparse Gaussian process: first length scales, kernel parts and inducing points by gradient steps on the
//! bound, then the weights.
//!
//! All rows are used at once, in double precision, on the CPU. [`super::elbo`] gives the gradient for the kernel
//! matrices, and candle propagates it back to the parameters. Priors keep parameters near plausible values if the data
//! do not determine them.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor, Var};
use faer::{Mat, MatRef};

use crate::data::GpRecipe;
use crate::domain::Schema;
use crate::featurize::PIXELS;
use crate::model::{GpConfig, GpTensors, MemberTensors, combine, matern, rng};
use crate::train::error::FitError;
use crate::train::learners::adam::{Cosine, Moments, Schedule};
use crate::train::learners::elbo::{Bound, Posterior};
use crate::train::learners::kmedoids::medoids;
use crate::train::learners::linalg::{NotDefinite, principal_components};
use crate::train::training_set::TrainingSet;

/// Number of directions for the novelty. (24 separated near and far worse, see docs/accuracy.md.)
const RANK: usize = 128;
/// Added to the diagonal of the inducing points' kernel, in units of the prior variance.
const JITTER: f64 = 1e-5;
/// Number of warm-up steps.
const WARMUP: usize = 20;
/// Decay factors of Adam's moments. Every step uses all rows, so the second moment needs only a short memory.
const BETAS: (f64, f64) = (0.9, 0.99);

/// Trains a sparse Gaussian process for some outputs.
pub(in crate::train) fn train_kernel(
    plan: &GpRecipe,
    set: &TrainingSet,
    outputs: &[usize],
    seed: u64,
    observe: &dyn Fn(usize, f64) -> ControlFlow<()>,
) -> Result<(GpConfig, MemberTensors), FitError> {
    let counted = set.counted();
    let set = &*counted;
    let mut config = GpConfig {
        inducing_points: plan.keys,
        outputs: outputs.len(),
        blocks: blocks(&set.schema, set.width(), plan.components > 0),
        components: plan.components.min(PIXELS),
        rank: RANK,
        probabilities: set.classes(),
    };
    let (x, projection) = inputs(&config, set)?;
    let (targets, means) = centred(set.targets(outputs, 0.0), outputs.len());
    let mut learner = Learner::new(&config, x, targets, seed)?;
    // Equal rows give fewer inducing points than requested.
    config.inducing_points = learner.keys.variable.dim(0)?;
    config.rank = RANK.min(config.inducing_points);
    let schedule = Schedule { peak: plan.learning_rate, warmup: WARMUP, steps: plan.steps, cosine: Cosine::AtOnce };
    for step in 0..plan.steps {
        let loss = learner.step(&schedule, step).map_err(|error| at_step(error, step))?;
        if observe(step + 1, loss / set.count as f64).is_break() {
            return Err(FitError::Cancelled);
        }
    }
    let tensors = learner.finish(&config, projection, &means).map_err(|error| at_step(error, plan.steps))?;
    Ok((config, tensors))
}

/// The columns of the two blocks: composition and process parameters. Without process parameters: the features computed
/// from the composition (with the image), and the amounts.
fn blocks(schema: &Schema, width: usize, image: bool) -> [Vec<usize>; 2] {
    let elements = schema.composition.elements.len();
    let conditions: usize = schema.processing.iter().map(|parameter| parameter.width()).sum();
    match (conditions, image) {
        (0, true) => [(elements..width).collect(), (0..elements).collect()],
        _ => [(0..width - conditions).collect(), (width - conditions..width).collect()],
    }
}

/// The inputs in the order of the blocks, (n, width), and the projection of the image, (504, components).
fn inputs(config: &GpConfig, set: &TrainingSet) -> Result<(Mat<f64>, Option<Mat<f64>>), FitError> {
    let (count, width) = (set.count, set.width());
    let mut x = Mat::zeros(count, config.width());
    let columns = config.blocks[0].iter().enumerate().map(|(place, column)| (place, *column));
    let second = config.blocks[1].iter().enumerate().map(|(place, column)| (config.first() + place, *column));
    for (place, column) in columns.chain(second) {
        (0..count).for_each(|row| x[(row, place)] = f64::from(set.row[row * width + column]));
    }
    let Some(pixels) = set.pixels.as_ref().filter(|_| config.components > 0) else { return Ok((x, None)) };
    let pixels = Mat::from_fn(count, PIXELS, |row, pixel| f64::from(pixels[row * PIXELS + pixel]));
    let projection = principal_components(pixels.as_ref(), config.components).map_err(|error| at_step(error, 0))?;
    let start = config.blocks[0].len();
    x.as_mut().subcols_mut(start, config.components).copy_from(&pixels * &projection);
    Ok((x, Some(projection)))
}

/// Targets minus their means, (n, t), and the means.
fn centred(targets: Vec<f32>, width: usize) -> (Mat<f64>, Vec<f64>) {
    let count = targets.len() / width;
    let mean = |column: usize| targets.iter().skip(column).step_by(width).map(|v| f64::from(*v)).sum::<f64>();
    let means: Vec<f64> = (0..width).map(|column| mean(column) / count as f64).collect();
    (Mat::from_fn(count, width, |row, column| f64::from(targets[row * width + column]) - means[column]), means)
}

/// The learned parameters with Adam's moments. All except `keys` are logarithms: length scales, kernel parts, variance
/// of the linear part, noise variance.
struct Learner {
    x: Tensor,
    targets: Mat<f64>,
    first: usize,
    width: usize,
    scales: Learned,
    parts: Learned,
    linear: Learned,
    noise: Learned,
    keys: Learned,
}

struct Learned {
    variable: Var,
    moments: Moments,
}

/// The kernel matrices of one step, with gradient tracking.
struct Kernels {
    keys: Tensor,
    cross: Tensor,
    linear: Tensor,
    prior: Tensor,
}

/// Why a step can fail.
enum StepError {
    Tensor(candle_core::Error),
    NotDefinite,
}

impl From<candle_core::Error> for StepError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(error)
    }
}

impl From<NotDefinite> for StepError {
    fn from(NotDefinite: NotDefinite) -> Self {
        Self::NotDefinite
    }
}

fn at_step(error: impl Into<StepError>, step: usize) -> FitError {
    match error.into() {
        StepError::Tensor(error) => FitError::Tensor(error),
        StepError::NotDefinite => FitError::Diverged(step),
    }
}

impl Learner {
    fn new(config: &GpConfig, x: Mat<f64>, targets: Mat<f64>, seed: u64) -> Result<Self, FitError> {
        let (count, width) = (x.nrows(), x.ncols());
        let rows: Vec<f64> =
            (0..count).flat_map(|row| (0..width).map(move |column| (row, column))).map(|at| x[at]).collect();
        let narrow: Vec<f32> = rows.iter().map(|value| *value as f32).collect();
        let chosen = medoids(&narrow, width, config.inducing_points, &mut rng(seed, "keys"));
        let start: Vec<f64> =
            chosen.iter().flat_map(|row| rows[row * width..(row + 1) * width].iter().copied()).collect();
        let device = Device::Cpu;
        Ok(Self {
            x: Tensor::from_vec(rows, (count, width), &device)?,
            targets,
            first: config.first(),
            width,
            // Start values: the prior medians for length scales and noise, slightly below them for the variances.
            scales: Learned::of(Tensor::full(1.2f64, width, &device)?)?,
            parts: Learned::of(Tensor::full(-0.5f64, 3, &device)?)?,
            linear: Learned::of(Tensor::full(-1.0f64, 1, &device)?)?,
            noise: Learned::of(Tensor::full(-3.0f64, 1, &device)?)?,
            keys: Learned::of(Tensor::from_vec(start, (chosen.len(), width), &device)?)?,
        })
    }

    fn kernels(&self) -> candle_core::Result<Kernels> {
        let inverse = self.scales.variable.as_tensor().neg()?.exp()?;
        let keys = self.keys.variable.as_tensor().broadcast_mul(&inverse)?;
        let x = self.x.broadcast_mul(&inverse)?;
        let transposed = keys.t()?.contiguous()?;
        let rest = self.width - self.first;
        let parts = self.parts.variable.as_tensor();
        let of = |a: &Tensor| {
            let first = matern(&a.narrow(1, 0, self.first)?.contiguous()?, &transposed.narrow(0, 0, self.first)?)?;
            let second = (rest > 0).then(|| {
                matern(&a.narrow(1, self.first, rest)?.contiguous()?, &transposed.narrow(0, self.first, rest)?)
            });
            combine(&first, second.transpose()?.as_ref(), parts)
        };
        let used = if rest > 0 { 3 } else { 1 };
        let prior = parts.narrow(0, 0, used)?.exp()?.sum_all()?;
        let count = keys.dim(0)?;
        let jitter = Tensor::eye(count, DType::F64, &Device::Cpu)?.broadcast_mul(&(&prior * JITTER)?)?;
        let half = (self.linear.variable.as_tensor() * 0.5)?.exp()?;
        let slopes = self.x.broadcast_mul(&(&half / (self.width as f64).sqrt())?)?;
        let offset = half.broadcast_as((self.x.dim(0)?, 1))?;
        let linear = Tensor::cat(&[&slopes, &offset.contiguous()?], 1)?;
        Ok(Kernels { keys: (of(&keys)? + jitter)?, cross: of(&x)?, linear, prior })
    }

    /// One step of Adam on the bound and the priors. Returns the loss.
    fn step(&mut self, schedule: &Schedule, step: usize) -> Result<f64, StepError> {
        let kernels = self.kernels()?;
        let noise = self.noise.variable.as_tensor().exp()?;
        let found = kernels.with(&self.targets, scalar(&noise)?, |bound| bound.gradients())??;
        // Sums whose gradients are those of the bound.
        let weighted = |tensor: &Tensor, gradient: &Mat<f64>| (tensor * to_tensor(gradient)?)?.sum_all();
        let surrogate = (weighted(&kernels.keys, &found.keys)? + weighted(&kernels.cross, &found.cross)?)?;
        let surrogate = ((surrogate + weighted(&kernels.linear, &found.linear)?)? + (kernels.prior * found.prior)?)?;
        let surrogate = ((surrogate + (noise.sum_all()? * found.noise)?)? + self.priors()?)?;
        let gradients = surrogate.backward()?;
        let rate = schedule.rate(step);
        for learned in [&mut self.scales, &mut self.parts, &mut self.linear, &mut self.noise, &mut self.keys] {
            if let Some(gradient) = gradients.get(learned.variable.as_tensor()) {
                learned.step(&gradient.detach(), rate, step)?;
            }
        }
        if found.loss.is_finite() { Ok(found.loss) } else { Err(StepError::NotDefinite) }
    }

    /// Log-normal priors. Each term (v − centre)² / width is the negative log density of a normal prior on the
    /// logarithm v, with standard deviation σ = √(width / 2). Inputs and targets are standardised, so the numbers mean:
    /// - length scales: median e^1.2 ≈ 3.3 standard deviations of an input; σ = 1.5, a factor of 4.5
    /// - variances of the kernel's parts and of the linear part: median 1, the variance of a target; σ = 3, a factor of
    ///   20
    /// - noise variance: median e^−3 ≈ 0.05 of the variance of a target; σ = 2, a factor of 7.4
    ///
    /// All were chosen by hand, not tuned. They are wide, so they matter only where the data determine little.
    fn priors(&self) -> candle_core::Result<Tensor> {
        let about = |learned: &Learned, centre: f64, width: f64| {
            (learned.variable.as_tensor() - centre)?.sqr()?.sum_all()? / width
        };
        let parts = (about(&self.scales, 1.2, 4.5)? + about(&self.parts, 0.0, 18.0)?)?;
        (parts + about(&self.linear, 0.0, 18.0)?)? + about(&self.noise, -3.0, 8.0)?
    }

    fn finish(
        &self,
        config: &GpConfig,
        projection: Option<Mat<f64>>,
        means: &[f64],
    ) -> Result<MemberTensors, StepError> {
        let kernels = self.kernels()?;
        let noise = scalar(&self.noise.variable.as_tensor().exp()?)?;
        let Posterior { values, slopes, directions } =
            kernels.with(&self.targets, noise, |bound| bound.posterior(config.rank))??;
        let prior = scalar(&kernels.prior)?;
        let half = (0.5 * scalar(self.linear.variable.as_tensor())?).exp();
        let width = self.width;
        let outputs = config.outputs;
        let offset = |output: usize| means[output] + half * slopes[(width, output)];
        let inverse = self.scales.variable.as_tensor().neg()?.exp()?;
        let parts = self.parts.variable.as_tensor().detach();
        let tensors = GpTensors {
            projection: projection.map(|projection| to_tensor(&projection)).transpose()?,
            inducing_points: self.keys.variable.as_tensor().broadcast_mul(&inverse)?.t()?.contiguous()?,
            inverse_scales: inverse,
            parts,
            weights: to_tensor(&values)?,
            slopes: to_tensor(&Mat::from_fn(width, outputs, |i, j| slopes[(i, j)] * half / (width as f64).sqrt()))?,
            offsets: Tensor::new((0..outputs).map(offset).collect::<Vec<f64>>(), &Device::Cpu)?,
            directions: to_tensor(&(directions * (1.0 / prior.sqrt())))?,
        };
        let narrow = |(name, tensor): (&str, Tensor)| Ok((name.to_owned(), tensor.detach().to_dtype(DType::F32)?));
        tensors.named().into_iter().map(narrow).collect()
    }
}

impl Kernels {
    /// Passes the matrices to the linear algebra.
    fn with<T>(&self, targets: &Mat<f64>, noise: f64, work: impl FnOnce(Bound) -> T) -> candle_core::Result<T> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f64>();
        let (keys, cross, linear) = (values(&self.keys)?, values(&self.cross)?, values(&self.linear)?);
        let (count, width, m) = (targets.nrows(), self.linear.dim(1)?, self.keys.dim(0)?);
        Ok(work(Bound {
            keys: MatRef::from_row_major_slice(&keys, m, m),
            cross: MatRef::from_row_major_slice(&cross, count, m),
            linear: MatRef::from_row_major_slice(&linear, count, width),
            targets: targets.as_ref(),
            prior: scalar(&self.prior)?,
            noise,
        }))
    }
}

impl Learned {
    fn of(tensor: Tensor) -> candle_core::Result<Self> {
        Ok(Self { moments: Moments::of(&tensor)?, variable: Var::from_tensor(&tensor)? })
    }

    fn step(&mut self, gradient: &Tensor, rate: f64, step: usize) -> candle_core::Result<()> {
        let update = self.moments.update(gradient, BETAS, step + 1)?;
        self.variable.set(&(self.variable.as_detached_tensor() - (update * rate)?)?)
    }
}

fn scalar(tensor: &Tensor) -> candle_core::Result<f64> {
    tensor.sum_all()?.to_scalar()
}

fn to_tensor(matrix: &Mat<f64>) -> candle_core::Result<Tensor> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let at = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    Tensor::from_vec(at.map(|at| matrix[at]).collect::<Vec<f64>>(), (rows, columns), &Device::Cpu)
}
