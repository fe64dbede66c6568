//! Evaluation of a recipe on rows it was not trained on, with baselines and ablations.

pub(super) mod ablation;
pub(super) mod baselines;
pub(super) mod crossval;
pub(super) mod domain;
pub(super) mod evaluate;
pub(super) mod trust_scores;
