//! Maps the columns of a table to fields of a sample, and rows to samples.
//!
//! All readers of tables (training data, bulk requests, the command line) use it, so that a header means the same
//! everywhere. [`super::meaning`] interprets the names; this module reads the cells.

use std::borrow::Cow;

use super::cell::{Cell, found_nothing, is_blank, says_nothing};
use super::mapping::{Mapping, Tally};
use super::meaning::{Column, Meanings};
use super::opening::Head;
use super::record::Row;
use super::units::{Conversion, amount_unit};
use crate::domain::{
    Basis, Composition, Element, NotMeasured, RawComposition, RawSample, RawValue, Schema, Violation, parse_formula,
};

/// An amount column beside a formula may differ from the formula by this much, in at%.
const SAME_AMOUNT: f64 = 0.5;

/// The meaning of each column, derived from the header.
#[derive(Clone, Debug)]
pub struct TableLayout {
    names: Vec<String>,
    columns: Vec<Column>,
    /// Basis of the amounts, if the header states it.
    basis: Option<Basis>,
    decimal_comma: bool,
    /// Amounts that are the same for all rows.
    amounts: Vec<(Element, f64)>,
    processing: Vec<(String, RawValue)>,
    notes: Vec<String>,
    /// Whether columns beside a formula are named after elements.
    beside: bool,
}

impl TableLayout {
    /// Reads a header. `elsewhere` are indices of columns that the caller reads itself (targets, groups); they are
    /// ignored here.
    ///
    /// # Errors
    /// Violations of the header, each once; pointers name columns.
    pub fn new(head: &Head, schema: &Schema, mapping: &Mapping, elsewhere: &[usize]) -> Result<Self, Vec<Violation>> {
        let Meanings { columns, basis, amounts, processing, notes, violations } =
            Meanings::read(head, schema, mapping, elsewhere);
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(Self {
            names: head.names.clone(),
            beside: columns.iter().any(|column| matches!(column, Column::Beside(_))),
            columns,
            basis,
            decimal_comma: head.dialect.decimal_comma,
            amounts,
            processing,
            notes,
        })
    }

    /// Indices and names of columns that are not read (except `elsewhere`).
    pub fn others(&self) -> impl Iterator<Item = (usize, &str)> {
        let others =
            self.columns.iter().enumerate().filter(|(_, own)| matches!(own, Column::Other | Column::Beside(_)));
        others.map(|(at, _)| (at, self.names.get(at).map_or("", String::as_str)))
    }

    /// Notes for the user about how the header was read.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Reads a row as a sample. An empty cell, or one that says that nothing was measured, is a field that was not
    /// given. Choices are counted in `tally`.
    ///
    /// # Errors
    /// A violation for each cell with invalid content; its pointer is the name of the column.
    pub fn sample(&self, row: &Row, tally: &mut Tally) -> Result<RawSample<'_>, Vec<Violation>> {
        let mut reading = Reading { layout: self, tally, violations: Vec::new() };
        let mut sample = RawSample { basis: self.basis, ..RawSample::default() };
        let mut balance = None;
        let mut amounts: Vec<(Cow<str>, f64)> = Vec::with_capacity(self.columns.len());
        for (at, (cell, column)) in row.cells.iter().zip(&self.columns).enumerate() {
            if let (true, Column::Amount { element, .. }) = (cell.is_empty(), column) {
                sample.not_measured.push((element.symbol().into(), NotMeasured::Blank));
            }
            if cell.is_empty() || matches!(column, Column::Other | Column::Elsewhere | Column::Beside(_)) {
                continue;
            }
            if row.undecodable.contains(&at) {
                reading.complain(at, "the cell cannot be decoded: save the table as CSV UTF-8, or name its encoding");
                continue;
            }
            match column {
                Column::Other | Column::Elsewhere | Column::Beside(_) => {}
                Column::Formula => {
                    if !says_nothing(cell) {
                        sample.composition = Some(RawComposition::Formula(cell.to_owned()));
                    }
                }
                Column::Amount { element, factor } => {
                    let symbol = element.symbol();
                    match reading.amount(at, cell, *element, *factor, &mut balance) {
                        Some(amount) => amounts.push((symbol.into(), amount)),
                        None if says_nothing(cell) => {
                            let how = if is_blank(cell) { NotMeasured::Blank } else { NotMeasured::Stated };
                            sample.not_measured.push((symbol.into(), how));
                        }
                        // The balance, or a cell that was refused.
                        None => {}
                    }
                }
                Column::Numeric { name, unit, conversion } => {
                    let value = reading.number(at, cell, unit, *conversion);
                    sample.processing.extend(value.map(|value| (name.as_str().into(), RawValue::Number(value))));
                }
                Column::Categorical(name) => {
                    sample.processing.push((name.as_str().into(), RawValue::Text(cell.to_owned())));
                }
                Column::Basis => match cell {
                    "weight_percent" => sample.basis = Some(Basis::WeightPercent),
                    "atomic_percent" => sample.basis = Some(Basis::AtomicPercent),
                    _ => reading.complain(at, "must be weight_percent or atomic_percent"),
                },
            }
        }
        sample.balance = balance.map(|element| element.symbol().into());
        let given = self.processing.iter().map(|(name, value)| (name.as_str().into(), value.clone()));
        sample.processing.extend(given);
        amounts.extend(self.amounts.iter().map(|(element, amount)| (element.symbol().into(), *amount)));
        if !amounts.is_empty() {
            sample.composition = Some(RawComposition::Amounts(amounts));
        }
        if self.beside
            && let Some(RawComposition::Formula(formula)) = &sample.composition
        {
            reading.beside(row, formula);
        }
        let violations = reading.violations;
        if violations.is_empty() { Ok(sample) } else { Err(violations) }
    }

    /// Replaces field names in violations of [`crate::domain::Sample::parse`] by the names of the file's columns.
    pub fn in_columns(&self, mut violations: Vec<Violation>) -> Vec<Violation> {
        for violation in &mut violations {
            let place = match violation.pointer.rsplit_once('/') {
                Some(("/processing", name)) => self.columns.iter().position(|column| match column {
                    Column::Numeric { name: own, .. } | Column::Categorical(own) => own == name,
                    _ => false,
                }),
                Some(("/composition", symbol)) => self
                    .columns
                    .iter()
                    .position(|column| matches!(column, Column::Amount { element, .. } if element.symbol() == symbol)),
                Some(("", "composition")) => self.columns.iter().position(|column| *column == Column::Formula),
                _ => None,
            };
            if let Some(name) = place.and_then(|at| self.names.get(at)) {
                violation.pointer = Violation::child("", name);
            }
        }
        violations
    }

    /// Refuses amount columns whose values in these first rows are all outside 0–100 %, so they must be something else.
    ///
    /// # Errors
    /// A violation for each such column.
    pub fn check_first(&self, rows: &[Row]) -> Result<(), Vec<Violation>> {
        let mut violations = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let Column::Amount { element, factor } = column else { continue };
            let value = |row: &Row| match Cell::read(row.cells.get(at)?, self.decimal_comma) {
                Cell::Number(value) | Cell::Marked(value, _) => Some(value * factor),
                _ => None,
            };
            let values: Vec<f64> = rows.iter().filter_map(value).collect();
            let impossible = |value: &f64| !(0.0..=100.0).contains(value);
            if let Some(first) = values.first().filter(|_| values.iter().all(impossible)) {
                let name = self.names.get(at).map_or("", String::as_str);
                let detail = format!(
                    "read as the amount of {element}, but {first} is no percentage: if it is something else, say so \
                     (--map \"{name}=other\" or ?map={name}:other)"
                );
                violations.push(Violation::new(Violation::child("", name), detail));
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }
}

/// State while reading one row.
struct Reading<'a, 't> {
    layout: &'a TableLayout,
    tally: &'t mut Tally,
    violations: Vec<Violation>,
}

impl Reading<'_, '_> {
    fn name(&self, at: usize) -> &str {
        self.layout.names.get(at).map_or("", String::as_str)
    }

    fn complain(&mut self, at: usize, detail: impl Into<String>) {
        let pointer = Violation::child("", self.name(at));
        self.violations.push(Violation::new(pointer, detail));
    }

    fn chose(&mut self, at: usize, what: impl std::fmt::Display) {
        let choice = format!("{}: {what}", self.name(at));
        self.tally.count(choice);
    }

    /// An amount in percent. `None` if none is given or the cell was refused.
    fn amount(
        &mut self,
        at: usize,
        cell: &str,
        element: Element,
        factor: f64,
        balance: &mut Option<Element>,
    ) -> Option<f64> {
        match Cell::read(cell, self.layout.decimal_comma) {
            Cell::Number(amount) => Some(amount * factor),
            Cell::Quantity(amount, unit) => match amount_unit(unit) {
                // A percent sign adds nothing to the unit of the column.
                Some((None, own)) => {
                    self.chose(at, format_args!("the unit \"{unit}\" in cells was read"));
                    Some(amount * own)
                }
                Some((basis, own)) if basis == self.layout.basis || self.layout.basis.is_none() => {
                    self.chose(at, format_args!("the unit \"{unit}\" in cells was read"));
                    Some(amount * own)
                }
                _ => {
                    self.complain(at, format!("\"{cell}\": {unit} is not the unit of this table's amounts"));
                    None
                }
            },
            Cell::Balance if balance.is_some() => {
                self.complain(at, format!("\"{cell}\": another element is the rest already"));
                None
            }
            Cell::Balance => {
                self.chose(at, format_args!("\"{cell}\" was read as what is left to 100"));
                *balance = Some(element);
                None
            }
            Cell::Below(limit) => {
                self.chose(at, "below a limit (\"<\"): half of the limit was taken");
                Some(limit * factor / 2.0)
            }
            Cell::NotMeasured if found_nothing(cell) => {
                self.chose(at, format_args!("\"{cell}\" was read as 0"));
                Some(0.0)
            }
            other => self.plain(at, cell, other).map(|amount| amount * factor),
        }
    }

    /// A process parameter in the model's unit. `None` if none is given or the cell was refused.
    fn number(&mut self, at: usize, cell: &str, unit: &str, conversion: Conversion) -> Option<f64> {
        match Cell::read(cell, self.layout.decimal_comma) {
            Cell::Number(value) => Some(conversion.apply(value)),
            Cell::Quantity(value, own) => match Conversion::between(own, unit) {
                Ok(conversion) => {
                    self.chose(at, format_args!("the unit \"{own}\" in cells was read"));
                    Some(conversion.apply(value))
                }
                Err(detail) => {
                    self.complain(at, format!("\"{cell}\": {detail}"));
                    None
                }
            },
            other => self.plain(at, cell, other).map(|value| conversion.apply(value)),
        }
    }

    fn plain(&mut self, at: usize, cell: &str, read: Cell) -> Option<f64> {
        match read {
            Cell::Number(value) => Some(value),
            Cell::Marked(value, why) => {
                self.chose(at, why);
                Some(value)
            }
            Cell::NotMeasured => {
                self.chose(at, format_args!("\"{cell}\" was read as not measured, like an empty cell"));
                None
            }
            Cell::Below(_) | Cell::Above(_) => {
                self.complain(at, format!("\"{cell}\" is a limit, not a value: give a number"));
                None
            }
            Cell::Quantity(..) | Cell::Balance | Cell::Text(_) => {
                self.complain(at, Cell::complaint(cell));
                None
            }
        }
    }

    /// Checks columns named after elements beside a formula. For elements of the formula they must agree with it. Other
    /// such columns are something else (`Tm` is a melting point).
    fn beside(&mut self, row: &Row, formula: &str) {
        let Ok(composition) = parse_formula(formula) else { return };
        let composition: Composition = composition.scaled_to(100.0);
        for (at, column) in self.layout.columns.iter().enumerate() {
            let Column::Beside(element) = column else { continue };
            let cell = row.cells.get(at).unwrap_or_default();
            let (own, said) = (composition.amount(*element), Cell::read(cell, self.layout.decimal_comma));
            if let Cell::Number(amount) = said
                && own > 0.0
                && (amount - own).abs() > SAME_AMOUNT
                && (amount * 100.0 - own).abs() > SAME_AMOUNT
            {
                let detail = format!(
                    "both a formula and amounts are given: {element} is {own:.2} at% in {formula} and {amount} here"
                );
                self.complain(at, detail);
            }
        }
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
