//! `POST /predict/steel`.

use axum::extract::{Request, State};
use axum::response::Response;

use super::super::body::media::Workbook;
use super::super::error::{ApiError, Problems};
use super::super::state::AppState;
use super::answer::answer;
use super::choose::Address;
use super::query::PredictQuery;
use crate::wire::reply::{Answer, PropertyPrediction};
use crate::wire::request::PredictRequest;

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
    params(PredictQuery),
    request_body(content(
        (PredictRequest = "application/json"),
        (String = "text/csv"),
        (inline(Workbook) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "Properties with units and intervals",
            headers(
                ("server-timing" = String, description = "For JSON: where the time went, in milliseconds: read, parse, featurize, queue, pass, render"),
                ("mcvn-notes" = String, description = "For tables: what was understood and chosen, a list of sentences as JSON in ASCII; of a stream what is known at its end follows as a trailer"),
            ),
            content(
                (Answer<PropertyPrediction> = "application/json"),
                (String = "text/csv"),
                (inline(Workbook) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                (String = "application/x-ndjson"),
            )),
        Problems,
    )
)]
pub(in crate::http) async fn predict_steel(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, Address::Route(ROUTE), request).await
}
