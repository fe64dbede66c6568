//! Finds the meaning of each column in a header: an amount, a formula, a process parameter, or something else.
//!
//! A column is either understood, ignored, or refused because it looks like an input but is not clearly one. Cells are
//! read in [`super::layout`].

use super::mapping::Mapping;
use super::name::{Name, normal, words};
use super::opening::Head;
use super::symbols::{Spelling, element};
use super::units::{Conversion, amount_unit};
use crate::domain::{Basis, Element, Parameter, ParameterKind, RawValue, Schema, Violation};

/// The meaning of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    /// Formulas.
    Formula,
    /// Amounts of an element; `factor` converts them to percent.
    Amount { element: Element, factor: f64 },
    /// The basis of the amounts of each row.
    Basis,
    /// A numeric process parameter. `conversion` gives its value in the model's unit.
    Numeric { name: String, unit: String, conversion: Conversion },
    /// A categorical process parameter.
    Categorical(String),
    /// A column named after an element, beside a formula that states the composition.
    Beside(Element),
    /// A column that is not read.
    Other,
    /// A column that the caller reads.
    Elsewhere,
}

/// The meanings in a header.
#[derive(Debug)]
pub(super) struct Meanings {
    pub(super) columns: Vec<Column>,
    pub(super) basis: Option<Basis>,
    pub(super) amounts: Vec<(Element, f64)>,
    pub(super) processing: Vec<(String, RawValue)>,
    pub(super) notes: Vec<String>,
    pub(super) violations: Vec<Violation>,
}

/// Amounts and process parameters set for all rows.
type SetValues = (Vec<(Element, f64)>, Vec<(String, RawValue)>);

pub(super) struct Reader<'a> {
    pub(super) head: &'a Head,
    pub(super) schema: &'a Schema,
    pub(super) columns: Vec<Column>,
    /// Bases stated by units, with the index of the column.
    bases: Vec<(Basis, usize)>,
    notes: Vec<String>,
    pub(super) violations: Vec<Violation>,
}

impl Meanings {
    pub(super) fn read(head: &Head, schema: &Schema, mapping: &Mapping, elsewhere: &[usize]) -> Self {
        let columns = vec![Column::Other; head.names.len()];
        let mut reader = Reader { head, schema, columns, bases: Vec::new(), notes: Vec::new(), violations: Vec::new() };
        let mut open = Vec::new();
        for at in 0..head.names.len() {
            match mapping.of(&head.names[at]) {
                _ if elsewhere.contains(&at) => reader.columns[at] = Column::Elsewhere,
                Some(field) => reader.mapped(at, field),
                None if head.names[at].is_empty() => {}
                None => open.push(at),
            }
        }
        reader.unknown_maps(mapping);
        open.retain(|at| !reader.by_name(*at));
        reader.formula(&mut open);
        reader.symbols(&mut open);
        let (amounts, processing) = reader.values(mapping);
        reader.suspects(&open, &processing);
        reader.check(&amounts, &processing);
        let basis = reader.basis();
        let Reader { columns, notes, violations, .. } = reader;
        Self { columns, basis, amounts, processing, notes, violations }
    }
}

impl Reader<'_> {
    pub(super) fn complain(&mut self, at: usize, detail: impl Into<String>) {
        let pointer = Violation::child("", &self.head.names[at]);
        self.violations.push(Violation::new(pointer, detail));
    }

    /// Handles a column that the user mapped to a field.
    fn mapped(&mut self, at: usize, field: &str) {
        let Name { unit, .. } = self.head.name(at);
        match field {
            "other" => {}
            "formula" | "composition" => self.columns[at] = Column::Formula,
            "basis" => self.columns[at] = Column::Basis,
            _ => match (self.parameter(field), element(field)) {
                (Some(index), _) => self.take_parameter(at, index, unit.as_deref()),
                (None, Some(Spelling::Right(element))) => self.take_amount(at, element, unit.as_deref()),
                _ => {
                    let known: Vec<&str> = self.schema.processing.iter().map(|own| own.name.as_str()).collect();
                    let detail = format!(
                        "mapped to \"{field}\", which is no field: use an element's symbol, formula, basis, other{}{}",
                        if known.is_empty() { "" } else { ", " },
                        known.join(", ")
                    );
                    self.complain(at, detail);
                }
            },
        }
    }

    fn unknown_maps(&mut self, mapping: &Mapping) {
        for (from, to) in mapping.columns.iter().filter(|(from, _)| !self.head.names.contains(from)) {
            let detail =
                format!("mapped to {to}, but there is no such column; there are: {}", self.head.names.join(", "));
            self.violations.push(Violation::new(Violation::child("", from), detail));
        }
    }

    /// The index of a parameter with any of its names.
    fn parameter(&self, name: &str) -> Option<usize> {
        let names =
            |own: &Parameter| [&own.name, &own.column].into_iter().chain(&own.aliases).any(|known| known == name);
        self.schema.processing.iter().position(names)
    }

    /// Handles a column with a name known to the model, with or without a unit. Returns whether it is one.
    fn by_name(&mut self, at: usize) -> bool {
        let text = self.head.names[at].as_str();
        let Name { base, unit } = self.head.name(at);
        let composition = &self.schema.composition;
        if let Some(index) = self.parameter(text) {
            // A name listed in the recipe may contain a unit. Then the unit is the parameter's own.
            let unit = unit.filter(|_| base == text || self.schema.processing[index].name == text);
            self.take_parameter(at, index, unit.as_deref());
        } else if matches!(text, "formula" | "composition") || composition.formula_column.as_deref() == Some(text) {
            self.columns[at] = Column::Formula;
        } else if text == "basis" {
            self.columns[at] = Column::Basis;
        } else if let Some(element) = composition.columns.get(text) {
            self.take_amount(at, *element, unit.as_deref().filter(|unit| amount_unit(unit).is_some()));
        } else if let Some(index) = self.parameter_like(&base) {
            self.take_parameter(at, index, unit.as_deref());
        } else {
            return false;
        }
        true
    }

    /// The parameter whose name or alias equals this text except for case, spaces and underscores. The column name of
    /// the training data must match exactly: `Temperature` may belong to another process step.
    fn parameter_like(&self, base: &str) -> Option<usize> {
        let plain = normal(base);
        let names = |own: &Parameter| {
            own.column == base || std::iter::once(&own.name).chain(&own.aliases).any(|known| normal(known) == plain)
        };
        self.schema.processing.iter().position(names).filter(|_| plain.len() > 2)
    }

    fn take_parameter(&mut self, at: usize, index: usize, unit: Option<&str>) {
        let own = &self.schema.processing[index];
        let (name, wanted) = (own.name.clone(), own.unit.clone());
        match own.kind {
            ParameterKind::Categorical { .. } => self.columns[at] = Column::Categorical(name),
            ParameterKind::Numeric { .. } => match Conversion::between(unit.unwrap_or_default(), &wanted) {
                Ok(conversion) => {
                    if let Some(unit) = unit.filter(|_| !conversion.is_none()) {
                        self.notes.push(format!("{}: converted from {unit} to {wanted}", self.head.names[at]));
                    }
                    self.columns[at] = Column::Numeric { name, unit: wanted, conversion };
                }
                Err(detail) => self.complain(at, format!("{detail}: convert the values to {wanted}")),
            },
        }
    }

    fn take_amount(&mut self, at: usize, element: Element, unit: Option<&str>) {
        match amount_unit(unit.unwrap_or("%")) {
            Some((basis, factor)) => {
                self.bases.extend(basis.map(|basis| (basis, at)));
                if factor != 1.0 {
                    let text = format!("{}: {} became percent", self.head.names[at], unit.unwrap_or_default());
                    self.notes.push(text);
                }
                self.columns[at] = Column::Amount { element, factor };
            }
            None => self.complain(at, format!("\"{}\" is no unit of an amount", unit.unwrap_or_default())),
        }
    }

    /// Finds the column of formulas: by its exact name, else by words in its name.
    fn formula(&mut self, open: &mut Vec<usize>) {
        let called: Vec<usize> = (0..self.columns.len()).filter(|at| self.columns[*at] == Column::Formula).collect();
        if let [first, rest @ ..] = called.as_slice() {
            // The API's name takes precedence over that of the training data.
            let plain = called.iter().find(|at| matches!(self.head.names[**at].as_str(), "formula" | "composition"));
            let same = rest.iter().any(|at| self.head.names[*at] == self.head.names[*first]);
            if !same && let Some(kept) = plain {
                called.iter().filter(|at| *at != kept).for_each(|at| self.columns[*at] = Column::Other);
            }
            return;
        }
        let speaks = |at: &&usize| {
            let Name { base, unit } = self.head.name(**at);
            let words = words(&base);
            let formula =
                words.iter().any(|word| matches!(word.as_str(), "formula" | "formulae" | "分子式" | "化学式" | "成分"));
            let composition = matches!(words.as_slice(), [only] if only == "composition" || only == "compositions")
                || words.len() == 2
                    && words[1] == "composition"
                    && matches!(words[0].as_str(), "alloy" | "chemical" | "nominal");
            let named = self.schema.composition.formula_column.as_deref();
            let alike = named.is_some_and(|own| normal(own) == normal(&base));
            // Amounts by mass are not formulas.
            let atomic = unit
                .is_none_or(|unit| amount_unit(&unit).is_some_and(|(basis, _)| basis != Some(Basis::WeightPercent)));
            atomic && (formula || composition || alike)
        };
        let amounts = self.columns.iter().any(|column| matches!(column, Column::Amount { .. }));
        if let Some(at) = open.iter().find(speaks).copied().filter(|_| !amounts) {
            self.columns[at] = Column::Formula;
            self.notes.push(format!("column \"{}\" was read as the formula", self.head.names[at]));
            open.retain(|other| *other != at);
        }
    }

    /// Handles columns named after elements.
    fn symbols(&mut self, open: &mut Vec<usize>) {
        let formula = self.columns.contains(&Column::Formula);
        let found: Vec<(usize, Spelling, Option<String>)> = open
            .iter()
            .filter_map(|at| {
                let Name { base, unit } = self.head.name(*at);
                let spelling = element(&base)?;
                // `K (GPa)` is a bulk modulus, not potassium.
                unit.as_ref().is_none_or(|unit| amount_unit(unit).is_some()).then_some((*at, spelling, unit))
            })
            .collect();
        let all = |wanted: fn(&Spelling) -> bool| {
            let others = found.iter().filter(|(_, spelling, _)| wanted(spelling)).count();
            let right = found.iter().any(|(at, spelling, _)| {
                // A single capital letter fits both spellings.
                matches!(spelling, Spelling::Right(_)) && self.head.name(*at).base.len() != 1
            });
            let single = found.iter().any(|(_, spelling, _)| matches!(spelling, Spelling::Right(_)));
            (others, right, single)
        };
        let (small, _, single) = all(|spelling| matches!(spelling, Spelling::Small(_)));
        let (capital, right, _) = all(|spelling| matches!(spelling, Spelling::Capital(_)));
        let small_header = small > 1 && !single && capital == 0;
        let capital_header = capital > 1 && !right && small == 0;
        let mut beside = Vec::new();
        for (at, spelling, unit) in found {
            let (element, is_read) = match spelling {
                Spelling::Right(element) => (element, true),
                Spelling::Small(element) => (element, small_header),
                Spelling::Capital(element) => (element, capital_header),
            };
            if formula {
                if matches!(spelling, Spelling::Right(_)) {
                    self.columns[at] = Column::Beside(element);
                    beside.push(self.head.names[at].clone());
                    open.retain(|other| *other != at);
                }
                continue;
            }
            if is_read {
                self.take_amount(at, element, unit.as_deref());
                open.retain(|other| *other != at);
            }
        }
        if (small_header || capital_header) && !formula {
            let how = if small_header { "small letters" } else { "capitals" };
            self.notes.push(format!("symbols of elements are written in {how} and were read as such"));
        }
        if !beside.is_empty() {
            let names = beside.join(", ");
            self.notes.push(format!("columns named like elements beside a formula were not read as amounts: {names}"));
        }
    }

    /// Values set for all rows.
    fn values(&mut self, mapping: &Mapping) -> SetValues {
        let (mut amounts, mut processing) = (Vec::new(), Vec::new());
        for (field, text) in &mapping.values {
            let mut wrong = |detail: String| self.violations.push(Violation::new(Violation::child("", field), detail));
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            let index = self.schema.processing.iter().position(|own| own.name == *field || own.column == *field);
            let parameter = index.map(|index| &self.schema.processing[index]);
            let has_column = |column: &Column| match (column, parameter, field.parse::<Element>()) {
                (Column::Numeric { name, .. } | Column::Categorical(name), Some(own), _) => *name == own.name,
                (Column::Amount { element, .. }, None, Ok(own)) => *element == own,
                _ => false,
            };
            if self.columns.iter().any(has_column) {
                wrong("set for all rows, but the table has a column for it".to_owned());
                continue;
            }
            match (parameter, field.parse::<Element>(), number) {
                (Some(own), _, number) => match (&own.kind, number) {
                    (ParameterKind::Numeric { .. }, Some(number)) => {
                        processing.push((own.name.clone(), RawValue::Number(number)));
                    }
                    (ParameterKind::Numeric { .. }, None) => wrong(format!("set to \"{text}\", which is not a number")),
                    (ParameterKind::Categorical { .. }, _) => {
                        processing.push((own.name.clone(), RawValue::Text(text.clone())));
                    }
                },
                (None, Ok(element), Some(number)) => amounts.push((element, number)),
                (None, Ok(_), None) => wrong(format!("set to \"{text}\", which is not a number")),
                (None, Err(_), _) => wrong("set for all rows, but it is no field of this model".to_owned()),
            }
        }
        (amounts, processing)
    }

    /// The basis stated by units.
    fn basis(&mut self) -> Option<Basis> {
        let (basis, first) = *self.bases.first()?;
        let amounts = (0..self.columns.len()).filter(|at| matches!(self.columns[*at], Column::Amount { .. }));
        let of = |at: &usize| self.bases.iter().find(|(_, stated)| stated == at).map(|(basis, _)| *basis);
        let otherwise = self.schema.composition.basis;
        let other = amounts.clone().find(|at| of(at).unwrap_or(otherwise) != basis);
        // Columns without a unit take the basis of those with one, if these all agree.
        let stated = self.bases.iter().find(|(other, _)| *other != basis);
        if let Some((other, at)) = stated.copied() {
            let names = (&self.head.names[first], &self.head.names[at]);
            let detail = format!(
                "{} is in {}, {} in {}: give all amounts on one basis",
                names.0,
                basis.unit(),
                names.1,
                other.unit()
            );
            self.complain(at, detail);
        } else if let Some(at) = other {
            self.notes.push(format!(
                "amounts without a unit, such as {}, were read as {}, like {}",
                self.head.names[at],
                basis.unit(),
                self.head.names[first]
            ));
        }
        if self.columns.contains(&Column::Basis) {
            self.complain(first, "states a unit, and a column basis says it row by row: keep one of them");
        }
        Some(basis)
    }
}
