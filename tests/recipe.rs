//! The page of a recipe's fields is what the program writes, and what leaves learners out can be trained.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn the_page_of_fields_is_up_to_date() {
    let output = Command::new(env!("CARGO_BIN_EXE_mcvn")).args(["recipe", "reference"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(page, include_str!("../docs/recipe.md"), "run: cargo run -- recipe reference > docs/recipe.md");
}

#[test]
fn a_recipe_is_shown_with_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let (short, whole) = (folder.path().join("short.toml"), folder.path().join("whole.toml"));
    let text = include_str!("../examples/steel-lab42/recipe.toml");
    let columns = text.split("[network]").next().unwrap();
    std::fs::write(&short, columns).unwrap();
    let show = |file: &std::path::Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_mcvn")).args(["recipe", "show"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = show(&short);
    for part in ["[network]", "learning_rate = 0.005", "kind = \"kernel\"", "keys = 192"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    std::fs::write(&whole, &shown).unwrap();
    assert_eq!(show(&whole), shown, "a recipe that says everything says it again");
}
