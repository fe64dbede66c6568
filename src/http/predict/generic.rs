//! `POST /models/{name}/predict`: what any model answers, whatever its route.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::super::body::media::Workbook;
use super::super::error::{ApiError, Problems};
use super::super::state::AppState;
use super::answer::answer;
use super::choose::Address;
use super::query::PredictQuery;
use crate::wire::reply::{Answer, Prediction};
use crate::wire::request::PredictRequest;

/// The address, as it stands in the OpenAPI document.
pub(in crate::http) const ROUTE: &str = "/models/{name}/predict";

/// What a model predicts.
///
/// As `POST /predict/steel` and `POST /classify/glass`, for any model by its name: a lab's own columns need no route of
/// their own.
#[utoipa::path(
    post,
    path = "/models/{name}/predict",
    tag = "prediction",
    params(("name" = String, Path, description = "Name of the model"), PredictQuery),
    request_body(content(
        (PredictRequest = "application/json"),
        (String = "text/csv"),
        (inline(Workbook) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "Properties with units and intervals, or a class and all probabilities",
            headers(
                ("server-timing" = String, description = "For JSON: where the time went, in milliseconds: read, parse, featurize, queue, pass, render"),
                ("mcvn-notes" = String, description = "For tables: what was understood and chosen, a list of sentences as JSON in ASCII; of a stream what is known at its end follows as a trailer"),
            ),
            content(
                (Answer<Prediction> = "application/json"),
                (String = "text/csv"),
                (inline(Workbook) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
                (String = "application/x-ndjson"),
            )),
        Problems,
    )
)]
pub(in crate::http) async fn predict_model(
    State(state): State<AppState>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|_| ApiError::NotFound("no such model; see /models".to_owned()))?;
    answer(&state, Address::Model(name), request).await
}
