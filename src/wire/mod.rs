//! What clients write and read: requests and answers as JSON, tables of rows and lines of JSON.
//!
//! Its own because several doors speak it (the routes, the command line) and must say the same of the same sample. It
//! turns bytes into samples and numbers into bytes; who asks, over what, and who computes, is not its business.

mod cells;
mod entries;
mod lines;
mod misread;
pub(crate) mod reply;
pub(crate) mod request;
mod reread;
pub(crate) mod schema;
mod table;

pub use lines::Lines;
pub(crate) use misread::{explain, foreign, without_mark};
pub use table::{Columns, Others, Table};

use crate::domain::{Sample, Violation};
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, Confidence, Predicted, Trust};
use crate::tables::{Chunk, Tally};

/// Rows that are answered in one pass.
const PASS_ROWS: usize = 64;

/// Who answers the rows of a pass, or says for the log why not.
pub type Answerer<'a> = &'a dyn Fn(&[Features]) -> Result<Vec<Predicted>, String>;

/// Some rows, answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// The answers, in the order of the rows.
    pub bytes: Vec<u8>,
    /// How many rows there were.
    pub rows: usize,
    /// How many of them could not be answered.
    pub bad_rows: usize,
    /// How many of those that were answered lie within what the model was trained on.
    pub in_domain: usize,
    /// Why passes failed, for the log.
    pub failures: Vec<String>,
    /// What was chosen while cells were read.
    pub tally: Tally,
}

impl Answered {
    /// What was chosen, and how many rows could not be answered, in words.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.tally.notes();
        if self.bad_rows > 0 {
            notes.push(format!("{} of {} rows have an error", self.bad_rows, self.rows));
        }
        notes
    }

    /// Adds what has become of more rows, but not their answers.
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
    /// What comes before all answers.
    fn head(&self) -> Vec<u8>;

    /// Answers the rows of a chunk, bad ones too: with what is wrong with them.
    fn answer(&self, chunk: &Chunk, answerer: Answerer) -> Answered;
}

/// What is said of one row.
type Said<'a> = Result<(&'a Sample, Predicted, Trust), &'a [Violation]>;

/// Answers rows as they are read, pass by pass, and has each written.
fn answer_rows<R>(
    bundle: &Bundle,
    confidence: Confidence,
    mut rows: impl Iterator<Item = R>,
    sample: impl Fn(&R) -> &Result<Sample, Vec<Violation>>,
    answerer: Answerer,
    write: impl Fn(&mut Vec<u8>, &R, Said),
) -> Answered {
    let (manifest, mut answered) = (bundle.manifest(), Answered::default());
    let features = |sample: &Sample| featurize(sample, &manifest.schema, &manifest.features);
    loop {
        // Not more at a time, so that all of it stays in the processor's cache.
        let rows: Vec<R> = rows.by_ref().take(PASS_ROWS).collect();
        if rows.is_empty() {
            return answered;
        }
        let good: Vec<Features> = rows.iter().filter_map(|row| sample(row).as_ref().ok()).map(features).collect();
        let predicted = if good.is_empty() { Vec::new() } else { predict(&good, answerer, &mut answered.failures) };
        let mut predicted = predicted.into_iter();
        for row in &rows {
            answered.rows += 1;
            let said = match sample(row) {
                Err(violations) => Err(violations.as_slice()),
                Ok(sample) => match predicted.next().flatten() {
                    None => Err(FAILED.as_slice()),
                    Some(predicted) => {
                        let trust = manifest.trust(sample, &predicted, confidence);
                        answered.in_domain += usize::from(trust.in_domain());
                        Ok((sample, predicted, trust))
                    }
                },
            };
            answered.bad_rows += usize::from(said.is_err());
            write(&mut answered.bytes, row, said);
        }
    }
}

/// What a row says whose pass failed; the cause is for the log.
static FAILED: std::sync::LazyLock<[Violation; 1]> =
    std::sync::LazyLock::new(|| [Violation::new("", "the prediction failed")]);

/// One pass; where it fails, one for each row: a row's trouble must not become another's.
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
