//! `mcvn check`: how a table is understood, checked before anything is trained on it.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::child::ChildFlags;
use super::fit_flags::DataFlags;
use crate::data::Dataset;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    child: ChildFlags,
    /// Say in one line of JSON whether the table can be trained on, and what is wrong with it, by line and column.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    arguments.child.apply()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let (_, data) = arguments.data.try_read()?;
        let verdict = match data {
            Ok(data) => json!({"event": "checked", "rows": data.samples.len(), "groups": groups(&data)}),
            Err(error) => {
                let errors = error.violations().into_iter();
                let errors: Vec<_> =
                    errors.map(|error| json!({"pointer": error.pointer, "detail": error.detail})).collect();
                json!({"event": "refused", "errors": errors})
            }
        };
        return Ok(writeln!(out, "{verdict}")?);
    }
    let (_, data) = arguments.data.read()?;
    data.summary.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
    data.summary.warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
    writeln!(out, "{} rows in {} groups can be trained on", data.samples.len(), groups(&data))?;
    Ok(())
}

fn groups(data: &Dataset) -> usize {
    data.count_groups(&(0..data.samples.len()).collect::<Vec<_>>())
}
