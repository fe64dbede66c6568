//! The columns of a data file in a recipe: composition, process parameters, targets, groups. [`super::recipe`] combines
//! them with the learners of [`super::learners`].

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{Basis, Element, Parameter, ParameterKind, Scale};

/// The columns of the composition: either `elements` or `formula`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompositionRecipe {
    /// Basis of the amounts in the file, and of the amounts that the model learns from: `"weight_percent"` or
    /// `"atomic_percent"`.
    #[schemars(with = "String")]
    pub basis: Basis,
    /// Symbol of the element that makes up the rest to 100, such as `"Fe"` in steels. It needs no column.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub balance: Option<Element>,
    /// The elements whose amounts the file states: a list of symbols if the columns are named by them, otherwise the
    /// column of each, such as `{ Al = "AlT" }`.
    #[serde(default, skip_serializing_if = "Elements::is_empty")]
    pub elements: Elements,
    /// The column of formulas, such as `Zr41.2Ti13.8Cu12.5Ni10Be22.5`, if amounts have no columns of their own.
    #[serde(default)]
    pub formula: Option<String>,
    /// Elements that every alloy has, whether somebody added them or not: an amount that is left out was not measured.
    /// If not given: those that are present in 95 % of the training rows or more. An empty list for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub residuals: Option<Vec<Element>>,
    /// What an empty cell of an amount means. If not given: zero in columns that are empty in more than half of the
    /// rows, not measured in the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blank: Option<Blank>,
    /// Amounts up to this are too small to matter: of an element that the data lacks they are ignored with a warning, of
    /// another one they may be missing to the least of its training range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<f64>,
    /// For the warning: what such amounts of an element do all the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub trace_effects: BTreeMap<Element, String>,
}

/// What an empty cell of an amount means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Blank {
    /// There is nothing of the element.
    #[serde(rename = "zero")]
    Zero,
    /// Its amount was not measured.
    #[serde(rename = "not measured")]
    NotMeasured,
}

impl CompositionRecipe {
    /// Whether amounts that were not measured can be estimated: they are taken from the balance.
    pub(in crate::data) fn estimates(&self) -> bool {
        self.balance.is_some() && !self.elements.is_empty()
    }

    pub(in crate::data) fn contradiction(&self) -> Option<&'static str> {
        let listed = |element: &Element| self.elements.iter().any(|(own, _)| own == *element);
        let mut residuals = self.residuals.iter().flatten();
        if residuals.any(|element| !listed(element) || self.balance == Some(*element)) {
            Some("composition.residuals: name elements that have a column, and not the balance")
        } else if self.residuals.iter().flatten().next().is_some() && !self.estimates() {
            Some("composition.residuals: are for compositions with columns of amounts and a balance")
        } else if self.blank == Some(Blank::NotMeasured) && !self.estimates() {
            Some("composition.blank: \"not measured\" is for compositions with columns of amounts and a balance")
        } else {
            None
        }
    }
}

/// The columns of amounts.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Elements {
    /// Each column is named by its element's symbol.
    Named(#[schemars(with = "Vec<String>")] Vec<Element>),
    /// The column of each element.
    Columns(#[schemars(with = "BTreeMap<String, String>")] BTreeMap<Element, String>),
}

impl<'de> Deserialize<'de> for Elements {
    /// Written by hand, so that the error message names an invalid symbol.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Elements;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of elements, or elements and their columns such as { Al = \"AlT\" }")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Elements, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Elements::Named)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Elements, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(Elements::Columns)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Default for Elements {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Elements {
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The elements with their columns.
    pub fn iter(&self) -> impl Iterator<Item = (Element, &str)> {
        let (named, columns) = match self {
            Self::Named(elements) => (Some(elements), None),
            Self::Columns(columns) => (None, Some(columns)),
        };
        let named = named.into_iter().flatten().map(|element| (*element, element.symbol()));
        named.chain(columns.into_iter().flatten().map(|(element, column)| (*element, column.as_str())))
    }
}

/// One process parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterRecipe {
    /// Name of the parameter in requests, such as `tempering_temperature`.
    pub name: String,
    /// Name of the column, if it is not `name`.
    #[serde(default)]
    pub column: Option<String>,
    /// Other names that the column may have in tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Unit of the values, such as `"°C"`; empty for a pure number. A temperature or a percentage implies physical
    /// limits.
    #[serde(default)]
    pub unit: String,
    /// One line that explains the parameter to people.
    #[serde(default)]
    pub description: String,
    /// The categories of a categorical parameter, at least two, or `"from data"`. A parameter without levels is a
    /// number.
    #[serde(default)]
    pub levels: Option<Levels>,
    /// What an empty cell means, in training as in predictions: a number, a level, or `"median"` of the training rows.
    /// If not given, no cell may be empty and every request must state the parameter.
    #[serde(default)]
    pub default: Option<DefaultRecipe>,
    /// Least value that is physically possible; smaller ones are refused. Implied by the unit if not given.
    #[serde(default)]
    pub physical_min: Option<f64>,
    /// Largest value that is physically possible; larger ones are refused. Implied by the unit if not given.
    #[serde(default)]
    pub physical_max: Option<f64>,
    /// A number may be outside its training range by this much, in its unit, and still be in domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// The levels of a categorical parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a list of levels, or \"from data\"")]
pub enum Levels {
    /// Given in the recipe.
    Given(Vec<String>),
    /// Taken from the data file.
    Found(FromData),
}

/// The text `from data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromData {
    /// `from data`
    #[serde(rename = "from data")]
    FromData,
}

/// The default of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number, a level, or \"median\"")]
pub enum DefaultRecipe {
    /// A number.
    Number(f64),
    /// A level, or `median`.
    Text(String),
}

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetRecipe {
    /// Name of the property in answers, such as `tensile_strength`.
    pub name: String,
    /// Name of the column, if it is not `name`.
    #[serde(default)]
    pub column: Option<String>,
    /// Unit of the values, such as `"MPa"`; empty for a pure number.
    pub unit: String,
    /// The scale on which it is learned: `"linear"`, or `"log"` for values over several decades, such as creep lives.
    /// A `log` property is positive, and so are its answers and intervals.
    #[serde(default, skip_serializing_if = "Scale::is_linear")]
    #[schemars(with = "String")]
    pub scale: Scale,
    /// What to do with censored values such as `>50` or `run-out`. If not given, they are errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub censored: Option<Censored>,
}

/// How to treat censored values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Censored {
    /// Treat them as not measured.
    Drop,
}

/// The class of a classification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassRecipe {
    /// Name of the column.
    pub column: String,
    /// The classes as the column spells them, at least two. Answers list them in this order.
    pub levels: Vec<String>,
    /// Also report scores for samples with at most this many elements. If samples with more elements are easy to
    /// classify, the overall score alone is too optimistic.
    #[serde(default)]
    pub score_up_to_elements: Option<usize>,
}

/// What rows of one group share. A group stays together when rows are split into training and test rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a column, a list of columns, \"composition\" or \"chemical_system\"")]
pub enum Group {
    /// `composition` (equal amounts), `chemical_system` (equal elements), or the name of a column.
    One(String),
    /// Several columns together.
    Joined(Vec<String>),
}

/// The property that rows of a group share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation<'a> {
    /// Equal amounts.
    Composition,
    /// The same elements.
    ChemicalSystem,
    /// The same text in each of these columns.
    Columns(&'a [String]),
}

impl Group {
    /// The property that rows of a group share.
    pub fn relation(&self) -> Relation<'_> {
        match self {
            Self::One(name) if name == "composition" => Relation::Composition,
            Self::One(name) if name == "chemical_system" => Relation::ChemicalSystem,
            Self::One(name) => Relation::Columns(std::slice::from_ref(name)),
            Self::Joined(names) => Relation::Columns(names),
        }
    }

    /// The columns that it needs.
    pub fn columns(&self) -> &[String] {
        match self.relation() {
            Relation::Columns(names) => names,
            Relation::Composition | Relation::ChemicalSystem => &[],
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => f.write_str(name),
            Self::Joined(names) => f.write_str(&names.join(" + ")),
        }
    }
}

/// Selects the rows with a given text in a column. It is for long tables, which have one property per row and the
/// property's name in a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowFilter {
    /// The column that is compared.
    pub column: String,
    /// The text that its cell must have.
    pub equals: String,
}

impl ParameterRecipe {
    /// Name of the column.
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }

    pub(in crate::data) fn default_fits(&self) -> bool {
        match (&self.levels, &self.default) {
            (_, None) | (None, Some(DefaultRecipe::Number(_))) => true,
            (None, Some(DefaultRecipe::Text(text))) => text == "median",
            (Some(Levels::Given(levels)), Some(DefaultRecipe::Text(text))) => levels.contains(text),
            // Whether the file has this level is checked when the file is read.
            (Some(Levels::Found(_)), Some(DefaultRecipe::Text(_))) => true,
            (Some(_), Some(DefaultRecipe::Number(_))) => false,
        }
    }

    pub(in crate::data) fn has_too_few_levels(&self) -> bool {
        matches!(&self.levels, Some(Levels::Given(levels)) if levels.len() < 2)
    }

    /// The parameter without ranges and default, which come from the data.
    pub(in crate::data) fn blank(&self) -> Parameter {
        let (unit_min, unit_max) = Parameter::physical_limits(&self.unit);
        let categorical = |levels| ParameterKind::Categorical { levels, default: None };
        let kind = match &self.levels {
            Some(Levels::Given(levels)) => categorical(levels.clone()),
            Some(Levels::Found(_)) => categorical(Vec::new()),
            None => ParameterKind::Numeric {
                min: f64::NEG_INFINITY,
                max: f64::INFINITY,
                default: None,
                physical_min: self.physical_min.or(unit_min),
                physical_max: self.physical_max.or(unit_max),
            },
        };
        Parameter {
            name: self.name.clone(),
            column: self.column().to_owned(),
            aliases: self.aliases.clone(),
            unit: self.unit.clone(),
            description: self.description.clone(),
            tolerance: self.tolerance.unwrap_or(0.0),
            kind,
        }
    }
}

impl TargetRecipe {
    /// Name of the column.
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }
}
