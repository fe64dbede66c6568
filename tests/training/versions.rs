//! A version is named after all that decides an answer: a corrected file makes another one, the same rows never do.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Output;

use mcvn::data::{Dataset, Recipe};
use mcvn::registry::{read_manifest, versions};
use mcvn::train::{FitOptions, Trained, fit};

use super::{RECIPE, mcvn, options, table};

fn quick() -> String {
    RECIPE.replace("steps = 250", "steps = 4").replace("members = 2", "members = 1")
}

/// The table with one column, by number, multiplied.
fn times(factor: f64, column: usize) -> String {
    let cell = |(at, cell): (usize, &str)| match cell.parse::<f64>() {
        Ok(number) if at == column => (number * factor).to_string(),
        _ => cell.to_owned(),
    };
    let line = |line: &str| line.split(',').enumerate().map(cell).collect::<Vec<_>>().join(",") + "\n";
    table(40).lines().map(line).collect()
}

fn train(recipe: &str, csv: &str, options: &FitOptions) -> Trained {
    let recipe = Recipe::parse(recipe).unwrap();
    let data = Dataset::read(csv.as_bytes(), &recipe).unwrap();
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    fit(&recipe, &data, &rows, options, &|_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_corrected_file_is_another_version() {
    let usual = train(&quick(), &table(40), &options(7));
    assert!(
        usual.manifest.version.len() == 12 && usual.manifest.digest().unwrap().starts_with(&usual.manifest.version)
    );
    // A power of two leaves every standardised number as it was, and so the weights.
    let other_unit = train(&quick(), &times(1.0 / 1024.0, 5), &options(7));
    assert_eq!(other_unit.manifest.weights_sha256, usual.manifest.weights_sha256);
    let others = [
        other_unit,
        train(&quick(), &times(0.001, 5), &options(7)),
        train(&quick(), &times(0.01, 1), &options(7)),
        train(&quick().replace("unit = \"HV\"", "unit = \"HB\""), &table(40), &options(7)),
        train(
            &quick().replace("column = \"TT\"\nunit = \"°C\"", "column = \"TT\"\nunit = \"K\""),
            &table(40),
            &options(7),
        ),
        train(&format!("{}\n[calibration]\nfolds = 0\n", quick()), &table(40), &options(7)),
        train(&quick(), &table(40), &options(8)),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(other.manifest.version, usual.manifest.version, "{index}");
    }
}

#[test]
fn what_decides_no_answer_makes_no_version() {
    let usual = train(&quick(), &table(40), &options(7));
    let options =
        FitOptions { created: Some("2026-01-02T03:04:05Z".to_owned()), data_file: "copy.csv".to_owned(), ..options(7) };
    let titled = quick().replace("Hardness of our own heats", "Hardness");
    // Another remark is another file, but no other row.
    let remarked = table(40).replacen(",\n", ",checked\n", 1);
    let again = train(&titled, &remarked, &options);
    assert_ne!(again.manifest.data.sha256, usual.manifest.data.sha256);
    assert_eq!(again.manifest.version, usual.manifest.version);
}

fn install(folder: &Path, csv: &str) -> Output {
    std::fs::write(folder.join("recipe.toml"), quick()).unwrap();
    std::fs::write(folder.join("rows.csv"), csv).unwrap();
    let arguments = ["train", "--recipe", "recipe.toml", "--data", "rows.csv", "--install", "models"];
    mcvn(folder).args(arguments).output().unwrap()
}

#[test]
fn a_corrected_file_is_installed_beside_the_wrong_one() {
    let folder = tempfile::tempdir().unwrap();
    let models = [folder.path().join("models")];
    for (csv, count) in [(times(0.001, 5), 1), (table(40), 2), (table(40), 2)] {
        let output = install(folder.path(), &csv);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let versions = versions(&models, "lab").unwrap();
        assert_eq!(versions.len(), count);
        // The one trained last answers.
        let active = versions.iter().find(|version| version.state == mcvn::registry::VersionState::Active).unwrap();
        let targets = read_manifest(&active.folder).unwrap().scaling.targets.unwrap();
        assert_eq!(targets.mean[0] > 1.0, count == 2);
    }
    let again = install(folder.path(), &table(40));
    assert!(String::from_utf8_lossy(&again.stderr).contains("the same version as before"), "{again:?}");
}
