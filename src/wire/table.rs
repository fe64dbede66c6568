//! Bulk work as CSV: a header row, one row a sample.
//!
//! Its own because a table is forgiving where JSON is not: a bad row gets its message in the `error` column, and the
//! others are answered.

use std::sync::Arc;

use super::cells::Cells;
use super::{Answered, Answerer, Bulk, Said, answer_rows};
use crate::domain::{Outputs, RawValue, Sample, TableLayout, Target, Violation, most_probable};
use crate::model::{Bundle, Confidence, Trust};

/// The one column that is no input and is given back as it came.
const ID_COLUMN: &str = "id";

/// Which columns of the input come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// `id`; others that are no input of the model are refused: most likely they are misspelt.
    Id,
    /// All of them. Predicted columns stand beside measured ones of the same name, so they say what they are.
    All,
}

/// How a table is read and answered.
pub struct Table {
    bundle: Arc<Bundle>,
    layout: TableLayout,
    confidence: Confidence,
    columns: Columns,
    headers: csv::StringRecord,
    id: Option<usize>,
}

/// A row as it came, and the sample or what is wrong with it.
struct Row {
    record: csv::StringRecord,
    sample: Result<Sample, Vec<Violation>>,
}

impl Table {
    /// Reads the header row.
    ///
    /// # Errors
    /// Violations, their pointers the columns.
    pub fn new(
        header: &[u8],
        bundle: Arc<Bundle>,
        confidence: Confidence,
        columns: Columns,
    ) -> Result<Self, Vec<Violation>> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(header);
        let headers = reader.headers().map_err(|error| vec![Violation::new("", error.to_string())])?.clone();
        let layout = TableLayout::new(&headers, &bundle.manifest().schema)?;
        let stranger = |column: &&str| columns == Columns::Id && *column != ID_COLUMN;
        let strangers = layout.others().filter(stranger);
        let strangers =
            strangers.map(|column| Violation::new(Violation::child("", column), "not a column of this model"));
        let strangers: Vec<Violation> = strangers.collect();
        if !strangers.is_empty() {
            return Err(strangers);
        }
        let id = headers.iter().position(|header| header.trim() == ID_COLUMN);
        Ok(Self { bundle, layout, confidence, columns, headers, id })
    }

    fn read(&self, chunk: &[u8]) -> impl Iterator<Item = Row> {
        let schema = &self.bundle.manifest().schema;
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(chunk);
        let row = move |record: Result<csv::StringRecord, csv::Error>| match record {
            Err(error) => {
                Row { record: csv::StringRecord::new(), sample: Err(vec![Violation::new("", error.to_string())]) }
            }
            Ok(record) => {
                let sample = match record.len() == self.headers.len() {
                    true => self.layout.sample(&record).and_then(|raw| Sample::parse(&raw, schema, "")),
                    false => {
                        let detail = format!("{} cells, not {}", record.len(), self.headers.len());
                        Err(vec![Violation::new("", detail)])
                    }
                };
                Row { record, sample }
            }
        };
        reader.into_records().map(row)
    }

    /// Every row has the same columns: ends of intervals, their confidence and percentiles of novelty and disagreement
    /// are there where the model can give them.
    fn write(&self, bytes: &mut Vec<u8>, row: &Row, said: Said) {
        let manifest = self.bundle.manifest();
        let mut cells = Cells::new(bytes);
        match self.columns {
            Columns::Id => cells.texts(self.id.map(|at| row.record.get(at).unwrap_or_default())),
            Columns::All => cells.texts((0..self.headers.len()).map(|at| row.record.get(at).unwrap_or_default())),
        }
        match said {
            Ok((sample, predicted, trust)) => {
                self.write_outputs(&mut cells, &predicted.values, &trust);
                if manifest.has_intervals() {
                    cells.number(self.confidence.level(), 6);
                }
                cells.text(if trust.in_domain() { "true" } else { "false" });
                cells.joined(&trust.reasons);
                trust.percentiles(manifest).for_each(|percentile| cells.percent(percentile));
                cells.joined(sample.assumed().iter().map(assumed));
                cells.joined(sample.warnings());
                cells.texts([manifest.name.as_str(), &manifest.version, ""]);
            }
            Err(violations) => {
                cells.texts(std::iter::repeat_n("", self.said_columns().len()));
                cells.texts([&manifest.name, &manifest.version]);
                cells.joined(violations.iter().map(Violation::in_words));
            }
        }
        // As in JSON: there for a model whose answers depend on what else is asked at the same time.
        cells.texts(manifest.batch_dependent().then_some("true"));
        cells.end();
    }

    fn write_outputs(&self, cells: &mut Cells, values: &[f64], trust: &Trust) {
        match &self.bundle.manifest().schema.outputs {
            Outputs::Regression { .. } => {
                for (index, value) in values.iter().enumerate() {
                    cells.number(*value, 3);
                    trust.intervals.get(index).into_iter().flatten().for_each(|end| cells.number(*end, 3));
                }
            }
            Outputs::Classification { classes } => {
                cells.text(classes.get(most_probable(values)).map_or("", String::as_str));
                values.iter().for_each(|value| cells.number(*value, 6));
            }
        }
    }

    /// Names of the columns that say something of a good row.
    fn said_columns(&self) -> Vec<String> {
        let manifest = self.bundle.manifest();
        let [predicted, probability] = match self.columns {
            Columns::Id => ["", ""],
            Columns::All => ["predicted_", "probability_"],
        };
        let mut columns = Vec::new();
        match &manifest.schema.outputs {
            Outputs::Regression { targets } => {
                for Target { name, .. } in targets {
                    columns.push(format!("{predicted}{name}"));
                    if manifest.has_intervals() {
                        columns.extend(["low", "high"].map(|end| format!("{predicted}{name}_{end}")));
                    }
                }
            }
            Outputs::Classification { classes } => {
                columns.push(format!("{predicted}class"));
                columns.extend(classes.iter().map(|class| format!("{probability}{class}")));
            }
        }
        columns.extend(manifest.has_intervals().then(|| "confidence".to_owned()));
        columns.extend(["in_domain", "reasons"].map(str::to_owned));
        columns.extend(manifest.percentile_columns().into_iter().map(str::to_owned));
        columns.extend(["assumed", "warnings"].map(str::to_owned));
        columns
    }
}

impl Bulk for Table {
    fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut cells = Cells::new(&mut bytes);
        match self.columns {
            Columns::Id => cells.texts(self.id.map(|_| ID_COLUMN)),
            Columns::All => cells.texts(&self.headers),
        }
        cells.texts(self.said_columns());
        cells.texts(["model", "version", "error"]);
        cells.texts(self.bundle.manifest().batch_dependent().then_some("batch_dependent"));
        cells.end();
        bytes
    }

    fn answer(&self, chunk: &[u8], answerer: Answerer) -> Answered {
        let write = |bytes: &mut Vec<u8>, row: &Row, said: Said| self.write(bytes, row, said);
        answer_rows(&self.bundle, self.confidence, self.read(chunk), |row| &row.sample, answerer, write)
    }
}

fn assumed((name, value): &(String, RawValue)) -> String {
    match value {
        RawValue::Number(number) => format!("{name}={number}"),
        RawValue::Text(text) => format!("{name}={text}"),
    }
}
