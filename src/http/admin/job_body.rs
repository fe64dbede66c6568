//! The body of `POST /admin/jobs`, as JSON or as a part of a form.

use serde::Deserialize;
use utoipa::openapi::KnownFormat::Binary;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

/// Largest size of a job's options, in bytes.
pub(super) const MOST_OPTION_BYTES: usize = 64_000;

/// The model to retrain, and the options.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JobBody {
    /// Name of the model.
    #[schema(example = "steel-lab42")]
    pub(super) model: String,
    /// Name of a table in the configured folder of data files (not with an upload).
    pub(super) data: Option<String>,
    /// Number of an earlier job whose data is used (not with an upload).
    pub(super) data_of_job: Option<u64>,
    /// Random seed.
    #[serde(default = "default_seed")]
    #[schema(default = 7, minimum = 0)]
    pub(super) seed: u64,
    /// Number of cross-validation folds, 2 to 10.
    #[serde(default = "default_folds")]
    #[schema(default = 3, minimum = 2, maximum = 10)]
    pub(super) folds: usize,
    /// Encoding of the data; detected if not given.
    pub(super) encoding: Option<String>,
    /// Sheet of a workbook, by name or by number from 1. The default is the first sheet that is not empty.
    pub(super) sheet: Option<String>,
    /// Meaning of columns, as `COLUMN=FIELD`.
    #[serde(default)]
    #[schema(schema_with = pairs)]
    pub(super) map: Vec<String>,
    /// Refuse the job if a row looks wrong and is not confirmed.
    #[serde(default)]
    #[schema(default = false)]
    pub(super) strict: bool,
    /// Lines of rows that look wrong and are right all the same.
    #[serde(default)]
    pub(super) confirm: Vec<u64>,
}

fn default_seed() -> u64 {
    7
}

fn default_folds() -> usize {
    3
}

/// A list of texts `COLUMN=FIELD`.
fn pairs() -> RefOr<Schema> {
    let pair = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[^=]+=[^=]+$"));
    let all = ArrayBuilder::new().items(RefOr::from(pair)).examples([serde_json::json!(["AlT=Al"])]);
    all.description(Some("What columns are, as `COLUMN=FIELD`")).into()
}

/// The JSON body for the OpenAPI document: the rows are in a file on the server, or of an earlier job.
pub(super) struct JobRequest;

/// The multipart form for the OpenAPI document: the options as JSON, the rows as a table (CSV or a workbook).
pub(super) struct JobForm;

const FILE: &str = "data";
const JOB: &str = "data_of_job";

impl PartialSchema for JobRequest {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new().item(options(Some(FILE), &[JOB])).item(options(Some(JOB), &[FILE])).into()
    }
}

impl ToSchema for JobRequest {}

impl PartialSchema for JobForm {
    fn schema() -> RefOr<Schema> {
        let table = |description| {
            let file = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(Binary)));
            file.description(Some(description))
        };
        let evidence = "The file of evidence that the model's recipe names; several in the order of its entries. Without \
                        it, the training goes without evidence and warns";
        ObjectBuilder::new()
            .property("options", options(None, &[FILE, JOB]))
            .property("data", table("A table with the columns that the model's recipe names"))
            .property("evidence", table(evidence))
            .required("options")
            .required("data")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

impl ToSchema for JobForm {}

/// The schema of the options, with one source of rows required and others excluded.
fn options(needed: Option<&str>, without: &[&str]) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut options)) = JobBody::schema() else { return JobBody::schema() };
    for name in without {
        options.properties.insert((*name).to_owned(), ObjectBuilder::new().schema_type(Type::Null).into());
    }
    if let Some(name) = needed
        && let Some(RefOr::T(Schema::Object(place))) = options.properties.get_mut(name)
    {
        let kind = if name == FILE { Type::String } else { Type::Integer };
        place.schema_type = kind.into();
        options.required.push(name.to_owned());
    }
    options.into()
}
