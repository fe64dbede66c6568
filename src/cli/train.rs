//! `mcvn train`: a recipe and a CSV file become a bundle.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::child::ChildFlags;
use super::progress::{ProgressFormat, Reporter, cancel_flag, print_line};
use super::report::ReportFlags;
use super::table_flags::{SetFlags, TableFlags};
use super::{UnreadableInput, device, file_name, read};
use crate::model::{DeviceChoice, Evaluation};
use crate::registry::{self, StoredBundle, Writer};
use crate::train::{DataError, Dataset, FitOptions, LossCurves, Progress, Recipe, fit, model_card};

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

/// A table, and the recipe to read it with.
#[derive(Args)]
pub(super) struct DataFlags {
    /// The recipe: which columns are what, and how to train.
    #[arg(long)]
    recipe: PathBuf,
    /// The data: a table (CSV in any encoding, or a workbook) with the columns that the recipe names.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    table: TableFlags,
}

/// What training and measuring have in common.
#[derive(Args)]
pub(super) struct FitFlags {
    #[command(flatten)]
    source: DataFlags,
    /// Seed of everything random: the same seed gives the same bytes. Splits count on from it.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Where to train: auto, cpu or cuda:N.
    #[arg(long, default_value = "cpu", value_parser = device)]
    device: DeviceChoice,
    /// Members or splits trained side by side on a CPU (all cores by default).
    #[arg(long)]
    threads: Option<usize>,
    /// How progress is shown.
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) progress: ProgressFormat,
}

impl DataFlags {
    /// The recipe, and the data read with it.
    pub(super) fn read(&self) -> Result<(Recipe, Dataset)> {
        let (recipe, data) = self.try_read()?;
        let data = data.map_err(|error| UnreadableInput(error.to_string()));
        Ok((recipe, data.with_context(|| self.data.display().to_string())?))
    }

    /// The same, with what is wrong with the data.
    pub(super) fn try_read(&self) -> Result<(Recipe, Result<Dataset, DataError>)> {
        let place = || self.recipe.display().to_string();
        let text = String::from_utf8(read(&self.recipe)?).with_context(place)?;
        let recipe = Recipe::parse(&text).with_context(place)?;
        let mapping = self.table.mapping(&SetFlags::default());
        let data = Dataset::read_as(&read(&self.data)?, &recipe, &self.table.options(), &mapping);
        Ok((recipe, data))
    }

    /// Name of the data file, without its folder.
    fn file(&self) -> String {
        file_name(&self.data)
    }
}

impl FitFlags {
    /// Seed of everything random.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// The recipe, and the data read with it.
    pub(super) fn read(&self) -> Result<(Recipe, Dataset)> {
        self.source.read()
    }

    /// The options of a training on the data.
    pub(super) fn options(&self, created: Option<String>) -> Result<FitOptions> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(FitOptions {
            seed: self.seed,
            threads: self.threads.unwrap_or_else(cores).max(1),
            device: self.device.open()?.device,
            data_file: self.source.file(),
            created,
        })
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    arguments.child.apply()?;
    let (recipe, data) = arguments.fit.read()?;
    let evaluations: Vec<Evaluation> =
        arguments.evaluation.iter().map(|path| read_evaluation(path, &recipe, &data)).collect::<Result<_>>()?;
    if let Some(out) = arguments.out.as_ref().filter(|out| out.exists()) {
        bail!("{} exists already", out.display());
    }
    // Before the work: a folder that a running server writes to would refuse what comes of it.
    let writer = arguments.install.as_ref().map(|models| Writer::open(std::slice::from_ref(models))).transpose()?;
    if let Some(version) = arguments.version.as_ref().filter(|version| !registry::is_name(version)) {
        bail!("--version {version}: use letters, digits, dots, - and _");
    }
    let options = arguments.fit.options(arguments.created.clone())?;
    let (steps, protocols) = (recipe.steps(data.target_sets()), arguments.report.protocols(&data, options.seed));
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
    let card = model_card(&trained.manifest, &recipe.limits);
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
            let (name, version) = (&trained.manifest.name, &trained.manifest.version);
            print_line(&serde_json::json!({"event": "done", "name": name, "version": version}));
        }
        _ => eprintln!("{} {} in {}", recipe.name, trained.manifest.version, folder.display()),
    }
    Ok(())
}

/// Scores may only be recorded with the model and the data that they were measured with.
fn read_evaluation(path: &Path, recipe: &Recipe, data: &Dataset) -> Result<Evaluation> {
    let place = || path.display().to_string();
    let report: super::evaluate::Report = serde_json::from_slice(&read(path)?).with_context(place)?;
    if !report.recipe.makes_the_same_as(recipe) || report.data_sha256 != data.sha256 {
        bail!("{}: measured with another recipe or other data", place());
    }
    Ok(report.evaluation)
}
