//! The members of an ensemble as a recipe describes them: networks and how they train, Gaussian processes, trees.
//!
//! Its own beside [`super::recipe`], which says what the columns of a file are: this says what learns from them.

use serde::{Deserialize, Serialize};

use crate::model::{Architecture, AttentionMode, Share};

/// The training loop's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Networks with seeds of their own whose outputs are averaged.
    pub members: usize,
    /// A network for each target, as in the paper.
    #[serde(default)]
    pub one_net_per_target: bool,
    /// Optimizer steps.
    pub steps: usize,
    /// Rows per step; without it all rows.
    #[serde(default)]
    pub batch: Option<usize>,
    /// Peak learning rate: linear warm-up, then cosine to 0.
    pub learning_rate: f64,
    /// Steps of warm-up.
    pub warmup: usize,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm.
    pub clip_norm: f64,
    /// Decay of the moving average of the parameters that is kept in the end.
    pub ema: f64,
    /// Label smoothing of a classification.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Training samples in the reference cohort (k-medoids), for `attention = "reference"`.
    #[serde(default)]
    pub cohort: usize,
    /// Training samples that an answer may lean on (k-medoids), for `attention = "residual"`; without it all of them. With
    /// 0 none: the bundle then gives no measured value away, and the network answers without attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<usize>,
    /// References that a step of the training sees, drawn anew each time; without it all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
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

/// A family of the ensemble beside the networks of `[network]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MemberRecipe {
    /// Networks of another shape.
    Network(Box<NetworkMemberRecipe>),
    /// Kernel attention over learned keys.
    #[serde(rename = "kernel")]
    Gp(GpRecipe),
    /// Extremely randomised trees, or a random forest.
    Forest(ForestRecipe),
    /// Boosted trees.
    Boosting(BoostingRecipe),
}

impl MemberRecipe {
    /// Its weight in the ensemble's answer.
    pub fn share(&self) -> Share {
        match self {
            Self::Network(own) => own.share,
            Self::Gp(own) => own.share,
            Self::Forest(own) => own.share,
            Self::Boosting(own) => own.share,
        }
    }

    /// Whether it reads the image.
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

    /// Steps of training it once: `members` networks where it is made of networks, else one for each set of targets that
    /// were measured on the same rows.
    pub(in crate::data) fn steps(&self, members: Option<usize>, target_sets: usize) -> usize {
        match self {
            Self::Network(own) => own.training.steps * members.unwrap_or(own.training.members),
            Self::Gp(own) => own.steps * target_sets,
            Self::Forest(_) | Self::Boosting(_) => target_sets,
        }
    }
}

/// Networks of another shape than `[network]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkMemberRecipe {
    /// Weight in the answer.
    #[serde(default)]
    pub share: Share,
    /// Their sizes.
    pub network: Architecture,
    /// Their training.
    pub training: Training,
}

/// Kernel attention over learned keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpRecipe {
    /// Weight in the answer.
    #[serde(default)]
    pub share: Share,
    /// Learned keys (fewer where there are fewer different rows).
    pub keys: usize,
    /// Steps of Adam on the bound of the marginal likelihood.
    pub steps: usize,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Principal components of the image that join the composition.
    #[serde(default)]
    pub components: usize,
}

/// How a tree finds its splits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Splits {
    /// At random thresholds, over all rows (extremely randomised trees).
    #[default]
    Random,
    /// At the best thresholds, over a bootstrap sample of the rows (a random forest).
    Best,
}

/// A forest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForestRecipe {
    /// Weight in the answer.
    #[serde(default)]
    pub share: Share,
    /// How its trees split.
    #[serde(default)]
    pub splits: Splits,
    /// Trees for each output.
    pub trees: usize,
    /// Least rows in a leaf.
    pub min_leaf: usize,
    /// Features tried at each split; without it all of them.
    #[serde(default)]
    pub tried: Option<usize>,
    /// Whether the trees read the image, too.
    #[serde(default)]
    pub image: bool,
}

/// Boosted trees (Friedman 2001): each corrects what the trees before it left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoostingRecipe {
    /// Weight in the answer.
    #[serde(default)]
    pub share: Share,
    /// Trees for each output, one a round.
    pub rounds: usize,
    /// Most splits between a root and a leaf.
    pub depth: usize,
    /// What each tree's correction is multiplied by.
    pub learning_rate: f64,
    /// Part of the rows that each tree sees.
    pub rows: f64,
    /// Part of the features that each tree sees.
    pub columns: f64,
    /// Least weight in a leaf: its rows, or of a class the sum of p · (1 − p).
    pub min_weight: f64,
    /// Penalty on the squares of the leaves.
    pub penalty: f64,
    /// Whether the trees read the image, too.
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

/// Who teaches the networks beside what was measured: an ensemble, fitted on the same rows, answers rows that nobody
/// measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherRecipe {
    /// Synthetic rows: around a base element each a mix of two training rows' compositions, under conditions mixed with a
    /// third's; without one an alloy mixed within its system, or with one element exchanged.
    pub samples: usize,
    /// Part of the synthetic compositions in which each element is mixed on its own, and blurred a little; the others
    /// are mixed as alloys, or have an element exchanged.
    #[serde(default)]
    pub by_element: f64,
    /// Synthetic rows in each step.
    pub batch: usize,
    /// Their part in the loss, from 0 (only what was measured) to below 1.
    pub weight: f64,
    /// Who teaches.
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

    /// Steps of fitting it once.
    pub(in crate::data) fn steps(&self, target_sets: usize) -> usize {
        self.committee.iter().map(|member| member.steps(None, target_sets)).sum()
    }
}

/// How intervals and probabilities are calibrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRecipe {
    /// Folds that rows are held out in, whole groups together; 0 for no calibration.
    pub folds: usize,
}

impl Default for CalibrationRecipe {
    fn default() -> Self {
        Self { folds: 5 }
    }
}
