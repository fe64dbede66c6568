//! What a recipe says of a file's columns: where the composition stands, what is a process parameter, a target, a group.
//!
//! [`super::recipe`] puts all together, and [`super::learners`] says what learns from it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{Basis, Element, Parameter, ParameterKind, Scale};

/// Where the composition stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompositionRecipe {
    /// Basis of the amounts, and of the feature row.
    pub basis: Basis,
    /// Element that makes up the rest to 100.
    #[serde(default)]
    pub balance: Option<Element>,
    /// Columns of amounts.
    #[serde(default, skip_serializing_if = "Elements::is_empty")]
    pub elements: Elements,
    /// Or the one column of formulas.
    #[serde(default)]
    pub formula: Option<String>,
}

/// The columns of amounts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Elements {
    /// Each named by its element.
    Named(Vec<Element>),
    /// Each element's column.
    Columns(BTreeMap<Element, String>),
}

impl<'de> Deserialize<'de> for Elements {
    /// By hand, so that a symbol that is none is named.
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
    /// Whether no element is named.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The elements, each with its column.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterRecipe {
    /// Name in the API.
    pub name: String,
    /// Column, where it has another name.
    #[serde(default)]
    pub column: Option<String>,
    /// Other names that its column may have in tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Unit; empty for a pure number.
    #[serde(default)]
    pub unit: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Levels of a categorical parameter; without them it is a number.
    #[serde(default)]
    pub levels: Option<Levels>,
    /// `"median"`, a number or a level; without it the parameter is required.
    #[serde(default)]
    pub default: Option<DefaultRecipe>,
    /// No physical value lies below (follows from the unit where it is not given).
    #[serde(default)]
    pub physical_min: Option<f64>,
    /// No physical value lies above.
    #[serde(default)]
    pub physical_max: Option<f64>,
}

/// The levels of a categorical parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a list of levels, or \"from data\"")]
pub enum Levels {
    /// Written out, in the order of their columns.
    Given(Vec<String>),
    /// Those that the data file has.
    Found(FromData),
}

/// The words `from data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromData {
    /// `from data`
    #[serde(rename = "from data")]
    FromData,
}

/// The default of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a level, or \"median\"")]
pub enum DefaultRecipe {
    /// A number.
    Number(f64),
    /// A level, or `median`.
    Text(String),
}

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRecipe {
    /// Name in the API.
    pub name: String,
    /// Column, where it has another name.
    #[serde(default)]
    pub column: Option<String>,
    /// Unit.
    pub unit: String,
    /// Whether it is learned in its unit or in logarithms, as what goes over decades should be.
    #[serde(default, skip_serializing_if = "Scale::is_linear")]
    pub scale: Scale,
    /// What becomes of censored values such as `>50` or `run-out`; without it they are complained about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub censored: Option<Censored>,
}

/// What becomes of censored values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Censored {
    /// They are left out, as if they had not been measured.
    Drop,
}

/// The class of a classification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRecipe {
    /// Its column.
    pub column: String,
    /// Its values, in the order of the outputs.
    pub levels: Vec<String>,
    /// Scores are also given for samples of at most so many elements: where the data makes the others easy,
    /// the headline alone would flatter.
    #[serde(default)]
    pub score_up_to_elements: Option<usize>,
}

/// What belongs together when rows are split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column, a list of columns, \"composition\" or \"chemical_system\"")]
pub enum Group {
    /// `composition` (the same amounts), `chemical_system` (the same elements), or what a column says.
    One(String),
    /// What several columns say together.
    Joined(Vec<String>),
}

/// What rows of one group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation<'a> {
    /// The same amounts.
    Composition,
    /// The same elements.
    ChemicalSystem,
    /// The same text in each of these columns.
    Columns(&'a [String]),
}

impl Group {
    /// What rows of one group have in common.
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

/// Which rows of a file are read: those with a text in a column. A long table has one property a row, and its name in a
/// column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowFilter {
    /// The column.
    pub column: String,
    /// The text.
    pub equals: String,
}

impl ParameterRecipe {
    /// Its column's name.
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }

    pub(in crate::data) fn default_fits(&self) -> bool {
        match (&self.levels, &self.default) {
            (_, None) | (None, Some(DefaultRecipe::Number(_))) => true,
            (None, Some(DefaultRecipe::Text(text))) => text == "median",
            (Some(Levels::Given(levels)), Some(DefaultRecipe::Text(text))) => levels.contains(text),
            // Whether the file has it shows when it is read.
            (Some(Levels::Found(_)), Some(DefaultRecipe::Text(_))) => true,
            (Some(_), Some(DefaultRecipe::Number(_))) => false,
        }
    }

    pub(in crate::data) fn has_too_few_levels(&self) -> bool {
        matches!(&self.levels, Some(Levels::Given(levels)) if levels.len() < 2)
    }

    /// The parameter without ranges, and required: what it takes from data is not known yet.
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
            kind,
        }
    }
}

impl TargetRecipe {
    /// Its column's name.
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }
}
