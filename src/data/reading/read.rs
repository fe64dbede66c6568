//! Converts the rows of a data file to samples with labels and groups.
//!
//! Each cell is checked as in a prediction request, and an empty cell is treated in the same way. All errors are
//! collected.

use std::collections::BTreeMap;

use crate::data::dataset::{Dataset, median};
use crate::data::digest::composition_text;
use crate::data::label::Label;
use crate::data::reading::columns::Columns;
use crate::data::reading::complaints::{BadCells, DataError};
use crate::data::reading::outliers::outliers;
use crate::data::reading::sheet::{Sheet, SheetRow};
use crate::data::reading::targets::{Bad, TargetReader};
use crate::data::recipe::Recipe;
use crate::data::source::{Blank, DefaultRecipe, Levels, Relation};
use crate::data::summary::{DataSummary, HARDLY_ANY_GROUPS};
use crate::domain::{NotMeasured, ParameterKind, RawComposition, RawSample, RawValue, Sample, Schema};
use crate::model::sha256_hex;
use crate::tables::{Mapping, ReadOptions, Tally};

/// Least number of rows.
const LEAST_ROWS: usize = 10;
/// Largest number of levels of a category.
const MOST_LEVELS: usize = 50;
/// Largest number of levels named in a message.
const NAMED_LEVELS: usize = 12;

impl Dataset {
    /// Reads a file with the columns of the recipe. Other columns are listed in the summary.
    ///
    /// # Errors
    /// [`DataError`] with the errors of the header, or with line (counted as in an editor) and column of the invalid
    /// cells, up to 50.
    pub fn read(bytes: &[u8], recipe: &Recipe) -> Result<Self, DataError> {
        Self::read_as(bytes, recipe, &ReadOptions::default(), &Mapping::default())
    }

    /// Same as [`Dataset::read`], with additional options for the table.
    ///
    /// # Errors
    /// Same as [`Dataset::read`].
    pub fn read_as(bytes: &[u8], recipe: &Recipe, options: &ReadOptions, mapping: &Mapping) -> Result<Self, DataError> {
        read(bytes, recipe, options, mapping)
    }
}

/// Reads a file with the columns of a recipe.
fn read(bytes: &[u8], recipe: &Recipe, options: &ReadOptions, mapping: &Mapping) -> Result<Dataset, DataError> {
    let (mut bad, mut summary) = (BadCells::default(), DataSummary::default());
    let mut sheet = Sheet::read(bytes, options, &mut bad)?;
    let mut schema = recipe.blank_schema();
    let columns = Columns::find(&sheet, recipe, &schema, mapping)?;
    summary.notes.extend(columns.notes.iter().cloned());
    let (elements, others) = columns.unread(&sheet);
    summary.unread(&elements, &others);
    prepare(&mut sheet, recipe, &columns, &mut summary);
    for (line, column) in columns.undecodable(&sheet) {
        bad.add(line, column, "the cell cannot be decoded: save the table as CSV UTF-8, or name its encoding");
    }
    let mut labels = TargetReader::new(recipe, columns.labels.clone(), sheet.head.dialect.decimal_comma);
    if let Some((class, column)) = recipe.class.as_ref().zip(columns.labels.first()) {
        check_levels(&sheet, column.at, &column.name, &class.levels, &mut bad);
    }
    let mut measured: Vec<Label> = Vec::with_capacity(sheet.rows.len());
    sheet.rows.retain(|row| match labels.read(row, &mut bad) {
        Ok(label) => {
            let is_measured = label.is_some();
            measured.extend(label);
            is_measured
        }
        // Keep the row, because its inputs may have errors as well.
        Err(Bad) => true,
    });
    labels.check(&mut bad)?;
    summary.notes.extend(labels.notes(measured.len()));

    levels(&sheet, recipe, &columns, &mut schema, &mut bad, &mut summary)?;
    let mut tally = Tally::default();
    let mut raw: Vec<Option<RawSample>> =
        sheet.rows.iter().map(|row| raw_sample(row, &columns, &schema, &mut bad, &mut tally)).collect();
    summary.notes.extend(tally.notes());
    defaults(recipe, &columns, &raw, &mut schema)?;
    blank_amounts(&columns, &mut raw, recipe, &mut schema, &mut summary);
    let samples = samples(&sheet, &columns, &raw, &schema, &mut bad);
    let groups = groups(&sheet, recipe, &columns, &samples, &mut bad);
    bad.into_result()?;
    if samples.len() < LEAST_ROWS {
        return Err(DataError::TooFew(format!("{} rows: a model needs at least {LEAST_ROWS}", samples.len())));
    }
    for target in recipe.targets.iter().filter(|target| !target.scale.is_linear()) {
        summary.notes.push(format!(
            "{}: learned and scored in natural logarithms (scale = \"log\"): an error of 0.1 is a factor of 1.1",
            target.column()
        ));
    }
    for (parameter, at) in recipe.processing.iter().zip(&columns.parameters) {
        let median = matches!((&parameter.default, &parameter.levels), (Some(DefaultRecipe::Text(_)), None));
        summary.assumed(columns.name(*at), &parameter.name, &parameter.unit, median, &samples);
    }
    let lines: Vec<u64> = sheet.rows.iter().map(|row| row.line).collect();
    summary.oddities(&samples, &lines);
    let mut data = Dataset {
        sha256: sha256_hex(bytes),
        base: schema,
        samples,
        labels: measured,
        groups,
        lines,
        evidence: Vec::new(),
        evidence_files: Vec::new(),
        summary,
    };
    let more: Vec<String> = outliers(recipe, &data).into_iter().chain(few_groups(recipe, &data)).collect();
    data.summary.warnings.extend(more);
    Ok(data)
}

/// Fills empty cells and removes rows, as the recipe says.
fn prepare(sheet: &mut Sheet, recipe: &Recipe, columns: &Columns, summary: &mut DataSummary) {
    let rows = sheet.rows.len();
    for at in &columns.fill_down {
        let filled = sheet.fill_down(*at);
        summary.empty_cells(columns.name(*at), filled, rows, "taken as the text above them (fill_down)");
    }
    if let Some((filter, at)) = recipe.filter.as_ref().zip(columns.filter) {
        let left = sheet.keep(at, filter);
        summary.filtered(left, rows, &filter.column, &filter.equals);
    }
}

/// The texts of a column, each with its count and first line.
fn texts(sheet: &Sheet, at: usize) -> BTreeMap<&str, (usize, u64)> {
    let mut texts = BTreeMap::new();
    for row in sheet.rows.iter().filter(|row| !row.cell(at).is_empty()) {
        texts.entry(row.cell(at)).or_insert((0, row.line)).0 += 1;
    }
    texts
}

/// Adds one error about all cells of a column whose text is not one of the levels.
fn check_levels(sheet: &Sheet, at: usize, column: &str, levels: &[String], bad: &mut BadCells) {
    let texts = texts(sheet, at);
    let mut unknown: Vec<(&str, usize, u64)> = texts
        .iter()
        .filter(|(text, _)| !levels.iter().any(|level| level.as_str() == **text))
        .map(|(text, (count, line))| (*text, *count, *line))
        .collect();
    unknown.sort_by_key(|(.., line)| *line);
    let Some((text, count, line)) = unknown.first() else { return };
    let rows = if *count == 1 { "row" } else { "rows" };
    let (others, verb) = match unknown.len() {
        1 => (String::new(), "is"),
        more => (format!(" and {} more", more - 1), "are"),
    };
    let found: Vec<String> =
        texts.iter().take(NAMED_LEVELS).map(|(text, (count, _))| format!("{text} ({count})")).collect();
    let rest = if texts.len() > NAMED_LEVELS { " …" } else { "" };
    let detail = format!(
        "\"{text}\" ({count} {rows}){others} {verb} not one of {}; levels in the file: {}{rest}",
        levels.join(", "),
        found.join(", ")
    );
    bad.add_all(unknown.iter().map(|(_, count, _)| count).sum(), *line, column, detail);
}

/// Takes levels from the file, or reports texts that are not levels of the recipe.
fn levels(
    sheet: &Sheet,
    recipe: &Recipe,
    columns: &Columns,
    schema: &mut Schema,
    bad: &mut BadCells,
    summary: &mut DataSummary,
) -> Result<(), DataError> {
    let mut wrong = Vec::new();
    for ((parameter, own), at) in recipe.processing.iter().zip(&mut schema.processing).zip(&columns.parameters) {
        let (column, name) = (columns.name(*at), &parameter.name);
        let ParameterKind::Categorical { levels, .. } = &mut own.kind else { continue };
        match &parameter.levels {
            Some(Levels::Found(_)) => {
                let found: Vec<&str> = texts(sheet, *at).into_keys().collect();
                let some = found.iter().take(5).map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
                let missing = match &parameter.default {
                    Some(DefaultRecipe::Text(level)) if !found.contains(&level.as_str()) => Some(level),
                    _ => None,
                };
                match (found.len(), missing) {
                    (0 | 1, _) => wrong.push(format!(
                        "{name}: column {column} has {} ({some}), and at least two levels are needed: leave it out",
                        if found.is_empty() { "no text" } else { "one level only" }
                    )),
                    (count, _) if count > MOST_LEVELS => wrong.push(format!(
                        "{name}: column {column} has {count} different texts ({some} …), more than {MOST_LEVELS} levels: \
                         is it a number or a name?"
                    )),
                    (_, Some(level)) => wrong.push(format!(
                        "{name}: the default \"{level}\" is none of the levels in column {column} ({some} …)"
                    )),
                    (count, None) => {
                        summary.notes.push(format!("{column}: {count} levels found in the file: {}", found.join(", ")));
                        *levels = found.into_iter().map(str::to_owned).collect();
                    }
                }
            }
            Some(Levels::Given(given)) => check_levels(sheet, *at, column, given, bad),
            None => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(DataError::Header(wrong)) }
}

/// The inputs of a row as written; `None` if a cell is invalid.
pub(in crate::data) fn raw_sample<'a>(
    row: &SheetRow,
    columns: &'a Columns,
    schema: &Schema,
    bad: &mut BadCells,
    tally: &mut Tally,
) -> Option<RawSample<'a>> {
    match columns.layout.sample(&row.row, tally) {
        Ok(sample) => Some(sample),
        Err(violations) => {
            for violation in violations {
                bad.add(row.line, columns.of(&violation, schema), violation.detail);
            }
            None
        }
    }
}

/// Sets the value assumed for an empty cell of a parameter, the same as in predictions.
fn defaults(
    recipe: &Recipe,
    columns: &Columns,
    raw: &[Option<RawSample>],
    schema: &mut Schema,
) -> Result<(), DataError> {
    let mut wrong = Vec::new();
    for ((parameter, own), at) in recipe.processing.iter().zip(&mut schema.processing).zip(&columns.parameters) {
        match (&mut own.kind, &parameter.default) {
            (_, None) => {}
            (ParameterKind::Categorical { default, .. }, Some(DefaultRecipe::Text(level))) => {
                *default = Some(level.clone());
            }
            (ParameterKind::Numeric { default, .. }, Some(DefaultRecipe::Number(number))) => *default = Some(*number),
            (ParameterKind::Numeric { default, .. }, Some(DefaultRecipe::Text(_))) => {
                let mut given: Vec<f64> = raw.iter().flatten().filter_map(|raw| number(raw, &parameter.name)).collect();
                given.sort_by(f64::total_cmp);
                match given.is_empty() {
                    true => wrong.push(format!("column {} is empty: there is no median to take", columns.name(*at))),
                    false => *default = Some(median(&given)),
                }
            }
            (ParameterKind::Categorical { .. }, Some(DefaultRecipe::Number(_))) => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(DataError::Header(wrong)) }
}

fn number(raw: &RawSample, name: &str) -> Option<f64> {
    raw.processing.iter().find_map(|(given, value)| match value {
        RawValue::Number(number) if given == name => Some(*number),
        _ => None,
    })
}

fn samples(
    sheet: &Sheet,
    columns: &Columns,
    raw: &[Option<RawSample>],
    schema: &Schema,
    bad: &mut BadCells,
) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(raw.len());
    for (row, raw) in sheet.rows.iter().zip(raw) {
        let Some(raw) = raw else { continue };
        match Sample::parse_training(raw, schema) {
            Ok(sample) => samples.push(sample),
            Err(violations) => {
                for violation in violations {
                    let column = columns.of(&violation, schema);
                    // Unknown levels were already reported, once for the whole column.
                    let name = violation.pointer.strip_prefix("/processing/");
                    let text = |value: &RawValue| matches!(value, RawValue::Text(_));
                    let told = raw.processing.iter().any(|(given, value)| Some(&**given) == name && text(value));
                    match raw.composition {
                        _ if told => {}
                        None if violation.pointer == "/composition" => {
                            bad.add(row.line, column, "no composition is given")
                        }
                        _ => bad.add(row.line, column, violation.detail),
                    }
                }
            }
        }
    }
    samples
}

/// The group of each row.
fn groups(sheet: &Sheet, recipe: &Recipe, columns: &Columns, samples: &[Sample], bad: &mut BadCells) -> Vec<String> {
    match recipe.group.relation() {
        Relation::Composition => samples.iter().map(|sample| composition_text(sample.composition())).collect(),
        Relation::ChemicalSystem => samples.iter().map(|sample| sample.composition().chemical_system()).collect(),
        Relation::Columns(_) => {
            for at in &columns.group {
                let mut blank = sheet.rows.iter().filter(|row| row.cell(*at).is_empty());
                let Some(first) = blank.next() else { continue };
                let (count, rows, column) = (1 + blank.count(), sheet.rows.len(), columns.name(*at));
                let hint = match columns.fill_down.contains(at) {
                    true => "nothing stands above".to_owned(),
                    false => format!("fill_down = [\"{column}\"] in the recipe takes the text above"),
                };
                bad.add_all(count, first.line, column, format!("{count} of {rows} rows have no {column}; {hint}"));
            }
            let group = |row: &SheetRow| columns.group.iter().map(|at| row.cell(*at)).collect::<Vec<_>>().join(" + ");
            sheet.rows.iter().map(group).collect()
        }
    }
}

/// Decides for each column of amounts whether an empty cell means zero or that nothing was measured, and notes how many
/// there are. In a column that is empty in more than half of the rows, people wrote only what was added.
fn blank_amounts(
    columns: &Columns,
    raw: &mut [Option<RawSample>],
    recipe: &Recipe,
    schema: &mut Schema,
    summary: &mut DataSummary,
) {
    let rows = raw.len();
    for (element, at) in &columns.elements {
        let given = |raw: &&RawSample| match &raw.composition {
            Some(RawComposition::Amounts(amounts)) => amounts.iter().any(|(symbol, _)| symbol == element.symbol()),
            Some(RawComposition::Formula(_)) | None => false,
        };
        let blank = rows - raw.iter().flatten().filter(given).count();
        let is_balance = recipe.composition.balance == Some(*element);
        let mostly = 2 * blank > rows;
        let is_zero = match recipe.composition.blank {
            _ if !recipe.composition.estimates() => true,
            Some(Blank::Zero) => true,
            Some(Blank::NotMeasured) => false,
            None => mostly,
        };
        let taken = match (is_balance, is_zero) {
            (true, _) => "taken as the rest to 100",
            (false, true) => "taken as 0",
            (false, false) => "not measured: estimated from the other amounts",
        };
        summary.empty_cells(columns.name(*at), blank, rows, taken);
        if is_zero && !is_balance && recipe.composition.estimates() {
            schema.composition.blank_is_zero.push(*element);
            // Words for not measured mean the same where most cells hold nothing else.
            let word = |(symbol, _): &(std::borrow::Cow<str>, NotMeasured)| !mostly || symbol != element.symbol();
            raw.iter_mut().flatten().for_each(|raw| raw.not_measured.retain(word));
        }
    }
}

/// A warning if there are too few groups for meaningful grouped folds.
fn few_groups(recipe: &Recipe, data: &Dataset) -> Option<String> {
    let groups = data.count_groups(&(0..data.samples.len()).collect::<Vec<_>>());
    let (plural, group) = (if groups == 1 { "" } else { "s" }, &recipe.group);
    (groups < HARDLY_ANY_GROUPS).then(|| {
        format!(
            "only {groups} group{plural} ({group}), fewer than {HARDLY_ANY_GROUPS}: little shows how the model does on a new one; \
             group = \"composition\" would keep rows of the same amounts together"
        )
    })
}
