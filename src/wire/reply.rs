//! The JSON of predictions: a model's numbers with names, units and explanations.
//!
//! Clients rely on these types, and the OpenAPI document is made from them.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue as RawJson;
use utoipa::ToSchema;

use crate::domain::{Composition, MOST_VIOLATIONS, Outputs, RawValue, Sample, Scale, Target, Violation, most_probable};
use crate::model::{Bundle, Predicted, ReferenceAttention, Trust, TrustOptions};

/// The model of a prediction.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelRef<'a> {
    #[schema(example = "steel-fatigue")]
    name: &'a str,
    #[schema(example = "3f9a1c2b7d10")]
    version: &'a str,
}

/// A number with its unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Quantity<'a> {
    #[schema(example = 512.3)]
    value: f64,
    #[schema(example = "MPa")]
    unit: &'a str,
    /// Lower and upper bound of the value that a test of the sample will measure, at the `confidence` given beside;
    /// null if the input is so far from the training data that no error was measured there (`reasons` says why);
    /// omitted if the model is not calibrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<f64>>, min_items = 2, max_items = 2, example = json!([489.0, 535.6]))]
    interval: Option<Option<[f64; 2]>>,
    /// The chance that a test keeps the limits that the `specification` sets for this property; null if it is unknown;
    /// omitted without limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1, example = 0.87)]
    chance: Option<Option<f64>>,
}

/// How an input was read, and how far the prediction can be trusted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Reading<'a> {
    /// Whether the input is similar to the training data. All of these must hold: values and amounts are within their
    /// training ranges; every element was seen in training; the input is not farther from the training rows than 99 %
    /// of held-out rows were; the members of the ensemble do not disagree more than on 99 % of these rows; for a model
    /// that knows the kinds of alloys that were measured, some of them are near, and not hardly any of the near ones is of
    /// the predicted class.
    in_domain: bool,
    /// Why the input is out of domain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["Ti (0.3000 wt%) was never seen in training"]))]
    reasons: Vec<String>,
    /// The percentage of held-out training rows that were closer to the training data than the input, rounded up.
    /// Omitted if it cannot be computed, for example for an element that was never seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, example = 97)]
    novelty_percentile: Option<u8>,
    /// The percentage of held-out training rows on which the members of the ensemble disagreed less than on the input,
    /// rounded up. Errors grow with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, example = 64)]
    disagreement_percentile: Option<u8>,
    /// The measured training samples with the greatest influence on the prediction, at most three, the greatest weight
    /// first. Omitted if there are none: no sample is near, or the model keeps none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<ReferenceWeight<'a>>,
    /// Process parameters that were not given, with the default values used; and elements whose amounts were not
    /// measured, with the most plausible amounts, on the model's basis.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, Scalar>)]
    assumed: Vec<(&'a str, Scalar<'a>)>,
    /// Warnings about how the input was read, about predictions that had to be corrected, and the model's limits that
    /// concern this prediction.
    warnings: Vec<String>,
    /// The composition as it was read, if `echo` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    composition: Option<Echo>,
}

/// A measured training sample, and its weight in a prediction.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ReferenceWeight<'a> {
    /// Its group in the training data: a heat, an alloy or a chemical system.
    #[schema(example = "SCM440")]
    group: &'a str,
    /// Its line in the training data file.
    #[schema(example = 118)]
    line: u64,
    /// Its weight. The weights of all measured samples and of the network alone sum to 1.
    #[schema(minimum = 0, maximum = 1, example = 0.27)]
    weight: f64,
}

/// A composition as it was read, on both bases; each sums to 100.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Echo {
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, f64>, example = json!({"C": 0.4, "Fe": 99.6}))]
    weight_percent: Vec<(&'static str, f64)>,
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, f64>, example = json!({"C": 1.833, "Fe": 98.167}))]
    atomic_percent: Vec<(&'static str, f64)>,
}

impl Echo {
    /// The composition of a sample.
    pub(crate) fn of(sample: &Sample) -> Self {
        let [weight_percent, atomic_percent] = sample.on_both_bases().map(|composition| shown_amounts(&composition));
        Self { weight_percent, atomic_percent }
    }
}

/// Element symbols and amounts with four decimals; further digits would only come from a division.
pub(crate) fn shown_amounts(composition: &Composition) -> Vec<(&'static str, f64)> {
    composition.amounts().iter().map(|(element, amount)| (element.symbol(), rounded(*amount, 4))).collect()
}

/// A number, or a level of a categorical parameter.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Scalar<'a> {
    Number(f64),
    Text(&'a str),
}

/// Predicted properties of one sample.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PropertyPrediction<'a> {
    /// The predicted properties, by name.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, Quantity>)]
    properties: Vec<(&'a str, Quantity<'a>)>,
    /// Confidence of the intervals: the share of measured values that they contain; as requested, or 0.9. Omitted if
    /// there are no intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.5, maximum = 0.99, example = 0.9)]
    confidence: Option<f64>,
    /// The chance that a test of the sample keeps all limits of the `specification`; errors of properties of one sample
    /// go together, so it is not the product of the chances. Null if it is unknown; omitted without a specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1, example = 0.81)]
    chance_all: Option<Option<f64>>,
    #[serde(flatten)]
    reading: Reading<'a>,
}

/// Predicted class of one sample.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ClassPrediction<'a> {
    /// The most probable class.
    #[schema(example = "BMG")]
    class: &'a str,
    /// The probability of each class; the sum is 1.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = std::collections::HashMap<String, f64>)]
    probabilities: Vec<(&'a str, f64)>,
    #[serde(flatten)]
    reading: Reading<'a>,
}

/// The prediction for one sample.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Prediction<'a> {
    Properties(PropertyPrediction<'a>),
    Class(ClassPrediction<'a>),
}

/// The response to a single sample.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Single<'a, P> {
    pub(crate) model: ModelRef<'a>,
    /// What the prediction is about, in words; omitted if the model does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) prediction: P,
    /// True if the model's predictions depend on the other samples in the same batch; omitted otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) batch_dependent: bool,
}

/// The response to a list of samples, in their order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Many<'a, P> {
    pub(crate) model: ModelRef<'a>,
    /// What the predictions are about, in words; omitted if the model does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<&'a str>,
    pub(crate) predictions: Vec<P>,
    /// True if the model's predictions depend on the other samples in the same batch; omitted otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) batch_dependent: bool,
}

/// The response to a single sample, or to a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Answer<'a, P> {
    Single(Single<'a, P>),
    Many(Many<'a, P>),
}

/// The response to a line of NDJSON.
#[derive(Debug, Serialize)]
pub(crate) struct LineAnswer<'a> {
    /// The `id` of the line, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a RawJson>,
    pub(crate) model: ModelRef<'a>,
    /// What the prediction is about, in words; omitted if the model does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) prediction: Prediction<'a>,
    /// True if the model's predictions depend on the other samples in the same batch; omitted otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) batch_dependent: bool,
}

/// The response to an invalid line of NDJSON.
#[derive(Debug, Serialize)]
pub(crate) struct LineProblem<'a> {
    /// The `id` of the line, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawJson>,
    model: ModelRef<'a>,
    /// Every invalid field.
    errors: Vec<FieldError<'a>>,
}

impl<'a> LineProblem<'a> {
    pub(crate) fn new(id: Option<&'a RawJson>, model: ModelRef<'a>, violations: &'a [Violation]) -> Self {
        let field = |found: &'a Violation| FieldError { pointer: &found.pointer, detail: &found.detail };
        Self { id, model, errors: violations.iter().take(MOST_VIOLATIONS).map(field).collect() }
    }
}

/// One invalid field.
#[derive(Debug, Serialize)]
struct FieldError<'a> {
    /// JSON pointer (RFC 6901) to the field; in a table, `/` and the name of the column.
    pointer: &'a str,
    /// The error in the field.
    detail: &'a str,
}

pub(crate) fn model_ref(bundle: &Bundle) -> ModelRef<'_> {
    let manifest = bundle.manifest();
    ModelRef { name: &manifest.name, version: &manifest.version }
}

/// What the predictions of a model are about.
pub(crate) fn about(bundle: &Bundle) -> Option<&str> {
    bundle.manifest().about.as_deref()
}

/// Makes the JSON form of a model's prediction.
pub(crate) fn prediction<'a>(
    bundle: &'a Bundle,
    sample: &'a Sample,
    predicted: &'a Predicted,
    trust: Trust,
    options: &TrustOptions,
    echo: bool,
) -> Prediction<'a> {
    let mut prediction = in_shape(bundle, &predicted.values, trust, options);
    let (Prediction::Properties(PropertyPrediction { reading, .. })
    | Prediction::Class(ClassPrediction { reading, .. })) = &mut prediction;
    reading.assumed = sample.assumed().iter().map(|(name, value)| (name.as_str(), value_of(value))).collect();
    reading.warnings.splice(0..0, sample.warnings().iter().chain(&predicted.warnings).cloned());
    reading.references = references(bundle, &predicted.references);
    reading.composition = echo.then(|| Echo::of(sample));
    prediction
}

fn references<'a>(bundle: &'a Bundle, weights: &[ReferenceAttention]) -> Vec<ReferenceWeight<'a>> {
    let named = weights
        .iter()
        .filter_map(|attention| Some((bundle.manifest().references.get(attention.place as usize)?, attention)));
    named
        .map(|(own, attention)| ReferenceWeight {
            group: &own.group,
            line: own.line,
            weight: rounded(f64::from(attention.weight), 3),
        })
        .collect()
}

/// A placeholder prediction in the usual format, with 0 for every value.
pub(crate) fn blank(bundle: &Bundle) -> Prediction<'_> {
    let width = bundle.manifest().schema.outputs.width();
    let intervals = if bundle.manifest().has_intervals() { vec![Some([0.0; 2]); width] } else { Vec::new() };
    let trust = Trust { intervals, novelty_percentile: Some(0), disagreement_percentile: Some(0), ..Trust::default() };
    let mut blank = in_shape(bundle, &vec![0.0; width], trust, &TrustOptions::default());
    let (Prediction::Properties(PropertyPrediction { reading, .. })
    | Prediction::Class(ClassPrediction { reading, .. })) = &mut blank;
    reading.references = references(bundle, &[ReferenceAttention::default(); 2]);
    blank
}

fn in_shape<'a>(bundle: &'a Bundle, values: &[f64], trust: Trust, options: &TrustOptions) -> Prediction<'a> {
    let manifest = bundle.manifest();
    let reading = Reading {
        in_domain: trust.in_domain(),
        reasons: trust.reasons,
        novelty_percentile: trust.novelty_percentile,
        disagreement_percentile: trust.disagreement_percentile,
        references: Vec::new(),
        assumed: Vec::new(),
        warnings: trust.warnings,
        composition: None,
    };
    match &manifest.schema.outputs {
        Outputs::Regression { targets } => {
            let limits = options.specification.limits();
            let property = |(index, (target, value)): (usize, (&'a Target, &f64))| {
                let shown = |value| shown(value, target.scale);
                let interval = trust.intervals.get(index).map(|interval| interval.map(|ends| ends.map(shown)));
                let limited = limits.iter().any(|limits| limits.output == index);
                let chance = limited.then(|| trust.chances.get(index).copied().flatten().map(|own| rounded(own, 4)));
                (target.name.as_str(), Quantity { value: shown(*value), unit: &target.unit, interval, chance })
            };
            Prediction::Properties(PropertyPrediction {
                properties: targets.iter().zip(values).enumerate().map(property).collect(),
                confidence: manifest.has_intervals().then_some(options.confidence.level()),
                chance_all: (!limits.is_empty()).then(|| trust.chance_all.map(|own| rounded(own, 4))),
                reading,
            })
        }
        Outputs::Classification { classes } => Prediction::Class(ClassPrediction {
            class: &classes[most_probable(values)],
            probabilities: classes
                .iter()
                .map(String::as_str)
                .zip(values.iter().map(|value| rounded(*value, 6)))
                .collect(),
            reading,
        }),
    }
}

/// Rounds a property for output. A property that is learned in logarithms gets six significant digits, because its
/// first nonzero digit can be at any decimal: no value above 0 becomes 0.
pub(crate) fn shown(value: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => rounded(value, 3),
        Scale::Log => format!("{value:.5e}").parse().unwrap_or(value),
    }
}

/// Rounds a value; more digits than any measurement has would suggest a false accuracy.
pub(crate) fn rounded(value: f64, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (value * factor).round() / factor
}

fn value_of(value: &RawValue) -> Scalar<'_> {
    match value {
        RawValue::Number(number) => Scalar::Number(*number),
        RawValue::Text(text) => Scalar::Text(text),
    }
}

fn as_map<T: Serialize, S: Serializer>(entries: &[(&str, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, value)| (name, value)))
}
