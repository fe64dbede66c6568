//! The body of `POST /admin/jobs`: what is to be retrained and how, as JSON or as a part of a form.

use serde::Deserialize;
use utoipa::ToSchema;

/// The options of a job need no more.
pub(super) const MOST_OPTION_BYTES: usize = 64_000;

/// What to retrain, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JobBody {
    /// The model, by name.
    #[schema(example = "steel-lab42")]
    pub(super) model: String,
    /// Name of a table in the configured folder of data files (not with an upload).
    pub(super) data: Option<String>,
    /// The data of an earlier job, by its number (not with an upload).
    pub(super) data_of_job: Option<u64>,
    /// Seed of everything random.
    #[serde(default = "default_seed")]
    #[schema(default = 7)]
    pub(super) seed: u64,
    /// Folds of the cross-validation, 2 to 10.
    #[serde(default = "default_folds")]
    #[schema(default = 3)]
    pub(super) folds: usize,
    /// Encoding of the data, where it is not to be guessed.
    pub(super) encoding: Option<String>,
    /// Sheet of a workbook, by name or by number from 1; the first one that is not empty where none is given.
    pub(super) sheet: Option<String>,
    /// What columns are, as `COLUMN=FIELD`.
    #[serde(default)]
    #[schema(example = json!(["AlT=Al"]))]
    pub(super) map: Vec<String>,
}

fn default_seed() -> u64 {
    7
}

fn default_folds() -> usize {
    3
}

/// A multipart request: the options as JSON, the rows as a table (CSV or a workbook).
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes bodies; they are read part by part")]
pub(super) struct JobForm {
    /// JSON, as the JSON form of this request, without `data`.
    options: String,
    /// A table with the columns that the model's recipe names.
    #[schema(value_type = String, format = Binary)]
    data: Vec<u8>,
}
