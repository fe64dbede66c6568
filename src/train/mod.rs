//! From a CSV file and a recipe to a bundle: data, scaling, the training loop, and honest measurement.
//!
//! Its own because none of it is needed to answer a request. Plain functions with an observer that can stop
//! them; it knows `model` and below, and neither the registry nor the server.

mod baselines;
mod card;
mod cohort;
mod crossval;
mod dataset;
mod evaluate;
mod fit;
mod folds;
mod metrics;
mod optimizer;
mod parallel;
mod recipe;
mod split;

pub use card::model_card;
pub use crossval::{Contender, CrossValidation, cross_validate};
pub use dataset::{DataError, Dataset, Outcome};
pub use evaluate::{SplitReport, evaluate};
pub use fit::{FitError, FitOptions, Observer, Progress, Trained, fit};
pub use folds::{Protocol, draw_folds};
pub use metrics::{Scores, classification_scores, regression_scores, summarise};
pub use recipe::{Recipe, RecipeError};
pub use split::{Split, SplitError, read_splits};
