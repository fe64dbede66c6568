//! `POST /classify/glass`: classes of the glass models.

use axum::extract::{Request, State};
use axum::response::Response;

use super::super::body::media::Workbook;
use super::super::error::{ApiError, Problems};
use super::super::state::AppState;
use super::answer::answer;
use super::choose::Address;
use super::query::PredictQuery;
use crate::wire::reply::{Answer, ClassPrediction};
use crate::wire::request::PredictRequest;

/// The route of the glass models.
pub(in crate::http) const ROUTE: &str = "/classify/glass";

/// Predict the glass-forming class of alloys: bulk metallic glass (BMG), ribbon (RMG) or crystalline (CRA).
///
/// Accepts JSON, a table (CSV or a workbook; with a `formula` column, or one column per element) or NDJSON (one JSON
/// object per line), and responds in the same format. Tables and NDJSON may have any length; rows are answered while
/// they arrive. A bad row of a table gets a message in the `error` column; a bad NDJSON line gets an answer with
/// `errors`.
#[utoipa::path(
    post,
    path = "/classify/glass",
    tag = "prediction",
    params(PredictQuery),
    request_body(content(
        (PredictRequest = "application/json"),
        (String = "text/csv"),
        (inline(Workbook) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "The most probable class and all probabilities",
            headers(
                ("server-timing" = String,
                    description = "For JSON: the time of each step in milliseconds: read, parse, featurize, queue, \
                        pass, render"),
                ("mcvn-notes" = String,
                    description = "For tables: how the table was read, as a JSON list of sentences in ASCII; for a \
                        stream, notes that are only known at its end follow in a trailer"),
            ),
            content(
                (Answer<ClassPrediction> = "application/json"),
                (String = "text/csv"),
                (inline(Workbook) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                (String = "application/x-ndjson"),
            )),
        Problems,
    )
)]
pub(in crate::http) async fn classify_glass(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    answer(&state, Address::Route(ROUTE), request).await
}
