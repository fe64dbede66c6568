//! A data set as columns of numbers: what the detectors look at.

use std::collections::BTreeMap;

use super::report::{Finding, FindingKind, Neighbour, Severity};
use crate::data::{Dataset, Group, Label, Recipe, TargetRecipe};
use crate::domain::{Element, ParameterKind, ProcessValue};

/// A process parameter that is a number.
pub(super) struct Condition {
    /// Its column in the file.
    pub(super) column: String,
    pub(super) unit: String,
    /// Its values by row; those of rows that did not state it are `None`.
    pub(super) values: Vec<Option<f64>>,
}

/// A measured property.
pub(super) struct Property {
    pub(super) name: String,
    /// Its column in the file.
    pub(super) column: String,
    pub(super) unit: String,
    /// Its values by row, `None` where it was not measured.
    pub(super) values: Vec<Option<f64>>,
}

/// The columns. Detectors of inputs correct what they doubt, so that results are judged on the inputs that were meant.
pub(super) struct Table<'a> {
    pub(super) data: &'a Dataset,
    pub(super) recipe: &'a Recipe,
    /// The elements of all rows.
    pub(super) elements: Vec<Element>,
    /// Amounts by row, in the order of the elements, as they were stated (complete, sum 100).
    pub(super) amounts: Vec<Vec<f64>>,
    pub(super) conditions: Vec<Condition>,
    /// The levels of categories by row.
    pub(super) levels: Vec<Vec<usize>>,
    pub(super) properties: Vec<Property>,
    /// The class by row; empty for properties.
    pub(super) classes: Vec<usize>,
    /// The group of each row, as a number.
    pub(super) group_of: Vec<usize>,
    /// The rows of each group.
    pub(super) groups: Vec<Vec<usize>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(recipe: &'a Recipe, data: &'a Dataset) -> Self {
        let rows = data.samples.len();
        let mut places: BTreeMap<Element, usize> = BTreeMap::new();
        for (element, _) in data.samples.iter().flat_map(|sample| sample.composition().amounts()) {
            places.insert(*element, 0);
        }
        places.values_mut().enumerate().for_each(|(index, place)| *place = index);
        let elements: Vec<Element> = places.keys().copied().collect();
        let amounts = data
            .samples
            .iter()
            .map(|sample| {
                let mut own = vec![0.0; elements.len()];
                for (element, amount) in sample.composition().amounts() {
                    own[places[element]] = *amount;
                }
                own
            })
            .collect();
        let (mut conditions, mut levels) = (Vec::new(), vec![Vec::new(); rows]);
        for (index, parameter) in data.base.processing.iter().enumerate() {
            let stated = |row: usize| !data.samples[row].assumed().iter().any(|(name, _)| *name == parameter.name);
            let value = |row: usize| data.samples[row].processing().get(index).copied();
            match &parameter.kind {
                ParameterKind::Numeric { .. } => {
                    let number = |row: usize| match value(row) {
                        Some(ProcessValue::Number(number)) if stated(row) => Some(number),
                        _ => None,
                    };
                    let (column, unit) = (parameter.column.clone(), parameter.unit.clone());
                    conditions.push(Condition { column, unit, values: (0..rows).map(number).collect() });
                }
                ParameterKind::Categorical { .. } => {
                    for (row, levels) in levels.iter_mut().enumerate() {
                        let level = value(row);
                        levels.push(if let Some(ProcessValue::Level(level)) = level { level } else { 0 });
                    }
                }
            }
        }
        let property = |(index, target): (usize, &TargetRecipe)| Property {
            name: target.name.clone(),
            column: target.column().to_owned(),
            unit: target.unit.clone(),
            values: data.labels.iter().map(|label| label.value(index).filter(|value| value.is_finite())).collect(),
        };
        let properties = recipe.targets.iter().enumerate().map(property).collect();
        let class = |label: &Label| match label {
            Label::Class(class) => Some(*class),
            Label::Values(_) | Label::AnyOf { .. } => None,
        };
        let classes = data.labels.iter().filter_map(class).collect();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut group_of = Vec::with_capacity(rows);
        for (row, group) in data.groups.iter().enumerate() {
            let number = *numbers.entry(group).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[number].push(row);
            group_of.push(number);
        }
        Self { data, recipe, elements, amounts, conditions, levels, properties, classes, group_of, groups }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.data.samples.len()
    }

    /// Whether the table has a column for each element, so that an amount can be mistyped alone.
    pub(super) fn has_amount_columns(&self) -> bool {
        self.recipe.composition.formula.is_none()
    }

    /// Whether groups are named in the table, and not made of compositions.
    pub(super) fn has_named_groups(&self) -> bool {
        match &self.recipe.group {
            Group::One(name) => name != "composition" && name != "chemical_system",
            Group::Joined(_) => true,
        }
    }

    /// Line of a row in the file.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.data.lines.get(row).copied().unwrap_or_default()
    }

    /// A finding that doubts a row, with its line and group.
    pub(super) fn doubt(&self, kind: FindingKind, row: usize, column: &str, value: Option<f64>) -> Finding {
        Finding {
            kind,
            severity: Severity::Doubt,
            line: Some(self.line(row)),
            group: self.data.groups.get(row).cloned(),
            column: Some(column.to_owned()).filter(|column| !column.is_empty()),
            value,
            expected: None,
            detail: String::new(),
            suggestion: None,
            neighbours: Vec::new(),
        }
    }

    /// A note on a column.
    pub(super) fn note(&self, kind: FindingKind, column: &str, detail: String) -> Finding {
        let (line, group, value, expected, suggestion) = (None, None, None, None, None);
        let (severity, column, neighbours) = (Severity::Note, Some(column.to_owned()), Vec::new());
        Finding { kind, severity, line, group, column, value, expected, detail, suggestion, neighbours }
    }

    /// A row as a neighbour with this value.
    pub(super) fn neighbour(&self, row: usize, value: f64) -> Neighbour {
        Neighbour { line: self.line(row), group: self.data.groups.get(row).cloned().unwrap_or_default(), value }
    }

    /// Column of the file in which an element's amount stands.
    pub(super) fn amount_column(&self, element: Element) -> String {
        let named = self.recipe.composition.elements.iter().find(|(own, _)| *own == element);
        named.map_or_else(|| element.symbol().to_owned(), |(_, column)| column.to_owned())
    }
}
