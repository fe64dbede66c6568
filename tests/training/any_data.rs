//! Whatever a lab's table holds, training refuses it in words or leaves a bundle that loads and answers: repeated
//! tests, constant columns, a single heat, a class without rows.

use std::ops::ControlFlow;

use mcvn::data::{DataError, Dataset, Recipe};
use mcvn::featurize::{Features, featurize};
use mcvn::model::{DeviceChoice, Manifest, MemberKind, MemberSpec, Trust};
use mcvn::registry::{StoredBundle, load_bundle, write_bundle};
use mcvn::train::{Trained, fit};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::options;

/// One member of every kind, a few steps each.
const MEMBERS: &str = r#"
[network]
attention = "ATTENTION"
heads = 2
norm = "pre"
activation = "silu"
stem = 8
row = [6]
head = []
bins = 3

[training]
members = 1
steps = 3
batch = 16
learning_rate = 1e-2
warmup = 1
weight_decay = 0.01
clip_norm = 5.0
ema = 0.5
cohort = 6

[[committee]]
kind = "kernel"
keys = 9
steps = 4
learning_rate = 0.05

[[committee]]
kind = "forest"
trees = 3
min_leaf = 2

[[committee]]
kind = "forest"
splits = "best"
trees = 3
min_leaf = 1
tried = 2

[[committee]]
kind = "boosting"
rounds = 3
depth = 3
learning_rate = 0.3
rows = 0.8
columns = 0.8
min_weight = 1.0
penalty = 1.0
"#;

/// A teacher of the networks.
const TEACHER: &str = r#"
[teacher]
samples = 20
batch = 6
weight = 0.5
by_element = 0.3

[[teacher.committee]]
kind = "kernel"
keys = 5
steps = 2
learning_rate = 0.05
"#;

/// How the rows of a table hang together.
#[derive(Clone, Debug)]
struct Table {
    rows: usize,
    /// Different inputs among them, at most.
    inputs: usize,
    /// Groups: the first takes `lopsided` of 10 rows more than its share.
    groups: usize,
    lopsided: usize,
    /// Columns that don't vary: carbon, chromium, temperature, melt, outcome.
    constant: [bool; 5],
    /// The outcome's unit, as a factor.
    unit: f64,
    /// Of a classification: how many of the three classes have rows; none for a regression.
    classes: Option<usize>,
    folds: usize,
    image: bool,
    /// Whether the networks are taught, and attend to residuals.
    taught: bool,
    seed: u64,
}

fn tables() -> impl Strategy<Value = Table> {
    let rows = prop_oneof![1..10usize, 10..40usize, 10..40usize, 40..500usize];
    let part = prop_oneof![Just(1usize), 2..5usize, 5..500usize];
    let constant = proptest::array::uniform5(prop::bool::weighted(0.3));
    let unit = prop_oneof![Just(1.0), Just(1e-6), Just(1e9)];
    let folds = prop_oneof![Just(0usize), Just(2), Just(5)];
    let classes = prop::option::of(1..=3usize);
    let shape = (rows, part.clone(), part, 0..10usize, constant);
    (shape, unit, classes, folds, prop::bool::weighted(0.15), any::<bool>(), any::<u64>()).prop_map(
        |((rows, inputs, groups, lopsided, constant), unit, classes, folds, image, taught, seed)| Table {
            rows,
            inputs,
            groups,
            lopsided,
            constant,
            unit,
            classes,
            folds,
            image,
            taught,
            seed,
        },
    )
}

impl Table {
    fn recipe(&self) -> Recipe {
        let (route, outcome) = match self.classes {
            None => ("/predict/steel", "[[targets]]\nname = \"hardness\"\nunit = \"HV\"\n"),
            Some(_) => ("/classify/glass", "[class]\ncolumn = \"hardness\"\nlevels = [\"a\", \"b\", \"c\"]\n"),
        };
        let (spec, components) = match self.image {
            true => ("[features]\nimage = { basis = \"atomic_percent\", balance = true }\n", "components = 2\n"),
            false => ("", ""),
        };
        let members = MEMBERS.replace("keys = 9\n", &format!("keys = 9\n{components}"));
        let members = members.replace("ATTENTION", if self.taught { "residual" } else { "reference" });
        let (folds, teacher) = (self.folds, if self.taught { TEACHER } else { "" });
        Recipe::parse(&format!(
            r#"
            name = "lab"
            title = "Any rows"
            route = "{route}"
            group = "heat"
            composition = {{ basis = "weight_percent", balance = "Fe", elements = ["C", "Cr"] }}
            calibration = {{ folds = {folds} }}
            processing = [{{ name = "temperature", unit = "°C" }}, {{ name = "melt", levels = ["x", "y"] }}]
            {outcome}{spec}{members}{teacher}"#
        ))
        .unwrap()
    }

    fn csv(&self) -> String {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        let mut drawn = |constant: bool, most: u32| if constant { most / 2 } else { rng.random_range(0..=most) };
        let [carbon, chromium, temperature, melt, _] = self.constant;
        let inputs: Vec<[u32; 4]> = (0..self.inputs.min(self.rows))
            .map(|_| [drawn(carbon, 60), drawn(chromium, 200), drawn(temperature, 300), drawn(melt, 1)])
            .collect();
        let mut text = "heat,C,Cr,temperature,melt,hardness\n".to_owned();
        for row in 0..self.rows {
            let heat = if rng.random_range(0..10) < self.lopsided { 0 } else { rng.random_range(0..self.groups) };
            let [carbon, chromium, temperature, melt] = inputs[rng.random_range(0..inputs.len())];
            let noise = if self.constant[4] { 0 } else { rng.random_range(0..50) };
            let outcome = match self.classes {
                Some(classes) => ["a", "b", "c"][if self.constant[4] { 0 } else { row % classes }].to_owned(),
                None => (f64::from(200 + noise) * self.unit).to_string(),
            };
            let (carbon, chromium) = (f64::from(carbon + 1) / 100.0, f64::from(chromium) / 100.0);
            text +=
                &format!("h{heat},{carbon},{chromium},{},{},{outcome}\n", 400 + temperature, ["x", "y"][melt as usize]);
        }
        text
    }

    /// Trains, writes, loads and asks; gives what was refused.
    fn check(&self) -> Result<Trained, String> {
        let recipe = self.recipe();
        let data = match Dataset::read(self.csv().as_bytes(), &recipe) {
            Ok(data) => data,
            Err(DataError::TooFew(why)) if self.rows < 10 => return Err(why),
            Err(error) => panic!("{error}"),
        };
        let rows: Vec<usize> = (0..data.samples.len()).collect();
        let trained = fit(&recipe, &data, &rows, &options(self.seed), &|_| ControlFlow::Continue(())).unwrap();
        answers(&trained, &data);
        Ok(trained)
    }
}

/// Through the door that servers load by; every answer with all that comes with it is finite.
fn answers(trained: &Trained, data: &Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bundle");
    let stored =
        StoredBundle { manifest: serde_json::to_vec(&trained.manifest).unwrap(), weights: trained.weights.clone() };
    write_bundle(&place, &stored, "", &[]).unwrap();
    let bundle = load_bundle(&place, &DeviceChoice::Cpu.open().unwrap().device).unwrap();
    let manifest: &Manifest = bundle.manifest();
    let features: Vec<Features> =
        data.samples.iter().map(|sample| featurize(sample, &manifest.schema, &manifest.features)).collect();
    let predicted = bundle.predict(&features.iter().collect::<Vec<_>>()).unwrap();
    for (sample, predicted) in data.samples.iter().zip(&predicted) {
        let Trust { intervals, .. } = manifest.trust(sample, predicted, &Default::default());
        let numbers = predicted.values.iter().chain(intervals.iter().flatten().flatten());
        assert!(numbers.chain(&predicted.novelty).chain(&predicted.disagreement).all(|number| number.is_finite()));
    }
}

#[test]
fn any_table_is_refused_in_words_or_becomes_a_model_that_answers() {
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner
        .run(&tables(), |table| {
            let refused = table.check();
            prop_assert_eq!(refused.is_err(), table.rows < 10);
            Ok(())
        })
        .unwrap();
}

/// A table of the usual kind, to be spoiled.
fn usual() -> Table {
    Table {
        rows: 30,
        inputs: 30,
        groups: 6,
        lopsided: 0,
        constant: [false; 5],
        unit: 1.0,
        classes: None,
        folds: 5,
        image: false,
        taught: false,
        seed: 1,
    }
}

#[test]
fn repeated_tests_give_no_more_keys_than_different_rows() {
    let keys = |trained: Trained| {
        let keys = |member: &MemberSpec| match &member.model {
            MemberKind::Gp(kernel) => Some(kernel.inducing_points),
            MemberKind::Network(_) | MemberKind::Forest(_) => None,
        };
        trained.manifest.members.iter().find_map(keys).unwrap()
    };
    // Four conditions, tested three times each; nine keys are asked for.
    let table = Table { rows: 12, inputs: 4, groups: 4, folds: 2, ..usual() };
    assert!((2..=4).contains(&keys(table.check().unwrap())));
    assert_eq!(keys(Table { rows: 10, inputs: 1, groups: 1, ..table }.check().unwrap()), 1);
}

#[test]
fn one_heat_with_nearly_all_rows_leaves_a_fold_with_one() {
    Table { rows: 10, groups: 2, lopsided: 9, folds: 2, ..usual() }.check().unwrap();
}

#[test]
fn numbers_too_large_for_their_square_are_refused() {
    let table = Table { unit: 1e300, ..usual() };
    let recipe = table.recipe();
    let data = Dataset::read(table.csv().as_bytes(), &recipe).unwrap();
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    let error = fit(&recipe, &data, &rows, &options(1), &|_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("larger unit"), "{error}");
}
