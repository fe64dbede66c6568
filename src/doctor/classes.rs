//! Classes that none of the rows most like theirs has.

use super::kernel::{Fitted, Lengths, Point};
use super::repeats::{class_column, class_name};
use super::report::{Finding, FindingKind};
use super::table::Table;

/// A class is doubted if the others give it less than this …
const OWN: f64 = -0.02;
/// … and another class more than this.
const OTHER: f64 = 0.97;
/// The kernel for classes: short, because neighbouring alloys may differ.
const LENGTHS: Lengths = Lengths { amounts: 1.0, conditions: 1.0, noise: 0.1 };
/// What is said of a row counts only if others are this near: the share of the prior's spread that is left.
const KNOWN: f64 = 0.75;

/// Doubts classes that the other rows speak against.
pub(super) fn classes(
    table: &Table,
    points: &[Point],
    blocks: &[Vec<usize>],
    nearest: &[Vec<usize>],
    findings: &mut Vec<Finding>,
) {
    let levels = table.recipe.class.as_ref().map_or(0, |class| class.levels.len());
    for block in blocks.iter().filter(|block| block.len() > levels) {
        let own: Vec<&Point> = block.iter().map(|row| &points[*row]).collect();
        let Some(fitted) = Fitted::new(&own, &vec![false; block.len()], &LENGTHS) else { continue };
        let said: Vec<Vec<f64>> = (0..levels)
            .map(|level| {
                let values: Vec<f64> =
                    block.iter().map(|row| f64::from(u8::from(table.classes.get(*row) == Some(&level)))).collect();
                let left = fitted.left_out(&values);
                values.iter().zip(left.residual).map(|(value, off)| value - off).collect()
            })
            .collect();
        let known = fitted.left_out(&vec![0.0; block.len()]).deviation;
        for (place, row) in block.iter().enumerate() {
            let Some(class) = table.classes.get(*row).copied() else { continue };
            let best = (0..levels).max_by(|one, other| said[*one][place].total_cmp(&said[*other][place]));
            let Some(best) = best.filter(|best| *best != class && said[*best][place] > OTHER) else { continue };
            let alone = nearest[*row].iter().take(5).all(|other| table.classes.get(*other) == Some(&best));
            if said[class][place] > OWN || known[place] > KNOWN || !alone {
                continue;
            }
            let mut finding = table.doubt(FindingKind::LabelNoise, *row, &class_column(table), None);
            let lines: Vec<String> = nearest[*row].iter().take(4).map(|row| table.line(*row).to_string()).collect();
            finding.detail = format!(
                "the class is {}, where all rows most like it are {} (lines {}). Compare with the source; correct the \
                 class, or confirm it.",
                class_name(table, *row),
                table.recipe.class.as_ref().and_then(|own| own.levels.get(best)).map_or("", String::as_str),
                lines.join(", ")
            );
            findings.push(finding);
        }
    }
}
