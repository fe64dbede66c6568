//! `mcvn check`: what is understood of a table, before anything is trained on it.

use std::io::Write;

use anyhow::Result;
use clap::Args;

use super::fit_flags::DataFlags;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataFlags,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let (_, data) = arguments.data.read()?;
    let groups = data.count_groups(&(0..data.samples.len()).collect::<Vec<_>>());
    let mut out = std::io::stdout().lock();
    data.summary.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
    data.summary.warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
    writeln!(out, "{} rows in {groups} groups can be trained on", data.samples.len())?;
    Ok(())
}
