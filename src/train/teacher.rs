//! The teacher: answers for rows that nobody measured, by a committee that was fitted on the same training rows.
//!
//! Its own because it is a way of training a network, not a member: GP and trees know more of how properties bend between
//! measured alloys than a network learns from some hundred rows, and the network keeps what they say and forgets them
//! (distillation, Hinton 2015). A synthetic row mixes the compositions of two training rows, under conditions mixed with a
//! third's, so that it lies where alloys are; its image is made like any other.

use std::borrow::Cow;

use candle_core::{Device, Tensor};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, StandardNormal};

use super::dataset::Dataset;
use super::fit::FitError;
use super::material::Material;
use crate::domain::{Composition, Element, ProcessValue, Sample, Schema};
use crate::featurize::{FeatureSpec, Features, PIXELS, featurize};
use crate::model::{Bundle, rng};

/// Part of the synthetic compositions that stay those of a training row.
const UNCHANGED: f64 = 0.3;
/// Both parameters of the Beta distribution of mixing: mostly near one of the two.
const MIXING: f64 = 0.5;
/// How much an amount is blurred where elements are mixed on their own, in its standard deviations.
const BLUR: f64 = 0.05;
/// Samples that the teacher is asked at once.
const AT_ONCE: usize = 256;

/// Rows that nobody measured, scaled, with the teacher's answers.
pub(super) struct Taught {
    pub(super) count: usize,
    row: Vec<f32>,
    pixels: Option<Vec<f32>>,
    /// Standardised targets or class probabilities of all outputs, row by row; NaN where the teacher gives none.
    answers: Vec<f32>,
    width: usize,
}

impl Taught {
    /// Asks a teacher, which was fitted on `rows`, about `count` mixes of them.
    pub(super) fn ask(
        teacher: &Bundle,
        (data, rows): (&Dataset, &[usize]),
        material: &Material,
        features: &FeatureSpec,
        (count, by_element): (usize, f64),
        seed: u64,
    ) -> Result<Self, FitError> {
        let mixer = Mixer::new(data, rows, &material.schema, by_element);
        let mut rng = rng(seed, "synthetic rows");
        let mut taught =
            Self { count, row: Vec::new(), pixels: None, answers: Vec::new(), width: material.schema.outputs.width() };
        for start in (0..count).step_by(AT_ONCE) {
            let featurized: Vec<Features> = (start..count.min(start + AT_ONCE))
                .map(|_| featurize(&mixer.mix(&mut rng), &material.schema, features))
                .collect();
            for features in &featurized {
                material.scaling.row.extend(&features.row, &mut taught.row);
                if let (Some(scaler), Some(image)) = (&material.scaling.pixels, &features.pixels) {
                    scaler.extend(image.as_slice(), taught.pixels.get_or_insert_default());
                }
            }
            for verdict in teacher.verdicts(&featurized.iter().collect::<Vec<_>>())? {
                taught.answers.extend(verdict.mixed.iter().map(|value| *value as f32));
            }
        }
        Ok(taught)
    }

    /// (count, N)
    pub(super) fn row_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.row, (self.count, self.row.len() / self.count), device)
    }

    /// (count, 504)
    pub(super) fn pixel_tensor(&self, device: &Device) -> candle_core::Result<Option<Tensor>> {
        self.pixels.as_ref().map(|pixels| Tensor::from_slice(pixels, (self.count, PIXELS), device)).transpose()
    }

    /// What the teacher says of some outputs, row by row.
    pub(super) fn wanted(&self, outputs: &[usize]) -> Vec<f32> {
        self.answers.chunks(self.width).flat_map(|row| outputs.iter().map(|output| row[*output])).collect()
    }

    /// So many rows at random.
    pub(super) fn draw(&self, batch: usize, rng: &mut ChaCha8Rng, device: &Device) -> candle_core::Result<Tensor> {
        let drawn: Vec<u32> = (0..batch).map(|_| rng.random_range(0..self.count as u32)).collect();
        Tensor::from_vec(drawn, batch, device)
    }
}

/// Makes synthetic samples of training rows.
struct Mixer<'a> {
    samples: Vec<Cow<'a, Sample>>,
    by_element: f64,
    /// The element that makes up the rest to 100, where there is one.
    balance: Option<Element>,
    /// Every other element with its least amount and its standard deviation.
    elements: Vec<(Element, f64, f64)>,
}

impl<'a> Mixer<'a> {
    fn new(data: &'a Dataset, rows: &[usize], schema: &Schema, by_element: f64) -> Self {
        let samples: Vec<_> = rows.iter().map(|row| data.samples[*row].with_defaults(schema)).collect();
        let balance = schema.composition.balance;
        let others = schema.composition.elements.iter().filter(|range| Some(range.element) != balance);
        let spread = |element: Element| {
            let amounts = || samples.iter().map(|sample| sample.composition().amount(element));
            let count = samples.len().max(1) as f64;
            let mean = amounts().sum::<f64>() / count;
            (amounts().map(|amount| (amount - mean).powi(2)).sum::<f64>() / count).sqrt()
        };
        let elements = others.map(|range| (range.element, range.min, spread(range.element))).collect();
        Self { samples, by_element, balance, elements }
    }

    fn mix(&self, rng: &mut ChaCha8Rng) -> Sample {
        let mut pick = || &self.samples[rng.random_range(0..self.samples.len())];
        let (first, second, third) = (pick(), pick(), pick());
        let kind = rng.random_range(0.0..1.0);
        let composition = if kind < self.by_element {
            self.by_element(first.composition(), second.composition(), rng)
        } else if kind < self.by_element + (1.0 - self.by_element) * UNCHANGED {
            None
        } else {
            as_alloys(first.composition(), second.composition(), part(rng))
        };
        let composition = composition.unwrap_or_else(|| first.composition().clone());
        let own = part(rng);
        let conditions = first.processing().iter().zip(third.processing());
        let conditions = conditions.map(|pair| match pair {
            (ProcessValue::Number(a), ProcessValue::Number(b)) => ProcessValue::Number(own * a + (1.0 - own) * b),
            (level, _) if own >= 0.5 => *level,
            (_, level) => *level,
        });
        Sample::made_of(composition, conditions.collect())
    }

    fn by_element(&self, a: &Composition, b: &Composition, rng: &mut impl Rng) -> Option<Composition> {
        let mut amounts = Vec::with_capacity(self.elements.len());
        for (element, least, deviation) in &self.elements {
            let own = part(rng);
            let mixed = own * a.amount(*element) + (1.0 - own) * b.amount(*element);
            let blur: f64 = StandardNormal.sample(rng);
            // What is in neither is not in their mix.
            let blurred = if mixed > 0.0 { mixed + BLUR * deviation * blur } else { mixed };
            amounts.push((*element, blurred.max(*least)));
        }
        let mixed = Composition::new(a.basis(), amounts).ok()?;
        match self.balance {
            Some(balance) => Some(mixed.with_balance(balance)).filter(|mixed| mixed.total() < 100.0 + 1e-6),
            None => Some(mixed.scaled_to(100.0)),
        }
    }
}

/// The mix of two compositions on one basis; `None` where nothing is left of it.
fn as_alloys(a: &Composition, b: &Composition, own: f64) -> Option<Composition> {
    let mut elements: Vec<Element> = a.amounts().iter().chain(b.amounts()).map(|(element, _)| *element).collect();
    elements.sort_unstable();
    elements.dedup();
    let mixed = |element: Element| (element, own * a.amount(element) + (1.0 - own) * b.amount(element));
    Composition::new(a.basis(), elements.into_iter().map(mixed)).ok()
}

/// A part from 0 to 1.
fn part(rng: &mut impl Rng) -> f64 {
    // Both parameters are valid: the fallback is never taken.
    Beta::new(MIXING, MIXING).map_or(1.0, |beta| beta.sample(rng))
}
