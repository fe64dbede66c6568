//! `mcvn sanity`: how answers change when one input changes, compared with metallurgical knowledge, as Markdown.
//!
//! Scores on test rows do not show whether a model has learnt the trends that a metallurgist knows. The inputs and
//! expectations are in [`super::sweeps`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::sweeps::{Amounts, Direction, Expectation, Input, Steel, Sweep, Sweeps};
use super::{device, in_words};
use crate::domain::{Outputs, RawComposition, RawSample, RawValue, Sample, Target};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, DeviceChoice, Predicted, Trust, TrustOptions};
use crate::registry::{active_bundles, load_bundle};

/// A relative change below this counts as no change.
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

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let tables = Sweeps::known()?;
    let device = arguments.device.open()?.device;
    let folders = active_bundles(&arguments.models_dirs)?;
    let mut bundles: BTreeMap<&str, Bundle> = BTreeMap::new();
    for sweep in &tables.sweeps {
        let folder = folders.get(&sweep.model).with_context(|| format!("there is no model {}", sweep.model))?;
        bundles.insert(&sweep.model, load_bundle(folder, &device)?);
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
    for sweep in &tables.sweeps {
        let Some(bundle) = bundles.get(sweep.model.as_str()) else { continue };
        let manifest = bundle.manifest();
        let Outputs::Regression { targets } = &manifest.schema.outputs else {
            bail!("{} gives no properties", sweep.model);
        };
        writeln!(out, "\n## {} ({} {})\n\n{}\n", sweep.title, manifest.name, manifest.version, sweep.why)?;
        let steps: Vec<String> = sweep.steps.iter().map(|step| format!("{step} {}", sweep.unit)).collect();
        writeln!(out, "| steel | property | {} | metallurgy says | agrees |", steps.join(" | "))?;
        writeln!(out, "|---|---|{}---|---|", "---|".repeat(steps.len()))?;
        for steel in tables.steels(sweep) {
            let answers = ask(bundle, sweep, steel)?;
            for (index, target) in targets.iter().enumerate() {
                let expectations = sweep.expected.iter().filter(|expected| expected.property == target.name);
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
        let trust = manifest.trust(sample, &predicted, &TrustOptions::default());
        (predicted, trust)
    };
    Ok(samples.iter().zip(answers).map(with_trust).collect())
}

fn raw<'a>(sweep: &'a Sweep, steel: &'a Steel, step: f64) -> RawSample<'a> {
    let with = |entries: &'a Amounts, moved: Option<&'a str>| {
        let kept = entries.iter().filter(|(name, _)| Some(name.as_str()) != moved);
        let mut entries: Vec<(Cow<str>, f64)> = kept.map(|(name, value)| (name.into(), *value)).collect();
        entries.extend(moved.map(|name| (Cow::Borrowed(name), step)));
        entries
    };
    let (amount, parameter) = match &sweep.moved {
        Input::Amount(symbol) => (Some(symbol.as_str()), None),
        Input::Processing(name) => (None, Some(name.as_str())),
    };
    let processing = with(&sweep.processing, parameter).into_iter();
    RawSample {
        composition: Some(RawComposition::Amounts(with(&steel.composition, amount))),
        basis: None,
        not_measured: Vec::new(),
        balance: None,
        processing: processing.map(|(name, value)| (name, RawValue::Number(value))).collect(),
    }
}

/// The expectation in words, and whether the answers agree with it.
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

/// One answer as `512 [489, 536]`, with a star if the sample is out of domain.
fn cell((predicted, trust): &(Predicted, Trust), target: usize) -> String {
    let value = predicted.values.get(target).copied().unwrap_or(f64::NAN);
    let interval = trust.intervals.get(target).copied().flatten().map(|[low, high]| format!(" [{low:.0}, {high:.0}]"));
    format!("{value:.0}{}{}", interval.unwrap_or_default(), if trust.in_domain() { "" } else { " *" })
}

fn with_unit(target: &Target) -> String {
    let name = target.name.replace('_', " ");
    if target.unit.is_empty() { name } else { format!("{name}, {}", target.unit) }
}
