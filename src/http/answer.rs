//! One request for predictions, from its bytes to its answer; both routes share it.
//!
//! Its own because this is the walk of one request: extract → check → featurize → batch → render. A request
//! chooses its bundle once, at the start, and the batch job carries it: schema, featurizer, scaler and
//! weights of an answer are always those of one version.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::{BodyKind, Parsed, body_kind, parse, read_body};
use super::state::{State, choose};
use super::table;
use super::timing::Stopwatch;
use crate::domain::{Outputs, RawSample, RawValue, Sample, Violation, most_probable};
use crate::featurize::{Features, featurize};
use crate::model::Bundle;
use crate::serving::Serving;

/// Bodies over this size are read on a thread of their own: they would keep others waiting.
const LARGE_BODY_BYTES: usize = 32 * 1024;

/// The model that gave an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ModelRef {
    #[schema(example = "steel-fatigue")]
    name: String,
    #[schema(example = "3f9a1c2b7d10")]
    version: String,
}

/// A number with its unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Quantity {
    #[schema(example = 512.3)]
    value: f64,
    #[schema(example = "MPa")]
    unit: String,
}

/// How an input was read, and how far the answer can be trusted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Reading {
    /// Whether the input lies within what the model was trained on.
    in_domain: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// Process parameters that were not given, with the defaults taken.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, Scalar>)]
    assumed: Vec<(String, Scalar)>,
    /// What the user should know about how the input was read.
    warnings: Vec<String>,
}

/// A number or a level.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Scalar {
    Number(f64),
    Text(String),
}

/// Predicted properties of one sample.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PropertyPrediction {
    /// The properties of the model, by name.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, Quantity>)]
    properties: Vec<(String, Quantity)>,
    #[serde(flatten)]
    reading: Reading,
}

/// Predicted class of one sample.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ClassPrediction {
    /// The most probable class.
    #[schema(example = "BMG")]
    class: String,
    /// The probability of each class; they sum to 1.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, f64>)]
    probabilities: Vec<(String, f64)>,
    #[serde(flatten)]
    reading: Reading,
}

/// What a model says of one sample.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Prediction {
    Properties(PropertyPrediction),
    Class(ClassPrediction),
}

/// The answer to a single sample.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Single<P> {
    model: ModelRef,
    #[serde(flatten)]
    prediction: P,
    /// There and true for a model whose answers depend on what else is asked at the same time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    batch_dependent: bool,
}

/// The answer to a list of samples, in their order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Many<P> {
    model: ModelRef,
    predictions: Vec<P>,
    /// There and true for a model whose answers depend on what else is asked at the same time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    batch_dependent: bool,
}

/// A single sample or a list: the two forms of an answer, for the document.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes answers; they are built as Single or Many")]
pub(super) enum Answer<P> {
    Single(Single<P>),
    Many(Many<P>),
}

/// The query string of a prediction request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictQuery {
    model: Option<String>,
}

/// Answers a request of a route.
///
/// # Errors
/// Every error of the design's table but those of administration.
pub(super) async fn answer(
    state: &State,
    route: &'static str,
    headers: &HeaderMap,
    uri: &Uri,
    body: Body,
) -> Result<Response, ApiError> {
    let serving = state.serving()?;
    let kind = body_kind(headers)?;
    let limits = state.http();
    let limit = match kind {
        BodyKind::Json => limits.json_body_bytes,
        BodyKind::Csv => limits.csv_body_bytes,
    };
    let query = |error: &dyn std::fmt::Display| ApiError::from(vec![Violation::new("", format!("query: {error}"))]);
    let Query(asked) = Query::<PredictQuery>::try_from_uri(uri).map_err(|error| query(&error))?;
    let mut watch = Stopwatch::start();
    let bytes = read_body(headers, body, limit).await?;
    watch.lap("read");
    let max_samples = limits.max_samples;
    match kind {
        BodyKind::Csv => table::answer(state, serving, route, asked.model, bytes, watch).await,
        BodyKind::Json => {
            let reading = Arc::clone(&serving);
            let prepared = off_thread_if_large(bytes, move |bytes| {
                Prepared::from_json(&reading, route, asked.model, &bytes, max_samples, watch)
            })
            .await?;
            let Prepared { bundle, samples, features, listed, mut watch } = prepared;
            let answers = serving.batcher.submit(Arc::clone(&bundle) as _, features).await?;
            watch.submitted(&answers);
            watch.lap_device();
            count(state, &bundle, samples.iter());
            let predictions = samples.iter().zip(answers.values);
            let mut predictions: Vec<Prediction> =
                predictions.map(|(sample, values)| prediction(&bundle, sample, &values)).collect();
            let (model, batch_dependent) = (model_ref(&bundle), bundle.manifest().batch_dependent());
            let mut response = if listed {
                Json(Many { model, predictions, batch_dependent }).into_response()
            } else {
                let only = predictions.pop().ok_or_else(|| ApiError::InferenceFailed("no answer".to_owned()))?;
                Json(Single { model, prediction: only, batch_dependent }).into_response()
            };
            watch.finish(&mut response);
            Ok(response)
        }
    }
}

/// Counts samples that a model has predicted.
pub(super) fn count<'a>(state: &State, bundle: &Bundle, samples: impl Iterator<Item = &'a Sample>) {
    let (mut all, mut in_domain) = (0, 0);
    for sample in samples {
        all += 1;
        in_domain += usize::from(sample.out_of_domain().is_empty());
    }
    state.metrics().predicted(&bundle.manifest().name, all, in_domain);
}

/// Runs `work` here, or on a thread for blocking work where the body is large.
pub(super) async fn off_thread_if_large<T: Send + 'static>(
    bytes: Vec<u8>,
    work: impl FnOnce(Vec<u8>) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if bytes.len() <= LARGE_BODY_BYTES {
        return work(bytes);
    }
    let joined = tokio::task::spawn_blocking(move || work(bytes)).await;
    joined.unwrap_or_else(|error| Err(ApiError::InferenceFailed(error.to_string())))
}

/// A request that is checked and featurized.
struct Prepared {
    bundle: Arc<Bundle>,
    samples: Vec<Sample>,
    features: Vec<Features>,
    listed: bool,
    watch: Stopwatch,
}

impl Prepared {
    fn from_json(
        serving: &Serving,
        route: &str,
        asked: Option<String>,
        bytes: &[u8],
        max_samples: usize,
        mut watch: Stopwatch,
    ) -> Result<Self, ApiError> {
        let Parsed { model, samples: raw, listed, mut violations } = parse(bytes)?;
        let bundle = choose(serving, route, model.or(asked).as_deref())?;
        if raw.is_empty() && violations.is_empty() {
            violations.push(Violation::new("/samples", "the list is empty"));
        }
        if raw.len() > max_samples {
            let detail = format!("{} samples; the limit is {max_samples} in one request", raw.len());
            violations.push(Violation::new("/samples", detail));
            return Err(violations.into());
        }
        let schema = &bundle.manifest().schema;
        let shape_violations = violations.len();
        let mut samples = Vec::with_capacity(raw.len());
        for (index, sample) in raw.iter().enumerate() {
            let base = if listed { format!("/samples/{index}") } else { String::new() };
            match Sample::parse(sample, schema, &base) {
                Ok(sample) => samples.push(sample),
                Err(found) => {
                    // A field that could not be read is already named; that it is therefore missing is no news.
                    let known = &violations[..shape_violations];
                    let news: Vec<Violation> = found.into_iter().filter(|found| !is_covered(found, known)).collect();
                    violations.extend(news);
                }
            }
        }
        if !violations.is_empty() {
            let others = models_that_take(serving, bundle, &violations, &raw);
            return Err(ApiError::InvalidSample(violations, others));
        }
        watch.lap("parse");
        let features = samples.iter().map(|sample| featurize(sample, schema, &bundle.manifest().features)).collect();
        watch.lap("featurize");
        Ok(Self { bundle: Arc::clone(bundle), samples, features, listed, watch })
    }
}

fn is_covered(found: &Violation, known: &[Violation]) -> bool {
    let inside = format!("{}/", found.pointer);
    known.iter().any(|known| known.pointer == found.pointer || known.pointer.starts_with(&inside))
}

/// Other models of the route that would take the process parameters of the first sample, where those are
/// what is wrong.
fn models_that_take(serving: &Serving, bundle: &Bundle, violations: &[Violation], raw: &[RawSample]) -> Vec<String> {
    let manifest = bundle.manifest();
    let Some(first) = raw.first().filter(|_| violations.iter().any(|found| found.pointer.contains("/processing/")))
    else {
        return Vec::new();
    };
    let names: Vec<&str> = first.processing.iter().map(|(name, _)| name.as_str()).collect();
    let others = serving.catalogue.of_route(&manifest.route).map(|bundle| bundle.manifest());
    let others = others.filter(|other| other.name != manifest.name && other.schema.takes(&names));
    others.map(|other| other.name.clone()).collect()
}

pub(super) fn model_ref(bundle: &Bundle) -> ModelRef {
    let manifest = bundle.manifest();
    ModelRef { name: manifest.name.clone(), version: manifest.version.clone() }
}

/// Puts a model's numbers into words.
pub(super) fn prediction(bundle: &Bundle, sample: &Sample, values: &[f64]) -> Prediction {
    let reading = Reading {
        in_domain: sample.out_of_domain().is_empty(),
        reasons: sample.out_of_domain().to_vec(),
        assumed: sample.assumed().iter().map(|(name, value)| (name.clone(), value_of(value))).collect(),
        warnings: sample.warnings().to_vec(),
    };
    match &bundle.manifest().schema.outputs {
        Outputs::Regression { targets } => {
            let quantity = |value: f64, unit: &str| Quantity { value: rounded(value, 3), unit: unit.to_owned() };
            let properties = targets.iter().zip(values);
            let properties = properties.map(|(target, value)| (target.name.clone(), quantity(*value, &target.unit)));
            Prediction::Properties(PropertyPrediction { properties: properties.collect(), reading })
        }
        Outputs::Classification { classes } => Prediction::Class(ClassPrediction {
            class: classes[most_probable(values)].clone(),
            probabilities: classes.iter().cloned().zip(values.iter().map(|value| rounded(*value, 6))).collect(),
            reading,
        }),
    }
}

/// More digits than any measurement has would only look like accuracy.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (value * factor).round() / factor
}

fn value_of(value: &RawValue) -> Scalar {
    match value {
        RawValue::Number(number) => Scalar::Number(*number),
        RawValue::Text(text) => Scalar::Text(text.clone()),
    }
}

fn as_map<T: Serialize, S: Serializer>(entries: &[(String, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, value)| (name, value)))
}
