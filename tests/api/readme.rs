//! The README's curl lines, run as they stand against a server of this test.

use std::process::Command;

use serde_json::Value;

use crate::support::Server;

/// Code blocks of the README that are marked with a language.
pub(crate) fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    let blocks = include_str!("../../README.md").split("```").skip(1).step_by(2);
    blocks.filter_map(move |block| block.strip_prefix(language))
}

/// `curl …` commands of the README's code blocks, continuation lines included.
fn curl_lines() -> Vec<String> {
    let mut commands = Vec::new();
    for block in blocks("bash\n") {
        let mut command = String::new();
        for line in block.lines() {
            if command.is_empty() && !line.starts_with("curl ") {
                continue;
            }
            command += line;
            command.push('\n');
            // A command goes on after a backslash and inside quotes.
            let open_quote = command.matches('\'').count() % 2 == 1;
            if !line.ends_with('\\') && !open_quote {
                commands.push(std::mem::take(&mut command));
            }
        }
    }
    commands
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_curl_lines_work() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED the_readmes_curl_lines_work: curl is not installed");
        return;
    }
    let server = Server::start().await;
    let commands = curl_lines();
    assert!(commands.len() >= 4, "{commands:?}");
    let (mut outputs, mut answers) = (String::new(), Vec::new());
    for command in commands {
        let command = command.replace("http://localhost:8080", &server.url);
        assert!(command.contains(&server.url), "{command}");
        let run = tokio::task::spawn_blocking(move || {
            let script = Command::new("bash").arg("-c").arg(&command).current_dir(env!("CARGO_MANIFEST_DIR")).output();
            (command, script.unwrap())
        });
        let (command, output) = run.await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !text.contains("urn:mcvn:problem"), "{command}\n{text}");
        outputs += &text;
        answers.push(text);
    }
    for word in ["fatigue_strength", "\"class\":\"BMG\"", "\"class\":\"RMG\"", "yield_strength"] {
        assert!(outputs.contains(word), "{word} is in no answer: {outputs}");
    }
    let answers: Vec<Value> = answers.iter().filter_map(|answer| serde_json::from_str(answer).ok()).collect();
    let shown: Vec<Value> = blocks("json\n")
        .flat_map(|block| serde_json::Deserializer::from_str(block).into_iter().collect::<Result<Vec<_>, _>>().unwrap())
        .collect();
    assert_eq!(shown.len(), 3);
    for shown in shown {
        assert!(answers.iter().any(|answer| alike(answer, &shown)), "no answer is {shown:#}");
    }
}

/// Equal but for the last digits of numbers, which may differ between processors.
fn alike(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => (left.as_f64().unwrap() - right.as_f64().unwrap()).abs() < 0.01,
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| alike(value, other)))
        }
        _ => left == right,
    }
}

/// The table of scores, made from the shipped manifests.
fn scores() -> String {
    let mut table = "| model | scored on | random splits | grouped splits |\n|---|---|---|---|\n".to_owned();
    let device = mcvn::model::DeviceChoice::Cpu.open().unwrap().device;
    let catalogue = mcvn::registry::Catalogue::load(&[crate::support::shipped_models()], &device, false).unwrap();
    for name in ["steel-fatigue", "steel-tensile", "glass"] {
        let manifest = catalogue.get(name).unwrap().manifest();
        let [random, grouped] = manifest.evaluation.as_slice() else { panic!("{name} was measured both ways") };
        let outputs: Vec<String> = match &manifest.schema.outputs {
            mcvn::domain::Outputs::Regression { targets } => targets.iter().map(|target| target.name.clone()).collect(),
            mcvn::domain::Outputs::Classification { classes } => classes.clone(),
        };
        let summaries = random.scores.keys().filter(|key| key.starts_with("all")).cloned();
        for output in outputs.into_iter().chain(summaries) {
            let metric =
                ["r2", "f1", "macro_f1"].into_iter().find(|metric| random.scores[&output].contains_key(*metric));
            let metric = metric.unwrap();
            let cell = |evaluation: &mcvn::model::Evaluation| {
                let spread = evaluation.scores[&output][metric];
                format!("{:.3} ± {:.3}", spread.mean, spread.std)
            };
            table += &format!("| {name} | {output}, {metric} | {} | {} |\n", cell(random), cell(grouped));
        }
    }
    table
}

#[test]
fn the_readmes_scores_are_the_manifests() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once("<!-- scores:begin -->\n").unwrap();
    let (there, after) = rest.split_once("<!-- scores:end -->").unwrap();
    if std::env::var_os("MCVN_UPDATE_README").is_some() {
        let updated = format!("{before}<!-- scores:begin -->\n{}<!-- scores:end -->{after}", scores());
        std::fs::write(path, updated).unwrap();
        return;
    }
    assert_eq!(there, scores(), "run: MCVN_UPDATE_README=1 cargo test --release --test api scores");
}
