//! `POST /debug/echo`: measures the cost of HTTP and JSON alone.
//!
//! A prediction request is parsed as usual and answered in the same format, but its content is not checked and no model
//! is run. The route exists only with `--debug-routes`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::super::error::ApiError;
use super::super::state::AppState;
use super::choose::{Address, Choice, choose};
use super::steel;
use super::timing::Stopwatch;
use crate::wire::reply::{Many, Single, about, blank, model_ref};
use crate::wire::request::parse;

/// The route.
pub(in crate::http) const ROUTE: &str = "/debug/echo";

/// Answers in the format of `/predict/steel`, with 0 for every value.
pub(in crate::http) async fn echo(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let serving = state.serving()?;
    let mut watch = Stopwatch::start();
    let admitted = state.admission().read(&headers, body, state.http().json_body_bytes).await?;
    watch.lap("read");
    let request = parse(&admitted.bytes).map_err(|error| ApiError::MalformedBody(error.to_string()))?;
    let Choice::InUse(bundle) = choose(&serving, &Address::Route(steel::ROUTE), request.model.as_deref(), None)? else {
        return Err(ApiError::NotReady);
    };
    watch.lap("parse");
    let model = model_ref(bundle);
    let mut response = if request.listed {
        let predictions = request.samples.iter().map(|_| blank(bundle)).collect();
        Json(Many { model, about: about(bundle), predictions, batch_dependent: false }).into_response()
    } else {
        Json(Single { model, about: about(bundle), prediction: blank(bundle), batch_dependent: false }).into_response()
    };
    watch.finish(&mut response);
    Ok(response)
}
