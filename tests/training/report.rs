//! `mcvn train --report`: what it measures, writes and says, and that it ends with whoever started it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mcvn::data::{Actual, ComparisonBasis, Report};
use serde_json::Value;

use super::{RECIPE, mcvn, table};

fn small(recipe: &str) -> String {
    recipe.replace("steps = 250", "steps = 40").replace("members = 2", "members = 1")
}

/// The class of a row instead of its hardness.
fn classes() -> (String, String) {
    let (start, end) = (RECIPE.find("[[targets]]").unwrap(), RECIPE.find("[features]").unwrap());
    let class = "[class]\ncolumn = \"hardness\"\nlevels = [\"soft\", \"hard\"]\n\n";
    let recipe = format!("{}{class}{}", &RECIPE[..start], &RECIPE[end..]);
    let class = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells[5] = if cells[5].parse().is_ok_and(|value: f64| value > 250.0) { "hard" } else { "soft" };
        cells.join(",") + "\n"
    };
    let text = table(60);
    let (header, rows) = text.split_once('\n').unwrap();
    (small(&recipe), format!("{header}\n{}", rows.lines().map(class).collect::<String>()))
}

/// Trains in a folder and gives out the events.
fn train(folder: &Path, recipe: &str, data: &str, out: &str, more: &[&str]) -> Vec<Value> {
    std::fs::write(folder.join("recipe.toml"), recipe).unwrap();
    std::fs::write(folder.join("lab.csv"), data).unwrap();
    let arguments = ["train", "--recipe", "recipe.toml", "--data", "lab.csv", "--progress", "json", "--out", out];
    let output = mcvn(folder).args(arguments).args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = String::from_utf8(output.stdout).unwrap();
    events.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn read_report(folder: &Path, bundle: &str) -> Report {
    serde_json::from_slice(&std::fs::read(folder.join(bundle).join("report.json")).unwrap()).unwrap()
}

fn is_svg(folder: &Path, plot: &str) -> bool {
    let text = std::fs::read_to_string(folder.join(plot)).unwrap();
    text.starts_with("<svg") && text.contains("<text") && text.trim_end().ends_with("</svg>")
}

/// What a bundle says of the hardness of each row.
fn answers(folder: &Path, bundle: &str) -> Vec<f64> {
    let arguments = ["predict", "--bundle", bundle, "--input", "lab.csv", "--output", "answers.csv", "--device", "cpu"];
    assert!(mcvn(folder).args(arguments).status().unwrap().success());
    let mut reader = csv::Reader::from_path(folder.join("answers.csv")).unwrap();
    let at = reader.headers().unwrap().iter().position(|header| header == "predicted_hardness").unwrap();
    reader.records().map(|record| record.unwrap()[at].parse().unwrap()).collect()
}

fn r2(measured: &[f64], answers: &[f64]) -> f64 {
    assert_eq!(measured.len(), answers.len());
    let mean = measured.iter().sum::<f64>() / measured.len() as f64;
    let squares: f64 = measured.iter().zip(answers).map(|(value, answer)| (value - answer).powi(2)).sum();
    1.0 - squares / measured.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
}

/// The priority of a process, as Linux gives it.
fn niceness(pid: &str) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    status.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap()
}

#[test]
fn a_report_compares_with_baselines_and_the_version_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &small(RECIPE), &table(40), "old", &[]);
    let events = train(folder, &small(RECIPE), &table(60), "new", &["--report", "--compare", "old"]);

    let report = read_report(folder, "new");
    assert_eq!((report.folds, report.data.rows, report.data.groups, report.protocols.len()), (3, 60, 15, 2));
    for protocol in &report.protocols {
        // The rows are made by a line: ridge must find it, and what learns from examples alone comes near.
        assert!(protocol.ridge["hardness"]["r2"].mean > 0.98);
        for scores in [&protocol.candidate, &protocol.random_forest] {
            let r2 = scores["hardness"]["r2"].mean;
            assert!((0.5..0.98).contains(&r2), "{r2}");
            assert_eq!(scores["all"]["r2"].mean, r2, "there is no other target");
        }
        assert_eq!(protocol.active, None, "it was trained on some of the rows");
    }
    let comparison = &report.comparison;
    // A value that its neighbours do not allow is no test of either version.
    let sound = |row: &usize| *row >= 40 && !report.doubts.lines.contains(&(*row as u64 + 2));
    let compared: Vec<usize> = (0..60).filter(sound).collect();
    assert_eq!((comparison.basis, comparison.rows), (ComparisonBasis::UnseenRows, compared.len()));
    assert!(compared.len() >= 18, "{:?}", report.doubts);
    assert_eq!(comparison.active.as_ref().map(|active| active.name.as_str()), Some("lab"));
    assert!(report.warnings.iter().any(|warning| warning.starts_with("only 15 groups (heat)")));
    let Actual::Values(actual) = &report.predictions.actual else { panic!() };
    assert_eq!(actual.len(), 60);
    let predicted = [report.predictions.random.as_ref(), report.predictions.grouped.as_ref()];
    assert!(predicted.iter().all(|rows| rows.is_some_and(|rows| rows.len() == 60)));
    // Both scores again, from what each says of the rows that the old version has not seen.
    let unseen = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        compared.iter().map(|row| values[*row]).collect::<Vec<_>>()
    };
    let measured = unseen(&mut actual.iter().map(|row| row[0].unwrap()));
    let own = r2(&measured, &unseen(&mut report.predictions.grouped.iter().flatten().map(|row| row[0])));
    let old = r2(&measured, &unseen(&mut answers(folder, "old").into_iter()));
    for (told, again) in [(comparison.candidate_score, own), (comparison.active_score, old)] {
        assert!((told.unwrap() - again).abs() < 1e-3, "{told:?} is {again}");
    }
    assert_eq!(comparison.worse, own < old);
    assert!(is_svg(folder, "new/plots/parity_hardness.svg") && is_svg(folder, "new/plots/loss.svg"));

    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("new/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["evaluation"][1]["protocol"], "grouped");
    assert_eq!(manifest["evaluation"][1]["splits"], 3);
    assert_eq!(manifest["data"]["row_digests"].as_array().map(Vec::len), Some(60));
    assert!(std::fs::read_to_string(folder.join("new/MODEL_CARD.md")).unwrap().contains("3 splits, grouped"));

    // Progress counts over the whole run, 40 steps for the network, for each of its five calibration folds and for each
    // of three regions; every phase has its first and last step.
    let progress = |phase: &str, step: u64| {
        events.iter().any(|event| event["phase"] == phase && event["step"] == step && event["steps"] == 2520)
    };
    for (phase, first, last) in [("random folds", 1, 1080), ("grouped folds", 1081, 2160), ("training", 2161, 2520)] {
        assert!(progress(phase, first) && progress(phase, last), "{phase}: {events:?}");
    }
    let warned: Vec<&Value> = events.iter().filter(|event| event["event"] == "warning").collect();
    assert_eq!(warned.len(), report.warnings.len());
    let done = events.last().unwrap();
    assert!(done["event"] == "done" && done["name"] == "lab" && done["version"] == report.model.version.as_str());

    // Trained on the same rows as the version in use: only what that recorded can be compared.
    train(folder, &small(RECIPE), &table(60), "again", &["--report", "--folds", "2", "--compare", "new"]);
    let comparison = read_report(folder, "again").comparison;
    assert_eq!(comparison.basis, ComparisonBasis::RecordedScores);
    assert_eq!(comparison.active_score, Some(report.protocols[1].candidate["all"]["r2"].mean));
}

#[test]
fn a_report_of_a_classification() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, &small(RECIPE), &table(40), "steel", &[]);
    let (recipe, data) = classes();
    let events = train(folder, &recipe, &data, "bundle", &["--report", "--compare", "steel"]);
    let report = read_report(folder, "bundle");
    assert_eq!(report.comparison.basis, ComparisonBasis::None);
    assert!(!report.comparison.worse && report.comparison.metric == "macro_f1");
    let text = "the version in use can't be compared: it has other outputs";
    assert!(events.iter().any(|event| event["event"] == "warning" && event["text"] == text));
    let grouped = &report.protocols[1];
    assert!(grouped.random_forest["all"]["macro_f1"].mean > 0.7 && grouped.ridge["hard"]["f1"].mean > 0.7);
    let probabilities = report.predictions.grouped.unwrap();
    assert!(probabilities.iter().all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-4));
    assert!(is_svg(folder, "bundle/plots/confusion.svg"));
}

#[test]
fn a_training_ends_with_its_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("recipe.toml"), RECIPE.replace("steps = 250", "steps = 1000000")).unwrap();
    std::fs::write(folder.join("lab.csv"), table(40)).unwrap();
    let arguments = ["train", "--recipe", "recipe.toml", "--data", "lab.csv", "--progress", "json", "--out", "never"];
    let mut child =
        mcvn(folder).args(arguments).args(["--end-with-stdin", "--nice", "5"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"phase\":\"training\""), "{line}");
    assert_eq!(niceness(&child.id().to_string()), (niceness("self") + 5).min(19));
    drop(child.stdin.take());
    let start = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2);
}
