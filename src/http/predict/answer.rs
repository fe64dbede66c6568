//! Handles one prediction request, from its bytes to its response; all prediction routes use it.
//!
//! The steps are: read, check, featurize, run a batch, render. A request chooses its bundle once, at the start, and the
//! batch job carries it. So the schema, featurizer, scaler and weights of a response always belong to one version.

use std::cell::Cell;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};

use super::super::body::admission::Admitted;
use super::super::body::extract::{BodyKind, body_kind};
use super::super::error::ApiError;
use super::super::state::AppState;
use super::bulk;
use super::choose::{Address, Choice, choose};
use super::query::PredictQuery;
use super::timing::Stopwatch;
use crate::batcher::Reserved;
use crate::domain::{MOST_VIOLATIONS, RawSample, Sample, Violation};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, TrustOptions};
use crate::serving::Serving;
use crate::wire::reply::{Answer, Many, Prediction, Single, about, model_ref, prediction};
use crate::wire::request::{Misshapen, Parsed, parse};

/// Handles a prediction request.
///
/// # Errors
/// Every [`ApiError`] except those of administration.
pub(in crate::http) async fn answer(
    state: &AppState,
    address: Address,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let serving = state.serving()?;
    let kind = body_kind(&head.headers)?;
    let asked = PredictQuery::read(&head.uri)?;
    match kind {
        BodyKind::Csv | BodyKind::Workbook | BodyKind::Ndjson => {
            bulk::answer(state, &serving, &address, kind, asked, &head, body).await
        }
        BodyKind::Json => answer_json(state, serving, address, asked, &head.headers, body).await,
    }
}

async fn answer_json(
    state: &AppState,
    serving: Arc<Serving>,
    address: Address,
    asked: PredictQuery,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut watch = Stopwatch::start();
    let admitted = state.admission().read(headers, body, state.http().json_body_bytes).await?;
    watch.lap("read");
    let (max_samples, size) = (state.http().max_samples, admitted.bytes.len());
    let mut question = Question { serving: Arc::clone(&serving), address, asked, admitted, max_samples, version: None };
    let (prepared, _admitted) = loop {
        let prepare = move || {
            let prepared = question.prepare(watch)?;
            Ok((prepared, question))
        };
        let (outcome, asked) = state.admission().run(size, prepare).await?;
        // The memory stays reserved until the response is ready.
        match outcome {
            Outcome::Prepared(prepared) => break (prepared, asked.admitted),
            Outcome::Wants { model, version, watch: so_far } => {
                let version = state.loaded()?.version(&model, &version).await?;
                (question, watch) = (Question { version: Some(version), ..asked }, so_far);
                watch.lap("load");
            }
        }
    };
    let Prepared { bundle, samples, features, room, options, echo, listed, mut watch } = *prepared;
    let answers = serving.batcher.submit_reserved(Arc::clone(&bundle) as _, features, room).await?;
    watch.submitted(&answers);
    watch.lap_device();
    let metrics = Arc::clone(state.metrics());
    let render = move || {
        let in_domain = Cell::new(0);
        let make = |at: usize| -> Prediction {
            let (sample, predicted) = (&samples[at], &answers.values[at]);
            let trust = bundle.manifest().trust(sample, predicted, &options);
            in_domain.set(in_domain.get() + usize::from(trust.in_domain()));
            prediction(&bundle, sample, predicted, trust, &options, echo)
        };
        let (count, batch_dependent) = (samples.len().min(answers.values.len()), bundle.manifest().batch_dependent());
        let model = model_ref(&bundle);
        let late = |at| Late { at, make: &make };
        let answer = if listed {
            Answer::Many(Many {
                model,
                about: about(&bundle),
                predictions: (0..count).map(late).collect(),
                batch_dependent,
            })
        } else if count == 1 {
            Answer::Single(Single { model, about: about(&bundle), prediction: late(0), batch_dependent })
        } else {
            return Err(ApiError::InferenceFailed("no answer".to_owned()));
        };
        let mut response = Json(answer).into_response();
        metrics.predicted(&bundle.manifest().name, count, in_domain.get());
        watch.finish(&mut response);
        Ok(response)
    };
    state.admission().run(size, render).await
}

/// A prediction that is created while it is serialized, because a long list of predictions takes more memory than its
/// text.
struct Late<'a, F> {
    at: usize,
    make: &'a F,
}

impl<P: Serialize, F: Fn(usize) -> P> Serialize for Late<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.make)(self.at).serialize(serializer)
    }
}

/// A request that is checked and featurized.
struct Prepared {
    bundle: Arc<Bundle>,
    samples: Vec<Sample>,
    features: Vec<Features>,
    /// The reserved space in the batcher's queue.
    room: Reserved,
    options: TrustOptions,
    echo: bool,
    listed: bool,
    watch: Stopwatch,
}

/// A request that was read, and what is needed to check it.
struct Question {
    serving: Arc<Serving>,
    address: Address,
    asked: PredictQuery,
    admitted: Admitted,
    max_samples: usize,
    /// The requested version, once it is loaded.
    version: Option<Arc<Bundle>>,
}

/// The result of checking a request.
enum Outcome {
    /// It is valid and featurized.
    Prepared(Box<Prepared>),
    /// The requested version must be loaded first.
    Wants { model: String, version: String, watch: Stopwatch },
}

impl Question {
    fn prepare(&self, mut watch: Stopwatch) -> Result<Outcome, ApiError> {
        let Self { serving, asked, max_samples, .. } = self;
        let Parsed { model, version, confidence, specification, echo, samples: raw, listed, mut violations } =
            parse(&self.admitted.bytes).map_err(|error| ApiError::MalformedBody(error.to_string()))?;
        let (model, version) = (model.or_else(|| asked.model.clone()), version.or_else(|| asked.version.clone()));
        let bundle = match choose(serving, &self.address, model.as_deref(), version.as_deref())? {
            Choice::InUse(bundle) => bundle,
            Choice::Version { model, version } => match &self.version {
                Some(loaded) => loaded,
                None => return Ok(Outcome::Wants { model, version, watch }),
            },
        };
        let options = asked.trust_options((confidence, &specification), bundle, &mut violations);
        asked.refuse_table(&mut violations);
        if raw.is_empty() && violations.is_empty() {
            violations.push(Violation::new("/samples", "the list is empty"));
        }
        if raw.len() > *max_samples {
            let detail = format!("{} samples; the limit is {max_samples} in one request", raw.len());
            violations.push(Violation::new("/samples", detail));
            return Err(violations.into());
        }
        let schema = &bundle.manifest().schema;
        let misshapen = Misshapen::of(&violations);
        let mut samples = Vec::with_capacity(raw.len());
        for (index, sample) in raw.iter().enumerate() {
            if violations.len() > MOST_VIOLATIONS {
                break;
            }
            let base = if listed { format!("/samples/{index}") } else { String::new() };
            match Sample::parse(sample, schema, &base) {
                Ok(sample) => samples.push(sample),
                Err(found) => misshapen.add_news(&mut violations, found),
            }
        }
        if !violations.is_empty() {
            let others = models_that_take(serving, bundle, &violations, &raw);
            return Err(ApiError::InvalidSample(violations, others));
        }
        drop(raw);
        watch.lap("parse");
        // Featurized samples take ten times the memory of their text, so queue space is reserved before they are
        // featurized.
        let room = serving.batcher.reserve(samples.len())?;
        let features = samples.iter().map(|sample| featurize(sample, schema, &bundle.manifest().features)).collect();
        watch.lap("featurize");
        let (bundle, echo) = (Arc::clone(bundle), echo || asked.echo);
        let prepared = Prepared { bundle, samples, features, room, options, echo, listed, watch };
        Ok(Outcome::Prepared(Box::new(prepared)))
    }
}

/// Other models of the route that accept the process parameters of the first sample, if a process parameter is among
/// the errors.
fn models_that_take(serving: &Serving, bundle: &Bundle, violations: &[Violation], raw: &[RawSample]) -> Vec<String> {
    let manifest = bundle.manifest();
    let Some(first) = raw.first().filter(|_| violations.iter().any(|found| found.pointer.contains("/processing/")))
    else {
        return Vec::new();
    };
    let names: Vec<&str> = first.processing.iter().map(|(name, _)| name.as_ref()).collect();
    let Some(route) = &manifest.route else { return Vec::new() };
    let others = serving.catalogue.of_route(route).map(|bundle| bundle.manifest());
    let others = others.filter(|other| other.name != manifest.name && other.schema.takes(&names));
    others.map(|other| other.name.clone()).collect()
}
