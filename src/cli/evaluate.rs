//! `mcvn evaluate`: the scores of a recipe, and of its ablations, over splits from a file or drawn here.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::fit_flags::FitFlags;
use super::progress::{Reporter, cancel_flag};
use super::read;
use super::whole::write_whole;
use crate::data::{Dataset, Protocol, Recipe, Split, draw_regions, draw_splits, read_splits, training_steps};
use crate::model::Evaluation;
use crate::train::{Progress, SplitReport, evaluate, split_plots, summarise, variants};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    fit: FitFlags,
    /// Test rows of each split: `split,row,part`, rows counted from 0. Without it splits are drawn, 2 : 1.
    #[arg(long)]
    splits_file: Option<PathBuf>,
    /// How the splits are drawn, or were for the file: random, grouped, or region, which leaves out the farthest fifth
    /// by composition and the highest and the lowest fifth of the process parameter that varies most within groups.
    #[arg(long)]
    protocol: String,
    /// Number of splits: the first of the file (all by default), or as many drawn (10 by default).
    #[arg(long)]
    splits: Option<usize>,
    /// Instead of the recipe itself, evaluate its network alone, variants with parts removed or replaced, and the
    /// paper's network.
    #[arg(long, conflicts_with = "plots")]
    ablation: bool,
    /// Where to write scores and predictions.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder for pictures (SVG): parity with intervals, relative errors, losses; reliability and confusion of classes.
    #[arg(long)]
    plots: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize, Deserialize)]
pub(super) struct Report {
    /// The recipe as read.
    pub(super) recipe: Recipe,
    /// SHA-256 of the data file; with evidence, of all files.
    pub(super) data_sha256: String,
    /// Mean and spread over the splits.
    pub(super) evaluation: Evaluation,
    /// Scores, rows and predictions of each split.
    splits: serde_json::Value,
}

/// What `--ablation --json` writes: an evaluation of each variant, by name.
#[derive(Serialize)]
struct Ablation {
    model: String,
    data_sha256: String,
    variants: Vec<AblationEntry>,
}

#[derive(Serialize)]
struct AblationEntry {
    name: String,
    evaluation: Evaluation,
    /// For attention over the batch: how much an answer changes on average when its row is asked alone, by output in
    /// its unit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    batch_effect: Vec<f64>,
    /// Scores of each split.
    splits: Vec<crate::train::Scores>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let (recipe, data) = arguments.fit.read()?;
    let splits = arguments.read_or_draw(&data)?;
    let runs = if arguments.ablation {
        variants(&recipe).into_iter().map(|variant| (variant.name, variant.recipe)).collect()
    } else {
        vec![(recipe.name.as_str(), recipe.clone())]
    };
    let steps: usize = runs.iter().map(|(_, recipe)| training_steps(recipe, &data) * splits.len()).sum();
    let reporter = Reporter::new(arguments.fit.progress, steps)?;
    reporter.summary(&data.summary);
    reporter.phase("splits", steps);
    let cancelled = cancel_flag()?;
    let mut entries = Vec::new();
    for (name, recipe) in runs {
        let reports = arguments.measure(&recipe, &data, &splits, &reporter, &cancelled)?;
        let scores: Vec<_> = reports.iter().map(|report| report.scores.clone()).collect();
        let evaluation =
            Evaluation { protocol: arguments.protocol.clone(), splits: splits.len(), scores: summarise(&scores) };
        if !arguments.ablation {
            reporter.finish();
            print(name, &evaluation)?;
            return arguments.write(recipe, &data, evaluation, &reports);
        }
        let batch_effect = mean_batch_effect(&reports);
        entries.push(AblationEntry { name: name.to_owned(), evaluation, batch_effect, splits: scores });
    }
    reporter.finish();
    for entry in &entries {
        print(&entry.name, &entry.evaluation)?;
    }
    if let Some(path) = &arguments.json {
        let ablation = Ablation { model: recipe.name, data_sha256: data.files_sha256(), variants: entries };
        write_whole(path, |file| Ok(serde_json::to_writer(file, &ablation)?))?;
    }
    Ok(())
}

impl Arguments {
    fn read_or_draw(&self, data: &Dataset) -> Result<Vec<Split>> {
        let Some(file) = &self.splits_file else {
            let protocol = match self.protocol.as_str() {
                "random" => Protocol::Random,
                "grouped" => Protocol::Grouped,
                "region" => {
                    let rows: Vec<usize> = (0..data.samples.len()).collect();
                    return Ok(draw_regions(data, &rows).into_iter().map(|region| region.split).collect());
                }
                other => bail!("--protocol {other}: without --splits-file it must be random, grouped or region"),
            };
            let count = self.splits.unwrap_or(10).max(1);
            let drawn = draw_splits(&data.groups, protocol, count, self.fit.seed());
            return drawn.context("the data have too few groups for splits of 2 : 1");
        };
        let place = || file.display().to_string();
        let mut splits = read_splits(read(file)?.as_slice(), data.samples.len()).with_context(place)?;
        splits.truncate(self.splits.unwrap_or(splits.len()).max(1));
        Ok(splits)
    }

    fn measure(
        &self,
        recipe: &Recipe,
        data: &Dataset,
        splits: &[Split],
        reporter: &Reporter,
        cancelled: &AtomicBool,
    ) -> Result<Vec<SplitReport>> {
        let observe = |progress: Progress| {
            reporter.step(progress.loss);
            if cancelled.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        Ok(evaluate(recipe, data, splits, &self.fit.options(None)?, &observe)?)
    }

    fn write(&self, recipe: Recipe, data: &Dataset, evaluation: Evaluation, reports: &[SplitReport]) -> Result<()> {
        if let Some(folder) = &self.plots {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            for (name, svg) in split_plots(&recipe, data, reports)? {
                write_whole(&folder.join(name), |file| Ok(file.write_all(svg.as_bytes())?))?;
            }
        }
        if let Some(path) = &self.json {
            let splits = serde_json::to_value(reports)?;
            let report = Report { recipe, data_sha256: data.files_sha256(), evaluation, splits };
            write_whole(path, |file| Ok(serde_json::to_writer(file, &report)?))?;
        }
        Ok(())
    }
}

fn print(name: &str, evaluation: &Evaluation) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name}, {} ({} splits, mean ± std)", evaluation.protocol, evaluation.splits)?;
    for (name, metrics) in &evaluation.scores {
        let cells = metrics.iter().map(|(metric, spread)| format!("{metric} {:.4} ± {:.4}", spread.mean, spread.std));
        writeln!(out, "  {name:<20} {}", cells.collect::<Vec<_>>().join("   "))?;
    }
    Ok(())
}

/// Mean change by output, over all splits that measured it.
fn mean_batch_effect(reports: &[SplitReport]) -> Vec<f64> {
    let width = reports.first().map_or(0, |report| report.batch_effect.len());
    let mean = |output: usize| {
        reports.iter().map(|report| report.batch_effect[output]).sum::<f64>() / reports.len().max(1) as f64
    };
    (0..width).map(mean).collect()
}
