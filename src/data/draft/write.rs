//! Drafts the text of a recipe for a table.

use super::{columns, writing};
use crate::data::reading::complaints::{BadCells, DataError};
use crate::data::reading::sheet::Sheet;
use crate::tables::ReadOptions;

/// Writes a commented recipe for a table.
///
/// # Errors
/// [`DataError`] if the file is not a table, or has no composition or nothing to predict.
pub fn draft_recipe(bytes: &[u8], options: &ReadOptions, name: &str) -> Result<String, DataError> {
    let mut bad = BadCells::default();
    let sheet = Sheet::read(bytes, options, &mut bad)?;
    let draft = columns::guess(&sheet, name)?;
    Ok(writing::text(&draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::recipe::Recipe;

    #[test]
    fn a_draft_and_its_recipe_without_learners_make_the_same_model() {
        let regression: String = (0..30).map(|row| format!("h{},0.{row:02},{}\n", row / 3, 200 + row)).collect();
        let classes: String =
            (0..30).map(|row| format!("Zr{}Cu{},{}\n", 50 + row, 50 - row, ["glass", "crystal"][row % 2])).collect();
        for (table, learner) in [
            (format!("heat,C,hardness (HV)\n{regression}"), "label_smoothing = 0.0\n"),
            (format!("alloy,phase\n{classes}"), "label_smoothing = 0.05\n"),
        ] {
            let text = draft_recipe(table.as_bytes(), &ReadOptions::default(), "x").unwrap();
            let (columns, learners) = text.split_once("\n# The learners: ").unwrap();
            assert!(learners.contains(learner) && learners.contains("\nshare = { near = 3.0, far = 4.0 }\n"), "{text}");
            assert_eq!(Recipe::parse(&text).unwrap(), Recipe::parse(columns).unwrap(), "{text}");
        }
    }
}
