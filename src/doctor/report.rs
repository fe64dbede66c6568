//! What the doctor found: the report of a data file, its findings, and the short summary of both.
//!
//! Servers, terminals and HTML pages show the same report. It is plain data; nothing is examined here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Largest number of findings listed in a report. The doubted lines are always complete.
pub const MOST_FINDINGS: usize = 2000;

/// What looks wrong in a data file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DataReport {
    /// Number of rows examined.
    pub rows: usize,
    /// Number of groups (heats, alloys, chemical systems).
    pub groups: usize,
    /// Lines of the file that are doubted, in ascending order and without repeats. All of them, even if not every
    /// finding is listed.
    pub doubted: Vec<u64>,
    /// The findings: those that doubt a row first, by line.
    pub findings: Vec<Finding>,
    /// Number of findings that are not listed because there are too many.
    #[serde(default)]
    pub findings_left_out: usize,
    /// Number of findings of each kind, those not listed included.
    pub counts: BTreeMap<FindingKind, usize>,
}

/// One thing that looks wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// Whether the row is doubted, or this is only worth knowing.
    pub severity: Severity,
    /// Line in the file, counted as in an editor. `null` if the finding is about a whole column or group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Group of the row: its heat, alloy, or chemical system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The column, named as in the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The value that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The range in which a value was expected, from the other rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<[f64; 2]>,
    /// In words: what was seen, what was expected, what to do.
    pub detail: String,
    /// What the value probably should be, such as `× 6.895 = 689 MPa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The measured rows that speak against the value, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<Neighbour>,
}

/// What can be wrong with a row, a group or a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A value in another unit or with a lost decimal mark: ksi for MPa, °F for °C, at% for wt%, ten times too much.
    UnitJump,
    /// A value that no material can have, such as a negative strength or an elongation over 100 %.
    OutsidePhysics,
    /// Two properties of a row that exclude each other, such as a tensile strength below the yield strength.
    Contradiction,
    /// Amounts whose sum is far from 100.
    SumOfAmounts,
    /// Rows with equal inputs and different results.
    Duplicate,
    /// A group whose rows have clearly different compositions.
    SplitGroup,
    /// A value far from what the rows most like it allow.
    LabelNoise,
    /// A column that is the same in every row.
    ConstantColumn,
    /// An input column from which a target can be read off.
    LeakingColumn,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The row is probably wrong: correct it, remove it, or confirm it.
    Doubt,
    /// Worth knowing; no row is doubted.
    Note,
}

/// A measured row that a finding is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Neighbour {
    /// Its line in the file.
    pub line: u64,
    /// Its group.
    pub group: String,
    /// Its value in the column of the finding.
    pub value: f64,
}

/// A report in short: how many findings of each kind, and how many rows are doubted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataReportSummary {
    /// Number of rows examined.
    pub rows: usize,
    /// Number of doubted rows.
    pub doubted_rows: usize,
    /// The first doubted lines, at most twenty.
    pub first_doubted: Vec<u64>,
    /// Number of findings of each kind.
    pub counts: BTreeMap<FindingKind, usize>,
}

impl FindingKind {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnitJump => "unit_jump",
            Self::OutsidePhysics => "outside_physics",
            Self::Contradiction => "contradiction",
            Self::SumOfAmounts => "sum_of_amounts",
            Self::Duplicate => "duplicate",
            Self::SplitGroup => "split_group",
            Self::LabelNoise => "label_noise",
            Self::ConstantColumn => "constant_column",
            Self::LeakingColumn => "leaking_column",
        }
    }

    /// The kind in a few words, for headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::UnitJump => "another unit, or a lost decimal mark",
            Self::OutsidePhysics => "outside physics",
            Self::Contradiction => "properties that exclude each other",
            Self::SumOfAmounts => "amounts that do not sum to 100",
            Self::Duplicate => "equal inputs, different results",
            Self::SplitGroup => "one group, different compositions",
            Self::LabelNoise => "far from the rows most like it",
            Self::ConstantColumn => "the same in every row",
            Self::LeakingColumn => "gives a target away",
        }
    }
}

impl DataReport {
    /// A report with these findings: sorted, counted, and cut to [`MOST_FINDINGS`].
    pub fn new(rows: usize, groups: usize, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (finding.severity, finding.line.is_none(), finding.line, finding.kind));
        let mut counts = BTreeMap::new();
        findings.iter().for_each(|finding| *counts.entry(finding.kind).or_insert(0) += 1);
        let doubted: BTreeSet<u64> =
            findings.iter().filter(|finding| finding.severity == Severity::Doubt).filter_map(|own| own.line).collect();
        let findings_left_out = findings.len().saturating_sub(MOST_FINDINGS);
        findings.truncate(MOST_FINDINGS);
        Self { rows, groups, doubted: doubted.into_iter().collect(), findings, findings_left_out, counts }
    }

    /// Lines of the file that are doubted, in ascending order.
    pub fn doubted_lines(&self) -> &[u64] {
        &self.doubted
    }

    /// The report in short.
    pub fn summary(&self) -> DataReportSummary {
        DataReportSummary {
            rows: self.rows,
            doubted_rows: self.doubted.len(),
            first_doubted: self.doubted.iter().take(20).copied().collect(),
            counts: self.counts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: Option<u64>, severity: Severity, kind: FindingKind) -> Finding {
        let (group, column, value, expected, suggestion) = (None, None, None, None, None);
        let (detail, neighbours) = (String::new(), Vec::new());
        Finding { kind, severity, line, group, column, value, expected, detail, suggestion, neighbours }
    }

    #[test]
    fn doubts_come_first_and_lines_once() {
        let findings = vec![
            finding(None, Severity::Note, FindingKind::ConstantColumn),
            finding(Some(7), Severity::Doubt, FindingKind::UnitJump),
            finding(Some(3), Severity::Doubt, FindingKind::LabelNoise),
            finding(Some(7), Severity::Doubt, FindingKind::Contradiction),
            finding(Some(2), Severity::Note, FindingKind::Duplicate),
        ];
        let report = DataReport::new(9, 4, findings);
        assert_eq!(report.doubted_lines(), [3, 7]);
        assert_eq!(report.findings[0].line, Some(3));
        assert_eq!(report.findings[4].kind, FindingKind::ConstantColumn);
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains(r#""unit_jump":1"#), "{text}");
        assert_eq!(serde_json::from_str::<DataReport>(&text).unwrap(), report);
        assert_eq!(report.summary().doubted_rows, 2);
    }

    #[test]
    fn doubted_lines_are_complete_when_findings_are_cut() {
        let many = (0..3000).map(|line| finding(Some(line), Severity::Doubt, FindingKind::UnitJump)).collect();
        let report = DataReport::new(3000, 1, many);
        assert_eq!((report.findings.len(), report.findings_left_out), (MOST_FINDINGS, 1000));
        assert_eq!((report.doubted.len(), report.counts[&FindingKind::UnitJump]), (3000, 3000));
    }
}
