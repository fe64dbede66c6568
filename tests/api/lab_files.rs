//! The tables in `examples/lab-files`, from file to recipe to model to answers, as README says it.

use std::path::Path;
use std::process::Command;

use crate::support::{Server, config};

fn mcvn(folder: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_mcvn")).args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{arguments:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_file_to_a_model_in_two_commands() {
    let folder = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/lab-files");
    for entry in std::fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let files = [
        ("zugversuche", "csv", "decimal comma"),
        ("拉伸试验", "csv", "read as GBK"),
        ("tensile-tests", "xlsx", "is a row of units"),
    ];
    for (number, (file, end, note)) in files.iter().enumerate() {
        let (data, model) = (format!("{file}.{end}"), format!("lab-{number}"));
        let recipe = format!("{model}.toml");
        mcvn(folder.path(), &["recipe", "new", "--data", &data, "--name", &model, "--out", &recipe]);
        let said = mcvn(folder.path(), &["train", "--recipe", &recipe, "--data", &data, "--install", "my-models"]);
        assert!(said.contains(note), "{said}");
    }
    let mut config = config();
    config.models_dirs.push(folder.path().join("my-models"));
    let server = Server::start_with(config).await;
    for (number, (file, end, _)) in files.iter().enumerate() {
        let (input, output) = (format!("{file}-new.{end}"), format!("{number}.csv"));
        let model = format!("lab-{number}");
        let flags = ["predict", "--models-dir", "my-models", "--model", &model, "--input", &input, "--output", &output];
        mcvn(folder.path(), &flags);
        let by_file = std::fs::read_to_string(folder.path().join(output)).unwrap();
        let body = std::fs::read(folder.path().join(&input)).unwrap();
        let request =
            server.client.post(format!("{}/predict/steel?model={model}", server.url)).header("accept", "text/csv");
        let answer = request.header("content-type", "text/csv").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let by_http = answer.text().await.unwrap();
        let values = |text: &str, column: &str| {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let at = reader.headers().unwrap().iter().position(|name| name == column).unwrap();
            reader.records().map(|row| row.unwrap()[at].parse::<f64>().unwrap()).collect::<Vec<f64>>()
        };
        let strengths = values(&by_http, "yield_strength");
        assert_eq!(strengths, values(&by_file, "predicted_yield_strength"), "{file}");
        assert_eq!(strengths.len(), 12);
        // The rows follow a formula: tempered higher, a heat is softer; and all files hold the same heats.
        assert!(strengths.chunks(3).all(|heat| heat[0] > heat[1] && heat[1] > heat[2]), "{strengths:?}");
        assert!(strengths.iter().all(|value| (700.0..1500.0).contains(value)), "{strengths:?}");
    }
}

#[test]
fn the_readme_says_it_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("examples"), folder.path().join("examples")).unwrap();
    let script = crate::readme::blocks("shell\n").next().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_mcvn")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    let run = bash.arg("-ec").arg(script).current_dir(folder.path()).env("PATH", path).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let predicted = std::fs::read_to_string(folder.path().join("predicted.csv")).unwrap();
    assert_eq!(predicted.lines().count(), 13);
}
