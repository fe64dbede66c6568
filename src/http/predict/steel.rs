//! `POST /predict/steel`.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::{ApiError, Problems};
use super::super::state::AppState;
use super::answer::answer;
use crate::wire::reply::{Answer, PropertyPrediction, Scalar};

/// One steel, or a list of them: give `composition` and `processing`, or `samples`.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes bodies; they are read by `extract`")]
pub(in crate::http) struct SteelRequest {
    /// Which model of the route answers; its default where none is named. For tables and lines: `?model=`.
    #[schema(example = "steel-fatigue")]
    model: Option<String>,
    /// How often intervals should hold what is measured, as a share; 0.9 where none is given. For tables and
    /// lines: `?confidence=`.
    #[schema(minimum = 0.5, maximum = 0.99, example = 0.8)]
    confidence: Option<f64>,
    /// Several steels instead of one.
    samples: Option<Vec<SteelSample>>,
    #[serde(flatten)]
    sample: SteelSample,
}

/// One steel.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes bodies; they are read by `extract`")]
pub(in crate::http) struct SteelSample {
    composition: Option<Composition>,
    /// Basis of the amounts: `weight_percent` for steels where none is given.
    #[schema(example = "weight_percent")]
    basis: Option<String>,
    /// Process parameters by name; `GET /models/{name}` lists them with units, ranges and defaults.
    #[schema(value_type = std::collections::HashMap<String, Scalar>, example = json!({
        "normalizing_temperature": 870, "quenching_temperature": 855, "tempering_temperature": 600,
        "reduction_ratio": 825, "inclusions_da": 0.05, "inclusions_db": 0, "inclusions_dc": 0,
    }))]
    processing: Option<()>,
}

/// Amounts by element symbol, or a formula in atomic parts.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes bodies; they are read by `extract`")]
pub(in crate::http) enum Composition {
    /// Amounts by element symbol, in percent of the basis. Iron makes up the rest of a steel.
    #[schema(example = json!({"C": 0.4, "Si": 0.25, "Mn": 0.8, "Cr": 1.0, "Mo": 0.2}))]
    Amounts(std::collections::HashMap<String, f64>),
    /// A formula, always in atomic parts.
    #[schema(example = "Zr41.2Ti13.8Cu12.5Ni10Be22.5")]
    Formula(String),
}

/// The route of the steel models.
pub(in crate::http) const ROUTE: &str = "/predict/steel";

/// Mechanical properties of steels.
///
/// Takes JSON, a table (CSV as labs have it, or a workbook: docs/tables.md; columns that are no input come back) or lines
/// of JSON (NDJSON: a sample a line, an `id` is given back) and answers in kind. Tables and lines may be of any length;
/// they are answered while they arrive. A bad row of a table gets its message in the `error` column, a bad line an answer
/// with `errors`. In a table the ends of an interval stand in `<property>_low` and `<property>_high`.
#[utoipa::path(
    post,
    path = "/predict/steel",
    tag = "prediction",
    params(
        ("model" = Option<String>, Query, description = "Which model answers"),
        ("confidence" = Option<f64>, Query, minimum = 0.5, maximum = 0.99,
            description = "How often intervals should hold what is measured, as a share; 0.9 where none is given"),
        ("encoding" = Option<String>, Query, example = "gb18030", description = "Of a table: its encoding; guessed where none is given"),
        ("sheet" = Option<String>, Query, description = "Of a workbook: a sheet by name, or by number from 1"),
        ("map" = Option<Vec<String>>, Query, style = Form, explode, example = json!(["AlT:Al"]),
            description = "Of a table: what a column is, as COLUMN:FIELD with an element's symbol, a process parameter, `formula` or `other`; may be repeated"),
        ("set" = Option<Vec<String>>, Query, style = Form, explode, example = json!(["test_temperature:25"]),
            description = "Of a table: one value for all rows, as FIELD:VALUE; may be repeated"),
        ("other_columns" = Option<String>, Query, example = "keep",
            description = "Of a table: whether columns that are no input come back (`keep`), are left out (`drop`) or refused (`refuse`)"),
        ("safe_cells" = Option<bool>, Query, example = true,
            description = "Of a table: whether text that a spreadsheet would run as a formula (it begins with = + - @ and is no number) comes back with an apostrophe before it"),
    ),
    request_body(content((SteelRequest = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "Properties with units and intervals",
            headers(("server-timing" = String, description = "For JSON: where the time went, in milliseconds: read, parse, featurize, queue, pass, render"),
                ("mcvn-notes" = String, description = "For tables: what was understood and chosen, a list of sentences as JSON in ASCII; of a stream what is known at its end follows as a trailer")),
            content((Answer<PropertyPrediction> = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (String = "application/x-ndjson"))),
        Problems,
    )
)]
pub(in crate::http) async fn predict_steel(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, ROUTE, request).await
}
