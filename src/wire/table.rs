//! Bulk work as CSV: a header row, then one sample a row.
//!
//! A table is more forgiving than JSON: a bad row gets its message in the `error` column, and the other rows are
//! answered.

use std::sync::Arc;

use super::cells::Cells;
use super::reply::{shown, shown_amounts};
use super::{Answered, Answerer, Bulk, RowOutcome, answer_rows};
use crate::domain::{Composition, Outputs, RawValue, Sample, Scale, Target, Violation, most_probable};
use crate::model::{Bundle, Trust, TrustOptions};
use crate::tables::{Chunk, Head, Mapping, Row as Cellular, TableLayout, Tally};

/// The only column that is not an input and always comes back.
const ID_COLUMN: &str = "id";
/// How many rows are checked for invalid amounts before any is answered.
const FIRST_ROWS: usize = 20;

/// How to treat columns that are not inputs of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// They come back as they are.
    #[default]
    Keep,
    /// All but `id` are left out of the answer.
    Drop,
    /// All but `id` are refused.
    Refuse,
}

/// Which columns of the input come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Those that are not inputs; predicted columns have their plain names.
    Others(Others),
    /// All of them. Predicted columns may stand next to measured ones of the same name, so their names say which is
    /// which.
    All,
}

/// How a table is read and answered.
pub struct Table {
    bundle: Arc<Bundle>,
    head: Arc<Head>,
    layout: TableLayout,
    options: TrustOptions,
    columns: Columns,
    /// Indices of the columns that come back.
    carried: Vec<usize>,
    echo: bool,
    safe_cells: bool,
}

/// Columns for the composition as it was understood, on both bases.
const ECHO_COLUMNS: [&str; 2] = ["composition_weight_percent", "composition_atomic_percent"];

/// One row: its cells, and the sample or what is wrong with it.
struct Row {
    cells: Cellular,
    sample: Result<Sample, Vec<Violation>>,
    chosen: Vec<String>,
}

impl Table {
    /// Reads the header.
    ///
    /// # Errors
    /// Violations whose pointers name the columns.
    pub fn new(
        head: Arc<Head>,
        bundle: Arc<Bundle>,
        options: TrustOptions,
        columns: Columns,
        mapping: &Mapping,
    ) -> Result<Self, Vec<Violation>> {
        let layout = TableLayout::new(&head, &bundle.manifest().schema, mapping, &[])?;
        let is_id = |name: &str| name == ID_COLUMN;
        let carried = match columns {
            Columns::All => (0..head.names.len()).collect(),
            Columns::Others(Others::Keep) => layout.others().map(|(at, _)| at).collect(),
            Columns::Others(Others::Drop) => {
                layout.others().filter(|(_, name)| is_id(name)).map(|(at, _)| at).collect()
            }
            Columns::Others(Others::Refuse) => {
                let strangers = layout.others().filter(|(_, name)| !is_id(name));
                let stranger = |(_, name)| Violation::new(Violation::child("", name), "not a column of this model");
                let strangers: Vec<Violation> = strangers.map(stranger).collect();
                if !strangers.is_empty() {
                    return Err(strangers);
                }
                layout.others().map(|(at, _)| at).collect()
            }
        };
        Ok(Self { bundle, head, layout, options, columns, carried, echo: false, safe_cells: false })
    }

    /// Whether each row repeats its composition as it was understood, on both bases.
    #[must_use]
    pub fn echoing(self, echo: bool) -> Self {
        Self { echo, ..self }
    }

    /// Whether texts that a spreadsheet would run as a formula get an apostrophe before them.
    #[must_use]
    pub fn guarding(self, safe_cells: bool) -> Self {
        Self { safe_cells, ..self }
    }

    /// Notes on how the bytes and the header were read.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.head.notes.iter().chain(self.layout.notes()).cloned().collect();
        let others: Vec<&str> =
            self.layout.others().map(|(_, name)| name).filter(|name| !matches!(*name, "" | ID_COLUMN)).collect();
        if !others.is_empty() {
            let become_of = match self.columns {
                Columns::Others(Others::Drop) => "left out",
                _ => "carried along",
            };
            notes.push(format!("columns that are no input were {become_of}: {}", others.join(", ")));
        }
        notes
    }

    /// Checks the first rows before any is answered, for columns whose values cannot be amounts.
    ///
    /// # Errors
    /// Violations whose pointers name the columns.
    pub fn check_first(&self, chunk: &Chunk, most: usize) -> Result<(), Vec<Violation>> {
        let rows = self.head.rows(chunk).filter(|row| !row.is_blank());
        self.layout.check_first(&rows.take(FIRST_ROWS.min(most)).collect::<Vec<_>>())
    }

    /// Rows that are not empty; choices made while reading are added to the tally.
    fn read<'a>(&'a self, chunk: &'a Chunk, tally: &'a std::cell::RefCell<Tally>) -> impl Iterator<Item = Row> + 'a {
        let schema = &self.bundle.manifest().schema;
        self.head.rows(chunk).filter(|row| !row.is_blank()).map(move |cells| {
            let mut own = Tally::default();
            let found = self.ragged(&cells).and_then(|()| {
                let raw = self.layout.sample(&cells, &mut own)?;
                Sample::parse(&raw, schema, "").map_err(|violations| self.layout.in_columns(violations))
            });
            let sample = found.map_err(|violations| on_line(chunk.line_of(&cells), violations));
            let chosen = own.choices();
            // The sample's own warning names them in its row.
            let estimated = sample.iter().flat_map(|sample| sample.unmeasured());
            estimated
                .for_each(|element| own.count(format!("{element}: not measured, estimated from the other amounts")));
            if !own.is_empty() {
                tally.borrow_mut().merge(own);
            }
            Row { cells, sample, chosen }
        })
    }

    /// Reports a row with a wrong number of cells; extra empty cells are allowed.
    fn ragged(&self, row: &Cellular) -> Result<(), Vec<Violation>> {
        let (cells, columns) = (row.cells.len(), self.head.names.len());
        if cells == columns || cells > columns && row.cells.iter().skip(columns).all(str::is_empty) {
            return Ok(());
        }
        Err(vec![Violation::new("", format!("{cells} cells, the header has {columns}"))])
    }

    /// Writes a row. Every row has the same columns: bounds of intervals, their confidence, and percentiles of
    /// novelty and disagreement are there if the model can give them.
    fn write(&self, bytes: &mut Vec<u8>, row: &Row, outcome: RowOutcome) {
        let manifest = self.bundle.manifest();
        let mut cells = Cells::new(bytes, self.safe_cells);
        cells.texts(self.carried.iter().map(|at| row.cells.cells.get(*at).unwrap_or_default()));
        match outcome {
            Ok((sample, predicted, trust)) => {
                self.write_outputs(&mut cells, &predicted.values, &trust);
                if manifest.has_intervals() {
                    cells.number(self.options.confidence.level(), 6);
                }
                cells.text(if trust.in_domain() { "true" } else { "false" });
                cells.joined(&trust.reasons);
                trust.percentiles(manifest).for_each(|percentile| cells.percent(percentile));
                cells.joined(sample.assumed().iter().map(assumed));
                let warnings = sample.warnings().iter().chain(&predicted.warnings);
                cells.joined(warnings.chain(&trust.warnings).chain(&row.chosen));
                if self.echo {
                    sample.on_both_bases().iter().for_each(|composition| cells.text(&echoed(composition)));
                }
                cells.texts([manifest.name.as_str(), &manifest.version, ""]);
            }
            Err(violations) => {
                cells.texts(std::iter::repeat_n("", self.answer_columns().len()));
                cells.texts([&manifest.name, &manifest.version]);
                cells.joined(violations.iter().map(Violation::in_words));
            }
        }
        // As in JSON: only for a model whose answers depend on the other samples of the batch.
        cells.texts(manifest.batch_dependent().then_some("true"));
        cells.end();
    }

    fn write_outputs(&self, cells: &mut Cells, values: &[f64], trust: &Trust) {
        match &self.bundle.manifest().schema.outputs {
            Outputs::Regression { targets } => {
                let limited =
                    |output: usize| self.options.specification.limits().iter().any(|own| own.output == output);
                for (index, (target, value)) in targets.iter().zip(values).enumerate() {
                    let mut write = |value: f64| match target.scale {
                        Scale::Linear => cells.number(value, 3),
                        Scale::Log => cells.text(&shown(value, target.scale).to_string()),
                    };
                    write(*value);
                    match trust.intervals.get(index) {
                        Some(Some(ends)) => ends.iter().for_each(|end| write(*end)),
                        Some(None) => cells.texts(["", ""]),
                        None => {}
                    }
                    if limited(index) {
                        write_chance(cells, trust.chances.get(index).copied().flatten());
                    }
                }
                if !self.options.specification.is_empty() {
                    write_chance(cells, trust.chance_all);
                }
            }
            Outputs::Classification { classes } => {
                cells.text(classes.get(most_probable(values)).map_or("", String::as_str));
                values.iter().for_each(|value| cells.number(*value, 6));
            }
        }
    }

    /// Names of the columns that are filled for a good row.
    fn answer_columns(&self) -> Vec<String> {
        let manifest = self.bundle.manifest();
        let [predicted, probability] = match self.columns {
            Columns::Others(_) => ["", ""],
            Columns::All => ["predicted_", "probability_"],
        };
        let mut columns = Vec::new();
        match &manifest.schema.outputs {
            Outputs::Regression { targets } => {
                let limited =
                    |output: usize| self.options.specification.limits().iter().any(|own| own.output == output);
                for (index, Target { name, .. }) in targets.iter().enumerate() {
                    columns.push(format!("{predicted}{name}"));
                    if manifest.has_intervals() {
                        columns.extend(["low", "high"].map(|end| format!("{predicted}{name}_{end}")));
                    }
                    columns.extend(limited(index).then(|| format!("chance_{name}")));
                }
                columns.extend((!self.options.specification.is_empty()).then(|| "chance_all".to_owned()));
            }
            Outputs::Classification { classes } => {
                columns.push(format!("{predicted}class"));
                columns.extend(classes.iter().map(|class| format!("{probability}{class}")));
            }
        }
        columns.extend(manifest.has_intervals().then(|| "confidence".to_owned()));
        columns.extend(["in_domain", "reasons"].map(str::to_owned));
        columns.extend(manifest.percentile_columns().into_iter().map(str::to_owned));
        columns.extend(["assumed", "warnings"].map(str::to_owned));
        columns.extend(ECHO_COLUMNS.iter().filter(|_| self.echo).map(|name| (*name).to_owned()));
        columns
    }
}

impl Bulk for Table {
    fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut cells = Cells::new(&mut bytes, self.safe_cells);
        let added = self.answer_columns();
        let taken = |name: &str| added.iter().any(|own| own == name) || ["model", "version", "error"].contains(&name);
        for name in self.carried.iter().map(|at| self.head.names[*at].as_str()) {
            // A measured column must not be mistaken for a predicted one.
            if taken(name) { cells.text(&format!("given_{name}")) } else { cells.text(name) }
        }
        cells.texts(&added);
        cells.texts(["model", "version", "error"]);
        cells.texts(self.bundle.manifest().batch_dependent().then_some("batch_dependent"));
        cells.end();
        bytes
    }

    fn answer(&self, chunk: &Chunk, answerer: Answerer) -> Answered {
        let write = |bytes: &mut Vec<u8>, row: &Row, outcome: RowOutcome| self.write(bytes, row, outcome);
        let tally = std::cell::RefCell::default();
        let rows = self.read(chunk, &tally);
        let answered = answer_rows(&self.bundle, &self.options, rows, |row| &row.sample, answerer, write);
        Answered { tally: tally.into_inner(), ..answered }
    }
}

/// Writes a chance, or an empty cell if it is unknown.
fn write_chance(cells: &mut Cells, chance: Option<f64>) {
    match chance {
        Some(chance) => cells.number(chance, 4),
        None => cells.text(""),
    }
}

/// A composition as `C 0.4, Fe 99.6`.
fn echoed(composition: &Composition) -> String {
    let amounts = shown_amounts(composition);
    amounts.iter().map(|(symbol, amount)| format!("{symbol} {amount}")).collect::<Vec<_>>().join(", ")
}

/// Adds the row's line in the file to the first complaint.
fn on_line(line: u64, mut violations: Vec<Violation>) -> Vec<Violation> {
    if let Some(first) = violations.first_mut() {
        let detail = first.in_words();
        *first = Violation::new("", format!("line {line}: {detail}"));
    }
    violations
}

fn assumed((name, value): &(String, RawValue)) -> String {
    match value {
        RawValue::Number(number) => format!("{name}={number}"),
        RawValue::Text(text) => format!("{name}={text}"),
    }
}
