//! From rows and a recipe to a bundle: scaling, training, calibration, evaluation.
//!
//! Serving does not need this module. It consists of plain functions with an observer that can stop them. It knows
//! `data`, `model` and below, but neither the registry nor the server.

mod calibrate;
mod error;
mod evaluation;
mod fit;
#[cfg(test)]
mod fixture;
mod infer;
mod input_distance;
mod learners;
mod metrics;
mod parallel;
mod plan;
mod plots;
mod progress;
mod report;
mod trained;
mod training_set;

pub use error::FitError;
pub use evaluation::ablation::{Variant, variants};
pub use evaluation::crossval::{Contender, CrossValidation, cross_validate};
pub use evaluation::evaluate::{SplitReport, evaluate};
pub use evaluation::trust_scores::ChanceOutcome;
pub use fit::fit;
pub use metrics::{Scores, classification_scores, regression_scores, summarise};
pub use plots::canvas::PlotError;
pub use plots::report::plots;
pub use plots::splits::split_plots;
pub use progress::{LossCurves, Observer, Progress};
pub use report::build::InUse;
pub use report::compare::compare;
pub use report::incumbent::{Incumbent, LEAST_ROWS};
pub use report::model_card::model_card;
pub use trained::{FitOptions, Trained};
