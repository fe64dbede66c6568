//! From a CSV file and a recipe to a bundle: data, scaling, the training loop, and honest measurement.
//!
//! Its own because none of it is needed to answer a request. Plain functions with an observer that can stop
//! them; it knows `model` and below, and neither the registry nor the server.

mod ablation;
mod active;
mod assemble;
mod baselines;
mod boosting;
mod bound;
mod bounds;
mod calibrate;
mod card;
mod cohort;
mod columns;
mod committee;
mod compare;
mod complaints;
mod crossval;
mod dataset;
mod digest;
mod draft;
mod evaluate;
mod fit;
#[cfg(test)]
mod fixture;
mod folds;
mod forest;
mod kernel;
mod lesson;
mod material;
mod metrics;
mod mixer;
mod network;
mod optimizer;
mod outcomes;
mod outliers;
mod parallel;
mod plan;
mod plots;
mod reading;
mod recipe;
mod report;
mod sheet;
mod source;
mod split;
mod split_plots;
mod summary;
mod teacher;
mod warnings;

pub use ablation::{Variant, variants};
pub use active::{Active, LEAST_ROWS, VersionName};
pub use card::model_card;
pub use compare::{Basis, Comparison, compare};
pub use complaints::{BadCell, BadCells, DataError};
pub use crossval::{Contender, CrossValidation, cross_validate};
pub use dataset::Dataset;
pub use digest::row_digest;
pub use draft::draft_recipe;
pub use evaluate::{SplitReport, evaluate};
pub use fit::{FitError, FitOptions, Observer, Progress, Trained, fit};
pub use folds::{Protocol, draw_folds, draw_splits};
pub use metrics::{Scores, classification_scores, regression_scores, summarise};
pub use outcomes::Outcome;
pub use plots::{LossCurves, PlotError, plots};
pub use recipe::{Recipe, RecipeError};
pub use report::{Actual, FoldScores, InUse, Predictions, ProtocolReport, REPORT_FORMAT, Report, ReportData};
pub use source::{
    Censored, ClassRecipe, CompositionRecipe, DefaultRecipe, Elements, FromData, Group, Levels, ParameterRecipe,
    RowFilter, TargetRecipe,
};
pub use split::{Split, SplitError, read_splits};
pub use split_plots::split_plots;
pub use summary::DataSummary;
