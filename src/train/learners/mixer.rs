//! Makes synthetic samples from training rows, within the range of real alloys.
//!
//! The method depends on the data. Alloys with a base element (steels) share most elements, so the compositions of two
//! rows are mixed, with process parameters mixed with those of a third row. Alloys without a base element (metallic
//! glasses) belong to different chemical systems, and a mix of two systems would have more elements than either. So
//! they are mixed within their system, or one element is exchanged for another.

use std::borrow::Cow;
use std::collections::HashMap;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, StandardNormal};

use crate::data::Dataset;
use crate::domain::{Composition, Element, ProcessValue, Sample, Schema};

/// Fraction of the synthetic compositions that are equal to that of a training row.
const UNCHANGED: f64 = 0.3;
/// Both parameters of the Beta distribution of mixing ratios. Most mixes are close to one of the two rows.
const MIXING: f64 = 0.5;
/// Noise added to an amount if elements are mixed separately, in standard deviations of the amount.
const BLUR: f64 = 0.05;
/// Attempts to draw an element that an alloy does not have. After these the alloy stays unchanged.
const DRAWS: usize = 8;

/// Makes synthetic samples from training rows.
pub(in crate::train) struct Mixer<'a> {
    samples: Vec<Cow<'a, Sample>>,
    by_element: f64,
    /// The balance element, if there is one.
    balance: Option<Element>,
    /// The other elements with their least amount and standard deviation.
    elements: Vec<(Element, f64, f64)>,
    /// The samples of each system, and the system of each sample; only if there is no balance element.
    systems: Vec<Vec<usize>>,
    system: Vec<usize>,
}

impl<'a> Mixer<'a> {
    pub(in crate::train) fn new(data: &'a Dataset, rows: &[usize], schema: &Schema, by_element: f64) -> Self {
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
        let mut known = HashMap::new();
        let (mut systems, mut system) = (Vec::new(), Vec::new());
        for (at, sample) in samples.iter().enumerate().filter(|_| balance.is_none()) {
            let elements: Vec<Element> = sample.composition().amounts().iter().map(|(element, _)| *element).collect();
            let own = *known.entry(elements).or_insert_with(|| {
                systems.push(Vec::new());
                systems.len() - 1
            });
            systems[own].push(at);
            system.push(own);
        }
        Self { samples, by_element, balance, elements, systems, system }
    }

    pub(in crate::train) fn mix(&self, rng: &mut ChaCha8Rng) -> Sample {
        let mut pick = || rng.random_range(0..self.samples.len());
        let (at, second, third) = (pick(), pick(), pick());
        let (first, second, third) = (&self.samples[at], &self.samples[second], &self.samples[third]);
        let kind = rng.random_range(0.0..1.0);
        let composition = if self.balance.is_none() {
            self.without_base(at, kind, rng)
        } else if kind < self.by_element {
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

    /// A synthetic composition for alloys without a base element.
    fn without_base(&self, at: usize, kind: f64, rng: &mut impl Rng) -> Option<Composition> {
        let own = self.samples[at].composition();
        if kind < self.by_element {
            let relatives = &self.systems[self.system[at]];
            let other = relatives[rng.random_range(0..relatives.len())];
            return self.by_element(own, self.samples[other].composition(), rng);
        }
        let left = rng.random_range(0..own.amounts().len());
        let mut draw = || {
            let other = self.samples[rng.random_range(0..self.samples.len())].composition().amounts();
            other[rng.random_range(0..other.len())].0
        };
        let drawn: Vec<Element> = (0..DRAWS).map(|_| draw()).collect();
        let new = drawn.into_iter().find(|element| own.amount(*element) == 0.0)?;
        let exchanged = |(place, (element, amount)): (usize, &(Element, f64))| match place == left {
            true => (new, *amount),
            false => (*element, *amount),
        };
        Composition::new(own.basis(), own.amounts().iter().enumerate().map(exchanged)).ok()
    }

    fn by_element(&self, a: &Composition, b: &Composition, rng: &mut impl Rng) -> Option<Composition> {
        let mut amounts = Vec::with_capacity(self.elements.len());
        for (element, least, deviation) in &self.elements {
            let own = part(rng);
            let mixed = own * a.amount(*element) + (1.0 - own) * b.amount(*element);
            let blur: f64 = StandardNormal.sample(rng);
            // Elements that are in neither stay out of the mix.
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

/// The mix of two compositions on one basis; `None` if it is empty.
fn as_alloys(a: &Composition, b: &Composition, own: f64) -> Option<Composition> {
    let mut elements: Vec<Element> = a.amounts().iter().chain(b.amounts()).map(|(element, _)| *element).collect();
    elements.sort_unstable();
    elements.dedup();
    let mixed = |element: Element| (element, own * a.amount(element) + (1.0 - own) * b.amount(element));
    Composition::new(a.basis(), elements.into_iter().map(mixed)).ok()
}

/// A mixing ratio from 0 to 1.
fn part(rng: &mut impl Rng) -> f64 {
    // Both parameters are valid, so the fallback is never used.
    Beta::new(MIXING, MIXING).map_or(1.0, |beta| beta.sample(rng))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;
    use crate::data::Recipe;
    use crate::data::fixture::{lab, rows};

    const GLASSES: &str = r#"
        name = "ribbons"
        title = "x"
        route = "/classify/glass"
        group = "chemical_system"
        composition = { basis = "atomic_percent", formula = "alloy" }
        class = { column = "class", levels = ["BMG", "CRA"] }
        features = {}
        network = { attention = "none", heads = 1, norm = "pre", activation = "silu", row = [4], head = [] }
        training = { members = 1, steps = 1, learning_rate = 1e-3, warmup = 0, weight_decay = 0.0, clip_norm = 1.0, ema = 0.9 }
    "#;

    fn mixes(data: &Dataset, recipe: &Recipe, by_element: f64) -> Vec<Sample> {
        let rows: Vec<usize> = (0..data.samples.len()).collect();
        let schema = data.schema(recipe, &rows);
        let mixer = Mixer::new(data, &rows, &schema, by_element);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..300).map(|_| mixer.mix(&mut rng)).collect()
    }

    fn system(sample: &Sample) -> BTreeSet<&'static str> {
        sample.composition().amounts().iter().map(|(element, _)| element.symbol()).collect()
    }

    #[test]
    fn around_a_base_element_mixes_lie_among_the_rows() {
        let (recipe, data) = lab(&rows(12, 2));
        for by_element in [0.0, 1.0] {
            for sample in mixes(&data, &recipe, by_element) {
                let carbon = sample.composition().amounts()[0].1;
                assert!((0.09..0.22).contains(&carbon), "{carbon}");
                assert!((sample.composition().total() - 100.0).abs() < 1e-6, "{sample:?}");
            }
        }
    }

    #[test]
    fn without_one_they_stay_in_their_system_or_exchange_one_element() {
        let recipe = Recipe::parse(GLASSES).unwrap();
        let copper = (0..8).map(|row| format!("Cu{}Zr{},BMG\n", 40 + row, 60 - row));
        let others = ["Fe80B20,CRA\n", "Al85Ni10La5,CRA\n"].map(String::from);
        let text: String = copper.chain(others).collect();
        let data = Dataset::read(format!("alloy,class\n{text}").as_bytes(), &recipe).unwrap();
        let systems: Vec<_> = data.samples.iter().map(system).collect();
        for sample in mixes(&data, &recipe, 1.0) {
            assert!(systems.contains(&system(&sample)), "{sample:?}");
            assert!((sample.composition().total() - 100.0).abs() < 1e-6, "{sample:?}");
        }
        let exchanged = mixes(&data, &recipe, 0.0);
        for sample in &exchanged {
            let own = system(sample);
            let shared = |system: &BTreeSet<_>| system.intersection(&own).count();
            // All elements of one system if no other element was drawn, otherwise all but one.
            let near = |system: &BTreeSet<_>| system.len() == own.len() && shared(system) + 1 >= own.len();
            assert!(systems.iter().any(near), "{sample:?}");
        }
        assert!(exchanged.iter().map(system).collect::<BTreeSet<_>>().len() > 8);
    }
}
