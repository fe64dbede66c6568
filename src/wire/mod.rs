//! The formats that clients write and read: requests and answers as JSON, tables of rows and lines of JSON.
//!
//! The routes and the command line share it, so that both answer the same sample alike. The module converts bytes to
//! samples and numbers to bytes; transport and computation are not part of it.

mod cells;
mod entries;
mod limits;
mod lines;
mod misread;
pub(crate) mod model_schema;
pub(crate) mod reply;
pub(crate) mod request;
mod reread;
pub(crate) mod schema;
mod table;

pub use limits::paired_limits;
pub use lines::Lines;
pub(crate) use misread::{explain, foreign, without_mark};
pub use table::{Columns, Others, Table};

use crate::domain::{Sample, Violation};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, Predicted, Trust, TrustOptions};
use crate::tables::{Chunk, Tally};

/// How many rows are answered in one pass.
const PASS_ROWS: usize = 64;

/// Answers the rows of a pass, or returns the reason why not, for the log.
pub type Answerer<'a> = &'a dyn Fn(&[Features]) -> Result<Vec<Predicted>, String>;

/// Some answered rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// The answers, in the order of the rows.
    pub bytes: Vec<u8>,
    /// How many rows there were.
    pub rows: usize,
    /// How many of them could not be answered.
    pub bad_rows: usize,
    /// How many of the answered rows are in the domain of the training data.
    pub in_domain: usize,
    /// Why passes failed, for the log.
    pub failures: Vec<String>,
    /// Choices made while cells were read.
    pub tally: Tally,
}

impl Answered {
    /// The choices, and how many rows could not be answered, in words.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.tally.notes();
        if self.bad_rows > 0 {
            notes.push(format!("{} of {} rows have an error", self.bad_rows, self.rows));
        }
        notes
    }

    /// Adds the counts and notes of more rows, but not their answers.
    pub fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.bad_rows += more.bad_rows;
        self.in_domain += more.in_domain;
        self.failures.extend(more.failures);
        self.tally.merge(more.tally);
    }
}

/// A format of bulk work: chunks of whole rows in, their answers out.
pub trait Bulk: Send + Sync {
    /// The bytes before all answers.
    fn head(&self) -> Vec<u8>;

    /// Answers the rows of a chunk. Bad rows get what is wrong with them as their answer.
    fn answer(&self, chunk: &Chunk, answerer: Answerer) -> Answered;
}

/// The outcome of one row.
type RowOutcome<'a> = Result<(&'a Sample, Predicted, Trust), &'a [Violation]>;

/// Answers rows pass by pass, as they are read, and writes each answer.
fn answer_rows<R>(
    bundle: &Bundle,
    options: &TrustOptions,
    mut rows: impl Iterator<Item = R>,
    sample: impl Fn(&R) -> &Result<Sample, Vec<Violation>>,
    answerer: Answerer,
    write: impl Fn(&mut Vec<u8>, &R, RowOutcome),
) -> Answered {
    let (manifest, mut answered) = (bundle.manifest(), Answered::default());
    let features = |sample: &Sample| featurize(sample, &manifest.schema, &manifest.features);
    loop {
        // A limited number of rows, so that their data stays in the processor's cache.
        let rows: Vec<R> = rows.by_ref().take(PASS_ROWS).collect();
        if rows.is_empty() {
            return answered;
        }
        let good: Vec<Features> = rows.iter().filter_map(|row| sample(row).as_ref().ok()).map(features).collect();
        let predicted = if good.is_empty() { Vec::new() } else { predict(&good, answerer, &mut answered.failures) };
        let mut predicted = predicted.into_iter();
        for row in &rows {
            answered.rows += 1;
            let outcome = match sample(row) {
                Err(violations) => Err(violations.as_slice()),
                Ok(sample) => match predicted.next().flatten() {
                    None => Err(FAILED.as_slice()),
                    Some(predicted) => {
                        let trust = manifest.trust(sample, &predicted, options);
                        answered.in_domain += usize::from(trust.in_domain());
                        Ok((sample, predicted, trust))
                    }
                },
            };
            answered.bad_rows += usize::from(outcome.is_err());
            write(&mut answered.bytes, row, outcome);
        }
    }
}

/// The message of a row whose pass failed; the cause is for the log only.
static FAILED: std::sync::LazyLock<[Violation; 1]> =
    std::sync::LazyLock::new(|| [Violation::new("", "the prediction failed")]);

/// Runs one pass; if it fails, one pass for each row, so that one bad row does not fail the others.
fn predict(features: &[Features], answerer: Answerer, failures: &mut Vec<String>) -> Vec<Option<Predicted>> {
    match (answerer(features), features) {
        (Ok(predicted), _) => predicted.into_iter().map(Some).collect(),
        (Err(failure), [] | [_]) => {
            failures.push(failure);
            vec![None]
        }
        (Err(_), several) => several.chunks(1).flat_map(|only| predict(only, answerer, failures)).collect(),
    }
}
