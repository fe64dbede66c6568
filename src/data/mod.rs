//! Descriptions of data and results: recipes, rows, splits, reports, and the lines that a training prints.
//!
//! Used by everything that starts a training or reads its results. Nothing is trained here.

mod amounts;
mod bounds;
mod dataset;
mod defaults;
mod digest;
mod draft;
mod events;
mod evidence;
#[cfg(test)]
pub(crate) mod fixture;
mod folds;
mod label;
mod learners;
mod reading;
mod recipe;
mod reference;
mod regions;
mod report;
mod source;
mod splits;
mod summary;

pub use dataset::Dataset;
pub use digest::row_digest;
pub use draft::draft_recipe;
pub use events::{TrainingEvent, TrainingProgress};
pub use evidence::{EvidenceRecipe, EvidenceRow};
pub use folds::{Protocol, draw_folds, draw_mixed_folds, draw_splits};
pub use label::Label;
pub use learners::{
    BoostingRecipe, CalibrationRecipe, ForestRecipe, GpRecipe, MemberRecipe, NetworkMemberRecipe, Splits,
    TeacherRecipe, Training,
};
pub use reading::complaints::{BadCell, BadCells, DataError};
pub use reading::evidence::EvidenceError;
pub use recipe::{NetworkRecipe, Preset, PresetName, Recipe, RecipeError, ScalingKind, ScalingRecipe};
pub use reference::recipe_reference;
pub use regions::{Region, calibration_regions, draw_regions, training_steps};
pub use report::{
    Actual, Comparison, ComparisonBasis, Doubts, FoldScores, NotDoubted, Predictions, ProtocolReport, REPORT_FORMAT,
    Report, ReportData, VersionName,
};
pub use source::{
    Blank, Censored, ClassRecipe, CompositionRecipe, DefaultRecipe, Elements, FromData, Group, Levels, ParameterRecipe,
    RowFilter, TargetRecipe,
};
pub use splits::{Split, SplitError, read_splits};
pub use summary::{DataSummary, HARDLY_ANY_GROUPS};
