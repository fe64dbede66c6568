//! `mcvn featurize`: the 406 descriptors of compositions, and their grey image.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::{read, write_whole};
use crate::domain::{Basis, Composition, Element, parse_formula};
use crate::featurize::{DESCRIPTORS, descriptor_label, descriptors, draw_png, grey_levels};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Csv,
}

#[derive(Args)]
pub(super) struct Arguments {
    /// A formula in atomic parts, such as Zr41.2Ti13.8Cu12.5Ni10Be22.5; amounts are taken as written.
    #[arg(required_unless_present = "csv")]
    formula: Option<String>,
    /// Instead: a CSV file with a `formula` column, or one column per element.
    #[arg(long, conflicts_with = "formula", requires = "output")]
    csv: Option<PathBuf>,
    /// Where to write the descriptors of --csv: one row a composition, XenonPy's labels.
    #[arg(long)]
    output: Option<PathBuf>,
    /// How to print the descriptors of a formula.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Draw the 24 × 21 grey image of the formula as a PNG file.
    #[arg(long, requires = "formula")]
    png: Option<PathBuf>,
    /// Size of a pixel of the image (at least 40 with --labels).
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100))]
    scale: u32,
    /// Write each block's property into the image.
    #[arg(long)]
    labels: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    match (&arguments.formula, &arguments.csv, &arguments.output) {
        (Some(formula), _, _) => one(formula, arguments),
        (None, Some(input), Some(output)) => many(input, output),
        _ => bail!("give a formula, or --csv and --output"),
    }
}

fn one(formula: &str, arguments: &Arguments) -> Result<()> {
    let composition = parse_formula(formula).with_context(|| formula.to_owned())?;
    let values = descriptors(&composition);
    let labelled = (0..DESCRIPTORS).map(descriptor_label).zip(values.values());
    if let Some(path) = &arguments.png {
        let file = draw_png(&grey_levels(&composition), arguments.scale, arguments.labels)?;
        write_whole(path, |out| Ok(out.write_all(&file)?))?;
    }
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => {
            let map: serde_json::Map<_, _> = labelled.map(|(label, value)| (label, (*value).into())).collect();
            writeln!(out, "{:#}", serde_json::json!({ "descriptors": map }))?;
        }
        Format::Csv => {
            writeln!(out, "descriptor,value")?;
            for (label, value) in labelled {
                writeln!(out, "{label},{value}")?;
            }
        }
    }
    Ok(())
}

fn many(input: &Path, output: &Path) -> Result<()> {
    let place = || input.display().to_string();
    let bytes = read(input)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
    let headers = reader.headers().with_context(place)?.clone();
    let formula = headers.iter().position(|header| header == "formula" || header == "composition");
    let elements: Vec<Option<Element>> = headers.iter().map(|header| header.parse().ok()).collect();
    if formula.is_none() && elements.iter().flatten().count() == 0 {
        bail!("{}: no column is named formula or after an element", place());
    }
    write_whole(output, |out| {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record((0..DESCRIPTORS).map(descriptor_label))?;
        for record in reader.records() {
            let record = record.with_context(place)?;
            let line = record.position().map_or(0, csv::Position::line);
            let composition = match formula {
                Some(at) => parse_formula(&record[at]).map_err(anyhow::Error::from),
                None => amounts(&record, &elements),
            };
            let composition = composition.with_context(|| format!("{}, line {line}", place()))?;
            writer.write_record(descriptors(&composition).values().iter().map(f64::to_string))?;
        }
        Ok(writer.flush()?)
    })
}

/// Amounts as written: the basis only names them.
fn amounts(record: &csv::StringRecord, elements: &[Option<Element>]) -> Result<Composition> {
    let mut amounts = Vec::new();
    for (cell, element) in record.iter().zip(elements) {
        if let Some(element) = element.filter(|_| !cell.is_empty()) {
            let amount = cell.parse::<f64>().with_context(|| format!("{element}: \"{cell}\" is not a number"))?;
            amounts.push((element, amount));
        }
    }
    Ok(Composition::new(Basis::AtomicPercent, amounts)?)
}
