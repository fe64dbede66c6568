//! Samples as rows of a table: which column is which field.
//!
//! Its own because three doors read tables (training data, bulk requests, the command line) and must agree
//! on what a header means. It sees strings only; who splits a file into cells is not its business.

use std::str::FromStr;

use super::{Basis, Element, ParameterKind, RawComposition, RawSample, RawValue, Schema, Violation};

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
enum Column {
    Formula,
    Amount(Element),
    Basis,
    Numeric(String),
    Categorical(String),
    Other,
}

/// The meaning of each column of a table, read off its header.
#[derive(Clone, Debug)]
pub struct TableLayout {
    headers: Vec<String>,
    columns: Vec<Column>,
}

impl TableLayout {
    /// Reads a header. A column may be named as in the API or as in the model's training data:
    /// `formula` or `composition`, element symbols, `basis`, process parameters.
    ///
    /// # Errors
    /// A violation where two columns mean the same, or where none states a composition.
    pub fn new<'a>(headers: impl IntoIterator<Item = &'a str>, schema: &Schema) -> Result<Self, Vec<Violation>> {
        let headers: Vec<String> = headers.into_iter().map(|header| header.trim().to_owned()).collect();
        let columns: Vec<Column> = headers.iter().map(|header| meaning(header, schema)).collect();
        let mut violations = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            if *column != Column::Other && columns[..at].contains(column) {
                violations.push(Violation::new(Violation::child("", &headers[at]), "the column is there twice"));
            }
        }
        if !columns.iter().any(|column| matches!(column, Column::Formula | Column::Amount(_))) {
            let detail = "no column states a composition: use `formula`, or element symbols such as `C`";
            violations.push(Violation::new("", detail));
        }
        if violations.is_empty() { Ok(Self { headers, columns }) } else { Err(violations) }
    }

    /// Columns that are no input of the model.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        let others = self.headers.iter().zip(&self.columns).filter(|(_, column)| **column == Column::Other);
        others.map(|(header, _)| header.as_str())
    }

    /// One row as a sample. An empty cell is a field that is not given.
    ///
    /// # Errors
    /// A violation for each cell that is not what its column should hold; its pointer is the column's name.
    pub fn sample<'a>(&self, cells: impl IntoIterator<Item = &'a str>) -> Result<RawSample<'_>, Vec<Violation>> {
        let (mut sample, mut violations) = (RawSample::default(), Vec::new());
        let mut amounts = Vec::with_capacity(self.columns.len());
        for ((cell, column), header) in cells.into_iter().zip(&self.columns).zip(&self.headers) {
            let cell = cell.trim();
            if cell.is_empty() {
                continue;
            }
            let mut number = || {
                let parsed = f64::from_str(cell).ok();
                if parsed.is_none() {
                    let detail = format!("\"{}\" is not a number", cell.chars().take(40).collect::<String>());
                    violations.push(Violation::new(Violation::child("", header), detail));
                }
                parsed
            };
            match column {
                Column::Other => {}
                Column::Formula => sample.composition = Some(RawComposition::Formula(cell.to_owned())),
                Column::Amount(element) => amounts.extend(number().map(|amount| (element.symbol().into(), amount))),
                Column::Numeric(name) => {
                    sample.processing.extend(number().map(|value| (name.into(), RawValue::Number(value))));
                }
                Column::Categorical(name) => {
                    sample.processing.push((name.into(), RawValue::Text(cell.to_owned())));
                }
                Column::Basis => match cell {
                    "weight_percent" => sample.basis = Some(Basis::WeightPercent),
                    "atomic_percent" => sample.basis = Some(Basis::AtomicPercent),
                    _ => violations.push(Violation::new("/basis", "must be weight_percent or atomic_percent")),
                },
            }
        }
        if !amounts.is_empty() {
            if sample.composition.is_some() {
                violations.push(Violation::new("/composition", "both a formula and amounts are given"));
            }
            sample.composition = Some(RawComposition::Amounts(amounts));
        }
        if violations.is_empty() { Ok(sample) } else { Err(violations) }
    }
}

fn meaning(header: &str, schema: &Schema) -> Column {
    let parameter = schema.processing.iter().find(|parameter| parameter.name == header || parameter.column == header);
    if let Some(parameter) = parameter {
        return match parameter.kind {
            ParameterKind::Numeric { .. } => Column::Numeric(parameter.name.clone()),
            ParameterKind::Categorical { .. } => Column::Categorical(parameter.name.clone()),
        };
    }
    match header {
        "formula" | "composition" => Column::Formula,
        "basis" => Column::Basis,
        _ if schema.composition.formula_column.as_deref() == Some(header) => Column::Formula,
        _ => header.parse().map_or(Column::Other, Column::Amount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CompositionSchema, Outputs, Parameter};

    fn schema() -> Schema {
        let kind = ParameterKind::Numeric { min: 0.0, max: 1.0, default: None, physical_min: None, physical_max: None };
        let parameter = Parameter {
            name: "tempering_temperature".into(),
            column: "TT".into(),
            unit: "°C".into(),
            description: String::new(),
            kind,
        };
        Schema {
            composition: CompositionSchema {
                basis: Basis::WeightPercent,
                balance: None,
                formula_column: Some("alloy".into()),
                elements: Vec::new(),
            },
            processing: vec![parameter],
            outputs: Outputs::Classification { classes: Vec::new() },
        }
    }

    #[test]
    fn columns_are_known_by_both_names() {
        let layout = TableLayout::new(["heat", "C", " Mn", "TT"], &schema()).unwrap();
        assert_eq!(layout.others().collect::<Vec<_>>(), ["heat"]);
        let sample = layout.sample(["H1", "0.4", "", "600"]).unwrap();
        assert_eq!(sample.composition, Some(RawComposition::Amounts(vec![("C".into(), 0.4)])));
        assert_eq!(sample.processing, [("tempering_temperature".into(), RawValue::Number(600.0))]);
        let layout = TableLayout::new(["alloy"], &schema()).unwrap();
        let formulas = layout.sample(["Fe80B20"]).unwrap();
        assert_eq!(formulas.composition, Some(RawComposition::Formula("Fe80B20".into())));
    }

    #[test]
    fn complaints_name_the_column() {
        assert!(TableLayout::new(["C", "C"], &schema()).is_err());
        assert!(TableLayout::new(["TT", "tempering_temperature", "C"], &schema()).is_err());
        assert!(TableLayout::new(["heat"], &schema()).is_err());
        let layout = TableLayout::new(["C", "TT", "basis", "formula"], &schema()).unwrap();
        let violations = layout.sample(["x", "warm", "mass", "Fe"]).unwrap_err();
        let pointers: Vec<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, ["/C", "/TT", "/basis"]);
    }
}
