//! `recipe.toml`: the columns of a data file, and how to train a model on them without code.

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::data::bounds::{Bounds, MOST_THINGS};
use crate::data::defaults;
use crate::data::evidence::{EvidenceRecipe, contradiction};
use crate::data::learners::{CalibrationRecipe, MemberRecipe, TeacherRecipe, Training};
use crate::data::source::{ClassRecipe, CompositionRecipe, Elements, Group, ParameterRecipe, RowFilter, TargetRecipe};
use crate::domain::{CompositionSchema, Outputs, Schema, Target};
use crate::featurize::FeatureSpec;
use crate::model::{Architecture, AttentionMode, Limit, Share};

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Not TOML, or with fields that are unknown, missing or of the wrong type.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// Fields that contradict each other, or numbers out of bounds.
    #[error("{0}")]
    Contradiction(String),
}

/// A recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the model: 1 to 64 letters, digits, `-` and `_`.
    pub name: String,
    /// A short title for people.
    pub title: String,
    /// Route that serves the model in addition to its own address, `/models/{name}/predict`: `"/predict/steel"` for
    /// targets, `"/classify/glass"` for a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Whether the model answers requests of its route that name no model. Only one model of a route may.
    #[serde(default)]
    pub default: bool,
    /// Source of the data, for the model card.
    #[serde(default)]
    pub citation: String,
    /// What an answer is about, in one sentence that every answer repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Limits of use: sentences for the model card. One with a condition is also a warning of the answers that meet it.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// The columns of the composition.
    pub composition: CompositionRecipe,
    /// The columns of the process parameters.
    #[serde(default)]
    pub processing: Vec<ParameterRecipe>,
    /// The measured properties that a regression predicts. A recipe has either targets or a class.
    #[serde(default)]
    pub targets: Vec<TargetRecipe>,
    /// The class that a classification predicts.
    #[serde(default)]
    pub class: Option<ClassRecipe>,
    /// Files of alloys of which only is known which classes they are not of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceRecipe>,
    /// Number of kinds of alloys (clusters of similar compositions) that the model remembers as measured. An answer for
    /// an alloy of none of these kinds is out of domain. Without it, kinds are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<usize>,
    /// What belongs together when rows are split: a column such as `"heat"`, a list of columns, `"composition"` (equal
    /// amounts) or `"chemical_system"` (the same elements).
    pub group: Group,
    /// Text columns in which an empty cell repeats the cell above, as after merging cells in a workbook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fill_down: Vec<String>,
    /// Which rows are read; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<RowFilter>,
    /// Features in addition to amounts and process parameters.
    #[serde(default)]
    pub features: FeatureSpec,
    /// How inputs are scaled before they are learned from.
    #[serde(default)]
    pub scaling: ScalingRecipe,
    /// The network: its sizes, or the name of a preset. A recipe may leave it out; it then gets a small network.
    #[serde(default)]
    pub network: NetworkRecipe,
    /// How the networks are trained. What is left out takes its default.
    #[serde(default)]
    pub training: Training,
    /// Weight of the networks of `[network]` in the ensemble. Not all weights may be 0.
    #[serde(default)]
    pub share: Share,
    /// The other families of the ensemble. A recipe without `[network]` and `[[committee]]` gets a sparse Gaussian
    /// process and a forest; `committee = []` is none.
    #[serde(default)]
    pub committee: Vec<MemberRecipe>,
    /// An ensemble that teaches the networks on synthetic rows; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherRecipe>,
    /// How intervals and probabilities are calibrated.
    #[serde(default)]
    pub calibration: CalibrationRecipe,
}

/// How features are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingRecipe {
    /// For amounts, process parameters and structure features.
    pub row: ScalingKind,
    /// For the image.
    pub image: ScalingKind,
}

impl Default for ScalingRecipe {
    fn default() -> Self {
        Self { row: ScalingKind::Standard { clip: 6.0 }, image: ScalingKind::Standard { clip: 5.0 } }
    }
}

/// A way of scaling columns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScalingKind {
    /// Mean 0, standard deviation 1, clipped.
    Standard {
        /// Scaled values are clipped to ± this, at least 0.1.
        clip: f64,
    },
    /// 0 to 1, as the paper scales the row.
    MinMax,
    /// Whole numbers from 0 to 255, as the paper scales the image.
    Grey,
}

/// The network: all sizes, or the name of a preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NetworkRecipe {
    /// `preset = "MCVN-paper"`
    Preset(Preset),
    /// All sizes.
    Written(Architecture),
}

/// A network given by name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The name.
    pub preset: PresetName,
    /// What samples attend to.
    pub attention: AttentionMode,
}

/// The names of presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PresetName {
    /// The network of the paper's section 4.1.
    #[serde(rename = "MCVN-paper")]
    McvnPaper,
}

impl Default for NetworkRecipe {
    fn default() -> Self {
        Self::Written(defaults::network())
    }
}

/// Which of the sections that have defaults a recipe contains.
#[derive(Deserialize)]
struct Sections {
    network: Option<IgnoredAny>,
    training: Option<IgnoredAny>,
    committee: Option<IgnoredAny>,
}

impl NetworkRecipe {
    /// The architecture.
    pub fn architecture(&self) -> Architecture {
        match self {
            Self::Written(architecture) => architecture.clone(),
            Self::Preset(Preset { preset: PresetName::McvnPaper, attention }) => Architecture::paper(*attention),
        }
    }
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`RecipeError`] with the place in the file, or with the contradiction.
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        let mut recipe: Self = toml::from_str(text)?;
        recipe.fill_in(&toml::from_str(text)?);
        match recipe.contradiction().map(str::to_owned).or_else(|| recipe.out_of_bounds()) {
            Some(what) => Err(RecipeError::Contradiction(what)),
            None => Ok(recipe),
        }
    }

    /// Adds the learners of its kind where the recipe names none.
    fn fill_in(&mut self, written: &Sections) {
        if written.training.is_none() {
            self.training = defaults::training(self.class.is_some());
        }
        if written.network.is_none() && written.committee.is_none() {
            self.committee = defaults::committee();
        }
    }

    /// The columns that a data file needs.
    pub fn columns(&self) -> Vec<String> {
        let amounts = self.composition.elements.iter().map(|(_, column)| column);
        let composition = self.composition.formula.iter().map(String::as_str).chain(amounts);
        let processing = self.processing.iter().map(ParameterRecipe::column);
        let group = self.group.columns().iter().map(String::as_str);
        let filter = self.filter.iter().map(|filter| filter.column.as_str());
        let all = composition.chain(processing).chain(self.label_columns()).chain(group).chain(filter);
        all.map(str::to_owned).collect()
    }

    /// The columns of targets, or of the class.
    pub(in crate::data) fn label_columns(&self) -> impl Iterator<Item = &str> {
        let targets = self.targets.iter().map(TargetRecipe::column);
        targets.chain(self.class.iter().map(|class| class.column.as_str()))
    }

    /// The metric of the whole model.
    pub fn metric(&self) -> &'static str {
        if self.class.is_some() { "macro_f1" } else { "r2" }
    }

    /// The metric of one target or class.
    pub fn output_metric(&self) -> &'static str {
        if self.class.is_some() { "f1" } else { "r2" }
    }

    /// The targets or classes.
    pub fn output_names(&self) -> Vec<String> {
        match &self.class {
            Some(class) => class.levels.clone(),
            None => self.targets.iter().map(|target| target.name.clone()).collect(),
        }
    }

    /// Number of steps of a whole training, with all members and those trained only for calibration. Families other
    /// than networks have one member for each of the `target_sets` sets of targets that were measured on different
    /// rows. `regions` is the number of regions held out for calibration.
    pub fn steps(&self, target_sets: usize, regions: usize) -> usize {
        let parts = if self.training.one_net_per_target { self.targets.len() } else { 1 };
        let once = |members: Option<usize>| {
            let networks = self.training.steps * members.unwrap_or(self.training.members) * parts;
            let teacher = self.teacher.as_ref().map_or(0, |teacher| teacher.steps(target_sets));
            let partners = self.committee.iter().map(|member| member.steps(members, target_sets));
            networks + partners.sum::<usize>() + teacher
        };
        once(None) + (self.calibration.folds + regions) * once(self.calibration_networks())
    }

    /// Number of networks per family to train for calibration; `None` for all. One is enough to measure errors. But if
    /// networks are the only family, their own disagreement is measured, which needs all of them.
    pub fn calibration_networks(&self) -> Option<usize> {
        (!self.committee.is_empty()).then_some(1)
    }

    /// The weights of the families, the networks' first.
    pub fn shares(&self) -> Vec<Share> {
        std::iter::once(self.share).chain(self.committee.iter().map(MemberRecipe::share)).collect()
    }

    /// Whether another recipe differs at most in descriptive texts. Then scores of one are valid for the other.
    pub fn makes_the_same_as(&self, other: &Self) -> bool {
        let wordless = |recipe: &Self| {
            let mut recipe = Self {
                title: String::new(),
                citation: String::new(),
                about: None,
                limits: Vec::new(),
                ..recipe.clone()
            };
            recipe.evidence.iter_mut().for_each(|entry| entry.citation.clear());
            recipe.processing.iter_mut().for_each(|parameter| parameter.description.clear());
            recipe.composition.trace_effects.clear();
            recipe
        };
        wordless(self) == wordless(other)
    }

    fn contradiction(&self) -> Option<&'static str> {
        let in_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = |text: &str| (1..=64).contains(&text.len()) && text.chars().all(in_name);
        let training = &self.training;
        let image = self.features.image.is_some();
        let taught = self.teacher.iter().flat_map(|teacher| &teacher.committee);
        let anyone_sees = self.network.architecture().image.is_some()
            || self.committee.iter().chain(taught).any(MemberRecipe::sees_image);
        let shares = self.shares();
        let some = |pick: fn(&Share) -> f64| shares.iter().map(pick).sum::<f64>() > 0.0;
        let never_negative = shares.iter().all(|share| share.near >= 0.0 && share.far >= 0.0);
        let levels: &[String] = self.class.as_ref().map_or(&[], |class| &class.levels);
        let formulas_alone = self.processing.is_empty() && self.composition.formula.is_some();
        let names: Vec<&str> = self.processing.iter().map(|parameter| parameter.name.as_str()).collect();
        if !name(&self.name) {
            Some("name: use up to 64 letters, digits, - and _")
        } else if self.route.as_ref().is_some_and(|route| !route.starts_with('/')) {
            Some("route: must start with /")
        } else if self.default && self.route.is_none() {
            Some("default: is for a model with a route")
        } else if self.composition.elements.is_empty() == self.composition.formula.is_none() {
            Some("composition: give either elements (columns of amounts) or formula (a column of formulas)")
        } else if let Some(what) = self.composition.contradiction() {
            Some(what)
        } else if self.targets.is_empty() == self.class.is_none() {
            Some("give either [[targets]] or [class]")
        } else if self.class.as_ref().is_some_and(|class| class.levels.len() < 2) {
            Some("class: at least two levels")
        } else if names.iter().enumerate().any(|(at, name)| names[..at].contains(name)) {
            Some("processing: a name is there twice")
        } else if self.processing.iter().any(ParameterRecipe::has_too_few_levels) {
            Some("processing: a categorical parameter needs at least two levels")
        } else if self.processing.iter().any(|parameter| !parameter.default_fits()) {
            Some("processing: a default must be a number or \"median\", for a categorical parameter one of its levels")
        } else if let Some(what) = contradiction(&self.evidence, levels, (formulas_alone, &self.group)) {
            Some(what)
        } else if let Some(what) = Limit::contradiction(&self.limits, levels) {
            Some(what)
        } else if self.group.columns().is_empty() && matches!(self.group, Group::Joined(_)) {
            Some("group: name at least one column")
        } else if let Some(what) = training.contradiction(&self.network.architecture()) {
            Some(what)
        } else if let Some(what) = self.committee.iter().find_map(MemberRecipe::contradiction) {
            Some(what)
        } else if let Some(what) = self.teacher.as_ref().and_then(TeacherRecipe::contradiction) {
            Some(what)
        } else if !never_negative || !some(|share| share.near) || !some(|share| share.far) {
            Some("share: not below 0, and not 0 for the whole committee")
        } else if self.calibration.folds == 1 || self.calibration.folds > 20 {
            Some("calibration: folds must be 0 or 2 to 20")
        } else if training.one_net_per_target && self.class.is_some() {
            Some("training: one_net_per_target is for targets, not for a class")
        } else if anyone_sees != image {
            Some("[features.image] goes together with [network.image], or with a member of the committee that sees it")
        } else {
            None
        }
    }

    /// The message about the first number that is out of bounds.
    fn out_of_bounds(&self) -> Option<String> {
        self.bounds().broken()
    }

    /// Checks every number.
    pub(in crate::data) fn bounds(&self) -> Bounds {
        let mut bounds = Bounds::default();
        bounds.size("processing", self.processing.len(), MOST_THINGS);
        bounds.number("composition.trace", self.composition.trace.unwrap_or(0.0), 0.0..=1.0);
        for parameter in &self.processing {
            bounds.number("processing.tolerance", parameter.tolerance.unwrap_or(0.0), 0.0..=1e6);
        }
        bounds.size("targets", self.targets.len(), MOST_THINGS);
        bounds.size("class.levels", self.class.iter().map(|class| class.levels.len()).sum(), MOST_THINGS);
        bounds.size("evidence", self.evidence.len(), MOST_THINGS);
        bounds.size("limits", self.limits.len(), MOST_THINGS);
        bounds.size("kinds", self.kinds.unwrap_or(0), 2000);
        self.evidence.iter().for_each(|entry| bounds.number("evidence.weight", entry.weight, 0.01..=100.0));
        bounds.network("network", &self.network.architecture());
        bounds.training("training", &self.training);
        bounds.number("share.near", self.share.near, 0.0..=1e6);
        bounds.number("share.far", self.share.far, 0.0..=1e6);
        bounds.committee("committee", &self.committee);
        if let Some(teacher) = &self.teacher {
            bounds.teacher(teacher);
        }
        for (field, kind) in [("scaling.row", self.scaling.row), ("scaling.image", self.scaling.image)] {
            if let ScalingKind::Standard { clip } = kind {
                bounds.number(&format!("{field}.standard.clip"), clip, 0.1..=1e6);
            }
        }
        bounds
    }

    /// The schema of the recipe's model before data was read: without elements, ranges, defaults, or levels from data.
    pub fn blank_schema(&self) -> Schema {
        let outputs = match &self.class {
            Some(class) => Outputs::Classification { classes: class.levels.clone() },
            None => {
                let target = |target: &TargetRecipe| Target {
                    name: target.name.clone(),
                    unit: target.unit.clone(),
                    scale: target.scale,
                };
                Outputs::Regression { targets: self.targets.iter().map(target).collect() }
            }
        };
        Schema {
            composition: CompositionSchema {
                formula_column: self.composition.formula.clone(),
                columns: match &self.composition.elements {
                    Elements::Named(_) => Default::default(),
                    Elements::Columns(columns) => {
                        columns.iter().map(|(element, column)| (column.clone(), *element)).collect()
                    }
                },
                trace: self.composition.trace.unwrap_or(0.0),
                trace_effects: self.composition.trace_effects.clone(),
                ..CompositionSchema::new(self.composition.basis, self.composition.balance)
            },
            processing: self.processing.iter().map(ParameterRecipe::blank).collect(),
            outputs,
        }
    }
}
