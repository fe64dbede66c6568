//! `mcvn sanity`: how answers move when one input moves, beside what metallurgy says, as Markdown.
//!
//! Its own because scores on test rows don't show whether a model has learnt the trends that a metallurgist knows. The
//! compositions are rounded textbook values, none a row of the training data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::device;
use crate::domain::{Outputs, RawComposition, RawSample, RawValue, Sample, Target, Violation};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, Confidence, DeviceChoice, Predicted, Trust};
use crate::registry::{active_bundles, load_bundle};

/// A property that falls by less than this share of itself holds.
const HOLDS: f64 = 0.05;

#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of models; may be repeated.
    #[arg(long = "models-dir", default_value = "models")]
    models_dirs: Vec<PathBuf>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: DeviceChoice,
}

type Amounts = &'static [(&'static str, f64)];

/// A well-known steel.
struct Steel {
    name: &'static str,
    composition: Amounts,
}

/// What is moved.
enum Input {
    Amount(&'static str),
    Processing(&'static str),
}

/// Which way a property should go.
#[derive(Clone, Copy)]
enum Direction {
    Falls,
    Rises,
    Holds,
}

/// What metallurgy says of one property between two steps.
struct Expectation {
    property: &'static str,
    direction: Direction,
    from: f64,
    to: f64,
}

/// One input moved over its range while all else stays.
struct Sweep {
    title: &'static str,
    why: &'static str,
    model: &'static str,
    input: Input,
    unit: &'static str,
    steps: &'static [f64],
    processing: Amounts,
    steels: &'static [Steel],
    expectations: &'static [Expectation],
}

const HARDENED: Amounts =
    &[("normalizing_temperature", 870.0), ("quenching_temperature", 850.0), ("tempering_temperature", 600.0)];

const QUENCHED_AND_TEMPERED: &[Steel] = &[
    Steel {
        name: "S45C (0.45 C)",
        composition: &[
            ("C", 0.45),
            ("Si", 0.25),
            ("Mn", 0.75),
            ("P", 0.02),
            ("S", 0.02),
            ("Ni", 0.05),
            ("Cr", 0.1),
            ("Cu", 0.1),
        ],
    },
    Steel {
        name: "SCM440 (0.4 C, 1 Cr, 0.2 Mo)",
        composition: &[
            ("C", 0.4),
            ("Si", 0.25),
            ("Mn", 0.75),
            ("P", 0.02),
            ("S", 0.015),
            ("Ni", 0.1),
            ("Cr", 1.05),
            ("Cu", 0.1),
            ("Mo", 0.2),
        ],
    },
    Steel {
        name: "SNCM439 (0.4 C, 1.8 Ni, 0.8 Cr, 0.2 Mo)",
        composition: &[
            ("C", 0.4),
            ("Si", 0.25),
            ("Mn", 0.75),
            ("P", 0.015),
            ("S", 0.015),
            ("Ni", 1.8),
            ("Cr", 0.8),
            ("Cu", 0.1),
            ("Mo", 0.2),
        ],
    },
];

const HEAT_RESISTANT: &[Steel] = &[
    Steel {
        name: "1Cr-0.5Mo",
        composition: &[
            ("C", 0.14),
            ("Si", 0.3),
            ("Mn", 0.5),
            ("P", 0.012),
            ("S", 0.01),
            ("Ni", 0.1),
            ("Cr", 1.0),
            ("Cu", 0.1),
            ("Mo", 0.5),
            ("Al", 0.01),
            ("N", 0.008),
        ],
    },
    Steel {
        name: "1Cr-1Mo-0.25V",
        composition: &[
            ("C", 0.28),
            ("Si", 0.25),
            ("Mn", 0.75),
            ("P", 0.01),
            ("S", 0.01),
            ("Ni", 0.3),
            ("Cr", 1.05),
            ("Cu", 0.1),
            ("Mo", 1.2),
            ("V", 0.25),
            ("Al", 0.005),
            ("N", 0.008),
        ],
    },
    Steel {
        name: "2.25Cr-1Mo",
        composition: &[
            ("C", 0.11),
            ("Si", 0.3),
            ("Mn", 0.5),
            ("P", 0.012),
            ("S", 0.01),
            ("Ni", 0.1),
            ("Cr", 2.25),
            ("Cu", 0.1),
            ("Mo", 1.0),
            ("Al", 0.01),
            ("N", 0.01),
        ],
    },
];

const fn expect(property: &'static str, direction: Direction, from: f64, to: f64) -> Expectation {
    Expectation { property, direction, from, to }
}

const SWEEPS: &[Sweep] = &[
    Sweep {
        title: "Tempering temperature",
        why: "Tempering coarsens carbides and lets dislocations recover: the steel softens.",
        model: "steel-fatigue",
        input: Input::Processing("tempering_temperature"),
        unit: "°C",
        steps: &[550.0, 600.0, 640.0, 680.0],
        processing: HARDENED,
        steels: QUENCHED_AND_TEMPERED,
        expectations: &[
            expect("fatigue_strength", Direction::Falls, 550.0, 680.0),
            expect("tensile_strength", Direction::Falls, 550.0, 680.0),
            expect("hardness", Direction::Falls, 550.0, 680.0),
        ],
    },
    Sweep {
        title: "Carbon",
        why: "Carbon hardens martensite, and what is left of it as carbides after tempering at 600 °C.",
        model: "steel-fatigue",
        input: Input::Amount("C"),
        unit: "wt%",
        steps: &[0.3, 0.38, 0.46, 0.55],
        processing: HARDENED,
        steels: QUENCHED_AND_TEMPERED,
        expectations: &[
            expect("fatigue_strength", Direction::Rises, 0.3, 0.55),
            expect("tensile_strength", Direction::Rises, 0.3, 0.55),
            expect("hardness", Direction::Rises, 0.3, 0.55),
        ],
    },
    Sweep {
        title: "Test temperature",
        why: "Heat frees dislocations: strength falls. Around 200 to 300 °C dynamic strain ageing (serrated yielding) \
              holds the tensile strength up or raises it; at the top the steel necks freely.",
        model: "steel-tensile",
        input: Input::Processing("test_temperature"),
        unit: "°C",
        steps: &[27.0, 100.0, 200.0, 300.0, 400.0, 500.0, 650.0],
        processing: &[],
        steels: HEAT_RESISTANT,
        expectations: &[
            expect("yield_strength", Direction::Falls, 27.0, 650.0),
            expect("tensile_strength", Direction::Falls, 27.0, 650.0),
            expect("tensile_strength", Direction::Holds, 200.0, 300.0),
            expect("reduction_of_area", Direction::Rises, 500.0, 650.0),
        ],
    },
];

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let device = arguments.device.open()?.device;
    let folders = active_bundles(&arguments.models_dirs)?;
    let mut bundles: BTreeMap<&str, Bundle> = BTreeMap::new();
    for sweep in SWEEPS {
        let folder = folders.get(sweep.model).with_context(|| format!("there is no model {}", sweep.model))?;
        bundles.insert(sweep.model, load_bundle(folder, &device)?);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "<!-- Made by: mcvn sanity > docs/sanity.md -->\n")?;
    writeln!(out, "# Do the steel models know their metallurgy?\n")?;
    writeln!(
        out,
        "One input is moved, all else stays. Behind a value stands its 90 % interval; `*` marks samples out of domain. \
         A trend agrees where the change has the sign that metallurgy expects (\"holds\": it falls by less than {} %). \
         Compositions are rounded textbook values.",
        HOLDS * 100.0
    )?;
    let (mut agreed, mut asked) = (0, 0);
    for sweep in SWEEPS {
        let Some(bundle) = bundles.get(sweep.model) else { continue };
        let manifest = bundle.manifest();
        let Outputs::Regression { targets } = &manifest.schema.outputs else {
            bail!("{} gives no properties", sweep.model);
        };
        writeln!(out, "\n## {} ({} {})\n\n{}\n", sweep.title, manifest.name, manifest.version, sweep.why)?;
        let steps: Vec<String> = sweep.steps.iter().map(|step| format!("{step} {}", sweep.unit)).collect();
        writeln!(out, "| steel | property | {} | metallurgy says | agrees |", steps.join(" | "))?;
        writeln!(out, "|---|---|{}---|---|", "---|".repeat(steps.len()))?;
        for steel in sweep.steels {
            let answers = ask(bundle, sweep, steel)?;
            for (index, target) in targets.iter().enumerate() {
                let expectations = sweep.expectations.iter().filter(|expected| expected.property == target.name);
                let verdicts: Vec<(String, bool)> =
                    expectations.map(|expected| judge(expected, sweep, &answers, index)).collect();
                if verdicts.is_empty() {
                    continue;
                }
                asked += verdicts.len();
                agreed += verdicts.iter().filter(|(_, agrees)| *agrees).count();
                let cells: Vec<String> = answers.iter().map(|answer| cell(answer, index)).collect();
                let says: Vec<&str> = verdicts.iter().map(|(says, _)| says.as_str()).collect();
                let agrees: Vec<&str> =
                    verdicts.iter().map(|(_, agrees)| if *agrees { "yes" } else { "**no**" }).collect();
                let name = with_unit(target);
                let (cells, says, agrees) = (cells.join(" | "), says.join("; "), agrees.join("; "));
                writeln!(out, "| {} | {name} | {cells} | {says} | {agrees} |", steel.name)?;
            }
        }
    }
    writeln!(out, "\n{agreed} of {asked} trends agree.")?;
    Ok(())
}

/// The answers of one sweep over one steel, step by step.
fn ask(bundle: &Bundle, sweep: &Sweep, steel: &Steel) -> Result<Vec<(Predicted, Trust)>> {
    let manifest = bundle.manifest();
    let parse = |step: &f64| {
        let sample = Sample::parse(&raw(sweep, steel, *step), &manifest.schema, "");
        sample.map_err(|found| anyhow::anyhow!("{}: {}", steel.name, in_words(&found)))
    };
    let samples: Vec<Sample> = sweep.steps.iter().map(parse).collect::<Result<_>>()?;
    let features: Vec<Features> =
        samples.iter().map(|sample| featurize(sample, &manifest.schema, &manifest.features)).collect();
    let answers = bundle.predict(&features.iter().collect::<Vec<_>>())?;
    let with_trust = |(sample, predicted): (&Sample, Predicted)| {
        let trust = manifest.trust(sample, &predicted, Confidence::default());
        (predicted, trust)
    };
    Ok(samples.iter().zip(answers).map(with_trust).collect())
}

fn raw(sweep: &Sweep, steel: &Steel, step: f64) -> RawSample<'static> {
    let with = |entries: Amounts, moved: Option<&'static str>| {
        let kept = entries.iter().filter(|(name, _)| Some(*name) != moved);
        let mut entries: Vec<(Cow<str>, f64)> = kept.map(|(name, value)| (Cow::Borrowed(*name), *value)).collect();
        entries.extend(moved.map(|name| (Cow::Borrowed(name), step)));
        entries
    };
    let (amount, parameter) = match sweep.input {
        Input::Amount(symbol) => (Some(symbol), None),
        Input::Processing(name) => (None, Some(name)),
    };
    let processing = with(sweep.processing, parameter).into_iter();
    RawSample {
        composition: Some(RawComposition::Amounts(with(steel.composition, amount))),
        basis: None,
        balance: None,
        processing: processing.map(|(name, value)| (name, RawValue::Number(value))).collect(),
    }
}

/// What metallurgy says, in words, and whether the answers agree.
fn judge(expected: &Expectation, sweep: &Sweep, answers: &[(Predicted, Trust)], target: usize) -> (String, bool) {
    let at = |wanted: f64| {
        let answer = sweep.steps.iter().zip(answers).find(|(step, _)| **step == wanted).map(|(_, answer)| answer);
        answer.and_then(|(predicted, _)| predicted.values.get(target)).copied().unwrap_or(f64::NAN)
    };
    let (before, after) = (at(expected.from), at(expected.to));
    let (word, agrees) = match expected.direction {
        Direction::Falls => ("falls", after < before),
        Direction::Rises => ("rises", after > before),
        Direction::Holds => ("holds", after > before - HOLDS * before.abs()),
    };
    (format!("{word} from {} to {}", expected.from, expected.to), agrees)
}

/// `512 [489, 536]`, with a star for a sample out of domain.
fn cell((predicted, trust): &(Predicted, Trust), target: usize) -> String {
    let value = predicted.values.get(target).copied().unwrap_or(f64::NAN);
    let interval = trust.intervals.get(target).map(|[low, high]| format!(" [{low:.0}, {high:.0}]"));
    format!("{value:.0}{}{}", interval.unwrap_or_default(), if trust.in_domain() { "" } else { " *" })
}

fn with_unit(target: &Target) -> String {
    let name = target.name.replace('_', " ");
    if target.unit.is_empty() { name } else { format!("{name}, {}", target.unit) }
}

fn in_words(violations: &[Violation]) -> String {
    violations.iter().map(Violation::in_words).collect::<Vec<_>>().join("; ")
}
