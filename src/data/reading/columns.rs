//! Finds the columns of a data file that a recipe needs. Columns that are missing, occur twice or are unused are
//! reported.

use crate::data::reading::complaints::DataError;
use crate::data::reading::sheet::Sheet;
use crate::data::reading::targets::TargetColumn;
use crate::data::recipe::Recipe;
use crate::domain::{Element, Schema, Violation};
use crate::tables::{Conversion, Found, Mapping, TableLayout, find_column, speaks_of_elements};

/// The positions of the columns.
pub(in crate::data) struct Columns {
    pub(in crate::data) layout: TableLayout,
    pub(in crate::data) elements: Vec<(Element, usize)>,
    pub(in crate::data) formula: Option<usize>,
    /// In the order of the schema's parameters.
    pub(in crate::data) parameters: Vec<usize>,
    pub(in crate::data) labels: Vec<TargetColumn>,
    pub(in crate::data) group: Vec<usize>,
    pub(in crate::data) fill_down: Vec<usize>,
    pub(in crate::data) filter: Option<usize>,
    /// Notes on how the header was read.
    pub(in crate::data) notes: Vec<String>,
    names: Vec<String>,
}

impl Columns {
    /// `mapping`: column mappings given by the user in addition to the recipe.
    ///
    /// # Errors
    /// All columns that are missing or occur twice.
    pub(in crate::data) fn find(
        sheet: &Sheet,
        recipe: &Recipe,
        schema: &Schema,
        mapping: &Mapping,
    ) -> Result<Self, DataError> {
        let (mut wrong, mut notes) = (Vec::new(), sheet.head.notes.clone());
        let mapped = |field: &str| mapping.columns.iter().find(|(_, to)| to == field).map(|(from, _)| from.as_str());
        let mut look = |names: &[&str]| find(sheet, names).map_err(|what| wrong.push(what)).ok();
        let mut fields = Mapping::default();
        let mut read = |found: &Found, field: &str| {
            fields.columns.push((sheet.head.names[found.at].clone(), field.to_owned()));
            found.at
        };
        let composition = &recipe.composition;
        let elements = composition.elements.iter().filter_map(|(element, column)| {
            let found = look(&[mapped(element.symbol()).unwrap_or(column)])?;
            Some((element, read(&found, element.symbol())))
        });
        let elements: Vec<(Element, usize)> = elements.collect();
        let formula = composition.formula.as_deref();
        let formula = formula.and_then(|column| look(&[mapped("formula").unwrap_or(column)]));
        let formula = formula.map(|found| read(&found, "formula"));
        let parameters = schema.processing.iter().filter_map(|parameter| {
            let aliases = parameter.aliases.iter().map(String::as_str);
            let named = [parameter.column.as_str(), &parameter.name].into_iter().chain(aliases);
            let names: Vec<&str> = mapped(&parameter.name).into_iter().chain(named).collect();
            Some(read(&look(&names)?, &parameter.name))
        });
        let parameters: Vec<usize> = parameters.collect();
        let mut place = |column: &str| look(&[column]).map(|found| found.at);
        let group = recipe.group.columns().iter().filter_map(|column| place(column)).collect();
        let fill_down = recipe.fill_down.iter().filter_map(|column| place(column)).collect();
        let filter = recipe.filter.as_ref().and_then(|filter| place(&filter.column));
        let found: Vec<Option<Found>> = recipe.label_columns().map(|column| look(&[column])).collect();
        let units = recipe.targets.iter().map(|target| target.unit.as_str()).chain(recipe.class.iter().map(|_| ""));
        let mut labels = Vec::new();
        for (found, unit) in found.into_iter().zip(units).filter_map(|(found, unit)| Some((found?, unit))) {
            let name = sheet.head.names[found.at].clone();
            match Conversion::between(found.unit.as_deref().unwrap_or_default(), unit) {
                Ok(conversion) => {
                    if !conversion.is_none() {
                        let from = found.unit.unwrap_or_default();
                        notes.push(format!("{name}: converted from {from} to {unit}"));
                    }
                    labels.push(TargetColumn { at: found.at, name, conversion, unit: unit.to_owned() });
                }
                Err(what) => wrong.push(format!("{name}: {what}")),
            }
        }
        if recipe.filter.is_none() {
            wrong.extend(recipe.label_columns().find_map(|column| long_table(sheet, column)));
        }
        if !wrong.is_empty() {
            wrong.dedup();
            return Err(DataError::Header(wrong));
        }
        let inputs: Vec<usize> =
            elements.iter().map(|(_, at)| *at).chain(formula).chain(parameters.iter().copied()).collect();
        let elsewhere: Vec<usize> = (0..sheet.head.names.len()).filter(|at| !inputs.contains(at)).collect();
        let layout = TableLayout::new(&sheet.head, schema, &fields, &elsewhere)
            .map_err(|violations| DataError::Header(violations.iter().map(Violation::in_words).collect()))?;
        notes.extend(layout.notes().iter().cloned());
        let names = sheet.head.names.clone();
        Ok(Self { layout, elements, formula, parameters, labels, group, fill_down, filter, notes, names })
    }

    /// The name of a column in the file.
    pub(in crate::data) fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    /// Columns with values that are not read: those that look like amounts of elements, and others.
    pub(in crate::data) fn unread(&self, sheet: &Sheet) -> (Vec<&str>, Vec<&str>) {
        let elements = self.elements.iter().map(|(_, at)| at).chain(&self.formula);
        let labels = self.labels.iter().map(|column| &column.at);
        let others = self.parameters.iter().chain(labels).chain(&self.group).chain(&self.fill_down);
        let read: Vec<usize> = elements.chain(others).chain(&self.filter).copied().collect();
        let left = (0..self.names.len()).filter(|at| !read.contains(at) && sheet.has_values(*at));
        left.map(|at| self.name(at))
            .filter(|name| !name.is_empty())
            .partition(|name| self.formula.is_none() && speaks_of_elements(name))
    }

    /// Text cells that are read but cannot be decoded. (Cells of inputs are checked when they are read.)
    pub(in crate::data) fn undecodable(&self, sheet: &Sheet) -> Vec<(u64, &str)> {
        let texts = self.labels.iter().map(|column| &column.at).chain(&self.group).chain(&self.fill_down);
        let texts: Vec<usize> = texts.chain(&self.filter).copied().collect();
        let rows = sheet.rows.iter().filter(|row| !row.row.undecodable.is_empty());
        rows.flat_map(|row| {
            let bad = row.row.undecodable.iter().filter(|at| texts.contains(at));
            bad.map(|at| (row.line, self.name(*at))).collect::<Vec<_>>()
        })
        .collect()
    }

    /// The column of the file that a violation is about; empty if it is about the whole row.
    pub(in crate::data) fn of(&self, violation: &Violation, schema: &Schema) -> &str {
        let (field, last) = violation.pointer.rsplit_once('/').unwrap_or(("", &violation.pointer));
        let last = last.replace("~1", "/").replace("~0", "~");
        let at = match field {
            "/processing" => {
                let index = schema.processing.iter().position(|parameter| parameter.name == last);
                index.and_then(|index| self.parameters.get(index).copied())
            }
            "/composition" => self.elements.iter().find(|(element, _)| element.symbol() == last).map(|(_, at)| *at),
            _ if last == "composition" => self.formula,
            _ => self.names.iter().position(|name| *name == last),
        };
        at.map_or("", |at| self.name(at))
    }
}

/// Finds the first of several names in the header.
fn find(sheet: &Sheet, names: &[&str]) -> Result<Found, String> {
    let mut first = None;
    for name in names {
        match find_column(&sheet.head, name) {
            Ok(found) => return Ok(found),
            // If a name occurs twice, other names do not help.
            Err(error) if !error.contains("is missing") => return Err(error),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_default())
}

/// A hint for a long table: the name of a target is not in the header but in the cells of a column.
fn long_table(sheet: &Sheet, target: &str) -> Option<String> {
    if sheet.head.names.iter().any(|name| name == target) {
        return None;
    }
    let at = (0..sheet.head.names.len()).find(|at| sheet.rows.iter().any(|row| row.cell(*at) == target))?;
    let names = &sheet.head.names;
    let value = names.iter().find(|name| name.eq_ignore_ascii_case("value")).or(names.last())?;
    let column = &names[at];
    Some(format!(
        "\"{target}\" stands in the cells of column {column}: this is a long table, with one property a row. Write \
         filter = {{ column = \"{column}\", equals = \"{target}\" }} into the recipe, and column = \"{value}\" (where \
         the values stand) into the target"
    ))
}
