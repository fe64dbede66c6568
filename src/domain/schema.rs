//! The schema of a model: its inputs and outputs.
//!
//! The schema is part of each bundle and drives the API. A model with other process columns gets its inputs, checks and
//! documentation without a change of code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ABSOLUTE_ZERO_CELSIUS, AmountDistribution, Basis, Composition, Element, Scale};

/// Inputs and outputs of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The composition.
    pub composition: CompositionSchema,
    /// The process parameters, in the order of the feature row.
    pub processing: Vec<Parameter>,
    /// The predictions.
    pub outputs: Outputs,
}

/// The composition input of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompositionSchema {
    /// Basis of the ranges below, and of amounts that come without a basis.
    pub basis: Basis,
    /// The element that makes up the rest to 100 if it is not given.
    pub balance: Option<Element>,
    /// Column of formulas in the training data, if it has one.
    #[serde(default)]
    pub formula_column: Option<String>,
    /// Columns of amounts in the training data whose names are not element symbols, such as `AlT`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Element>,
    /// Elements seen in training, with the range of their amounts (scaled to 100).
    pub elements: Vec<ElementRange>,
    /// Elements that every alloy of the model has, whether somebody added them or not. One that is left out was not
    /// measured; any other element that is left out is absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residuals: Vec<Element>,
    /// Elements whose empty cells in tables mean that there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blank_is_zero: Vec<Element>,
    /// Amounts up to this are too small to matter: of an element that was never seen they are ignored, of another one
    /// they may be missing to the least of its training range.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trace: f64,
    /// What is known to happen at such amounts of some elements, for a warning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trace_effects: BTreeMap<Element, String>,
    /// How amounts that were not measured are estimated. Without it every amount must be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amounts: Option<AmountDistribution>,
}

/// Whether a number is 0, so that it need not be stored.
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// An amount may be above its training range by this part of the range's end, as far as it is no more than a trace.
const ABOVE: f64 = 0.05;
/// Scaling to 100 changes the last bits. This must not put a training row out of domain.
const ROUNDING: f64 = 1e-9;

impl CompositionSchema {
    /// A schema without elements, for data that was not read yet.
    pub fn new(basis: Basis, balance: Option<Element>) -> Self {
        Self {
            basis,
            balance,
            formula_column: None,
            columns: BTreeMap::new(),
            elements: Vec::new(),
            residuals: Vec::new(),
            blank_is_zero: Vec::new(),
            trace: 0.0,
            trace_effects: BTreeMap::new(),
            amounts: None,
        }
    }

    /// Whether all elements of a composition were seen in training.
    pub fn knows(&self, composition: &Composition) -> bool {
        composition.amounts().iter().all(|(element, _)| self.range(*element).is_some())
    }

    /// The training range of an element.
    pub fn range(&self, element: Element) -> Option<&ElementRange> {
        self.elements.iter().find(|range| range.element == element)
    }

    /// Whether an amount of this element can be estimated.
    pub fn estimates(&self, element: Element) -> bool {
        self.amounts.as_ref().is_some_and(|amounts| amounts.knows(element))
    }

    /// Whether an amount of an element that was never seen is too small to matter.
    pub fn ignores(&self, element: Element, amount: f64) -> bool {
        self.balance.is_some() && amount <= self.trace && self.range(element).is_none() && !self.elements.is_empty()
    }

    /// Whether an amount is in the training range of its element. Below, a trace may be missing: nobody measures zero.
    /// Above, less is tolerated: a trace more of sulphur is twice as much sulphur.
    pub fn is_in_range(&self, ElementRange { min, max, .. }: &ElementRange, amount: f64) -> bool {
        let slack = ROUNDING * max.max(1.0);
        (min - self.trace - slack..=max + self.trace.min(ABOVE * max) + slack).contains(&amount)
    }
}

/// The range of an element's amounts over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementRange {
    /// The element.
    pub element: Element,
    /// Least amount; 0 if the element was missing in a row.
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
    /// Other names in tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Unit, such as `°C`; empty for a pure number.
    pub unit: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// A number may be outside its training range by this much, in its unit, and still be in domain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tolerance: f64,
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
        /// Least value in training.
        min: f64,
        /// Largest value in training.
        max: f64,
        /// Value used if none is given; `null` makes the parameter required.
        default: Option<f64>,
        /// Least physical value.
        physical_min: Option<f64>,
        /// Largest physical value.
        physical_max: Option<f64>,
    },
    /// One of a few levels, one-hot encoded in the feature row.
    Categorical {
        /// The levels, in the order of their one-hot columns.
        levels: Vec<String>,
        /// Level used if none is given; `null` makes the parameter required.
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
    /// Whether a sample must give the parameter.
    pub fn required(&self) -> bool {
        match &self.kind {
            ParameterKind::Numeric { default, .. } => default.is_none(),
            ParameterKind::Categorical { default, .. } => default.is_none(),
        }
    }

    /// Number of columns in the feature row.
    pub fn width(&self) -> usize {
        match &self.kind {
            ParameterKind::Numeric { .. } => 1,
            ParameterKind::Categorical { levels, .. } => levels.len(),
        }
    }

    /// Physical limits implied by a unit: temperatures above absolute zero, percentages within 0–100.
    pub fn physical_limits(unit: &str) -> (Option<f64>, Option<f64>) {
        match unit {
            "°C" => (Some(ABSOLUTE_ZERO_CELSIUS), None),
            "K" => (Some(0.0), None),
            "%" => (Some(0.0), Some(100.0)),
            _ => (None, None),
        }
    }
}

/// The predictions of a model.
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
    /// Number of outputs for one sample.
    pub fn width(&self) -> usize {
        match self {
            Outputs::Regression { targets } => targets.len(),
            Outputs::Classification { classes } => classes.len(),
        }
    }
}

/// Index of the largest probability; the first one if several are equal.
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
    /// The scale on which the target is learned and its intervals are measured.
    #[serde(default, skip_serializing_if = "Scale::is_linear")]
    pub scale: Scale,
}

impl Target {
    /// The interval around a value, in the target's unit. The half width is on the target's scale. Linear: value ± half
    /// width. Logarithmic: the value divided and multiplied by exp(half width).
    pub fn around(&self, value: f64, half_width: f64) -> [f64; 2] {
        match self.scale {
            Scale::Linear => [value - half_width, value + half_width],
            Scale::Log => {
                let end = |half_width: f64| self.scale.in_unit(self.scale.learned(value) + half_width);
                // Rounding must not exclude the value from its own interval.
                [end(-half_width).min(value), end(half_width).max(value)]
            }
        }
    }

    /// Physical limits implied by the unit: strengths, hardnesses and energies are not negative; otherwise those of
    /// [`Parameter::physical_limits`]. (A process parameter in MPa may be negative, for example a stress.)
    pub fn physical_limits(&self) -> (Option<f64>, Option<f64>) {
        match self.unit.as_str() {
            "MPa" | "GPa" | "HV" | "HB" | "J" => (Some(0.0), None),
            unit => Parameter::physical_limits(unit),
        }
    }
}

impl Schema {
    /// Whether these process parameters are all known to this model and include all required ones.
    pub fn takes(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.processing.iter().any(|parameter| parameter.name == *name))
            && self.processing.iter().all(|parameter| !parameter.required() || names.contains(&parameter.name.as_str()))
    }
}
