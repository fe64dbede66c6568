//! A doctor for data: what looks wrong in a table, before anything is trained on it.
//!
//! [`examine`] reads a data set as a metallurgist would: units, physics, sums, repeated rows, and values that the rows
//! most like them do not allow. It doubts rows and never changes or refuses any. What to do is up to people.
//!
//! Inputs come first, since a wrong input makes right results look wrong: amounts by the other rows of a heat and by
//! their column, settings by the other settings. Then each measured value is compared with what all other rows say of
//! it.

mod amounts;
mod classes;
mod columns;
mod conditions;
#[cfg(test)]
mod fixture;
mod html;
mod jumps;
mod kernel;
mod points;
mod repeats;
mod report;
mod residuals;
mod robust;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod values;

pub use report::{DataReport, DataReportSummary, Finding, FindingKind, MOST_FINDINGS, Neighbour, Severity};

use crate::data::{Dataset, Recipe};

/// Examines a data set. The same data give the same report.
pub fn examine(recipe: &Recipe, data: &Dataset) -> DataReport {
    let mut table = table::Table::new(recipe, data);
    let mut findings = Vec::new();
    columns::constant(&table, &mut findings);
    columns::leaking(&table, &mut findings);
    columns::sums(&table, &mut findings);
    let mut explained = amounts::amounts(&mut table, &mut findings);
    let settings = conditions::conditions(&mut table, &mut findings);
    explained.iter_mut().zip(settings).for_each(|(own, other)| *own |= other);
    let points = points::points(&table);
    let blocks = points::blocks(&points, &table.groups);
    let residuals = residuals::judge(&table, &points, &blocks);
    values::values(&table, &residuals, &explained, &mut findings);
    classes::classes(&table, &points, &blocks, &residuals.nearest, &mut findings);
    repeats::repeats(&table, &residuals, &mut findings);
    DataReport::new(table.rows(), table.groups.len(), findings)
}
