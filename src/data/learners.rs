//! The members of an ensemble as described by a recipe: networks and their training, Gaussian processes, trees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Architecture, AttentionMode, Share};

/// Settings of the training loop. Numbers that are left out are those of the default learners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Number of networks with different seeds, at least 1. Their outputs are averaged.
    pub members: usize,
    /// Whether to train one network for each target, as in the paper, instead of one for all targets. Not for a class.
    #[serde(default)]
    pub one_net_per_target: bool,
    /// Number of optimizer steps, at least 1.
    pub steps: usize,
    /// Rows per step. A recipe without `[training]` uses 256; a `[training]` that leaves `batch` out uses all rows in
    /// every step. At least 2.
    #[serde(default)]
    pub batch: Option<usize>,
    /// Peak learning rate, above 0. It rises linearly in the warm-up and then falls to 0 as a cosine.
    pub learning_rate: f64,
    /// Number of warm-up steps.
    pub warmup: usize,
    /// Decoupled weight decay (AdamW), for matrices only; not below 0.
    pub weight_decay: f64,
    /// Largest norm of the gradients, above 0; larger ones are scaled down.
    pub clip_norm: f64,
    /// Decay of the moving average of the parameters, at least 0 and below 1. The average is the final network.
    pub ema: f64,
    /// Label smoothing of a classification, at least 0 and below 1. A classification without `[training]` uses 0.05.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Number of training samples in the reference cohort (k-medoids), for `attention = "reference"`, which needs at
    /// least 1.
    #[serde(default)]
    pub cohort: usize,
    /// Number of training samples used as references (k-medoids), for `attention = "residual"`; all if not given. With
    /// 0, the bundle contains no measured values, and the network predicts without attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<usize>,
    /// Number of references used in a training step, at least 1, drawn anew each time; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
}

impl Default for Training {
    /// The training of a recipe without `[training]`.
    fn default() -> Self {
        Self {
            members: 2,
            one_net_per_target: false,
            steps: 1000,
            batch: Some(256),
            learning_rate: 5e-3,
            warmup: 20,
            weight_decay: 0.02,
            clip_norm: 5.0,
            ema: 0.98,
            label_smoothing: 0.0,
            cohort: 0,
            references: None,
            context: None,
        }
    }
}

impl Training {
    pub(in crate::data) fn contradiction(&self, network: &Architecture) -> Option<&'static str> {
        if self.members == 0 || self.steps == 0 || self.batch.is_some_and(|batch| batch < 2) {
            Some("training: members and steps must be at least 1, batch at least 2")
        } else if !(0.0..1.0).contains(&self.ema) || !(0.0..1.0).contains(&self.label_smoothing) {
            Some("training: ema and label_smoothing must be at least 0 and below 1")
        } else if !(self.learning_rate > 0.0 && self.clip_norm > 0.0 && self.weight_decay >= 0.0) {
            Some("training: learning_rate and clip_norm must be above 0, weight_decay not negative")
        } else if network.attention == AttentionMode::Reference && self.cohort == 0 {
            Some("training: attention = \"reference\" needs a cohort")
        } else if self.context == Some(0) {
            Some("training: context must be at least 1; for no references write references = 0")
        } else {
            None
        }
    }
}

/// A family of the ensemble, in addition to the networks of `[network]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MemberRecipe {
    /// Networks of another shape.
    Network(Box<NetworkMemberRecipe>),
    /// A sparse Gaussian process: kernel attention over learned keys (inducing points).
    #[serde(rename = "kernel")]
    Gp(GpRecipe),
    /// Extremely randomised trees, or a random forest.
    Forest(ForestRecipe),
    /// Boosted trees.
    Boosting(BoostingRecipe),
}

impl MemberRecipe {
    /// Its weight in the ensemble.
    pub fn share(&self) -> Share {
        match self {
            Self::Network(own) => own.share,
            Self::Gp(own) => own.share,
            Self::Forest(own) => own.share,
            Self::Boosting(own) => own.share,
        }
    }

    /// Whether it uses the image.
    pub(in crate::data) fn sees_image(&self) -> bool {
        match self {
            Self::Network(own) => own.network.image.is_some(),
            Self::Gp(own) => own.components > 0,
            Self::Forest(own) => own.image,
            Self::Boosting(own) => own.image,
        }
    }

    pub(in crate::data) fn contradiction(&self) -> Option<&'static str> {
        match self {
            Self::Network(own) => own.training.contradiction(&own.network),
            Self::Gp(own) if own.keys < 2 || own.steps == 0 || !own.learning_rate.is_normal() => {
                Some("committee: a kernel needs at least 2 keys, a step and a learning_rate")
            }
            Self::Forest(own) if own.trees == 0 || own.min_leaf == 0 || own.tried == Some(0) => {
                Some("committee: a forest needs at least a tree, a row in a leaf and a feature to try")
            }
            Self::Boosting(own) => own.contradiction(),
            Self::Gp(_) | Self::Forest(_) => None,
        }
    }

    /// Number of steps to train the family once: `members` networks for a family of networks; otherwise one member for
    /// each set of targets that were measured on the same rows.
    pub(in crate::data) fn steps(&self, members: Option<usize>, target_sets: usize) -> usize {
        match self {
            Self::Network(own) => own.training.steps * members.unwrap_or(own.training.members),
            Self::Gp(own) => own.steps * target_sets,
            Self::Forest(_) | Self::Boosting(_) => target_sets,
        }
    }
}

/// Networks with another shape than `[network]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkMemberRecipe {
    /// Its weight in the ensemble.
    #[serde(default)]
    pub share: Share,
    /// Their sizes, as in `[network]`.
    pub network: Architecture,
    /// Their training, as in `[training]`.
    pub training: Training,
}

/// A sparse Gaussian process: kernel attention over learned keys (inducing points).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpRecipe {
    /// Its weight in the ensemble.
    #[serde(default)]
    pub share: Share,
    /// Number of inducing points, at least 2 (fewer are used if there are fewer different rows).
    pub keys: usize,
    /// Steps of Adam on the bound of the marginal likelihood, at least 1.
    pub steps: usize,
    /// Learning rate of Adam, above 0.
    pub learning_rate: f64,
    /// Number of principal components of the image that are added to the composition; more than 0 needs
    /// `[features.image]`.
    #[serde(default)]
    pub components: usize,
}

/// How a tree chooses its splits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Splits {
    /// At random thresholds, over all rows (extremely randomised trees).
    #[default]
    Random,
    /// At the best thresholds, over a bootstrap sample of the rows (a random forest).
    Best,
}

/// A forest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForestRecipe {
    /// Its weight in the ensemble.
    #[serde(default)]
    pub share: Share,
    /// How the trees split.
    #[serde(default)]
    pub splits: Splits,
    /// Number of trees for each output, at least 1.
    pub trees: usize,
    /// Least number of rows in a leaf, at least 1.
    pub min_leaf: usize,
    /// Number of features tried at each split, at least 1; all if not given.
    #[serde(default)]
    pub tried: Option<usize>,
    /// Whether the trees also use the image, which needs `[features.image]`.
    #[serde(default)]
    pub image: bool,
}

/// Boosted trees (Friedman 2001): each tree corrects the errors of those before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoostingRecipe {
    /// Its weight in the ensemble.
    #[serde(default)]
    pub share: Share,
    /// Number of trees for each output, one per round; at least 1.
    pub rounds: usize,
    /// Largest number of splits between root and leaf, 1 to 16.
    pub depth: usize,
    /// Factor for the correction of each tree, above 0 and at most 1.
    pub learning_rate: f64,
    /// Fraction of the rows used for each tree, above 0 and at most 1.
    pub rows: f64,
    /// Fraction of the features used for each tree, above 0 and at most 1.
    pub columns: f64,
    /// Least weight in a leaf, not below 0: the number of rows or, for a class, the sum of p · (1 − p).
    pub min_weight: f64,
    /// L2 penalty on the leaf values, not below 0.
    pub penalty: f64,
    /// Whether the trees also use the image, which needs `[features.image]`.
    #[serde(default)]
    pub image: bool,
}

impl BoostingRecipe {
    fn contradiction(&self) -> Option<&'static str> {
        let part = |value: f64| value > 0.0 && value <= 1.0;
        if self.rounds == 0 || !(1..=16).contains(&self.depth) {
            Some("committee: boosting needs at least a round, and a depth of 1 to 16")
        } else if !(part(self.learning_rate) && part(self.rows) && part(self.columns)) {
            Some("committee: boosting's learning_rate, rows and columns must be above 0 and at most 1")
        } else if !(self.min_weight >= 0.0 && self.penalty >= 0.0) {
            Some("committee: boosting's min_weight and penalty must not be negative")
        } else {
            None
        }
    }
}

/// The teacher of the networks: an ensemble, fitted on the same rows, that labels synthetic rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeacherRecipe {
    /// Number of synthetic rows, at least 1. If alloys have a base element, each mixes the compositions of two training rows, with
    /// process parameters mixed with those of a third. Otherwise each is an alloy mixed within its chemical system, or
    /// with one element exchanged.
    pub samples: usize,
    /// Fraction of the synthetic compositions, 0 to 1, in which each element is mixed separately, with a little noise. The
    /// others are mixed as whole alloys, or have an element exchanged.
    #[serde(default)]
    pub by_element: f64,
    /// Number of synthetic rows per step, at least 1.
    pub batch: usize,
    /// Weight of the synthetic rows in the loss, from 0 (measured rows only) to below 1.
    pub weight: f64,
    /// The members of the teacher, at least one, and none of them a network. Their shares are above 0, and the same
    /// near and far.
    pub committee: Vec<MemberRecipe>,
}

impl TeacherRecipe {
    pub(in crate::data) fn contradiction(&self) -> Option<&'static str> {
        let network = self.committee.iter().any(|member| matches!(member, MemberRecipe::Network(_)));
        if self.committee.is_empty() || network {
            Some("teacher: its committee needs at least one member, and none of them a network")
        } else if self.samples == 0 || self.batch == 0 {
            Some("teacher: samples and batch must be at least 1")
        } else if !(0.0..1.0).contains(&self.weight) || !(0.0..=1.0).contains(&self.by_element) {
            Some("teacher: weight must be at least 0 and below 1, by_element 0 to 1")
        } else if !self.shares().iter().all(|share| share.near > 0.0 && share.near == share.far) {
            Some("teacher: shares must be above 0, and the same near and far")
        } else {
            self.committee.iter().find_map(MemberRecipe::contradiction)
        }
    }

    /// The weights of its families.
    pub fn shares(&self) -> Vec<Share> {
        self.committee.iter().map(MemberRecipe::share).collect()
    }

    /// Number of steps to fit it once.
    pub(in crate::data) fn steps(&self, target_sets: usize) -> usize {
        self.committee.iter().map(|member| member.steps(None, target_sets)).sum()
    }
}

/// How intervals and probabilities are calibrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRecipe {
    /// Number of folds of held-out rows, with whole groups: 2 to 20, or 0 for no calibration.
    pub folds: usize,
}

impl Default for CalibrationRecipe {
    fn default() -> Self {
        Self { folds: 5 }
    }
}
