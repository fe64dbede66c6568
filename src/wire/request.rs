//! Parses the bytes of a request into raw samples.
//!
//! Valid bodies are parsed fast into typed requests. Only if that fails, the body is read again field by field, to
//! report every error.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue as RawJson;
use utoipa::ToSchema;

use super::entries::{Entries, USUAL};
use super::limits::LimitsInput;
use super::misread::{explain, without_mark};
use super::reread::{Reader, is_null, number, typed};
use super::schema;
use crate::domain::{Basis, NotMeasured, RawComposition, RawLimits, RawSample, RawValue, Violation};

/// A text that is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(String);

/// One sample, with the options of the prediction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SingleRequest<'a> {
    /// Name of the model; the default is the route's default model. For tables and NDJSON: `?model=`.
    #[serde(default)]
    #[schema(example = "steel-fatigue")]
    model: Option<String>,
    /// Version of the model; the default is the active version. For tables and NDJSON: `?version=`.
    #[serde(default)]
    #[schema(example = "3f9a1c2b7d10")]
    version: Option<String>,
    /// Confidence of the intervals: the share of measured values that they should contain; the default is 0.9. For
    /// tables and NDJSON: `?confidence=`.
    #[serde(default)]
    #[schema(minimum = 0.5, maximum = 0.99, example = 0.8)]
    confidence: Option<f64>,
    /// Limits that the properties should keep, by property: the prediction then gives the chance that a test keeps
    /// them, for each property and for all together. For tables and NDJSON: `?min=` and `?max=`.
    #[serde(default, borrow)]
    #[schema(schema_with = schema::any_specification)]
    specification: Option<Entries<'a, LimitsInput>>,
    /// Whether the prediction repeats the composition as it was read.
    #[serde(default)]
    echo: bool,
    #[serde(borrow)]
    #[schema(schema_with = schema::composition)]
    composition: CompositionInput<'a>,
    /// Basis of the amounts; the default is the model's basis.
    #[serde(default)]
    #[schema(schema_with = schema::basis)]
    basis: Option<Basis>,
    /// Process parameters by name; `GET /models/{name}` lists them with units, ranges and defaults.
    #[serde(default, borrow)]
    #[schema(schema_with = schema::any_processing)]
    processing: Option<Entries<'a, ValueInput>>,
}

/// Several samples, with the options of the predictions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRequest<'a> {
    /// Name of the model; the default is the route's default model. For tables and NDJSON: `?model=`.
    #[serde(default)]
    #[schema(example = "steel-fatigue")]
    model: Option<String>,
    /// Version of the model; the default is the active version. For tables and NDJSON: `?version=`.
    #[serde(default)]
    #[schema(example = "3f9a1c2b7d10")]
    version: Option<String>,
    /// Confidence of the intervals: the share of measured values that they should contain; the default is 0.9. For
    /// tables and NDJSON: `?confidence=`.
    #[serde(default)]
    #[schema(minimum = 0.5, maximum = 0.99, example = 0.8)]
    confidence: Option<f64>,
    /// Limits that the properties should keep, by property: the prediction then gives the chance that a test keeps
    /// them, for each property and for all together. For tables and NDJSON: `?min=` and `?max=`.
    #[serde(default, borrow)]
    #[schema(schema_with = schema::any_specification)]
    specification: Option<Entries<'a, LimitsInput>>,
    /// Whether the predictions repeat the compositions as they were read.
    #[serde(default)]
    echo: bool,
    /// The samples; predictions have this order.
    #[serde(borrow)]
    #[schema(min_items = 1)]
    samples: Vec<SampleInput<'a>>,
}

/// The body of a prediction request: one sample or a list.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub(crate) enum PredictRequest<'a> {
    Single(SingleRequest<'a>),
    List(ListRequest<'a>),
}

/// One sample of a list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Sample)]
pub(crate) struct SampleInput<'a> {
    #[serde(borrow)]
    #[schema(schema_with = schema::composition)]
    composition: CompositionInput<'a>,
    /// Basis of the amounts; the default is the model's basis.
    #[serde(default)]
    #[schema(schema_with = schema::basis)]
    basis: Option<Basis>,
    /// Process parameters by name; `GET /models/{name}` lists them with units, ranges and defaults.
    #[serde(default, borrow)]
    #[schema(schema_with = schema::any_processing)]
    processing: Option<Entries<'a, ValueInput>>,
}

/// Amounts by element symbol, or a formula.
#[derive(Debug)]
pub(super) enum CompositionInput<'a> {
    Formula(String),
    Amounts(AmountsInput<'a>),
}

/// Amounts by symbol; `null` is one that was not measured.
#[derive(Debug)]
pub(super) struct AmountsInput<'a> {
    given: Vec<(Cow<'a, str>, f64)>,
    not_measured: Vec<(Cow<'a, str>, NotMeasured)>,
}

/// Written by hand, as for [`RawValue`], because an untagged enum would copy every value and parse it twice.
impl<'de: 'a, 'a> Deserialize<'de> for CompositionInput<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CompositionVisitor;

        impl<'de> Visitor<'de> for CompositionVisitor {
            type Value = CompositionInput<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a formula or amounts")
            }

            fn visit_str<E>(self, text: &str) -> Result<CompositionInput<'de>, E> {
                Ok(CompositionInput::Formula(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CompositionInput<'de>, A::Error> {
                let mut amounts = AmountsInput { given: Vec::with_capacity(USUAL), not_measured: Vec::new() };
                Entries::each(map, |symbol, amount: Option<f64>| match amount {
                    Some(amount) => amounts.given.push((symbol, amount)),
                    None => amounts.not_measured.push((symbol, NotMeasured::Stated)),
                })?;
                Ok(CompositionInput::Amounts(amounts))
            }
        }

        deserializer.deserialize_any(CompositionVisitor)
    }
}

/// The value of a process parameter.
#[derive(Debug)]
struct ValueInput(RawValue);

impl<'de> Deserialize<'de> for ValueInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl Visitor<'_> for ValueVisitor {
            type Value = ValueInput;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number or a text")
            }

            fn visit_f64<E>(self, number: f64) -> Result<ValueInput, E> {
                Ok(ValueInput(RawValue::Number(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<ValueInput, E> {
                Ok(ValueInput(RawValue::Number(number as f64)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<ValueInput, E> {
                Ok(ValueInput(RawValue::Number(number as f64)))
            }

            fn visit_str<E>(self, text: &str) -> Result<ValueInput, E> {
                Ok(ValueInput(RawValue::Text(text.to_owned())))
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

/// A request: everything that could be read, and the errors.
#[derive(Debug, Default)]
pub(crate) struct Parsed<'a> {
    /// The requested model.
    pub(crate) model: Option<String>,
    /// The requested version.
    pub(crate) version: Option<String>,
    /// The requested confidence of intervals.
    pub(crate) confidence: Option<f64>,
    /// The limits of the specification.
    pub(crate) specification: Vec<RawLimits<'a>>,
    /// Whether predictions repeat the composition as it was read.
    pub(crate) echo: bool,
    /// The samples; one if the body is a single sample.
    pub(crate) samples: Vec<RawSample<'a>>,
    /// Whether the body is a list.
    pub(crate) listed: bool,
    /// Errors in the structure of the body.
    pub(crate) violations: Vec<Violation>,
}

/// Reads the body of a prediction request.
///
/// # Errors
/// [`Malformed`] if the body is not JSON.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let body = without_mark(body);
    // Parsing a list as a single sample fails at the first field that only a list has, so little is read twice.
    let single = serde_json::from_slice(body).map(PredictRequest::Single);
    match single.or_else(|_| serde_json::from_slice(body).map(PredictRequest::List)) {
        Ok(PredictRequest::Single(request)) => Ok(request.into_parsed()),
        Ok(PredictRequest::List(request)) => Ok(request.into_parsed()),
        Err(_) => reread(body),
    }
}

impl<'a> SingleRequest<'a> {
    fn into_parsed(self) -> Parsed<'a> {
        let Self { model, version, confidence, specification, echo, composition, basis, processing } = self;
        let samples = vec![SampleInput { composition, basis, processing }.into_raw()];
        let specification = raw_limits(specification);
        Parsed { model, version, confidence, specification, echo, samples, ..Parsed::default() }
    }
}

impl<'a> ListRequest<'a> {
    fn into_parsed(self) -> Parsed<'a> {
        let Self { model, version, confidence, specification, echo, samples } = self;
        let samples = samples.into_iter().map(SampleInput::into_raw).collect();
        let specification = raw_limits(specification);
        Parsed { model, version, confidence, specification, echo, samples, listed: true, ..Parsed::default() }
    }
}

fn raw_limits<'a>(specification: Option<Entries<'a, LimitsInput>>) -> Vec<RawLimits<'a>> {
    let limits = |(property, LimitsInput { min, max })| RawLimits { property, min, max };
    specification.map(|entries| entries.0.into_iter().map(limits).collect()).unwrap_or_default()
}

const STRAY: &str = "belongs into each sample where samples is given";

impl<'a> SampleInput<'a> {
    fn into_raw(self) -> RawSample<'a> {
        let (composition, not_measured) = match self.composition {
            CompositionInput::Formula(text) => (RawComposition::Formula(text), Vec::new()),
            CompositionInput::Amounts(AmountsInput { given, not_measured }) => {
                (RawComposition::Amounts(given), not_measured)
            }
        };
        let raw = |(name, ValueInput(value))| (name, value);
        let processing = self.processing.map(|entries| entries.0.into_iter().map(raw).collect());
        let processing = processing.unwrap_or_default();
        RawSample { composition: Some(composition), basis: self.basis, not_measured, balance: None, processing }
    }
}

/// The slow path: reads the body as a tree of unparsed values and checks each one alone.
fn reread(body: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let whole: &RawJson = serde_json::from_slice(body).map_err(|error| Malformed(explain(body, &error)))?;
    let mut reader = Reader::default();
    let mut parsed = Parsed::default();
    let known =
        ["model", "version", "confidence", "specification", "echo", "samples", "composition", "basis", "processing"];
    if let Some(fields) = reader.fields(whole, "", &known) {
        let given = |name: &str| {
            let field = fields.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            field.filter(|value| !is_null(value))
        };
        parsed.model = given("model").and_then(|value| reader.text(value, "/model"));
        parsed.version = given("version").and_then(|value| reader.text(value, "/version"));
        // A value that is not a number becomes NaN, which is out of range: so there is one error, reported where the
        // range is known.
        parsed.confidence = given("confidence").map(|value| number(value).unwrap_or(f64::NAN));
        if let Some(value) = given("specification") {
            parsed.specification = reader.specification(value);
        }
        if let Some(value) = given("echo") {
            parsed.echo = typed(value).unwrap_or_default();
            if typed::<bool>(value).is_none() {
                reader.complain("/echo".to_owned(), "must be true or false");
            }
        }
        match given("samples") {
            Some(list) => {
                parsed.listed = true;
                for (name, value) in &fields {
                    if !["model", "version", "confidence", "specification", "echo", "samples"].contains(&name.as_ref())
                        && !is_null(value)
                    {
                        reader.complain(Violation::child("", name), STRAY);
                    }
                }
                parsed.samples = reader.samples(list);
            }
            None => parsed.samples.push(reader.sample(&fields, "")),
        }
    }
    parsed.violations = reader.violations;
    Ok(parsed)
}

/// One line of NDJSON: everything that could be read, and the errors.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Returned unchanged.
    pub(crate) id: Option<&'a RawJson>,
    /// The sample.
    pub(crate) sample: RawSample<'a>,
    /// Errors in the structure of the line.
    pub(crate) violations: Vec<Violation>,
}

/// The typed form of a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineInput<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawJson>,
    #[serde(borrow)]
    composition: CompositionInput<'a>,
    #[serde(default)]
    basis: Option<Basis>,
    #[serde(default, borrow)]
    processing: Option<Entries<'a, ValueInput>>,
}

/// Reads a line of NDJSON.
///
/// # Errors
/// [`Malformed`] if it is not JSON.
pub(crate) fn parse_line(line: &[u8]) -> Result<Line<'_>, Malformed> {
    let line = without_mark(line);
    if let Ok(LineInput { id, composition, basis, processing }) = serde_json::from_slice(line) {
        let sample = SampleInput { composition, basis, processing }.into_raw();
        return Ok(Line { id, sample, violations: Vec::new() });
    }
    let whole: &RawJson = serde_json::from_slice(line).map_err(|error| Malformed(explain(line, &error)))?;
    let mut reader = Reader::default();
    let fields = reader.fields(whole, "", &["id", "composition", "basis", "processing"]).unwrap_or_default();
    let id = fields.iter().find(|(name, _)| name == "id").map(|(_, value)| *value);
    let sample = reader.sample(&fields, "");
    Ok(Line { id, sample, violations: reader.violations })
}

/// The fields with a wrong structure, and all fields that contain them.
pub(crate) struct Misshapen(HashSet<String>);

impl Misshapen {
    pub(crate) fn of(violations: &[Violation]) -> Self {
        let parts = |pointer: &str| {
            let ends = pointer.match_indices('/').map(|(end, _)| end).chain([pointer.len()]);
            ends.map(|end| pointer[..end].to_owned()).collect::<Vec<_>>()
        };
        Self(violations.iter().flat_map(|violation| parts(&violation.pointer)).collect())
    }

    /// Adds the errors of a sample, except those of fields that could not be read: these fields were already reported.
    pub(crate) fn add_news(&self, violations: &mut Vec<Violation>, found: Vec<Violation>) {
        violations.extend(found.into_iter().filter(|found| !self.0.contains(&found.pointer)));
    }
}
