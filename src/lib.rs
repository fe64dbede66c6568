//! Alloy property prediction: the Materials Composition Visualization Network (MCVN) of Yu, Wu and Qian (2022).

pub mod domain;
pub mod featurize;
