//! `GET /models`: what can be asked of which model.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::{ApiError, Problem};
use super::super::predict::choose::unavailable;
use super::super::state::AppState;
use super::degraded::{Degraded, degraded};
use crate::domain::{Outputs, Parameter, ParameterKind, Scale, Target};
use crate::model::{Bundle, Calibration, DEFAULT_CONFIDENCE, Evaluation, Manifest};
use crate::registry::Catalogue;
use crate::wire::reply::rounded;

/// One model of the list.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelSummary {
    #[schema(example = "steel-fatigue")]
    name: String,
    version: String,
    title: String,
    /// The route that answers with it, beside `/models/{name}/predict`; only that for a model without one.
    #[schema(example = "/predict/steel")]
    route: String,
    /// Whether it answers where a request of its route names no model.
    default: bool,
}

/// The models that are served.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelList {
    models: Vec<ModelSummary>,
    /// Models that do not answer as they should; left out where all do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degraded>,
}

/// One model in full.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelDetail {
    #[serde(flatten)]
    summary: ModelSummary,
    composition: CompositionInput,
    /// The process parameters it takes.
    processing: Vec<ParameterInput>,
    /// What it gives: properties with units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<TargetOutput>,
    /// What it gives: the probabilities of these classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<String>,
    data: DataSource,
    /// Scores over splits, by protocol, target or class, and metric.
    #[schema(value_type = Vec<Object>)]
    evaluation: Vec<Evaluation>,
    /// How far its answers can be trusted; left out where that was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<CalibrationDetail>,
    /// True for a model whose answers depend on what else is asked at the same time.
    batch_dependent: bool,
}

/// The composition a model takes.
#[derive(Serialize, ToSchema)]
struct CompositionInput {
    /// Basis of amounts that come without one.
    #[schema(example = "weight_percent")]
    basis: String,
    /// Unit of the ranges.
    #[schema(example = "wt%")]
    unit: &'static str,
    /// The element that makes up the rest to 100 where it is not named.
    #[schema(example = "Fe")]
    balance: Option<String>,
    /// Elements seen in training, with their ranges.
    elements: Vec<ElementInput>,
}

/// One element seen in training.
#[derive(Serialize, ToSchema)]
struct ElementInput {
    #[schema(example = "C")]
    element: &'static str,
    min: f64,
    max: f64,
}

/// One process parameter.
#[derive(Serialize, ToSchema)]
struct ParameterInput {
    #[schema(example = "tempering_temperature")]
    name: String,
    #[schema(example = "°C")]
    unit: String,
    description: String,
    /// Whether a sample must give it.
    required: bool,
    /// Least value seen in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    /// Largest value seen in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    /// Levels of a categorical parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<Vec<String>>,
    /// What is taken where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::wire::reply::Scalar>)]
    default: Option<serde_json::Value>,
}

/// One predicted property.
#[derive(Serialize, ToSchema)]
struct TargetOutput {
    #[schema(example = "fatigue_strength")]
    name: String,
    #[schema(example = "MPa")]
    unit: String,
    /// `log` for a property that is learned in logarithms: it is always above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<&'static str>,
}

/// What a model was trained on.
#[derive(Serialize, ToSchema)]
struct DataSource {
    rows: usize,
    /// Heats, alloys or chemical systems among the rows.
    groups: usize,
    citation: String,
    sha256: String,
}

/// What was measured on training rows that were held out, each answered by a model that had not seen its group.
#[derive(Serialize, ToSchema)]
struct CalibrationDetail {
    /// How rows were held out: `grouped`, or `random` where there were too few groups.
    #[schema(example = "grouped")]
    protocol: String,
    /// Parts in which they were held out, one after the other.
    #[schema(example = 5)]
    folds: usize,
    /// Of a model with targets: how wide its intervals are.
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<IntervalDetail>,
    /// Of a model with classes: how its probabilities were made to fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<ProbabilityDetail>,
}

/// How wide intervals are at the confidence where a request names none.
#[derive(Serialize, ToSchema)]
struct IntervalDetail {
    #[schema(example = 0.9)]
    confidence: f64,
    /// By target: half widths, in their units.
    #[schema(example = json!({"fatigue_strength": 33.4, "hardness": 12.9}))]
    half_widths: BTreeMap<String, f64>,
    /// By target that is learned in logarithms: an interval reaches from the value divided by this factor to the value
    /// times it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"creep_life": 2.6}))]
    factors: BTreeMap<String, f64>,
}

/// The calibration of class probabilities.
#[derive(Serialize, ToSchema)]
struct ProbabilityDetail {
    /// Probabilities were raised to one over this and made to sum to 1.
    #[schema(example = 0.9)]
    temperature: f64,
    /// Mean −ln of the probability of what was measured.
    log_loss: Improvement,
    /// Expected calibration error in ten bins: how far probabilities are from the share of cases that come true.
    expected_calibration_error: Improvement,
}

/// A score of held-out rows before and after calibration.
#[derive(Serialize, ToSchema)]
struct Improvement {
    #[schema(example = 0.07)]
    before: f64,
    #[schema(example = 0.02)]
    after: f64,
}

/// All models.
#[utoipa::path(
    get, path = "/models", tag = "models",
    responses((status = 200, body = ModelList, description = "The models that are served", links(
        ("a model" = (operation_id = "show_model", parameters(("name" = "$response.body#/models/0/name")))),
        ("its versions" = (operation_id = "list_versions", parameters(("name" = "$response.body#/models/0/name")))),
        ("its version in use" = (operation_id = "show_version", parameters(
            ("name" = "$response.body#/models/0/name"), ("version" = "$response.body#/models/0/version"),
        ))),
        ("to promote it" = (operation_id = "promote", parameters(
            ("name" = "$response.body#/models/0/name"), ("version" = "$response.body#/models/0/version"),
        ))),
        ("to remove it" = (operation_id = "remove_version", parameters(
            ("name" = "$response.body#/models/0/name"), ("version" = "$response.body#/models/0/version"),
        ))),
        ("to go back" = (operation_id = "roll_back", parameters(("name" = "$response.body#/models/0/name")))),
    )))
)]
pub(in crate::http) async fn list_models(State(state): State<AppState>) -> Result<Json<ModelList>, ApiError> {
    let serving = state.serving()?;
    let catalogue = &serving.catalogue;
    let models = catalogue.iter().map(|bundle| summary(catalogue, bundle)).collect();
    Ok(Json(ModelList { models, degraded: degraded(catalogue) }))
}

/// One model: inputs with units, ranges and defaults, outputs, version, scores.
#[utoipa::path(
    get,
    path = "/models/{name}",
    tag = "models",
    params(("name" = String, Path, description = "Name of the model", example = "steel-fatigue")),
    responses(
        (status = 200, body = ModelDetail, description = "The model"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such model"),
        (status = 503, body = Problem, content_type = "application/problem+json",
            description = "model_unavailable: its version in use cannot be loaded"),
    )
)]
pub(in crate::http) async fn show_model(
    State(state): State<AppState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelDetail>, ApiError> {
    let serving = state.serving()?;
    let name = name.map(|Path(name)| name).unwrap_or_default();
    match serving.catalogue.get(&name) {
        Some(bundle) => Ok(Json(detail(&serving.catalogue, bundle))),
        None => {
            let missing = || ApiError::NotFound("no such model; see /models".to_owned());
            Err(unavailable(&serving, &name).unwrap_or_else(missing))
        }
    }
}

/// Where a model answers: on its route, or at its own address alone.
pub(in crate::http) fn address(manifest: &Manifest) -> String {
    manifest.route.clone().unwrap_or_else(|| format!("/models/{}/predict", manifest.name))
}

pub(in crate::http) fn summary(catalogue: &Catalogue, bundle: &Bundle) -> ModelSummary {
    let manifest = bundle.manifest();
    let default = manifest.route.as_deref().and_then(|route| catalogue.default_of(route));
    ModelSummary {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        title: manifest.title.clone(),
        route: address(manifest),
        default: default.is_some_and(|default| default.manifest().name == manifest.name),
    }
}

fn detail(catalogue: &Catalogue, bundle: &Bundle) -> ModelDetail {
    let manifest = bundle.manifest();
    let composition = &manifest.schema.composition;
    let (targets, classes) = match &manifest.schema.outputs {
        Outputs::Regression { targets } => {
            let target = |target: &Target| TargetOutput {
                name: target.name.clone(),
                unit: target.unit.clone(),
                scale: (!target.scale.is_linear()).then_some("log"),
            };
            (targets.iter().map(target).collect(), Vec::new())
        }
        Outputs::Classification { classes } => (Vec::new(), classes.clone()),
    };
    let elements = composition.elements.iter();
    ModelDetail {
        summary: summary(catalogue, bundle),
        composition: CompositionInput {
            basis: composition.basis.name().to_owned(),
            unit: composition.basis.unit(),
            balance: composition.balance.map(|element| element.symbol().to_owned()),
            elements: elements
                .map(|range| ElementInput { element: range.element.symbol(), min: range.min, max: range.max })
                .collect(),
        },
        processing: manifest.schema.processing.iter().map(parameter).collect(),
        targets,
        classes,
        data: DataSource {
            rows: manifest.data.rows,
            groups: manifest.data.groups,
            citation: manifest.data.citation.clone(),
            sha256: manifest.data.sha256.clone(),
        },
        evaluation: manifest.evaluation.clone(),
        calibration: manifest.calibration.as_ref().map(|own| calibration(own, &manifest.schema.outputs)),
        batch_dependent: manifest.batch_dependent(),
    }
}

fn calibration(calibration: &Calibration, outputs: &Outputs) -> CalibrationDetail {
    let intervals = match outputs {
        Outputs::Regression { targets } if !calibration.half_widths.is_empty() => {
            let mut intervals = IntervalDetail {
                confidence: DEFAULT_CONFIDENCE,
                half_widths: BTreeMap::new(),
                factors: BTreeMap::new(),
            };
            for (index, target) in targets.iter().enumerate() {
                let Some(half_width) = calibration.half_width(index, DEFAULT_CONFIDENCE) else { continue };
                let (kind, width) = match target.scale {
                    Scale::Linear => (&mut intervals.half_widths, half_width),
                    Scale::Log => (&mut intervals.factors, target.scale.in_unit(half_width)),
                };
                kind.insert(target.name.clone(), rounded(width, 3));
            }
            Some(intervals)
        }
        Outputs::Regression { .. } | Outputs::Classification { .. } => None,
    };
    let measured = calibration.temperature.zip(calibration.probabilities);
    let probabilities = measured.map(|(temperature, scores)| ProbabilityDetail {
        temperature,
        log_loss: Improvement { before: scores.log_loss_before, after: scores.log_loss_after },
        expected_calibration_error: Improvement { before: scores.ece_before, after: scores.ece_after },
    });
    CalibrationDetail { protocol: calibration.protocol.clone(), folds: calibration.folds, intervals, probabilities }
}

fn parameter(parameter: &Parameter) -> ParameterInput {
    let (min, max, levels, default) = match &parameter.kind {
        ParameterKind::Numeric { min, max, default, .. } => {
            (Some(*min), Some(*max), None, default.map(serde_json::Value::from))
        }
        ParameterKind::Categorical { levels, default } => {
            (None, None, Some(levels.clone()), default.clone().map(serde_json::Value::from))
        }
    };
    ParameterInput {
        name: parameter.name.clone(),
        unit: parameter.unit.clone(),
        description: parameter.description.clone(),
        required: parameter.required(),
        min,
        max,
        levels,
        default,
    }
}
