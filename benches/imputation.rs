//! `cargo bench --bench imputation -- --data ../shared/data`: how well amounts that were not measured are estimated, by
//! which method, and what becomes of predictions.
//!
//! Amounts of test rows are hidden, one at a time and in the sets that laboratories leave out. What fills them is fitted on
//! the training rows of grouped folds: no estimate has seen the alloy. The first table is of the amounts themselves, in
//! logarithms; the second of predictions of the shipped models with and without the hidden amounts. (These models have seen
//! the rows, which does not matter for how far two answers to one row are apart.)

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use mcvn::data::{Dataset, Protocol, Recipe, Split, draw_folds};
use mcvn::domain::{
    AmountDistribution, Composition, Element, NotMeasured, Outputs, ParameterKind, ProcessValue, RawComposition,
    RawSample, RawValue, Sample, Schema,
};
use mcvn::featurize::{Features, featurize};
use mcvn::model::{Bundle, Manifest, Predicted};
use mcvn::registry::{StoredBundle, active_bundle, read_bundle};

const SETS: [(&str, &str); 2] = [("steel-fatigue", "nims_steel.csv"), ("steel-tensile", "low_alloy_steel.csv")];
const FOLDS: usize = 5;
/// Rows whose mean is taken by the method of nearest rows.
const NEAREST: usize = 5;
/// How many standard deviations to both sides hold nine of ten values.
const NINE_OF_TEN: f64 = 1.645;

fn main() {
    let folder = std::env::args().skip_while(|argument| argument != "--data").nth(1);
    let folder = PathBuf::from(folder.unwrap_or_else(|| panic!("--data FOLDER is missing")));
    for (model, file) in SETS {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let recipe = Recipe::parse(&std::fs::read_to_string(models.join(model).join("recipe.toml")).unwrap()).unwrap();
        let data = Dataset::read(&std::fs::read(folder.join(file)).unwrap(), &recipe).unwrap();
        let folds = draw_folds(&data.groups, Protocol::Grouped, FOLDS, 1).unwrap();
        let hidden = hidden(&data.schema(&recipe, &(0..data.samples.len()).collect::<Vec<_>>()));
        println!("\n## {model}: {} rows, {FOLDS} grouped folds\n", data.samples.len());
        amounts(&recipe, &data, &folds, &hidden);
        let stored = read_bundle(&active_bundle(&[models], model).unwrap().unwrap()).unwrap();
        predictions(&recipe, &data, &folds, &hidden, &stored);
    }
}

/// What is hidden: each element alone, and what laboratories leave out together.
fn hidden(schema: &Schema) -> Vec<Vec<Element>> {
    let known = schema.composition.amounts.as_ref().unwrap();
    let alone = known.elements.iter().map(|own| vec![own.element]);
    let together = [vec![Element::N, Element::Al], vec![Element::P, Element::S], schema.composition.residuals.clone()];
    let together = together.into_iter().map(|mut set| {
        set.sort_unstable();
        set
    });
    alone.chain(together.filter(|set| set.iter().all(|element| known.knows(*element)))).collect()
}

fn names(elements: &[Element]) -> String {
    elements.iter().map(|element| element.symbol()).collect::<Vec<_>>().join(" ")
}

/// Fills what is missing in a row: each amount, and its standard deviation if the method gives one.
type Fill = dyn Fn(&AmountDistribution, &[Vec<f64>], &[Option<f64>]) -> Vec<(f64, Option<f64>)>;

/// A way to estimate the logarithms of hidden amounts, with their standard deviations where it gives any.
struct Method {
    name: String,
    fill: Box<Fill>,
}

/// The distribution with other factors of its correlations and variances. The fitted one has correlations × 0.95.
fn varied(own: &AmountDistribution, correlation: f64, variance: f64) -> AmountDistribution {
    let mut varied = own.clone();
    let mut at = 0;
    for row in 0..own.elements.len() {
        for column in 0..=row {
            varied.covariance[at] *= if row == column { variance } else { correlation / 0.95 };
            at += 1;
        }
    }
    varied
}

fn gaussian(name: &str, correlation: f64, variance: f64) -> Method {
    let fill = move |own: &AmountDistribution, _: &[Vec<f64>], logs: &[Option<f64>]| {
        // Without any shrinking the matrix may be singular.
        let Some(given) = varied(own, correlation, variance).given(logs) else { return Vec::new() };
        let count = given.unknown.len();
        let deviation = |at: usize| given.covariance[at * count + at].max(0.0).sqrt();
        given.mean.iter().enumerate().map(|(at, mean)| (*mean, Some(deviation(at)))).collect()
    };
    Method { name: name.to_owned(), fill: Box::new(fill) }
}

fn methods() -> Vec<Method> {
    let unknown = |logs: &[Option<f64>]| (0..logs.len()).filter(|at| logs[*at].is_none()).collect::<Vec<_>>();
    let zero = move |own: &AmountDistribution, _: &[Vec<f64>], logs: &[Option<f64>]| {
        unknown(logs).into_iter().map(|at| (least(own, at), None)).collect()
    };
    let median = move |_: &AmountDistribution, rows: &[Vec<f64>], logs: &[Option<f64>]| {
        let of = |at: usize| {
            let mut column: Vec<f64> = rows.iter().map(|row| row[at]).collect();
            column.sort_by(f64::total_cmp);
            column[column.len() / 2]
        };
        unknown(logs).into_iter().map(|at| (of(at), None)).collect()
    };
    let nearest = move |own: &AmountDistribution, rows: &[Vec<f64>], logs: &[Option<f64>]| {
        let variance = |at: usize| own.covariance[at * (at + 3) / 2];
        let distance = |row: &Vec<f64>| {
            let known = logs.iter().enumerate().filter_map(|(at, log)| Some((at, (*log)?)));
            known.map(|(at, log)| (row[at] - log).powi(2) / variance(at)).sum::<f64>()
        };
        let mut near: Vec<&Vec<f64>> = rows.iter().collect();
        near.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
        let mean = |at: usize| near.iter().take(NEAREST).map(|row| row[at]).sum::<f64>() / NEAREST as f64;
        unknown(logs).into_iter().map(|at| (mean(at), None)).collect()
    };
    vec![
        Method { name: "zero".to_owned(), fill: Box::new(zero) },
        Method { name: "median".to_owned(), fill: Box::new(median) },
        Method { name: format!("{NEAREST} nearest"), fill: Box::new(nearest) },
        gaussian("ridge .2", 1.0, 1.2),
        gaussian("Gaussian × .99", 0.99, 1.0),
        gaussian("× .95", 0.95, 1.0),
        gaussian("× .9", 0.9, 1.0),
        gaussian("× .8", 0.8, 1.0),
    ]
}

/// The logarithm of no amount at all. An element that is in every row has none: half of the least is as near as it gets.
fn least(own: &AmountDistribution, at: usize) -> f64 {
    let own = &own.elements[at];
    if own.offset > 0.0 { own.offset.ln() } else { (own.least / 2.0).ln() }
}

fn logs(own: &AmountDistribution, composition: &Composition) -> Vec<f64> {
    own.elements.iter().map(|element| element.log(composition.amount(element.element))).collect()
}

/// Root mean square errors of logarithms, and how many of the true ones nine of ten should be sure of.
fn amounts(recipe: &Recipe, data: &Dataset, folds: &[Split], hidden: &[Vec<Element>]) {
    let methods = methods();
    let header: Vec<&str> = methods.iter().map(|method| method.name.as_str()).collect();
    println!("Root mean square error of the logarithm of the hidden amounts; last, the share within ± 1.645 standard");
    println!("deviations of the Gaussian × .95\n");
    println!("| hidden | {} | within |\n|---|{}---|", header.join(" | "), "---|".repeat(header.len()));
    for set in hidden {
        let mut squares = vec![(0.0, 0usize); methods.len()];
        let mut within = (0usize, 0usize);
        for fold in folds {
            let schema = data.schema(recipe, &fold.train);
            let own = schema.composition.amounts.as_ref().unwrap();
            let mut rows: Vec<Vec<f64>> =
                fold.train.iter().map(|row| logs(own, data.samples[*row].composition())).collect();
            rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
            rows.dedup();
            let is_hidden = |at: usize| set.contains(&own.elements[at].element);
            for row in &fold.test {
                let truth = logs(own, data.samples[*row].composition());
                let asked: Vec<Option<f64>> =
                    truth.iter().enumerate().map(|(at, log)| (!is_hidden(at)).then_some(*log)).collect();
                let truth: Vec<f64> = (0..truth.len()).filter(|at| is_hidden(*at)).map(|at| truth[at]).collect();
                for (method, sum) in methods.iter().zip(&mut squares) {
                    let filled = (method.fill)(own, &rows, &asked);
                    for ((mean, deviation), truth) in filled.into_iter().zip(&truth) {
                        *sum = (sum.0 + (mean - truth).powi(2), sum.1 + 1);
                        if let (Some(deviation), true) = (deviation, method.name == "× .95") {
                            let is_within = (mean - truth).abs() <= NINE_OF_TEN * deviation;
                            within = (within.0 + usize::from(is_within), within.1 + 1);
                        }
                    }
                }
            }
        }
        let cells: Vec<String> = squares
            .iter()
            .map(
                |(sum, count)| {
                    if *count == 0 { "–".to_owned() } else { format!("{:.3}", (sum / *count as f64).sqrt()) }
                },
            )
            .collect();
        println!("| {} | {} | {:.2} |", names(set), cells.join(" | "), within.0 as f64 / within.1 as f64);
    }
}

/// How far predictions move when amounts are hidden.
fn predictions(recipe: &Recipe, data: &Dataset, folds: &[Split], hidden: &[Vec<Element>], stored: &StoredBundle) {
    let stored_manifest: Manifest = serde_json::from_slice(&stored.manifest).unwrap();
    let Outputs::Regression { targets } = &stored_manifest.schema.outputs else { panic!("a regression") };
    println!(
        "\nRoot mean square change of the prediction: taken as 0 / the most plausible amount / mean over draws; share of"
    );
    println!("the changes within ± 1.645 spreads over draws\n");
    let header: Vec<String> = targets.iter().map(|target| format!("{}, {}", target.name, target.unit)).collect();
    println!("| hidden | {} |\n|---|{}", header.join(" | "), "---|".repeat(header.len()));
    for set in hidden {
        // By target: sums of squares of the three ways, rows within, rows.
        let mut sums: Vec<([f64; 3], f64, f64)> = vec![([0.0; 3], 0.0, 0.0); targets.len()];
        for fold in folds {
            let mut manifest = stored_manifest.clone();
            manifest.schema.composition.amounts = data.schema(recipe, &fold.train).composition.amounts;
            let bundle = Bundle::load(&serde_json::to_vec(&manifest).unwrap(), &stored.weights, &Device::Cpu).unwrap();
            let schema = &manifest.schema;
            let features = |sample: &Sample| featurize(sample, schema, &manifest.features);
            let whole: Vec<Features> = fold.test.iter().map(|row| features(&data.samples[*row])).collect();
            let masked = |row: &usize, zero: bool| {
                Sample::parse(&without(&data.samples[*row], schema, set, zero), schema, "").unwrap()
            };
            let drawn: Vec<Features> = fold.test.iter().map(|row| features(&masked(row, false))).collect();
            let central: Vec<Features> =
                drawn.iter().map(|features| Features { draws: None, ..features.clone() }).collect();
            let zero: Vec<Features> = fold.test.iter().map(|row| features(&masked(row, true))).collect();
            let ask = |features: &[Features]| -> Vec<Predicted> {
                bundle.predict(&features.iter().collect::<Vec<_>>()).unwrap()
            };
            let (whole, drawn) = (ask(&whole), ask(&drawn));
            let others = [ask(&zero), ask(&central), drawn.clone()];
            for (at, truth) in whole.iter().enumerate() {
                for (target, (squares, within, count)) in sums.iter_mut().enumerate() {
                    for (sum, other) in squares.iter_mut().zip(&others) {
                        *sum += (other[at].values[target] - truth.values[target]).powi(2);
                    }
                    let change = (drawn[at].values[target] - truth.values[target]).abs();
                    *within += f64::from(u8::from(change <= NINE_OF_TEN * drawn[at].input_spread[target]));
                    *count += 1.0;
                }
            }
        }
        let cell = |(squares, within, count): &([f64; 3], f64, f64)| {
            let root = squares.map(|sum| format!("{:.1}", (sum / count).sqrt()));
            format!("{}; {:.2}", root.join(" / "), within / count)
        };
        println!("| {} | {} |", names(set), sums.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}

/// A sample with some amounts not measured, or 0.
fn without<'a>(sample: &Sample, schema: &'a Schema, hidden: &[Element], zero: bool) -> RawSample<'a> {
    let amounts: BTreeMap<Element, f64> = sample.composition().amounts().iter().copied().collect();
    let kept = amounts
        .into_iter()
        .filter(|(element, _)| !hidden.contains(element) && schema.composition.balance != Some(*element));
    let none = hidden.iter().filter(|_| zero).map(|element| (*element, 0.0));
    let kept: Vec<_> = kept.chain(none).map(|(element, amount)| (element.symbol().into(), amount)).collect();
    let unmeasured = hidden.iter().filter(|_| !zero).map(|element| (element.symbol().into(), NotMeasured::Stated));
    let value = |value: &ProcessValue, kind: &ParameterKind| match (value, kind) {
        (ProcessValue::Level(level), ParameterKind::Categorical { levels, .. }) => {
            RawValue::Text(levels[*level].clone())
        }
        (ProcessValue::Number(number), _) => RawValue::Number(*number),
        _ => panic!("a level of a number"),
    };
    let processing = schema.processing.iter().zip(sample.processing());
    RawSample {
        composition: Some(RawComposition::Amounts(kept)),
        not_measured: unmeasured.collect(),
        processing: processing.map(|(own, given)| (own.name.as_str().into(), value(given, &own.kind))).collect(),
        ..RawSample::default()
    }
}
