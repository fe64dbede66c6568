//! The query string of a prediction request. It gives the options of tables and NDJSON, whose bodies have no place for
//! them.

use axum::http::Uri;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::error::ApiError;
use crate::domain::{Outputs, RawLimits, Specification, Violation};
use crate::model::{Bundle, Confidence, TrustOptions};
use crate::tables::{Charset, Mapping, ReadOptions};
use crate::wire::{Others, paired_limits};

/// The query parameters of a prediction.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PredictQuery {
    /// Name of the model; the default is the route's default model
    #[param(required = false)]
    pub(in crate::http) model: Option<String>,
    /// Version of the model; the default is the active version
    #[param(required = false)]
    pub(in crate::http) version: Option<String>,
    /// Confidence of the intervals: the share of measured values that they should contain; the default is 0.9
    // Kept as text, so that an invalid number is reported together with the other errors.
    #[param(required = false, value_type = f64, minimum = 0.5, maximum = 0.99)]
    confidence: Option<String>,
    /// Least value of a property that a test should reach, as PROPERTY:NUMBER; predictions then give the chance; can be
    /// repeated
    #[param(required = false, style = Form, explode, example = json!(["fatigue_strength:600"]))]
    min: Vec<String>,
    /// Largest value of a property, as PROPERTY:NUMBER; can be repeated
    #[param(required = false, style = Form, explode, example = json!(["hardness:360"]))]
    max: Vec<String>,
    /// Whether predictions repeat the composition as it was read
    #[param(required = false)]
    pub(in crate::http) echo: bool,
    /// Encoding of a table; detected if not given
    #[param(required = false, example = "gb18030")]
    encoding: Option<String>,
    /// Sheet of a workbook, by name or by number from 1
    #[param(required = false)]
    sheet: Option<String>,
    /// Meaning of a table's column, as COLUMN:FIELD; FIELD is an element symbol, a process parameter, `formula` or
    /// `other`; can be repeated
    #[param(required = false, style = Form, explode, example = json!(["AlT:Al"]))]
    map: Vec<String>,
    /// One value for all rows of a table, as FIELD:VALUE; can be repeated
    #[param(required = false, style = Form, explode, example = json!(["test_temperature:25"]))]
    set: Vec<String>,
    /// Whether columns of a table that are not inputs are returned (`keep`), left out (`drop`) or refused (`refuse`)
    #[param(required = false, example = "keep")]
    other_columns: Option<String>,
    /// Whether text in a table that a spreadsheet would run as a formula (it begins with = + - @ and is not a number)
    /// is returned with an apostrophe in front
    #[param(required = false)]
    safe_cells: bool,
}

/// Why a bundle that was calibrated without error vectors gives no chances.
const NO_CHANCES: &str = "this version of the model was calibrated without what chances need: train it again, or leave the \
    specification out";

/// The options for tables.
#[derive(Debug, Default)]
pub(in crate::http) struct TableQuery {
    pub(in crate::http) options: ReadOptions,
    pub(in crate::http) mapping: Mapping,
    pub(in crate::http) others: Others,
    pub(in crate::http) safe_cells: bool,
}

impl PredictQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// 422 for unknown or invalid parameters.
    pub(in crate::http) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let refused = |error: serde_html_form::de::Error| vec![Violation::new("", format!("query: {error}"))];
        serde_html_form::from_str(uri.query().unwrap_or_default()).map_err(|error| refused(error).into())
    }

    /// What a request wants to know of the reliability: the confidence and the limits of the body, otherwise those of
    /// the query, otherwise the defaults. Errors are added to `violations`.
    pub(in crate::http) fn trust_options(
        &self,
        (confidence, specification): (Option<f64>, &[RawLimits]),
        bundle: &Bundle,
        violations: &mut Vec<Violation>,
    ) -> TrustOptions {
        let confidence = self.confidence(confidence, bundle, violations);
        let asked;
        let limits = match specification {
            [] => {
                asked = paired_limits(&self.min, &self.max, violations);
                &asked
            }
            given => given,
        };
        if !limits.is_empty() && bundle.manifest().has_intervals() && !bundle.manifest().has_chances() {
            violations.push(Violation::new("/specification", NO_CHANCES));
        }
        let outputs = &bundle.manifest().schema.outputs;
        TrustOptions { confidence, specification: Specification::parse(limits, outputs, violations) }
    }

    /// The confidence of a request: from the body, otherwise from the query, otherwise the default. Errors are added to
    /// `violations`.
    fn confidence(&self, body: Option<f64>, bundle: &Bundle, violations: &mut Vec<Violation>) -> Confidence {
        let asked = match (body, &self.confidence) {
            (Some(level), _) => Confidence::new(level),
            (None, Some(text)) => text.parse(),
            (None, None) => return Confidence::default(),
        };
        let complaint = match (&bundle.manifest().schema.outputs, asked) {
            (Outputs::Classification { .. }, _) => "a classifier gives probabilities, not intervals".to_owned(),
            (Outputs::Regression { .. }, Ok(confidence)) => return confidence,
            (Outputs::Regression { .. }, Err(error)) => error.to_string(),
        };
        violations.push(Violation::new("/confidence", complaint));
        Confidence::default()
    }

    /// The options for tables. Errors are added to `violations`.
    pub(in crate::http) fn table(&self, violations: &mut Vec<Violation>) -> TableQuery {
        let mut complain = |field: &str, detail: String| violations.push(Violation::new(format!("/{field}"), detail));
        let encoding = self
            .encoding
            .as_deref()
            .and_then(|label| label.parse::<Charset>().map_err(|detail| complain("encoding", detail)).ok());
        let mut pairs = |field: &str, texts: &[String]| {
            let pair = |text: &String| Mapping::pair(text).map_err(|detail| complain(field, detail)).ok();
            texts.iter().filter_map(pair).collect::<Vec<_>>()
        };
        let mapping = Mapping { columns: pairs("map", &self.map), values: pairs("set", &self.set) };
        let others = match self.other_columns.as_deref() {
            None | Some("keep") => Others::Keep,
            Some("drop") => Others::Drop,
            Some("refuse") => Others::Refuse,
            Some(other) => {
                complain("other_columns", format!("\"{other}\" is none of keep, drop, refuse"));
                Others::Keep
            }
        };
        TableQuery {
            options: ReadOptions { encoding, sheet: self.sheet.clone() },
            mapping,
            others,
            safe_cells: self.safe_cells,
        }
    }

    /// Adds an error for each table option, for bodies that are not tables.
    pub(in crate::http) fn refuse_table(&self, violations: &mut Vec<Violation>) {
        let given = [
            ("encoding", self.encoding.is_some()),
            ("sheet", self.sheet.is_some()),
            ("map", !self.map.is_empty()),
            ("set", !self.set.is_empty()),
            ("other_columns", self.other_columns.is_some()),
            ("safe_cells", self.safe_cells),
        ];
        let stray = given.into_iter().filter(|(_, given)| *given);
        violations.extend(stray.map(|(field, _)| Violation::new(format!("/{field}"), "is for tables only")));
    }
}
