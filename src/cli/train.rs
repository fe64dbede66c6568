//! `mcvn train`: a recipe and a CSV file become a bundle.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::child::ChildFlags;
use super::fit_flags::FitFlags;
use super::progress::{ProgressFormat, Reporter, cancel_flag, print_event};
use super::read;
use super::report::ReportFlags;
use crate::data::{Dataset, Recipe, TrainingEvent, training_steps};
use crate::model::Evaluation;
use crate::registry::{self, StoredBundle, Writer};
use crate::train::{LossCurves, Progress, fit, model_card};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    fit: FitFlags,
    #[command(flatten)]
    report: ReportFlags,
    #[command(flatten)]
    child: ChildFlags,
    /// Folder of the new bundle; it must not exist.
    #[arg(long, required_unless_present = "install")]
    out: Option<PathBuf>,
    /// Instead of --out: install the bundle in this models folder as MODEL/VERSION and make it active.
    #[arg(long, conflicts_with = "out")]
    install: Option<PathBuf>,
    /// Name of the version (by default the start of a SHA-256 over all that decides an answer: weights, schema with its
    /// units, scalers, calibration).
    #[arg(long)]
    version: Option<String>,
    /// RFC 3339 time to record in the manifest (none by default, so that the same seed gives the same bytes).
    #[arg(long)]
    created: Option<String>,
    /// Scores to record in the manifest and the card, written by `mcvn evaluate --json`; may be repeated.
    #[arg(long)]
    evaluation: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    arguments.child.apply()?;
    let (recipe, data) = arguments.fit.read()?;
    let evaluations: Vec<Evaluation> =
        arguments.evaluation.iter().map(|path| read_evaluation(path, &recipe, &data)).collect::<Result<_>>()?;
    if let Some(out) = arguments.out.as_ref().filter(|out| out.exists()) {
        bail!("{} exists already", out.display());
    }
    // Before the work, because the result could not be installed into a folder that a running server writes to.
    let writer = arguments.install.as_ref().map(|models| Writer::open(std::slice::from_ref(models))).transpose()?;
    if let Some(version) = arguments.version.as_ref().filter(|version| !registry::is_name(version)) {
        bail!("--version {version}: use letters, digits, dots, - and _");
    }
    let options = arguments.fit.options(arguments.created.clone())?;
    let (steps, protocols) = (training_steps(&recipe, &data), arguments.report.protocols(&data, options.seed));
    let reporter = Reporter::new(arguments.fit.progress, steps * (1 + protocols.len() * arguments.report.folds()))?;
    reporter.summary(&data.summary);
    let cancelled = cancel_flag()?;
    let stopped = || cancelled.load(Ordering::Relaxed);
    let observe = |progress: Progress| {
        reporter.step(progress.loss);
        if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let measured = arguments.report.measure(&recipe, &data, &options, &reporter, &observe, &stopped)?;
    let losses = LossCurves::default();
    let observe = |progress: Progress| {
        losses.record(progress);
        observe(progress)
    };
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    reporter.phase("training", steps);
    let mut trained = fit(&recipe, &data, &rows, &options, &observe)?;
    reporter.finish();
    trained.manifest.evaluation = evaluations;
    if let Some(version) = &arguments.version {
        trained.manifest.version.clone_from(version);
    }
    let report = measured.map(|measured| measured.report(&recipe, &data, &mut trained, &losses, &reporter));
    let extras = report.transpose()?.unwrap_or_default();
    let card = model_card(&trained.manifest);
    let mut manifest = serde_json::to_vec_pretty(&trained.manifest)?;
    manifest.push(b'\n');
    let bundle = StoredBundle { manifest, weights: trained.weights };
    let folder = match (&arguments.out, &arguments.install) {
        (Some(out), _) => out.clone(),
        (None, Some(models)) => models.join(&recipe.name).join(&trained.manifest.version),
        (None, None) => bail!("give --out or --install"),
    };
    let known = writer.is_some() && registry::holds_the_same(&folder, &trained.manifest);
    if known {
        registry::try_bundle(&folder, &options.device)?;
        reporter.warn("the same version as before: data, recipe and seed are the same; it is kept as it was");
    } else {
        registry::write_bundle(&folder, &bundle, &card, &extras)?;
    }
    if let Some(writer) = writer {
        writer.promote(&recipe.name, &trained.manifest.version)?;
    }
    match arguments.fit.progress {
        ProgressFormat::Json => {
            let (name, version) = (trained.manifest.name, trained.manifest.version);
            print_event(&TrainingEvent::Done { name, version });
        }
        _ => eprintln!("{} {} in {}", recipe.name, trained.manifest.version, folder.display()),
    }
    Ok(())
}

/// Reads an evaluation. It must come from the same recipe and data as the model.
fn read_evaluation(path: &Path, recipe: &Recipe, data: &Dataset) -> Result<Evaluation> {
    let place = || path.display().to_string();
    let report: super::evaluate::Report = serde_json::from_slice(&read(path)?).with_context(place)?;
    if !report.recipe.makes_the_same_as(recipe) || report.data_sha256 != data.files_sha256() {
        bail!("{}: measured with another recipe or other data", place());
    }
    Ok(report.evaluation)
}
