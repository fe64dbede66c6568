//! `mcvn check`: how a table is understood, checked before anything is trained on it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::child::ChildFlags;
use super::fit_flags::DataFlags;
use crate::data::Dataset;
use crate::doctor::examine;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    child: ChildFlags,
    /// Say in one line of JSON whether the table can be trained on, and what is wrong with it, by line and column.
    #[arg(long)]
    json: bool,
    /// Write what looks wrong in the table as a page of HTML to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// End with exit status 1 if a row is doubted.
    #[arg(long)]
    strict: bool,
}

/// Rows are doubted, and `--strict` was given.
#[derive(Debug, thiserror::Error)]
#[error("{doubted} of {rows} rows are doubted (--strict)")]
struct Doubted {
    doubted: usize,
    rows: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    arguments.child.apply()?;
    let mut out = std::io::stdout().lock();
    let (recipe, data) = match arguments.json {
        true => match arguments.data.try_read()? {
            (recipe, Ok(data)) => (recipe, data),
            (_, Err(error)) => {
                let errors = error.violations().into_iter();
                let errors: Vec<_> =
                    errors.map(|error| json!({"pointer": error.pointer, "detail": error.detail})).collect();
                return Ok(writeln!(out, "{}", json!({"event": "refused", "errors": errors}))?);
            }
        },
        false => arguments.data.read()?,
    };
    let report = examine(&recipe, &data);
    if let Some(path) = &arguments.html {
        let page = report.to_html(&arguments.data.file());
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    if arguments.json {
        let verdict =
            json!({"event": "checked", "rows": data.samples.len(), "groups": groups(&data), "report": report});
        writeln!(out, "{verdict}")?;
    } else {
        data.summary.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        data.summary.warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
        write!(out, "{report}")?;
        writeln!(out, "{} rows in {} groups can be trained on", data.samples.len(), groups(&data))?;
    }
    let (doubted, rows) = (report.doubted_lines().len(), report.rows);
    if arguments.strict && doubted > 0 {
        return Err(Doubted { doubted, rows }.into());
    }
    Ok(())
}

fn groups(data: &Dataset) -> usize {
    data.count_groups(&(0..data.samples.len()).collect::<Vec<_>>())
}
