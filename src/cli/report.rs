//! `mcvn train --report`: measures a recipe before the last training and compares it with simple methods and the
//! active version.
//!
//! Without `--report` none of this runs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::UnreadableInput;
use super::progress::Reporter;
use crate::data::{Dataset, Doubts, Protocol, Recipe, Report, VersionName, draw_folds, training_steps};
use crate::doctor::examine;
use crate::registry::{LoadError, load_bundle};
use crate::train::{
    CrossValidation, FitOptions, InUse, Incumbent, LossCurves, Observer, Trained, cross_validate, plots,
};

#[derive(Args)]
pub(super) struct ReportFlags {
    /// First measure the recipe by cross-validation on random and on grouped folds, beside ridge regression and
    /// a random forest; write report.json and plots/*.svg into the bundle, and the scores into its manifest.
    #[arg(long, conflicts_with = "evaluation")]
    report: bool,
    /// Folds of each protocol: every row is a test row once. 3 is the paper's 2 : 1.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=10), requires = "report")]
    folds: u8,
    /// Folder of the version in use: the report compares the new one with it.
    #[arg(long, requires = "report")]
    compare: Option<PathBuf>,
    /// Lines of doubted rows that are right all the same, separated by commas; `mcvn check` names doubted rows.
    #[arg(long, value_name = "LINES", value_delimiter = ',', requires = "report")]
    confirm: Vec<u64>,
}

/// What was measured before the last training.
pub(super) struct Measured {
    validations: Vec<CrossValidation>,
    in_use: InUse,
    doubts: Doubts,
    seed: u64,
}

/// Additional files of a bundle, by name within its folder.
pub(super) type ExtraFiles = Vec<(String, Vec<u8>)>;

impl ReportFlags {
    /// The protocols to measure: none without `--report`, only one if there are too few groups.
    pub(super) fn protocols(&self, data: &Dataset, seed: u64) -> Vec<Protocol> {
        let possible = |protocol: &Protocol| draw_folds(&data.groups, *protocol, self.folds(), seed).is_some();
        let both = [Protocol::Random, Protocol::Grouped];
        both.into_iter().filter(|protocol| self.report && possible(protocol)).collect()
    }

    pub(super) fn folds(&self) -> usize {
        usize::from(self.folds)
    }

    /// `None` without `--report`.
    pub(super) fn measure(
        &self,
        recipe: &Recipe,
        data: &Dataset,
        options: &FitOptions,
        reporter: &Reporter,
        observe: Observer,
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Measured>> {
        if !self.report {
            return Ok(None);
        }
        // Before the work, because a wrong --confirm ends it.
        let doubts = Doubts::new(examine(recipe, data).doubted_lines(), &self.confirm);
        let doubts = doubts.map_err(|error| UnreadableInput(format!("--confirm: {error}")))?;
        let in_use = self.ask_version_in_use(data, options)?;
        let mut validations = Vec::new();
        for protocol in self.protocols(data, options.seed) {
            reporter.phase(
                match protocol {
                    Protocol::Random => "random folds",
                    Protocol::Grouped => "grouped folds",
                },
                training_steps(recipe, data) * self.folds(),
            );
            validations.extend(cross_validate(recipe, data, protocol, self.folds(), options, observe, stopped)?);
        }
        Ok(Some(Measured { validations, in_use, doubts, seed: options.seed }))
    }

    fn ask_version_in_use(&self, data: &Dataset, options: &FitOptions) -> Result<InUse> {
        let Some(folder) = &self.compare else { return Ok(InUse::Nothing) };
        let bundle = match load_bundle(folder, &options.device) {
            Ok(bundle) => bundle,
            // A missing folder is a mistake of the caller. But a bundle that this program can no longer read must not
            // prevent the training of its successor.
            Err(LoadError::Bundle { source, .. }) => return Ok(InUse::Unfit(None, source.to_string())),
            Err(error) => bail!("--compare: {error}"),
        };
        let version = VersionName::of(bundle.manifest());
        Ok(match Incumbent::ask(&bundle, data) {
            Ok(active) => InUse::Asked(active),
            Err(why) => InUse::Unfit(Some(version), why),
        })
    }
}

impl Measured {
    /// Writes the scores into a manifest and returns the files of the report.
    pub(super) fn report(
        &self,
        recipe: &Recipe,
        data: &Dataset,
        trained: &mut Trained,
        losses: &LossCurves,
        reporter: &Reporter,
    ) -> Result<ExtraFiles> {
        let rows = (data, &self.doubts);
        let report = Report::new(&trained.manifest, recipe, rows, &self.validations, &self.in_use, self.seed);
        // The warnings about the data come first and were shown before the first step.
        report.warnings.iter().skip(data.summary.warnings.len()).for_each(|warning| reporter.warn(warning));
        trained.manifest.evaluation = report.evaluations();
        let mut json = serde_json::to_vec(&report)?;
        json.push(b'\n');
        let pictures = plots(recipe, &report, losses).context("the report's plots")?;
        let pictures = pictures.into_iter().map(|(name, svg)| (name, svg.into_bytes()));
        Ok([("report.json".to_owned(), json)].into_iter().chain(pictures).collect())
    }
}
