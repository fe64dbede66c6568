//! `POST /predict/steel`: properties of the steel models.

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

/// Predict mechanical properties of steels.
///
/// Accepts JSON, a table (CSV or a workbook, see docs/tables.md; columns that are not inputs are returned) or NDJSON
/// (one sample per line; an `id` is returned), and responds in the same format. Tables and NDJSON may have any length;
/// rows are answered while they arrive. A bad row of a table gets a message in the `error` column; a bad NDJSON line
/// gets an answer with `errors`. In a table, the bounds of an interval are in the columns `<property>_low` and
/// `<property>_high`.
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
                ("server-timing" = String,
                    description = "For JSON: the time of each step in milliseconds: read, parse, featurize, queue, \
                        pass, render"),
                ("mcvn-notes" = String,
                    description = "For tables: how the table was read, as a JSON list of sentences in ASCII; for a \
                        stream, notes that are only known at its end follow in a trailer"),
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
