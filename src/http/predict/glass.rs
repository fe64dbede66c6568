//! `POST /classify/glass`.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::{ApiError, Problems};
use super::super::state::AppState;
use super::answer::answer;
use super::steel::Composition;
use crate::wire::reply::{Answer, ClassPrediction};

/// One alloy, or a list of them: give `composition`, or `samples`.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes bodies; they are read by `extract`")]
pub(in crate::http) struct GlassRequest {
    /// Which model of the route answers; its default where none is named. For tables and lines: `?model=`.
    #[schema(example = "glass")]
    model: Option<String>,
    /// Several alloys instead of one.
    samples: Option<Vec<GlassSample>>,
    #[serde(flatten)]
    sample: GlassSample,
}

/// One alloy.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes bodies; they are read by `extract`")]
pub(in crate::http) struct GlassSample {
    composition: Option<Composition>,
    /// Basis of the amounts: `atomic_percent` for glasses where none is given.
    #[schema(example = "atomic_percent")]
    basis: Option<String>,
}

/// The route of the glass models.
pub(in crate::http) const ROUTE: &str = "/classify/glass";

/// Glass-forming class of alloys: bulk metallic glass (BMG), ribbon (RMG) or crystalline (CRA).
///
/// Takes JSON, a table (CSV or a workbook; a `formula` column, or one column per element) or lines of JSON (NDJSON) and answers in
/// kind. Tables and lines may be of any length; they are answered while they arrive. A bad row of a table gets its
/// message in the `error` column, a bad line an answer with `errors`.
#[utoipa::path(
    post,
    path = "/classify/glass",
    tag = "prediction",
    params(
        ("model" = Option<String>, Query, description = "Which model answers"),
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
    request_body(content((GlassRequest = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "The most probable class and all probabilities",
            headers(("server-timing" = String, description = "For JSON: where the time went, in milliseconds: read, parse, featurize, queue, pass, render"),
                ("mcvn-notes" = String, description = "For tables: what was understood and chosen, a list of sentences as JSON in ASCII; of a stream what is known at its end follows as a trailer")),
            content((Answer<ClassPrediction> = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (String = "application/x-ndjson"))),
        Problems,
    )
)]
pub(in crate::http) async fn classify_glass(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, ROUTE, request).await
}
