//! Flags for the data and the training, shared by all commands that train or evaluate.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::progress::ProgressFormat;
use super::table_flags::{SetFlags, TableFlags};
use super::{UnreadableInput, device, file_name, read};
use crate::data::{DataError, Dataset, EvidenceError, EvidenceRecipe, Recipe};
use crate::domain::Violation;
use crate::model::DeviceChoice;
use crate::train::FitOptions;

/// A table, and the recipe to read it with.
#[derive(Args)]
pub(super) struct DataFlags {
    /// The recipe: which columns are what, and how to train.
    #[arg(long)]
    recipe: PathBuf,
    /// The data: a table (CSV in any encoding, or a workbook) with the columns that the recipe names.
    #[arg(long)]
    data: PathBuf,
    /// A file of evidence that the recipe names; beside the data file where it is not given. Several in the order of the
    /// recipe's entries.
    #[arg(long)]
    evidence: Vec<PathBuf>,
    /// Go on without the evidence that the recipe names; the model then learns from the rows alone.
    #[arg(long, conflicts_with = "evidence")]
    without_evidence: bool,
    #[command(flatten)]
    table: TableFlags,
}

/// Why the data cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

impl InputError {
    /// The errors with JSON pointers.
    pub(super) fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Data(error) => error.violations(),
            Self::Evidence(error) => error.violations(),
        }
    }
}

/// Flags shared by training and evaluating.
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
        let place = match &data {
            Err(InputError::Evidence(_)) => "evidence".to_owned(),
            _ => self.data.display().to_string(),
        };
        Ok((recipe, data.map_err(|error| UnreadableInput(error.to_string())).context(place)?))
    }

    /// The recipe, and the data or what is wrong with it.
    pub(super) fn try_read(&self) -> Result<(Recipe, Result<Dataset, InputError>)> {
        let place = || self.recipe.display().to_string();
        let text = String::from_utf8(read(&self.recipe)?).with_context(place)?;
        let recipe = Recipe::parse(&text).with_context(place)?;
        let mapping = self.table.mapping(&SetFlags::default());
        let data = Dataset::read_as(&read(&self.data)?, &recipe, &self.table.options(), &mapping);
        let data = match data {
            Err(error) => Err(error.into()),
            Ok(data) if self.without_evidence => Ok(data.without_evidence(&recipe)),
            Ok(data) if recipe.evidence.is_empty() && self.evidence.is_empty() => Ok(data),
            Ok(data) => data.with_evidence(&recipe, &self.read_evidence(&recipe)?).map_err(InputError::from),
        };
        Ok((recipe, data))
    }

    /// The files of evidence: those given, or those beside the data file.
    fn read_evidence(&self, recipe: &Recipe) -> Result<Vec<Vec<u8>>> {
        if !self.evidence.is_empty() {
            return self.evidence.iter().map(|path| read(path)).collect();
        }
        let beside = |entry: &EvidenceRecipe| {
            let path = self.data.with_file_name(&entry.file);
            read(&path).context(
                "the recipe's evidence: put the file beside the data, name it with --evidence FILE, or train without it \
                 (--without-evidence)",
            )
        };
        recipe.evidence.iter().map(beside).collect()
    }

    /// Name of the data file, without its folder.
    pub(super) fn file(&self) -> String {
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
