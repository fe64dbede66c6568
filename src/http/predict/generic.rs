//! `POST /models/{name}/predict`: predictions of any model, independent of its route.

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

/// The path, as in the OpenAPI document.
pub(in crate::http) const ROUTE: &str = "/models/{name}/predict";

/// Predict with a model.
///
/// Works like `POST /predict/steel` and `POST /classify/glass`, for any model by its name. A model for a lab's own
/// columns needs no route of its own.
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
                ("server-timing" = String,
                    description = "For JSON: the time of each step in milliseconds: read, parse, featurize, queue, \
                        pass, render"),
                ("mcvn-notes" = String,
                    description = "For tables: how the table was read, as a JSON list of sentences in ASCII; for a \
                        stream, notes that are only known at its end follow in a trailer"),
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
