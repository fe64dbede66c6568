//! Guesses the role of each column in a table, from its name and its cells.
//!
//! The order is: composition, group, targets or class, then process parameters. The remaining columns are listed as
//! unused.

use std::collections::{BTreeMap, BTreeSet};

use super::guesses::{Condition, Draft, Property};
use super::words::{DECADES, condition, group_rank, is_note, plain, property};
use crate::data::reading::complaints::DataError;
use crate::data::reading::sheet::{Sheet, SheetRow};
use crate::domain::{Basis, Element, parse_formula};
use crate::tables::{Cell, Conversion, amount_of, column_element, column_name, find_column};

/// Largest number of levels of a category.
const MOST_LEVELS: usize = 12;

/// Counts over the cells of a column.
struct Cells {
    filled: usize,
    numbers: Vec<f64>,
    /// Number of limits such as `>50`.
    censored: usize,
    balance: usize,
    texts: BTreeMap<String, usize>,
    formulas: usize,
    blank_below: usize,
}

impl Cells {
    fn of(sheet: &Sheet, at: usize) -> Self {
        let mut cells = Self {
            filled: 0,
            numbers: Vec::new(),
            censored: 0,
            balance: 0,
            texts: BTreeMap::new(),
            formulas: 0,
            blank_below: 0,
        };
        for row in &sheet.rows {
            let cell = row.cell(at);
            match Cell::read(cell, sheet.head.dialect.decimal_comma) {
                Cell::NotMeasured => cells.blank_below += usize::from(cell.is_empty() && cells.filled > 0),
                Cell::Number(number) | Cell::Marked(number, _) | Cell::Quantity(number, _) => {
                    cells.filled += 1;
                    cells.numbers.push(number);
                }
                Cell::Below(_) | Cell::Above(_) => {
                    cells.filled += 1;
                    cells.censored += 1;
                }
                Cell::Balance => cells.balance += 1,
                Cell::Text(text) => {
                    cells.filled += 1;
                    *cells.texts.entry(text.to_owned()).or_default() += 1;
                    cells.formulas +=
                        usize::from(parse_formula(text).is_ok_and(|composition| composition.amounts().len() > 1));
                }
            }
        }
        cells
    }

    fn is_numeric(&self) -> bool {
        !self.numbers.is_empty() && 10 * (self.numbers.len() + self.censored) >= 9 * self.filled
    }

    fn is_text(&self) -> bool {
        let texts: usize = self.texts.values().sum();
        self.filled > 0 && 2 * texts > self.filled
    }

    fn range(&self) -> (f64, f64) {
        let fold = |start, pick: fn(f64, f64) -> f64| self.numbers.iter().copied().fold(start, pick);
        (fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max))
    }
}

/// The state of guessing.
struct Guess<'a> {
    sheet: &'a Sheet,
    cells: Vec<Cells>,
    taken: BTreeSet<usize>,
}

pub(super) fn guess(sheet: &Sheet, name: &str) -> Result<Draft, DataError> {
    let cells: Vec<Cells> = (0..sheet.head.names.len()).map(|at| Cells::of(sheet, at)).collect();
    let mut guess = Guess { sheet, cells, taken: BTreeSet::new() };
    let formula = guess.formula();
    let elements = if formula.is_none() { guess.elements() } else { BTreeMap::new() };
    if formula.is_none() && elements.is_empty() {
        let detail = format!(
            "no column states a composition: a column of formulas, or columns named after elements, are expected; the \
             columns are {}",
            sheet.head.names.join(", ")
        );
        return Err(DataError::Header(vec![detail]));
    }
    let (basis, basis_why) = guess.basis(formula.is_some(), &elements);
    let (balance, balance_why) = guess.balance(basis, &elements);
    let (group, group_why) = guess.group();
    let targets = guess.targets();
    let class = if targets.is_empty() { guess.class() } else { None };
    if targets.is_empty() && class.is_none() {
        let detail =
            "nothing to predict was found: a column of numbers such as YS, UTS or hardness, or of classes".to_owned();
        return Err(DataError::Header(vec![detail]));
    }
    let processing = guess.conditions();
    let name_of = |at: usize| sheet.head.names[at].clone();
    let texts = group.iter().chain(formula.iter()).copied();
    let fill_down = texts.filter(|at| guess.cells[*at].blank_below > 0).map(name_of).collect();
    let by_symbol = elements
        .iter()
        .all(|(element, at)| find_column(&sheet.head, element.symbol()).is_ok_and(|found| found.at == *at));
    Ok(Draft {
        name: name.to_owned(),
        notes: sheet.head.notes.clone(),
        formula: formula.map(name_of),
        basis,
        basis_why,
        balance,
        balance_why,
        elements: elements.iter().map(|(element, at)| (*element, name_of(*at))).collect(),
        by_symbol,
        processing,
        targets,
        class,
        group: group.map(name_of),
        group_why,
        fill_down,
        unused: guess.unused(),
    })
}

impl Guess<'_> {
    fn open(&self) -> Vec<usize> {
        (0..self.cells.len()).filter(|at| !self.taken.contains(at) && !self.sheet.head.names[*at].is_empty()).collect()
    }

    fn base(&self, at: usize) -> String {
        column_name(&self.sheet.head, at).0
    }

    fn unit(&self, at: usize) -> Option<String> {
        column_name(&self.sheet.head, at).1
    }

    fn formula(&mut self) -> Option<usize> {
        let named = |at: &usize| matches!(self.base(*at).to_lowercase().as_str(), "formula" | "composition");
        let most =
            |at: &usize| self.cells[*at].formulas > 2 && 5 * self.cells[*at].formulas >= 4 * self.cells[*at].filled;
        let open = self.open();
        let found = open.iter().find(|at| named(at) && most(at)).or_else(|| open.iter().find(|at| most(at))).copied();
        self.taken.extend(found);
        found
    }

    fn elements(&mut self) -> BTreeMap<Element, usize> {
        let mut elements = BTreeMap::new();
        for at in self.open() {
            let cells = &self.cells[at];
            let Some(element) = column_element(&self.sheet.head, at) else { continue };
            let amounts = cells.is_numeric() || cells.balance > 0;
            if amounts && cells.numbers.iter().all(|number| (0.0..=100.0).contains(number) || self.unit(at).is_some()) {
                elements.entry(element).or_insert(at);
                self.taken.insert(at);
            }
        }
        elements
    }

    /// Whether amounts are percent by mass or atomic, and the reason.
    fn basis(&self, formula: bool, elements: &BTreeMap<Element, usize>) -> (Basis, String) {
        if formula {
            return (Basis::AtomicPercent, "formulas are in atomic parts".to_owned());
        }
        let stated = elements.values().find_map(|at| Some((amount_of(&self.unit(*at)?)?.0?, *at)));
        match stated {
            Some((basis, at)) => (basis, format!("column \"{}\" says so", self.sheet.head.names[at])),
            None => (Basis::WeightPercent, "guessed: no unit says it".to_owned()),
        }
    }

    fn balance(&self, basis: Basis, elements: &BTreeMap<Element, usize>) -> (Option<Element>, String) {
        if elements.is_empty() {
            return (None, String::new());
        }
        if let Some((element, at)) = elements.iter().find(|(_, at)| self.cells[**at].balance > 0) {
            let column = &self.sheet.head.names[*at];
            return (Some(*element), format!("column \"{column}\" says that it is the rest"));
        }
        let factor = |at: usize| self.unit(at).and_then(|unit| amount_of(&unit)).map_or(1.0, |(_, factor)| factor);
        let comma = self.sheet.head.dialect.decimal_comma;
        let amount = |row: &SheetRow, at: usize| match Cell::read(row.cell(at), comma) {
            Cell::Number(number) | Cell::Marked(number, _) | Cell::Quantity(number, _) => number * factor(at),
            _ => 0.0,
        };
        let mut sums: Vec<f64> =
            self.sheet.rows.iter().map(|row| elements.values().map(|at| amount(row, *at)).sum()).collect();
        sums.sort_by(f64::total_cmp);
        let median = sums.get(sums.len() / 2).copied().unwrap_or_default();
        let unit = basis.unit();
        if (99.0..=101.0).contains(&median) || (0.99..=1.01).contains(&median) {
            return (None, format!("the amounts sum to {median:.1} {unit}: nothing is left for a balance"));
        }
        let has = |element: &Element| elements.contains_key(element);
        let light = has(&Element::Mg) && (has(&Element::Cu) || has(&Element::Zn) || has(&Element::Si));
        let rest = if light && !has(&Element::C) { Element::Al } else { Element::Fe };
        match has(&rest) {
            true => (None, format!("guessed: the amounts sum to {median:.1} {unit}, and no element is the rest")),
            false => (
                Some(rest),
                format!("guessed: the amounts sum to {median:.1} {unit}, and there is no column of {rest}"),
            ),
        }
    }

    /// The column that groups related rows, and the reason.
    fn group(&mut self) -> (Option<usize>, String) {
        let rows = self.sheet.rows.len();
        let groups = |at: &usize| {
            let cells = &self.cells[*at];
            cells.texts.len().max(distinct(&cells.numbers))
        };
        let repeats = |at: &usize| (2..=rows * 2 / 3).contains(&groups(at)) || self.cells[*at].blank_below > 0;
        let ranked = |at: usize| Some((group_rank(&self.base(at))?, at));
        let open = self.open();
        let known = open.into_iter().filter(repeats).filter_map(ranked).min();
        match known {
            Some((_, at)) => {
                self.taken.insert(at);
                (Some(at), format!("guessed by its name; {} of them in {rows} rows", groups(&at)))
            }
            None => (None, "guessed: no column names heats, so rows of the same amounts belong together".to_owned()),
        }
    }

    fn targets(&mut self) -> Vec<Property> {
        let numeric = |at: &usize| self.cells[*at].is_numeric() && distinct(&self.cells[*at].numbers) > 2;
        let open: Vec<usize> = self.open().into_iter().filter(numeric).collect();
        let known: Vec<usize> = open.iter().copied().filter(|at| property(&self.base(*at)).is_some()).collect();
        let is_other = |at: &usize| condition(&self.base(*at)).is_none() && group_rank(&self.base(*at)).is_none();
        let (chosen, by_name) = match known.is_empty() {
            false => (known, true),
            true => (open.into_iter().filter(is_other).collect(), false),
        };
        let mut targets: Vec<Property> = Vec::new();
        for at in chosen {
            let (cells, base) = (&self.cells[at], self.base(at));
            let known = property(&base);
            let unit = self.unit(at);
            let name = known.map_or_else(
                || plain(&base).unwrap_or_else(|| format!("property_{}", at + 1)),
                |known| known.name.to_owned(),
            );
            if targets.iter().any(|other| other.name == name) {
                continue;
            }
            let usual = known.map_or("", |known| known.unit);
            // If the unit can be converted exactly, the target gets the usual unit.
            let exact = unit.as_ref().is_some_and(|unit| Conversion::between(unit, usual).is_ok() && !usual.is_empty());
            let (unit, unit_why) = match (unit, exact) {
                (Some(own), true) => (usual.to_owned(), format!("{own} in the file")),
                (Some(own), false) => (own, "the file's unit".to_owned()),
                (None, _) if usual.is_empty() => ("1".to_owned(), "unit unknown".to_owned()),
                (None, _) => (usual.to_owned(), "unit guessed".to_owned()),
            };
            let (least, most) = cells.range();
            let why = if by_name { "guessed by its name" } else { "guessed: numbers that are no input" };
            targets.push(Property {
                name,
                column: self.sheet.head.names[at].clone(),
                unit,
                log: least > 0.0 && most / least > DECADES,
                censored: cells.censored > 0,
                why: format!("{why}; {unit_why}; {least} to {most} in {} rows", cells.numbers.len()),
            });
            self.taken.insert(at);
        }
        targets
    }

    fn class(&mut self) -> Option<(String, Vec<String>)> {
        let levels = |at: &usize| {
            let cells = &self.cells[*at];
            (2..=MOST_LEVELS).contains(&cells.texts.len()) && cells.is_text() && !is_note(&self.base(*at))
        };
        let at = self.open().into_iter().rfind(levels)?;
        self.taken.insert(at);
        Some((self.sheet.head.names[at].clone(), self.cells[at].texts.keys().cloned().collect()))
    }

    fn conditions(&mut self) -> Vec<Condition> {
        let mut conditions: Vec<Condition> = Vec::new();
        let rows = self.sheet.rows.len();
        for at in self.open() {
            let (cells, base) = (&self.cells[at], self.base(at));
            let missing = cells.filled < rows;
            let known = condition(&base);
            let condition = if cells.is_numeric() && distinct(&cells.numbers) > 1 {
                let Some((name, usual)) = known else { continue };
                let unit = self.unit(at);
                let exact = unit.as_ref().is_some_and(|unit| Conversion::between(unit, usual).is_ok());
                let unit = if exact || unit.is_none() { usual.to_owned() } else { unit.unwrap_or_default() };
                let (least, most) = cells.range();
                Condition {
                    name,
                    column: self.sheet.head.names[at].clone(),
                    unit,
                    levels: false,
                    default: missing.then(|| "median".to_owned()),
                    why: format!("guessed by its name; {least} to {most}"),
                }
            } else if cells.is_text()
                && !is_note(&base)
                && (2..=MOST_LEVELS).contains(&cells.texts.len())
                && 3 * cells.texts.len() <= rows
            {
                let often = cells.texts.iter().max_by_key(|(_, count)| **count).map(|(text, _)| text.clone());
                Condition {
                    name: plain(&base).unwrap_or_else(|| format!("condition_{}", at + 1)),
                    column: self.sheet.head.names[at].clone(),
                    unit: String::new(),
                    levels: true,
                    default: often.filter(|_| missing),
                    why: format!("guessed: {} texts that repeat", cells.texts.len()),
                }
            } else {
                continue;
            };
            if conditions.iter().all(|other| other.name != condition.name) {
                self.taken.insert(at);
                conditions.push(condition);
            }
        }
        conditions
    }

    fn unused(&self) -> Vec<(String, &'static str)> {
        let why = |at: usize| {
            let cells = &self.cells[at];
            let one = cells.texts.len().max(distinct(&cells.numbers)) == 1;
            match () {
                () if cells.filled == 0 => "empty",
                () if one => "the same in every row",
                () if cells.is_numeric() => "numbers; an input, a target, or a result that must not be an input?",
                () => "texts",
            }
        };
        self.open().into_iter().map(|at| (self.sheet.head.names[at].clone(), why(at))).collect()
    }
}

fn distinct(numbers: &[f64]) -> usize {
    numbers.iter().map(|number| number.to_bits()).collect::<BTreeSet<_>>().len()
}
