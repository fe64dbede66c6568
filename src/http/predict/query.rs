//! The query string of a prediction request.
//!
//! Its own because tables and lines cannot say in their bodies what a request asks, and because keys may be repeated.

use axum::http::Uri;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::error::ApiError;
use crate::domain::{Outputs, Violation};
use crate::model::{Bundle, Confidence};
use crate::tables::{Charset, Mapping, ReadOptions};
use crate::wire::Others;

/// What a query may ask.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PredictQuery {
    /// Which model answers
    #[param(required = false)]
    pub(in crate::http) model: Option<String>,
    /// Which version of it; the one in use where none is named
    #[param(required = false)]
    pub(in crate::http) version: Option<String>,
    /// How often intervals should hold what is measured, as a share; 0.9 where none is given
    // As text: what is no number is a complaint like others, not a query that cannot be read.
    #[param(required = false, value_type = f64, minimum = 0.5, maximum = 0.99)]
    confidence: Option<String>,
    /// Whether answers repeat the composition as it was understood
    #[param(required = false)]
    pub(in crate::http) echo: bool,
    /// Of a table: its encoding; guessed where none is given
    #[param(required = false, example = "gb18030")]
    encoding: Option<String>,
    /// Of a workbook: a sheet by name, or by number from 1
    #[param(required = false)]
    sheet: Option<String>,
    /// Of a table: what a column is, as COLUMN:FIELD with an element's symbol, a process parameter, `formula` or `other`;
    /// may be repeated
    #[param(required = false, style = Form, explode, example = json!(["AlT:Al"]))]
    map: Vec<String>,
    /// Of a table: one value for all rows, as FIELD:VALUE; may be repeated
    #[param(required = false, style = Form, explode, example = json!(["test_temperature:25"]))]
    set: Vec<String>,
    /// Of a table: whether columns that are no input come back (`keep`), are left out (`drop`) or refused (`refuse`)
    #[param(required = false, example = "keep")]
    other_columns: Option<String>,
    /// Of a table: whether text that a spreadsheet would run as a formula (it begins with = + - @ and is no number) comes
    /// back with an apostrophe before it
    #[param(required = false)]
    safe_cells: bool,
}

/// What a query says of a table.
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
    /// 422 for what no prediction asks.
    pub(in crate::http) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let refused = |error: serde_html_form::de::Error| vec![Violation::new("", format!("query: {error}"))];
        serde_html_form::from_str(uri.query().unwrap_or_default()).map_err(|error| refused(error).into())
    }

    /// The confidence of a request to a model: of the body, else of the query, else the usual one. Complaints are
    /// added to the others.
    pub(in crate::http) fn confidence(
        &self,
        body: Option<f64>,
        bundle: &Bundle,
        violations: &mut Vec<Violation>,
    ) -> Confidence {
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

    /// What it says of a table. Complaints are added to the others.
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

    /// Complaints about what only a table can be asked, for other bodies.
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
