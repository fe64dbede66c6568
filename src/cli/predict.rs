//! `mcvn predict`: the rows of a CSV file through a bundle.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{device, read, write_whole};
use crate::domain::{Outputs, Sample, TableLayout, Violation};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, Confidence, ConfidenceError, DeviceChoice, Manifest, Trust};
use crate::registry::load_bundle;

/// Rows in one pass.
const BATCH: usize = 256;

#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of the bundle.
    #[arg(long)]
    bundle: PathBuf,
    /// Rows to predict: columns named as in the API or as in the recipe's data; others are copied.
    #[arg(long)]
    input: PathBuf,
    /// The input's columns with the predictions behind them.
    #[arg(long)]
    output: PathBuf,
    /// How often intervals should hold what is measured, as a share from 0.5 to 0.99; 0.9 where none is given.
    #[arg(long, value_parser = confidence)]
    confidence: Option<Confidence>,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: DeviceChoice,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let bundle = load_bundle(&arguments.bundle, &arguments.device.open()?.device)?;
    if bundle.manifest().batch_dependent() {
        eprintln!("mcvn: answers of this model depend on what shares a pass (up to {BATCH} rows)");
    }
    let place = || arguments.input.display().to_string();
    let bytes = read(&arguments.input)?;
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes.as_slice());
    let headers = reader.headers().with_context(place)?.clone();
    let manifest = bundle.manifest();
    let schema = &manifest.schema;
    if arguments.confidence.is_some() && !manifest.has_intervals() {
        bail!("--confidence: {} gives no intervals", manifest.name);
    }
    let confidence = arguments.confidence.unwrap_or_default();
    let layout = match TableLayout::new(&headers, schema) {
        Ok(layout) => layout,
        Err(violations) => bail!("{}: {}", place(), in_words(&violations)),
    };
    let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().with_context(place)?;
    let mut bad_rows = 0;
    write_whole(&arguments.output, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let added = added_columns(manifest);
        writer.write_record(headers.iter().chain(added.iter().map(String::as_str)))?;
        for chunk in records.chunks(BATCH) {
            for (record, cells) in chunk.iter().zip(predict(&bundle, &layout, chunk, confidence)?) {
                bad_rows += usize::from(cells.last().is_some_and(|error| !error.is_empty()));
                writer.write_record(record.iter().chain(cells.iter().map(String::as_str)))?;
            }
        }
        Ok(writer.flush()?)
    })?;
    if bad_rows > 0 {
        eprintln!("mcvn: {bad_rows} of {} rows have an error; see the error column", records.len());
    }
    Ok(())
}

/// The added cells of some rows.
fn predict(
    bundle: &Bundle,
    layout: &TableLayout,
    records: &[csv::StringRecord],
    confidence: Confidence,
) -> Result<Vec<Vec<String>>> {
    let manifest = bundle.manifest();
    let parse = |record| layout.sample(record).and_then(|raw| Sample::parse(&raw, &manifest.schema, ""));
    let samples: Vec<Result<Sample, Vec<Violation>>> = records.iter().map(parse).collect();
    let features: Vec<Features> =
        samples.iter().flatten().map(|sample| featurize(sample, &manifest.schema, &manifest.features)).collect();
    let mut answers = bundle.predict(&features.iter().collect::<Vec<_>>())?.into_iter();
    let width = added_columns(manifest).len();
    let row = |sample: Result<Sample, Vec<Violation>>| match sample {
        Ok(sample) => {
            let predicted = answers.next().unwrap_or_default();
            let trust = manifest.trust(&sample, &predicted, confidence);
            let mut cells = output_cells(&manifest.schema.outputs, &predicted.values, &trust);
            cells.extend(manifest.has_intervals().then(|| confidence.level().to_string()));
            cells.extend([trust.in_domain().to_string(), trust.reasons.join("; ")]);
            cells.extend(trust.percentile_cells(manifest));
            cells.push(String::new());
            cells
        }
        Err(violations) => {
            let mut cells = vec![String::new(); width - 1];
            cells.push(in_words(&violations));
            cells
        }
    };
    Ok(samples.into_iter().map(row).collect())
}

/// Columns behind those of the input. Predicted ones stand beside measured ones of the same name, so they say what
/// they are. The last is the error.
fn added_columns(manifest: &Manifest) -> Vec<String> {
    let mut columns = Vec::new();
    match &manifest.schema.outputs {
        Outputs::Regression { targets } => {
            for target in targets {
                columns.push(format!("predicted_{}", target.name));
                if manifest.has_intervals() {
                    columns.extend(["low", "high"].map(|end| format!("predicted_{}_{end}", target.name)));
                }
            }
        }
        Outputs::Classification { classes } => {
            columns.push("predicted_class".to_owned());
            columns.extend(classes.iter().map(|class| format!("probability_{class}")));
        }
    }
    columns.extend(manifest.has_intervals().then(|| "confidence".to_owned()));
    columns.extend(["in_domain", "reasons"].map(str::to_owned));
    columns.extend(manifest.percentile_columns().into_iter().map(str::to_owned));
    columns.push("error".to_owned());
    columns
}

fn output_cells(outputs: &Outputs, values: &[f64], trust: &Trust) -> Vec<String> {
    match outputs {
        Outputs::Regression { .. } => {
            let cells = values.iter().enumerate().flat_map(|(index, value)| {
                let ends = trust.intervals.get(index).copied();
                [*value].into_iter().chain(ends.into_iter().flatten())
            });
            cells.map(|number| number.to_string()).collect()
        }
        Outputs::Classification { classes } => {
            let best = crate::domain::most_probable(values);
            classes.get(best).cloned().into_iter().chain(values.iter().map(f64::to_string)).collect()
        }
    }
}

fn confidence(text: &str) -> Result<Confidence, ConfidenceError> {
    text.parse()
}

fn in_words(violations: &[Violation]) -> String {
    violations.iter().map(Violation::in_words).collect::<Vec<_>>().join("; ")
}
