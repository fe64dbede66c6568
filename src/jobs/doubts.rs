//! Rows of a job that look wrong: the report on them is kept with the job, and decides whether the job is accepted.
//!
//! The check that reads the rows also examines them (`mcvn check`), so no thread of the server does.

use std::io::ErrorKind;
use std::path::Path;

use super::record::{JobDoubts, JobOptions};
use super::{JobError, Jobs, REPORT_FILE};
use crate::data::Doubts;
use crate::doctor::{DataReport, Finding, Severity};
use crate::domain::Violation;
use crate::files;

/// Largest number of findings that a refusal names.
const NAMED_FINDINGS: usize = 20;

/// What the options make of a report.
///
/// # Errors
/// Confirmed lines that are not doubted; or, if the options are strict, doubted rows that were not confirmed.
pub(super) fn judge(report: &DataReport, options: &JobOptions) -> Result<JobDoubts, JobError> {
    let doubts = Doubts::new(report.doubted_lines(), &options.confirm);
    let doubts = doubts.map_err(|error| JobError::invalid("/confirm", error.to_string()))?;
    if options.strict && !doubts.lines.is_empty() {
        return Err(JobError::Invalid(refusal(report, &doubts)));
    }
    Ok(JobDoubts { found: report.summary(), unconfirmed_rows: doubts.lines.len() })
}

/// The refusal of a strict job: the number of rows, then the first findings.
fn refusal(report: &DataReport, doubts: &Doubts) -> Vec<Violation> {
    let (count, rows) = (doubts.lines.len(), report.rows);
    let whole = format!(
        "{count} of {rows} rows look wrong, and strict refuses them: correct them, remove them, or name the lines that \
         are right in confirm"
    );
    let open = |finding: &&Finding| {
        finding.severity == Severity::Doubt && finding.line.is_some_and(|line| doubts.lines.contains(&line))
    };
    let named = report.findings.iter().filter(open).take(NAMED_FINDINGS).map(violation);
    std::iter::once(Violation::new("/data", whole)).chain(named).collect()
}

/// A finding as a wrong cell of the data.
fn violation(finding: &Finding) -> Violation {
    let line = finding.line.unwrap_or_default();
    let row = Violation::child("/data", &line.to_string());
    let pointer = finding.column.as_ref().map_or_else(|| row.clone(), |column| Violation::child(&row, column));
    let suggestion = finding.suggestion.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
    Violation::new(pointer, format!("line {line}: {}{suggestion}", finding.detail))
}

/// Writes a report to the folder of a job; synced to disk on return.
pub(super) fn keep(report: &DataReport, folder: &Path) -> Result<(), JobError> {
    let text = serde_json::to_vec(report).map_err(|error| JobError::Io(error.into()))?;
    files::write(&folder.join(REPORT_FILE), &text).map_err(JobError::Io)?;
    files::sync(folder).map_err(JobError::Io)
}

impl Jobs {
    /// What looks wrong in the rows of a job. Reads a file.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::NotExamined`], or a file system error.
    pub fn data_report(&self, id: u64) -> Result<DataReport, JobError> {
        self.get(id)?;
        let text = std::fs::read(self.folder(id).join(REPORT_FILE)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => JobError::NotExamined(id),
            _ => JobError::Io(error),
        })?;
        serde_json::from_slice(&text).map_err(|error| JobError::Io(error.into()))
    }
}
