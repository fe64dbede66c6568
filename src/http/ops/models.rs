//! `GET /models`: the served models, with their inputs and outputs.

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
use crate::model::{Bundle, Calibration, Condition, DEFAULT_CONFIDENCE, Evaluation, EvidenceRecord, Limit, Manifest};
use crate::registry::Catalogue;
use crate::wire::reply::rounded;

/// One model of the list.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelSummary {
    #[schema(example = "steel-fatigue")]
    name: String,
    version: String,
    title: String,
    /// The route that serves it, in addition to `/models/{name}/predict`. A model without a route only has the latter.
    #[schema(example = "/predict/steel")]
    route: String,
    /// Whether it is the default of its route: it answers requests that name no model.
    default: bool,
}

/// The models that are served.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelList {
    models: Vec<ModelSummary>,
    /// Degraded models; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degraded>,
}

/// One model with all details.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelDetail {
    #[serde(flatten)]
    summary: ModelSummary,
    /// What its predictions are about, in words; omitted if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    /// Limits of use: sentences on what it cannot know.
    limits: Vec<LimitDetail>,
    composition: CompositionInput,
    /// The process parameters that it accepts.
    processing: Vec<ParameterInput>,
    /// The predicted properties with their units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<TargetOutput>,
    /// The classes for which it predicts probabilities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<String>,
    data: DataSource,
    /// Scores over splits, by protocol, target or class, and metric.
    #[schema(value_type = Vec<Object>)]
    evaluation: Vec<Evaluation>,
    /// The calibration of its intervals or probabilities; omitted if it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<CalibrationDetail>,
    /// True if the model's predictions depend on the other samples in the same batch.
    batch_dependent: bool,
}

/// One limit of use.
#[derive(Serialize, ToSchema)]
struct LimitDetail {
    /// The sentence.
    text: String,
    /// The predictions that have it among their warnings; omitted for a limit of the model as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"elements_at_least": 4, "class": "BMG"}))]
    when: Option<Condition>,
}

/// The composition that a model accepts.
#[derive(Serialize, ToSchema)]
struct CompositionInput {
    /// Default basis of amounts.
    #[schema(example = "weight_percent")]
    basis: String,
    /// Unit of the elements' ranges.
    #[schema(example = "wt%")]
    unit: &'static str,
    /// The element that makes up the rest to 100 if its amount is not given.
    #[schema(example = "Fe")]
    balance: Option<String>,
    /// Elements in the training data, with their ranges.
    elements: Vec<ElementInput>,
    /// Elements that every alloy has: an amount that is left out was not measured and is estimated. Omitted if there are
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["Si", "Mn", "P", "S"]))]
    residuals: Vec<&'static str>,
    /// Elements whose amounts can be estimated from the others if they were not measured. Omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["C", "Si", "Mn", "P", "S", "Cr"]))]
    estimated: Vec<&'static str>,
    /// Amounts up to this are ignored, with a warning, of elements that the training data lacks. Omitted if there is no
    /// such amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.01)]
    trace: Option<f64>,
}

/// One element of the training data.
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
    /// Whether every sample must have it.
    required: bool,
    /// Smallest value in the training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    /// Largest value in the training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    /// How far outside the range a value is still in domain; omitted if not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
    /// The valid values of a categorical parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<Vec<String>>,
    /// The default value.
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
    /// `log` if the property is learned in logarithms; its values are always above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<&'static str>,
}

/// The training data of a model.
#[derive(Serialize, ToSchema)]
struct DataSource {
    rows: usize,
    /// Number of heats, alloys or chemical systems among the rows.
    groups: usize,
    citation: String,
    sha256: String,
    /// Files with evidence of what further alloys are not; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    evidence: Vec<EvidenceRecord>,
}

/// The calibration, measured on held-out training rows: each row was predicted by a model that had not seen its group.
#[derive(Serialize, ToSchema)]
struct CalibrationDetail {
    /// How rows were held out: `grouped`, or `random` if there were too few groups.
    #[schema(example = "grouped")]
    protocol: String,
    /// Number of cross-validation folds.
    #[schema(example = 5)]
    folds: usize,
    /// For a model that predicts properties: the width of its intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<IntervalDetail>,
    /// For a classifier: the calibration of its probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<ProbabilityDetail>,
}

/// The width of intervals at the default confidence.
#[derive(Serialize, ToSchema)]
struct IntervalDetail {
    #[schema(example = 0.9)]
    confidence: f64,
    /// Whether each sample has intervals of its own width: wider where the members disagree, where errors were larger,
    /// and beyond the training data. Otherwise all intervals of a property have the half width below.
    #[schema(example = true)]
    adaptive: bool,
    /// Typical half widths by property, in the property's unit: those of held-out rows if all had the same width.
    #[schema(example = json!({"fatigue_strength": 33.4, "hardness": 12.9}))]
    half_widths: BTreeMap<String, f64>,
    /// Factors by property, for properties that are learned in logarithms: an interval reaches from the value divided
    /// by the factor to the value times the factor.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"creep_life": 2.6}))]
    factors: BTreeMap<String, f64>,
}

/// The calibration of class probabilities.
#[derive(Serialize, ToSchema)]
struct ProbabilityDetail {
    /// Temperature of the scaling: probabilities were raised to the power of one over the temperature and normalised to
    /// sum to 1.
    #[schema(example = 0.9)]
    temperature: f64,
    /// Mean −ln of the probability of the measured class.
    log_loss: Improvement,
    /// Expected calibration error in ten bins: the difference between predicted probabilities and observed frequencies.
    expected_calibration_error: Improvement,
}

/// A score on held-out rows before and after calibration.
#[derive(Serialize, ToSchema)]
struct Improvement {
    #[schema(example = 0.07)]
    before: f64,
    #[schema(example = 0.02)]
    after: f64,
}

/// List the served models.
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

/// Get one model: inputs with units, ranges and defaults, outputs, version, scores.
#[utoipa::path(
    get,
    path = "/models/{name}",
    tag = "models",
    params(("name" = String, Path, description = "Name of the model", example = "steel-fatigue")),
    responses(
        (status = 200, body = ModelDetail, description = "The model"),
        (status = 404, body = Problem, content_type = "application/problem+json",
            description = "not_found: no such model"),
        (status = 503, body = Problem, content_type = "application/problem+json",
            description = "model_unavailable: the model's active version cannot be loaded"),
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

/// The URL path of a model: its route, or its own path if it has none.
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
    let estimated = composition.amounts.iter().flat_map(|amounts| &amounts.elements);
    ModelDetail {
        summary: summary(catalogue, bundle),
        about: manifest.about.clone(),
        limits: manifest.limits.iter().map(limit).collect(),
        composition: CompositionInput {
            basis: composition.basis.name().to_owned(),
            unit: composition.basis.unit(),
            balance: composition.balance.map(|element| element.symbol().to_owned()),
            elements: elements
                .map(|range| ElementInput { element: range.element.symbol(), min: range.min, max: range.max })
                .collect(),
            residuals: composition.residuals.iter().map(|element| element.symbol()).collect(),
            estimated: estimated.map(|own| own.element.symbol()).collect(),
            trace: Some(composition.trace).filter(|trace| *trace > 0.0),
        },
        processing: manifest.schema.processing.iter().map(parameter).collect(),
        targets,
        classes,
        data: DataSource {
            rows: manifest.data.rows,
            groups: manifest.data.groups,
            citation: manifest.data.citation.clone(),
            sha256: manifest.data.sha256.clone(),
            evidence: manifest.data.evidence.clone(),
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
                adaptive: calibration.errors.is_some(),
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

fn limit(limit: &Limit) -> LimitDetail {
    LimitDetail { text: limit.text().to_owned(), when: limit.condition().cloned() }
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
        tolerance: Some(parameter.tolerance).filter(|tolerance| *tolerance > 0.0),
        min,
        max,
        levels,
        default,
    }
}
