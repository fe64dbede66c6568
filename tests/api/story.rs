//! The README's story of retraining, run as it stands: from a CSV file to a promoted model through curl.

use std::process::Command;

use serde_json::Value;

use crate::readme::blocks;
use crate::support::{Lab, Server};

#[tokio::test(flavor = "multi_thread")]
async fn from_csv_to_promoted_model_through_curl_alone() {
    assert!(Command::new("curl").arg("--version").output().is_ok(), "the README's commands need curl: install it");
    let lab = Lab::new();
    let create = blocks("\n").find(|block| block.contains("admin-key create")).unwrap();
    let create =
        create.lines().find(|line| line.contains("admin-key create")).unwrap().replace("name me", "name readme");
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_mcvn")).parent().unwrap().to_owned();
    let script = blocks("sh\n").map(str::to_owned).collect::<Vec<_>>();
    let [story, question] = script.as_slice() else { panic!("two blocks: {script:?}") };
    assert_eq!(story.lines().filter(|line| line.starts_with("# ")).count(), 5, "five commands");
    let server = Server::start_with(lab.config.clone()).await;
    let script = format!("set -e\n{create}\ncd \"$ROOT\"\n{story}\necho; echo ANSWER\n{question}")
        .replace("http://localhost:8080", &server.url);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let folder = lab.folder.path().to_owned();
    let run = tokio::task::spawn_blocking(move || {
        let mut bash = Command::new("bash");
        bash.arg("-c").arg(script).current_dir(folder).env("PATH", path).env("ROOT", env!("CARGO_MANIFEST_DIR"));
        bash.output().unwrap()
    });
    let output = run.await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("urn:mcvn:problem"), "{text}");
    assert!(text.contains("event: running") && text.contains("event: succeeded"), "{text}");
    let (_, answer) = text.rsplit_once("ANSWER\n").unwrap();
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(answer["model"]["name"], "steel-lab42");
    let strength = answer["properties"]["tensile_strength"]["value"].as_f64().unwrap();
    // The formula that the measurements were invented by gives about 1000 MPa for this steel.
    assert!((900.0..1200.0).contains(&strength), "{strength}");
}
