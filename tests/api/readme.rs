//! The README's curl lines, run as they stand against a server of this test; and what it shows of answers and scores.
//!
//! `MCVN_UPDATE_README=1 cargo test --release --test api readme` writes both anew from the shipped models.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::support::Server;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Code blocks of the README that are marked with a language.
pub(crate) fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    let blocks = include_str!("../../README.md").split("```").skip(1).step_by(2);
    blocks.filter_map(move |block| block.strip_prefix(language))
}

/// Changes the README where that is asked for; tests that do take turns.
fn update(change: impl FnOnce(String) -> String) -> bool {
    static TURN: Mutex<()> = Mutex::new(());
    if std::env::var_os("MCVN_UPDATE_README").is_none() {
        return false;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::write(PATH, change(std::fs::read_to_string(PATH).unwrap())).unwrap();
    true
}

/// `curl …` commands of a code block, continuation lines included.
fn curl_lines(block: &str) -> Vec<String> {
    let (mut commands, mut command) = (Vec::new(), String::new());
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
    commands
}

async fn run(command: String) -> String {
    let run = tokio::task::spawn_blocking(move || {
        let script = Command::new("bash").arg("-c").arg(&command).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        (command, script.unwrap())
    });
    let (command, output) = run.await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("urn:mcvn:problem"), "{command}\n{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_curl_lines_work() {
    assert!(Command::new("curl").arg("--version").output().is_ok(), "the README's commands need curl: install it");
    let server = Server::start().await;
    let (mut outputs, mut count) = (String::new(), 0);
    // A block of JSON shows the answers to the block of commands before it. All are kept, then compared.
    let (mut answers, mut shown) = (Vec::new(), Vec::new());
    for block in blocks("") {
        if let Some(block) = block.strip_prefix("bash\n") {
            answers = Vec::new();
            for command in curl_lines(block) {
                let local = command.replace("http://localhost:8080", &server.url);
                assert!(local.contains(&server.url), "{local}");
                answers.push(run(local).await);
                count += 1;
            }
            outputs += &answers.concat();
        } else if let Some(block) = block.strip_prefix("json\n") {
            let parse = |answer: &String| serde_json::from_str(answer).unwrap();
            shown.push((block, answers.iter().map(parse).collect::<Vec<Value>>()));
        }
    }
    assert!(count >= 4, "{count} commands");
    for word in ["fatigue_strength", "\"class\":\"BMG\"", "\"class\":\"RMG\"", "yield_strength"] {
        assert!(outputs.contains(word), "{word} is in no answer: {outputs}");
    }
    assert_eq!(shown.iter().map(|(_, answers)| answers.len()).sum::<usize>(), 3);
    let fresh = |readme: String| {
        let replace = |readme: String, (block, answers): &(&str, Vec<Value>)| {
            readme.replace(block, &answers.iter().map(laid_out).collect::<String>())
        };
        shown.iter().fold(readme, replace)
    };
    if update(fresh) {
        return;
    }
    for (block, answers) in &shown {
        let block: Vec<Value> =
            serde_json::Deserializer::from_str(block).into_iter().collect::<Result<_, _>>().unwrap();
        let same = block.len() == answers.len() && block.iter().zip(answers).all(|(left, right)| alike(left, right));
        assert!(same, "run: MCVN_UPDATE_README=1 cargo test --release --test api readme\n{block:#?}\n{answers:#?}");
    }
}

/// Equal but for the last digits of numbers, which may differ between processors.
fn alike(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => (left.as_f64().unwrap() - right.as_f64().unwrap()).abs() < 0.01,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| alike(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| alike(value, other)))
        }
        _ => left == right,
    }
}

/// An answer as the README shows it: one line for each field, and for each property, where a line gets too long.
fn laid_out(answer: &Value) -> String {
    fn spread(value: &Value, indent: usize, room: usize) -> String {
        let (line, Value::Object(fields)) = (on_one_line(value), value) else { return on_one_line(value) };
        if line.len() <= room {
            return line;
        }
        let field = |(key, value): (&String, &Value)| {
            let key = format!("{}: ", Value::from(key.as_str()));
            format!("{key}{}", spread(value, indent + 1, 118_usize.saturating_sub(indent + 1 + key.len())))
        };
        let fields: Vec<String> = fields.iter().map(field).collect();
        let separator = format!(",\n{}", " ".repeat(indent + 1));
        format!("{{{}}}", fields.join(&separator))
    }
    spread(answer, 0, 118) + "\n"
}

/// JSON with a space behind each comma and colon.
fn on_one_line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let field =
                |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), on_one_line(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(on_one_line).collect::<Vec<_>>().join(", ")),
        _ => value.to_string(),
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
    let scores = scores();
    fn parts(readme: &str) -> (&str, &str, &str) {
        let (before, rest) = readme.split_once("<!-- scores:begin -->\n").unwrap();
        let (there, after) = rest.split_once("<!-- scores:end -->").unwrap();
        (before, there, after)
    }
    let fresh = |readme: String| {
        let (before, _, after) = parts(&readme);
        format!("{before}<!-- scores:begin -->\n{scores}<!-- scores:end -->{after}")
    };
    if update(fresh) {
        return;
    }
    let readme = std::fs::read_to_string(PATH).unwrap();
    assert_eq!(parts(&readme).1, scores, "run: MCVN_UPDATE_README=1 cargo test --release --test api readme");
}
