//! Bulk requests: `text/csv` in, `text/csv` out.
//!
//! Its own because a table is forgiving where JSON is not: a bad row gets its message in the `error` column,
//! and the others are answered.

use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::answer::{PredictQuery, off_thread_if_large};
use super::error::ApiError;
use super::reply::rounded;
use super::state::{State, choose};
use super::timing::Stopwatch;
use crate::domain::{Outputs, RawValue, Sample, TableLayout, Target, Violation, most_probable};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, Confidence, Predicted, Trust};
use crate::serving::Serving;

/// A bulk request takes the queue in parts of this many rows, so that others get their turn.
const PART_ROWS: usize = 512;
/// The one column that is not an input: it is given back as it came.
const ID_COLUMN: &str = "id";

/// Answers a table.
pub(super) async fn answer(
    state: &State,
    serving: Arc<Serving>,
    route: &'static str,
    asked: PredictQuery,
    bytes: Vec<u8>,
    mut watch: Stopwatch,
) -> Result<Response, ApiError> {
    let max_rows = state.http().max_samples;
    let bundle = Arc::clone(choose(&serving, route, asked.model.as_deref())?);
    let mut complaints = Vec::new();
    let confidence = asked.confidence(None, &bundle, &mut complaints);
    if !complaints.is_empty() {
        return Err(complaints.into());
    }
    let reading = Arc::clone(&bundle);
    let prepare = move |bytes: Vec<u8>| {
        let rows = read(&reading, &bytes, max_rows)?;
        watch.lap("parse");
        let manifest = reading.manifest();
        let samples = rows.iter().filter_map(|row| row.sample.as_ref().ok());
        let features = samples.map(|sample| featurize(sample, &manifest.schema, &manifest.features));
        let features: Vec<Features> = features.collect();
        watch.lap("featurize");
        Ok((rows, features, watch))
    };
    let (rows, features, mut watch) = off_thread_if_large(bytes, prepare).await?;
    let mut predicted = Vec::with_capacity(features.len());
    let mut features = features.into_iter().peekable();
    while features.peek().is_some() {
        let part: Vec<Features> = features.by_ref().take(PART_ROWS).collect();
        let model = Arc::clone(&bundle) as _;
        // Only the first part may be refused: what was accepted is finished.
        let answers = match predicted.is_empty() {
            true => serving.batcher.submit(model, part).await?,
            false => serving.batcher.submit_waiting(model, part).await?,
        };
        watch.submitted(&answers);
        predicted.extend(answers.values);
    }
    watch.lap_device();
    let samples = rows.iter().filter_map(|row| row.sample.as_ref().ok()).zip(predicted);
    let trust = |(sample, predicted): (&Sample, Predicted)| {
        (bundle.manifest().trust(sample, &predicted, confidence), predicted.values)
    };
    let answers: Vec<(Trust, Vec<f64>)> = samples.map(trust).collect();
    let in_domain = answers.iter().filter(|(trust, _)| trust.in_domain()).count();
    state.metrics().predicted(&bundle.manifest().name, answers.len(), in_domain);
    let text =
        write(&bundle, &rows, answers, confidence).map_err(|error| ApiError::InferenceFailed(error.to_string()))?;
    let mut response = ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response();
    watch.finish(&mut response);
    Ok(response)
}

/// A row of the table: its `id`, and the sample or what is wrong with it.
struct Row {
    id: Option<String>,
    sample: Result<Sample, String>,
}

/// The rows, good and bad.
fn read(bundle: &Bundle, bytes: &[u8], max_rows: usize) -> Result<Vec<Row>, ApiError> {
    let malformed = |error: csv::Error| ApiError::MalformedBody(error.to_string());
    let manifest = bundle.manifest();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.headers().map_err(malformed)?.clone();
    let layout = TableLayout::new(&headers, &manifest.schema)?;
    let strangers: Vec<Violation> = layout
        .others()
        .filter(|column| *column != ID_COLUMN)
        .map(|column| Violation::new(Violation::child("", column), "not a column of this model"))
        .collect();
    if !strangers.is_empty() {
        return Err(strangers.into());
    }
    let id = headers.iter().position(|header| header.trim() == ID_COLUMN);
    let mut rows = Vec::new();
    for record in reader.records() {
        if rows.len() == max_rows {
            return Err(vec![Violation::new("", format!("more than {max_rows} rows"))].into());
        }
        let row = match record {
            Err(error) => Row { id: None, sample: Err(error.to_string()) },
            Ok(record) => {
                let id = id.and_then(|at| record.get(at)).map(str::to_owned);
                let sample = match record.len() == headers.len() {
                    true => layout.sample(&record).and_then(|raw| Sample::parse(&raw, &manifest.schema, "")),
                    false => Err(vec![Violation::new("", format!("{} cells, not {}", record.len(), headers.len()))]),
                };
                Row { id, sample: sample.map_err(|violations| in_words(&violations)) }
            }
        };
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(vec![Violation::new("", "the table has no rows")].into());
    }
    Ok(rows)
}

fn in_words(violations: &[Violation]) -> String {
    violations.iter().map(Violation::in_words).collect::<Vec<_>>().join("; ")
}

/// The table of answers. Every row has the same columns: ends of intervals, their confidence and percentiles
/// of novelty and disagreement are there where the model can give them.
fn write(
    bundle: &Bundle,
    rows: &[Row],
    answers: Vec<(Trust, Vec<f64>)>,
    confidence: Confidence,
) -> Result<Vec<u8>, csv::Error> {
    let manifest = bundle.manifest();
    let with_id = rows.iter().any(|row| row.id.is_some());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> = with_id.then(|| ID_COLUMN.to_owned()).into_iter().collect();
    match &manifest.schema.outputs {
        Outputs::Regression { targets } => {
            for Target { name, .. } in targets {
                header.push(name.clone());
                if manifest.has_intervals() {
                    header.extend([format!("{name}_low"), format!("{name}_high")]);
                }
            }
        }
        Outputs::Classification { classes } => {
            header.push("class".to_owned());
            header.extend_from_slice(classes);
        }
    }
    let confidence = manifest.has_intervals().then(|| confidence.level().to_string());
    header.extend(confidence.as_ref().map(|_| "confidence".to_owned()));
    header.extend(["in_domain", "reasons"].map(str::to_owned));
    header.extend(manifest.percentile_columns().into_iter().map(str::to_owned));
    header.extend(["assumed", "warnings"].map(str::to_owned));
    let said = header.len() - usize::from(with_id);
    header.extend(["model", "version", "error"].map(str::to_owned));
    // As in JSON: there for a model whose answers depend on what else is asked at the same time.
    let batch_dependent = manifest.batch_dependent().then_some("true");
    header.extend(batch_dependent.map(|_| "batch_dependent".to_owned()));
    writer.write_record(&header)?;
    let mut answers = answers.into_iter();
    for row in rows {
        let mut cells: Vec<String> = Vec::with_capacity(header.len());
        if with_id {
            cells.push(row.id.clone().unwrap_or_default());
        }
        match &row.sample {
            Ok(sample) => {
                let (trust, values) = answers.next().unwrap_or_default();
                cells.extend(output_cells(&manifest.schema.outputs, &values, &trust));
                cells.extend(confidence.clone());
                cells.extend([trust.in_domain().to_string(), trust.reasons.join("; ")]);
                cells.extend(trust.percentile_cells(manifest));
                cells.push(sample.assumed().iter().map(assumed_cell).collect::<Vec<_>>().join("; "));
                cells.push(sample.warnings().join("; "));
                cells.extend([manifest.name.clone(), manifest.version.clone(), String::new()]);
            }
            Err(message) => {
                cells.extend(std::iter::repeat_n(String::new(), said));
                cells.extend([manifest.name.clone(), manifest.version.clone(), message.clone()]);
            }
        }
        writer.write_record(cells.iter().map(String::as_str).chain(batch_dependent))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn output_cells(outputs: &Outputs, values: &[f64], trust: &Trust) -> Vec<String> {
    match outputs {
        Outputs::Regression { .. } => {
            let cells = values.iter().enumerate().flat_map(|(index, value)| {
                let ends = trust.intervals.get(index).copied();
                [*value].into_iter().chain(ends.into_iter().flatten())
            });
            cells.map(|number| rounded(number, 3).to_string()).collect()
        }
        Outputs::Classification { classes } => {
            let class = classes.get(most_probable(values)).cloned().unwrap_or_default();
            [class].into_iter().chain(values.iter().map(|value| rounded(*value, 6).to_string())).collect()
        }
    }
}

fn assumed_cell((name, value): &(String, RawValue)) -> String {
    match value {
        RawValue::Number(number) => format!("{name}={number}"),
        RawValue::Text(text) => format!("{name}={text}"),
    }
}
