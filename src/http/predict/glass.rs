//! `POST /classify/glass`.

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

/// Glass-forming class of alloys: bulk metallic glass (BMG), ribbon (RMG) or crystalline (CRA).
///
/// Takes JSON, a table (CSV or a workbook; a `formula` column, or one column per element) or lines of JSON (NDJSON) and
/// answers in kind. Tables and lines may be of any length; they are answered while they arrive. A bad row of a table gets
/// its message in the `error` column, a bad line an answer with `errors`.
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
                ("server-timing" = String, description = "For JSON: where the time went, in milliseconds: read, parse, featurize, queue, pass, render"),
                ("mcvn-notes" = String, description = "For tables: what was understood and chosen, a list of sentences as JSON in ASCII; of a stream what is known at its end follows as a trailer"),
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
