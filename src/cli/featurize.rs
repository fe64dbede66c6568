//! `mcvn featurize`: the 406 descriptors of compositions, and their grey image.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::table_flags::{SetFlags, TableFlags};
use super::whole::write_whole;
use super::{UnreadableInput, in_words, read};
use crate::domain::{
    Basis, Composition, CompositionSchema, Element, ElementError, Formula, Outputs, RawComposition, RawSample, Schema,
    parse_formula, read_formula,
};
use crate::featurize::{DESCRIPTORS, descriptor_label, descriptors, draw_png, grey_levels};
use crate::tables::{Limits, TableLayout, Tally, read_table};

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
    /// Instead: a table (CSV or a workbook) with a `formula` column, or one column per element.
    #[arg(long, conflicts_with = "formula", requires = "output")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    table: TableFlags,
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
        (None, Some(input), Some(output)) => many(input, output, &arguments.table),
        _ => bail!("give a formula, or --csv and --output"),
    }
}

fn one(formula: &str, arguments: &Arguments) -> Result<()> {
    let Formula { composition, notes } = read_formula(formula).with_context(|| formula.to_owned())?;
    notes.iter().for_each(|note| eprintln!("mcvn: {note}"));
    let whole = composition.scaled_to(100.0);
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
            let basis = |basis| amounts(&whole.to_basis(basis).scaled_to(100.0));
            let understood = serde_json::json!({
                "atomic_percent": basis(Basis::AtomicPercent), "weight_percent": basis(Basis::WeightPercent),
            });
            writeln!(out, "{:#}", serde_json::json!({ "composition": understood, "descriptors": map }))?;
        }
        Format::Csv => {
            let shown: Vec<String> =
                whole.amounts().iter().map(|(element, amount)| format!("{element} {amount:.4}")).collect();
            eprintln!("mcvn: read as {} at%", shown.join(", "));
            writeln!(out, "descriptor,value")?;
            for (label, value) in labelled {
                writeln!(out, "{label},{value}")?;
            }
        }
    }
    Ok(())
}

/// Amounts by symbol, to four decimals.
fn amounts(composition: &Composition) -> serde_json::Map<String, serde_json::Value> {
    let rounded = |amount: f64| (amount * 1e4).round() / 1e4;
    let amounts = composition.amounts().iter();
    amounts.map(|(element, amount)| (element.symbol().to_owned(), rounded(*amount).into())).collect()
}

fn many(input: &Path, output: &Path, table: &TableFlags) -> Result<()> {
    let place = || input.display().to_string();
    let refuse = |detail: String| UnreadableInput(format!("{}: {detail}", place()));
    let read = read_table(&read(input)?, &table.options(), Limits::default());
    let (head, chunk) = read.map_err(|error| refuse(error.to_string()))?;
    let layout = TableLayout::new(&head, &any_composition(), &table.mapping(&SetFlags::default()), &[]);
    let layout = layout.map_err(|violations| refuse(in_words(&violations)))?;
    let mut tally = Tally::default();
    write_whole(output, |out| {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record((0..DESCRIPTORS).map(descriptor_label))?;
        for (line, row) in head.numbered_rows(&chunk).filter(|(_, row)| !row.is_blank()) {
            let composition = layout.sample(&row, &mut tally).map_err(|violations| in_words(&violations));
            let composition = composition.and_then(|raw| as_written(&raw));
            let composition = composition.map_err(|detail| refuse(format!("line {line}: {detail}")))?;
            writer.write_record(descriptors(&composition).values().iter().map(f64::to_string))?;
        }
        Ok(writer.flush()?)
    })?;
    head.notes.iter().chain(layout.notes()).for_each(|note| eprintln!("mcvn: {note}"));
    tally.notes().iter().for_each(|note| eprintln!("mcvn: {note}"));
    Ok(())
}

/// A schema that accepts a composition of any elements and no other input.
fn any_composition() -> Schema {
    let composition = CompositionSchema::new(Basis::AtomicPercent, None);
    Schema { composition, processing: Vec::new(), outputs: Outputs::Classification { classes: Vec::new() } }
}

/// The amounts without conversion; the basis is only a label.
fn as_written(raw: &RawSample) -> Result<Composition, String> {
    match &raw.composition {
        None => Err("no composition is given".to_owned()),
        Some(RawComposition::Formula(text)) => parse_formula(text).map_err(|error| error.to_string()),
        Some(RawComposition::Amounts(amounts)) => {
            let known: Result<Vec<_>, _> =
                amounts.iter().map(|(symbol, amount)| Ok((symbol.parse::<Element>()?, *amount))).collect();
            let known = known.map_err(|error: ElementError| error.to_string())?;
            Composition::new(raw.basis.unwrap_or(Basis::AtomicPercent), known).map_err(|error| error.to_string())
        }
    }
}
