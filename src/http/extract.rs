//! From the bytes of a body to raw samples.
//!
//! Its own because it must be fast when all is well and thorough when not: a body is parsed into the typed
//! request first; only when that fails is it read again, field by field, to collect every complaint.

use std::fmt;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue as RawJson;

use super::error::ApiError;
use crate::domain::{Basis, RawComposition, RawSample, RawValue, Violation};

/// What a body holds, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Json,
    Csv,
}

/// The kind of a body.
///
/// # Errors
/// 415 for anything but JSON and CSV.
pub(super) fn body_kind(headers: &HeaderMap) -> Result<BodyKind, ApiError> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(BodyKind::Json),
        "text/csv" => Ok(BodyKind::Csv),
        _ => {
            let got = if text.is_empty() { "no content type was given".to_owned() } else { format!("got \"{text}\"") };
            Err(ApiError::UnsupportedMediaType(format!("send application/json or text/csv; {got}")))
        }
    }
}

/// Reads a body up to a limit.
///
/// # Errors
/// 413 over the limit, 400 where the client broke off.
pub(super) async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::BodyTooLarge(limit));
    }
    to_bytes(body, limit).await.map(Vec::from).map_err(|error| match error.into_inner().is::<LengthLimitError>() {
        true => ApiError::BodyTooLarge(limit),
        false => ApiError::MalformedBody("the body broke off".to_owned()),
    })
}

/// Reads a small JSON body of the admin routes. `base` is the pointer to it.
///
/// # Errors
/// 400 where it is not JSON, 422 naming the field that is unknown or ill-typed.
pub(super) fn typed_json<T: serde::de::DeserializeOwned>(bytes: &[u8], base: &str) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.inner();
        if inner.is_syntax() || inner.is_eof() {
            return ApiError::MalformedBody(inner.to_string());
        }
        let path = error.path().iter().map(|segment| segment.to_string());
        let pointer = path.filter(|part| part != "?").fold(base.to_owned(), |at, part| Violation::child(&at, &part));
        ApiError::invalid(pointer, inner.to_string())
    })?;
    reader.end().map_err(|error| ApiError::MalformedBody(error.to_string()))?;
    Ok(value)
}

/// A request for predictions, well-typed but not yet checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PredictRequest {
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    confidence: Option<f64>,
    #[serde(default)]
    pub(super) samples: Option<Vec<SampleInput>>,
    #[serde(default)]
    composition: Option<CompositionInput>,
    #[serde(default)]
    basis: Option<Basis>,
    #[serde(default)]
    processing: Option<Entries<ValueInput>>,
}

/// One sample of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SampleInput {
    #[serde(default)]
    composition: Option<CompositionInput>,
    #[serde(default)]
    basis: Option<Basis>,
    #[serde(default)]
    processing: Option<Entries<ValueInput>>,
}

#[derive(Debug)]
enum CompositionInput {
    Formula(String),
    Amounts(Entries<f64>),
}

/// By hand, as for [`RawValue`]: an untagged enum would keep a copy of every value and look at it twice.
impl<'de> Deserialize<'de> for CompositionInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CompositionVisitor;

        impl<'de> Visitor<'de> for CompositionVisitor {
            type Value = CompositionInput;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a formula or amounts")
            }

            fn visit_str<E>(self, text: &str) -> Result<CompositionInput, E> {
                Ok(CompositionInput::Formula(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CompositionInput, A::Error> {
                Entries::read(map).map(CompositionInput::Amounts)
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

/// A request with everything that could be read of it, and everything that could not.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// The model asked for.
    pub(super) model: Option<String>,
    /// The confidence of intervals asked for.
    pub(super) confidence: Option<f64>,
    /// The samples; one where the body is a single sample.
    pub(super) samples: Vec<RawSample>,
    /// Whether they came as a list.
    pub(super) listed: bool,
    /// Complaints about the shape of the body.
    pub(super) violations: Vec<Violation>,
}

/// Reads the body of a prediction request.
///
/// # Errors
/// 400 where the body is not JSON at all.
pub(super) fn parse(body: &[u8]) -> Result<Parsed, ApiError> {
    match serde_json::from_slice::<PredictRequest>(body) {
        Ok(request) => Ok(request.into_parsed()),
        Err(_) => reread(body),
    }
}

impl PredictRequest {
    fn into_parsed(self) -> Parsed {
        let Self { model, confidence, samples, composition, basis, processing } = self;
        match samples {
            None => {
                let only = SampleInput { composition, basis, processing };
                Parsed { model, confidence, samples: vec![only.into_raw()], ..Parsed::default() }
            }
            Some(samples) => {
                let both = [
                    ("/composition", composition.is_some()),
                    ("/basis", basis.is_some()),
                    ("/processing", processing.is_some()),
                ];
                let stray = both.into_iter().filter(|(_, given)| *given);
                let violations = stray.map(|(pointer, _)| Violation::new(pointer, STRAY)).collect();
                let samples = samples.into_iter().map(SampleInput::into_raw).collect();
                Parsed { model, confidence, samples, listed: true, violations }
            }
        }
    }
}

const STRAY: &str = "belongs into each sample where samples is given";

impl SampleInput {
    fn into_raw(self) -> RawSample {
        let composition = self.composition.map(|composition| match composition {
            CompositionInput::Formula(text) => RawComposition::Formula(text),
            CompositionInput::Amounts(Entries(amounts)) => RawComposition::Amounts(amounts),
        });
        let raw = |(name, ValueInput(value))| (name, value);
        let processing = self.processing.map(|entries| entries.0.into_iter().map(raw).collect());
        RawSample { composition, basis: self.basis, processing: processing.unwrap_or_default() }
    }
}

/// The slow road: the body as a tree of unparsed values, each looked at alone.
fn reread(body: &[u8]) -> Result<Parsed, ApiError> {
    let malformed = |error: serde_json::Error| ApiError::MalformedBody(error.to_string());
    let whole: &RawJson = serde_json::from_slice(body).map_err(malformed)?;
    let mut reader = Reader::default();
    let mut parsed = Parsed::default();
    let known = ["model", "confidence", "samples", "composition", "basis", "processing"];
    if let Some(fields) = reader.fields(whole, "", &known) {
        let given = |name: &str| {
            let field = fields.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            field.filter(|value| !is_null(value))
        };
        parsed.model = given("model").and_then(|value| reader.text(value, "/model"));
        // What is not a number is out of range, as NaN is: one complaint, made where the range is known.
        parsed.confidence = given("confidence").map(|value| number(value).unwrap_or(f64::NAN));
        match given("samples") {
            Some(list) => {
                parsed.listed = true;
                for (name, value) in &fields {
                    if !["model", "confidence", "samples"].contains(&name.as_str()) && !is_null(value) {
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

type Fields<'a> = Vec<(String, &'a RawJson)>;

#[derive(Default)]
struct Reader {
    violations: Vec<Violation>,
}

impl Reader {
    fn complain(&mut self, pointer: String, detail: impl Into<String>) {
        self.violations.push(Violation::new(pointer, detail));
    }

    /// The fields of an object; complains about unknown and repeated ones.
    fn fields<'a>(&mut self, value: &'a RawJson, pointer: &str, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.entries(value, pointer, "must be an object")?;
        for (name, _) in fields.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let detail = format!("unknown field; known are {}", known.join(", "));
            self.complain(Violation::child(pointer, name), detail);
        }
        Some(fields)
    }

    fn entries<'a>(&mut self, value: &'a RawJson, pointer: &str, otherwise: &str) -> Option<Fields<'a>> {
        let Ok(Entries(entries)) = serde_json::from_str::<Entries<&RawJson>>(value.get()) else {
            self.complain(pointer.to_owned(), otherwise);
            return None;
        };
        for (at, (name, _)) in entries.iter().enumerate() {
            if entries[..at].iter().any(|(earlier, _)| earlier == name) {
                self.complain(Violation::child(pointer, name), "given twice");
            }
        }
        Some(entries)
    }

    fn samples(&mut self, list: &RawJson) -> Vec<RawSample> {
        let Some(items) = typed::<Vec<&RawJson>>(list) else {
            self.complain("/samples".to_owned(), "must be a list of samples");
            return Vec::new();
        };
        let mut samples = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let base = format!("/samples/{index}");
            let fields = self.fields(item, &base, &["composition", "basis", "processing"]);
            samples.push(self.sample(&fields.unwrap_or_default(), &base));
        }
        samples
    }

    fn sample(&mut self, fields: &Fields, base: &str) -> RawSample {
        let mut sample = RawSample::default();
        for (name, value) in fields.iter().filter(|(_, value)| !is_null(value)) {
            let pointer = Violation::child(base, name);
            match name.as_str() {
                "composition" => sample.composition = self.composition(value, &pointer),
                "basis" => {
                    sample.basis = typed(value);
                    if sample.basis.is_none() {
                        self.complain(pointer, "must be \"weight_percent\" or \"atomic_percent\"");
                    }
                }
                "processing" => sample.processing = self.processing(value, &pointer),
                _ => {}
            }
        }
        sample
    }

    fn composition(&mut self, value: &RawJson, pointer: &str) -> Option<RawComposition> {
        if let Some(text) = typed::<String>(value) {
            return Some(RawComposition::Formula(text));
        }
        let wanted = "must be a map of element symbols to amounts, or a formula string";
        let entries = self.entries(value, pointer, wanted)?;
        let mut amounts = Vec::with_capacity(entries.len());
        for (symbol, amount) in entries {
            match number(amount) {
                Some(amount) => amounts.push((symbol, amount)),
                None => self.complain(Violation::child(pointer, &symbol), "the amount must be a number"),
            }
        }
        Some(RawComposition::Amounts(amounts))
    }

    fn processing(&mut self, value: &RawJson, pointer: &str) -> Vec<(String, RawValue)> {
        let wanted = "must be a map of process parameters to values";
        let entries = self.entries(value, pointer, wanted).unwrap_or_default();
        let mut values = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            match (number(value), typed::<String>(value)) {
                (Some(number), _) => values.push((name, RawValue::Number(number))),
                (None, Some(text)) => values.push((name, RawValue::Text(text))),
                (None, None) => self.complain(Violation::child(pointer, &name), "must be a number or a text"),
            }
        }
        values
    }

    fn text(&mut self, value: &RawJson, pointer: &str) -> Option<String> {
        let text = typed(value);
        if text.is_none() {
            self.complain(pointer.to_owned(), "must be a text");
        }
        text
    }
}

fn typed<'a, T: Deserialize<'a>>(value: &'a RawJson) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// A JSON number. One beyond the range of a double becomes infinite here, and a complaint later.
fn number(value: &RawJson) -> Option<f64> {
    let text = value.get();
    let first = text.bytes().next()?;
    if first == b'-' || first.is_ascii_digit() { text.parse().ok() } else { None }
}

fn is_null(value: &RawJson) -> bool {
    value.get() == "null"
}

/// The entries of a JSON object in the order of the text, repeated keys kept: a map would hide them.
#[derive(Debug)]
struct Entries<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Entries<T> {
    fn read<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        // As many as most samples have.
        let mut entries = Vec::with_capacity(12);
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Self(entries))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entries<T>, A::Error> {
                Entries::read(map)
            }
        }

        deserializer.deserialize_map(EntriesVisitor(std::marker::PhantomData))
    }
}
