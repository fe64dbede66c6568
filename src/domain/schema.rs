//! What a model takes and what it gives: the contract that drives the API of every model.
//!
//! Its own because it travels inside each bundle: a lab that retrains with other process columns gets its
//! own inputs, checks and documentation without a change of code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ABSOLUTE_ZERO_CELSIUS, Basis, Composition, Element, Scale};

/// Inputs and outputs of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The composition it takes.
    pub composition: CompositionSchema,
    /// The process parameters it takes, in the order of its feature row.
    pub processing: Vec<Parameter>,
    /// What it predicts.
    pub outputs: Outputs,
}

/// The composition a model takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompositionSchema {
    /// Basis of amounts that come without one, and of the ranges below.
    pub basis: Basis,
    /// The element that makes up the rest to 100 where it is not named.
    pub balance: Option<Element>,
    /// The column of formulas in the training data, where it states compositions so.
    #[serde(default)]
    pub formula_column: Option<String>,
    /// Columns of amounts in the training data that are not named by their element, such as `AlT`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Element>,
    /// Elements seen in training with the range of their amounts, normalised to 100.
    pub elements: Vec<ElementRange>,
}

impl CompositionSchema {
    /// Whether every element of a composition was seen in training.
    pub fn knows(&self, composition: &Composition) -> bool {
        composition.amounts().iter().all(|(element, _)| self.elements.iter().any(|range| range.element == *element))
    }
}

/// The amounts of one element over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementRange {
    /// The element.
    pub element: Element,
    /// Least amount; 0 where a row went without it.
    pub min: f64,
    /// Largest amount.
    pub max: f64,
}

/// One process parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Name in the API, such as `tempering_temperature`.
    pub name: String,
    /// Name of its column in the training data, such as `TT`.
    pub column: String,
    /// Other names of it in tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Unit, such as `°C`; empty for a pure number.
    pub unit: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Number or category.
    #[serde(flatten)]
    pub kind: ParameterKind,
}

/// Whether a parameter is a number or one of a few levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ParameterKind {
    /// A number.
    Numeric {
        /// Least value seen in training.
        min: f64,
        /// Largest value seen in training.
        max: f64,
        /// Value taken when none is given; `null` makes the parameter required.
        default: Option<f64>,
        /// No physical value lies below.
        physical_min: Option<f64>,
        /// No physical value lies above.
        physical_max: Option<f64>,
    },
    /// One of a few levels, one-hot in the feature row.
    Categorical {
        /// The levels, in the order of their one-hot columns.
        levels: Vec<String>,
        /// Level taken when none is given; `null` makes the parameter required.
        default: Option<String>,
    },
}

/// The value of one process parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProcessValue {
    /// A number in the unit of the parameter.
    Number(f64),
    /// Index of a level.
    Level(usize),
}

impl Parameter {
    /// Whether a sample must give it.
    pub fn required(&self) -> bool {
        match &self.kind {
            ParameterKind::Numeric { default, .. } => default.is_none(),
            ParameterKind::Categorical { default, .. } => default.is_none(),
        }
    }

    /// How many columns of the feature row it fills.
    pub fn width(&self) -> usize {
        match &self.kind {
            ParameterKind::Numeric { .. } => 1,
            ParameterKind::Categorical { levels, .. } => levels.len(),
        }
    }

    /// Physical limits that follow from a unit: temperatures above absolute zero, percentages within 0–100.
    pub fn physical_limits(unit: &str) -> (Option<f64>, Option<f64>) {
        match unit {
            "°C" => (Some(ABSOLUTE_ZERO_CELSIUS), None),
            "K" => (Some(0.0), None),
            "%" => (Some(0.0), Some(100.0)),
            _ => (None, None),
        }
    }
}

/// What a model predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Outputs {
    /// Properties with units.
    Regression {
        /// The properties, in the order of the network's outputs.
        targets: Vec<Target>,
    },
    /// One class of several.
    Classification {
        /// The classes, in the order of the network's outputs.
        classes: Vec<String>,
    },
}

impl Outputs {
    /// How many numbers the model gives for one sample.
    pub fn width(&self) -> usize {
        match self {
            Outputs::Regression { targets } => targets.len(),
            Outputs::Classification { classes } => classes.len(),
        }
    }
}

/// Index of the largest of several probabilities, the first of equals.
pub fn most_probable(probabilities: &[f64]) -> usize {
    (0..probabilities.len()).rev().max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).unwrap_or(0)
}

/// One predicted property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Name in the API and in the training data, such as `tensile_strength`.
    pub name: String,
    /// Unit, such as `MPa`.
    pub unit: String,
    /// The scale on which it is learned, and on which its intervals are measured.
    #[serde(default, skip_serializing_if = "Scale::is_linear")]
    pub scale: Scale,
}

impl Target {
    /// Ends of the interval of some half width around a value: the value ± the half width, or for a logarithm the value
    /// divided by and times its exponential. The half width is on the target's scale, the ends are in its unit.
    pub fn around(&self, value: f64, half_width: f64) -> [f64; 2] {
        match self.scale {
            Scale::Linear => [value - half_width, value + half_width],
            Scale::Log => {
                let end = |half_width: f64| self.scale.in_unit(self.scale.learned(value) + half_width);
                // An interval holds its value, whatever is lost in rounding.
                [end(-half_width).min(value), end(half_width).max(value)]
            }
        }
    }

    /// Physical limits that follow from the unit: strengths, hardnesses and energies are not negative; else those of
    /// [`Parameter::physical_limits`]. (A process parameter in MPa may be negative: a stress.)
    pub fn physical_limits(&self) -> (Option<f64>, Option<f64>) {
        match self.unit.as_str() {
            "MPa" | "GPa" | "HV" | "HB" | "J" => (Some(0.0), None),
            unit => Parameter::physical_limits(unit),
        }
    }
}

impl Schema {
    /// Whether a sample with just these process parameters would be complete for this model.
    pub fn takes(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.processing.iter().any(|parameter| parameter.name == *name))
            && self.processing.iter().all(|parameter| !parameter.required() || names.contains(&parameter.name.as_str()))
    }
}
