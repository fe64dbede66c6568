//! Evidence: alloys of which only is known which classes they are *not* of. Data of one route or purpose often lack such
//! alloys, because nobody files them under it; a second file can name them.
//!
//! A data set keeps its evidence apart from its rows, so that row numbers, scores and fingerprints mean measured rows. A
//! training learns from both (see [`crate::data::Dataset::joined`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::source::{Group, Relation};
use crate::domain::Sample;

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRecipe {
    /// Name of the file, which lies beside the data file or is given with the training.
    pub file: String,
    /// The column of formulas.
    pub column: String,
    /// The classes that its alloys are not of.
    pub excludes: Vec<String>,
    /// How much an alloy counts, compared with a measured row.
    #[serde(default = "one")]
    pub weight: f64,
    /// Source of the file.
    #[serde(default)]
    pub citation: String,
}

fn one() -> f64 {
    1.0
}

/// One alloy of a file of evidence.
#[derive(Clone, Debug)]
pub struct EvidenceRow {
    /// The alloy.
    pub sample: Sample,
    /// By class, whether the alloy may be of it.
    pub allowed: Vec<bool>,
    /// How much it counts, compared with a measured row.
    pub weight: f64,
    /// Its group.
    pub group: String,
    /// Its line in the file.
    pub line: u64,
}

/// Why a recipe with these classes cannot have this evidence.
pub(in crate::data) fn contradiction(
    evidence: &[EvidenceRecipe],
    classes: &[String],
    (formulas_alone, group): (bool, &Group),
) -> Option<&'static str> {
    let excludes = |entry: &EvidenceRecipe| {
        let known = entry.excludes.iter().all(|class| classes.contains(class));
        let left = classes.iter().any(|class| !entry.excludes.contains(class));
        known && left && !entry.excludes.is_empty()
    };
    let plain = |entry: &EvidenceRecipe| !entry.file.is_empty() && !entry.file.contains(['/', '\\']);
    if evidence.is_empty() {
        None
    } else if classes.is_empty() || !formulas_alone {
        Some("evidence: is for a [class] that is learned from formulas alone, without [[processing]]")
    } else if matches!(group.relation(), Relation::Columns(_)) {
        Some("evidence: its alloys need a group: write group = \"chemical_system\" or \"composition\"")
    } else if !evidence.iter().all(excludes) {
        Some("evidence: excludes must name at least one of the class's levels, and not all of them")
    } else if !evidence.iter().all(plain) {
        Some("evidence: file is the name of a file, without a folder")
    } else {
        None
    }
}
