//! The report as plain text for a terminal.

use std::fmt;

use super::jumps::shown;
use super::report::{DataReport, Finding, Severity};

/// Largest number of findings printed; the page and the JSON hold more.
const PRINTED: usize = 200;

impl fmt::Display for DataReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.iter().take(PRINTED) {
            writeln!(f, "{finding}")?;
        }
        let more = self.findings.len().saturating_sub(PRINTED) + self.findings_left_out;
        if more > 0 {
            writeln!(f, "{more} more findings (--html FILE or --json shows them)")?;
        }
        match self.doubted.len() {
            0 => writeln!(f, "no row is doubted"),
            1 => writeln!(f, "1 of {} rows is doubted: correct it, remove it, or confirm it", self.rows),
            many => writeln!(f, "{many} of {} rows are doubted: correct them, remove them, or confirm them", self.rows),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Doubt => "doubt: ",
            Severity::Note => "note: ",
        })?;
        if let Some(line) = self.line {
            write!(f, "line {line}")?;
            if let Some(group) = &self.group {
                write!(f, " ({group})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.detail)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, " [{suggestion}]")?;
        }
        if !self.neighbours.is_empty() {
            let text =
                |own: &super::report::Neighbour| format!("{} (line {}, {})", shown(own.value), own.line, own.group);
            let texts: Vec<String> = self.neighbours.iter().map(text).collect();
            write!(f, " Most like it: {}.", texts.join(", "))?;
        }
        Ok(())
    }
}
