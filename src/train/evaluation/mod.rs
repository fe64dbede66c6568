//! Measuring a recipe on rows that it was not trained on, beside simple methods and its own ablations.

pub(super) mod ablation;
pub(super) mod baselines;
pub(super) mod crossval;
pub(super) mod evaluate;
