//! `mcvn evaluate`: the scores of a recipe over the splits of a file.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::progress::{Reporter, cancel_flag};
use super::train::FitFlags;
use super::{read, write_whole};
use crate::model::Evaluation;
use crate::train::{Progress, Recipe, evaluate, read_splits, summarise};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    fit: FitFlags,
    /// Test rows of each split: `split,row,part`, rows counted from 0.
    #[arg(long)]
    splits_file: PathBuf,
    /// How the splits were drawn, for the record: random or grouped.
    #[arg(long)]
    protocol: String,
    /// Only the first so many splits.
    #[arg(long)]
    splits: Option<usize>,
    /// Where to write scores and predictions.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize, Deserialize)]
pub(super) struct Report {
    /// The recipe as read.
    pub(super) recipe: Recipe,
    /// SHA-256 of the data file.
    pub(super) data_sha256: String,
    /// Mean and spread over the splits.
    pub(super) evaluation: Evaluation,
    /// Scores, rows and predictions of each split.
    splits: serde_json::Value,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let (recipe, data) = arguments.fit.read()?;
    let place = || arguments.splits_file.display().to_string();
    let mut splits = read_splits(read(&arguments.splits_file)?.as_slice(), data.samples.len()).with_context(place)?;
    splits.truncate(arguments.splits.unwrap_or(splits.len()).max(1));
    let options = arguments.fit.options(None)?;
    let reporter = Reporter::new(arguments.fit.progress, recipe.steps() * splits.len())?;
    reporter.phase("splits", recipe.steps() * splits.len());
    let cancelled = cancel_flag()?;
    let observe = |progress: Progress| {
        reporter.step(progress.loss);
        if cancelled.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let reports = evaluate(&recipe, &data, &splits, &options, &observe)?;
    reporter.finish();
    let scores: Vec<_> = reports.iter().map(|report| report.scores.clone()).collect();
    let evaluation =
        Evaluation { protocol: arguments.protocol.clone(), splits: splits.len(), scores: summarise(&scores) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} {} ({} splits, mean ± std)", recipe.name, evaluation.protocol, evaluation.splits)?;
    for (name, metrics) in &evaluation.scores {
        let cells = metrics.iter().map(|(metric, spread)| format!("{metric} {:.4} ± {:.4}", spread.mean, spread.std));
        writeln!(out, "  {name:<20} {}", cells.collect::<Vec<_>>().join("   "))?;
    }
    if let Some(path) = &arguments.json {
        let splits = serde_json::to_value(&reports)?;
        let report = Report { recipe, data_sha256: data.sha256.clone(), evaluation, splits };
        write_whole(path, |file| Ok(serde_json::to_writer(file, &report)?))?;
    }
    Ok(())
}
