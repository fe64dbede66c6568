//! `mcvn predict`: the rows of a CSV file through a bundle.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{device, read, write_whole};
use crate::domain::{Outputs, Sample, TableLayout, Violation};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, DeviceChoice};
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
    let schema = &bundle.manifest().schema;
    let layout = match TableLayout::new(&headers, schema) {
        Ok(layout) => layout,
        Err(violations) => bail!("{}: {}", place(), in_words(&violations)),
    };
    let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().with_context(place)?;
    let mut bad_rows = 0;
    write_whole(&arguments.output, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let outputs = output_columns(&schema.outputs);
        let added = outputs.iter().map(String::as_str).chain(["in_domain", "reasons", "error"]);
        writer.write_record(headers.iter().chain(added))?;
        for chunk in records.chunks(BATCH) {
            for (record, cells) in chunk.iter().zip(predict(&bundle, &layout, chunk)?) {
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
fn predict(bundle: &Bundle, layout: &TableLayout, records: &[csv::StringRecord]) -> Result<Vec<Vec<String>>> {
    let manifest = bundle.manifest();
    let parse = |record| layout.sample(record).and_then(|raw| Sample::parse(&raw, &manifest.schema, ""));
    let samples: Vec<Result<Sample, Vec<Violation>>> = records.iter().map(parse).collect();
    let features: Vec<Features> =
        samples.iter().flatten().map(|sample| featurize(sample, &manifest.schema, &manifest.features)).collect();
    let mut values = bundle.predict(&features.iter().collect::<Vec<_>>())?.into_iter();
    let width = output_columns(&manifest.schema.outputs).len();
    let row = |sample: Result<Sample, Vec<Violation>>| match sample {
        Ok(sample) => {
            let mut cells = output_cells(&manifest.schema.outputs, &values.next().unwrap_or_default());
            let reasons = sample.out_of_domain().join("; ");
            cells.extend([reasons.is_empty().to_string(), reasons, String::new()]);
            cells
        }
        Err(violations) => {
            let mut cells = vec![String::new(); width + 2];
            cells.push(in_words(&violations));
            cells
        }
    };
    Ok(samples.into_iter().map(row).collect())
}

/// Predicted columns stand beside measured ones of the same name, so they say what they are.
fn output_columns(outputs: &Outputs) -> Vec<String> {
    match outputs {
        Outputs::Regression { targets } => targets.iter().map(|target| format!("predicted_{}", target.name)).collect(),
        Outputs::Classification { classes } => {
            let class = "predicted_class".to_owned();
            [class].into_iter().chain(classes.iter().map(|class| format!("probability_{class}"))).collect()
        }
    }
}

fn output_cells(outputs: &Outputs, values: &[f64]) -> Vec<String> {
    let numbers = values.iter().map(f64::to_string);
    match outputs {
        Outputs::Regression { .. } => numbers.collect(),
        Outputs::Classification { classes } => {
            let best = crate::domain::most_probable(values);
            classes.get(best).cloned().into_iter().chain(numbers).collect()
        }
    }
}

fn in_words(violations: &[Violation]) -> String {
    violations.iter().map(Violation::in_words).collect::<Vec<_>>().join("; ")
}
