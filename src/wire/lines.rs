//! Bulk work as NDJSON: one sample a line, with an optional `id`, and one answer a line.
//!
//! Each line is a request of its own: its errors are in its own answer.

use std::sync::Arc;

use serde_json::value::RawValue as RawJson;

use super::reply::{LineAnswer, LineProblem, about, model_ref, prediction};
use super::request::{Line, Misshapen, parse_line};
use super::{Answered, Answerer, Bulk, RowOutcome, answer_rows};
use crate::domain::{Sample, Violation};
use crate::model::{Bundle, TrustOptions};
use crate::tables::Chunk;

/// How lines are read and answered.
pub struct Lines {
    bundle: Arc<Bundle>,
    options: TrustOptions,
    /// Whether answers repeat the composition as it was understood.
    echo: bool,
}

/// One line: its `id`, and the sample or what is wrong with it.
struct Row<'a> {
    id: Option<&'a RawJson>,
    sample: Result<Sample, Vec<Violation>>,
}

impl Lines {
    /// Lines for a model.
    pub fn new(bundle: Arc<Bundle>, options: TrustOptions, echo: bool) -> Self {
        Self { bundle, options, echo }
    }

    fn read<'a>(&self, line: &'a [u8]) -> Row<'a> {
        match parse_line(line) {
            Err(malformed) => Row { id: None, sample: Err(vec![Violation::new("", malformed.to_string())]) },
            Ok(Line { id, sample, mut violations }) => {
                let parsed = Sample::parse(&sample, &self.bundle.manifest().schema, "");
                let sample = match parsed {
                    Ok(sample) if violations.is_empty() => Ok(sample),
                    Ok(_) => Err(violations),
                    Err(found) => {
                        Misshapen::of(&violations).add_news(&mut violations, found);
                        Err(violations)
                    }
                };
                Row { id, sample }
            }
        }
    }

    fn write(&self, bytes: &mut Vec<u8>, row: &Row, outcome: RowOutcome) {
        let batch_dependent = self.bundle.manifest().batch_dependent();
        let (id, model) = (row.id, model_ref(&self.bundle));
        // Writing into memory cannot fail, and every part can be serialized.
        let _ = match &outcome {
            Ok((sample, predicted, trust)) => {
                let prediction = prediction(&self.bundle, sample, predicted, trust.clone(), &self.options, self.echo);
                serde_json::to_writer(
                    &mut *bytes,
                    &LineAnswer { id, model, about: about(&self.bundle), prediction, batch_dependent },
                )
            }
            Err(violations) => serde_json::to_writer(&mut *bytes, &LineProblem::new(id, model, violations)),
        };
        bytes.push(b'\n');
    }
}

impl Bulk for Lines {
    fn head(&self) -> Vec<u8> {
        Vec::new()
    }

    fn answer(&self, chunk: &Chunk, answerer: Answerer) -> Answered {
        let lines = chunk.bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let rows = lines.map(|line| self.read(line));
        let write = |bytes: &mut Vec<u8>, row: &Row, outcome: RowOutcome| self.write(bytes, row, outcome);
        answer_rows(&self.bundle, &self.options, rows, |row| &row.sample, answerer, write)
    }
}
