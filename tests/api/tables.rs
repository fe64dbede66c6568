//! Tables as labs have them: a table of cases, each put to the server and to `mcvn predict`, with its right answer.

use std::process::Command;

use serde_json::Value;

use crate::support::{Server, shipped_models};

type Rows = Vec<csv::StringRecord>;

/// A table as it was answered: status, notes or complaints, header and rows.
struct Answered {
    ok: bool,
    said: String,
    rows: Rows,
}

fn bytes(case: &Value) -> Vec<u8> {
    let text = case["text"].as_str().unwrap();
    match case["encoding"].as_str().unwrap() {
        "utf-8" => text.as_bytes().to_vec(),
        "utf-16le-bom" => "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        label => {
            let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
            encoding.encode(text).0.into_owned()
        }
    }
}

fn rows(text: &str) -> Rows {
    let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.into_records().collect::<Result<_, _>>().unwrap()
}

fn route(model: &str) -> &'static str {
    if model == "glass" { "/classify/glass" } else { "/predict/steel" }
}

async fn ask(server: &Server, model: &str, body: Vec<u8>, query: &str) -> Answered {
    let path = format!("{}?model={model}{query}", route(model));
    let response = server.post_raw(&path, "text/csv", body).await;
    let ok = response.status() == 200;
    let notes = response.headers().get("mcvn-notes").map(|notes| notes.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    if !ok {
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["status"], 422, "{problem}");
        return Answered { ok, said: plain(&problem["errors"]), rows: Rows::new() };
    }
    let notes = notes.map(|notes| plain(&serde_json::from_str(&notes).unwrap())).unwrap_or_default();
    Answered { ok, said: notes, rows: rows(&text) }
}

/// JSON without the escapes of its quotes.
fn plain(value: &Value) -> String {
    value.to_string().replace("\\\"", "\"")
}

fn predict(case: &Value, body: &[u8]) -> Answered {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    std::fs::write(&input, body).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    command.args(["predict", "--device", "cpu", "--threads", "1", "--model", case["model"].as_str().unwrap()]);
    command.arg("--models-dir").arg(shipped_models()).arg("--input").arg(&input).arg("--output").arg(&output);
    for (flag, field) in [("--map", "map"), ("--set", "set")] {
        let pairs = case[field].as_array().into_iter().flatten();
        command.args(pairs.flat_map(|pair| [flag, pair.as_str().unwrap()]));
    }
    command.args(case["encoding_flag"].as_str().into_iter().flat_map(|label| ["--encoding", label]));
    let run = command.output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    let text = std::fs::read_to_string(&output).unwrap_or_default();
    Answered { ok: run.status.success(), said, rows: if text.is_empty() { Rows::new() } else { rows(&text) } }
}

/// What a model said of each row, without the columns that came with it.
fn answers(rows: &Rows) -> Vec<Vec<String>> {
    let prefixed = rows.first().is_some_and(|header| header.iter().any(|name| name.starts_with("predicted_")));
    let wanted = |name: &str| {
        if prefixed && !name.starts_with("pr") && name != "in_domain" {
            return false;
        }
        let plain = name.trim_start_matches("predicted_").trim_start_matches("probability_");
        ["yield_strength", "tensile_strength", "fatigue_strength", "hardness", "class", "BMG", "in_domain"]
            .contains(&plain)
    };
    let Some((header, rows)) = rows.split_first() else { return Vec::new() };
    let places: Vec<usize> = (0..header.len()).filter(|at| wanted(&header[*at])).collect();
    rows.iter().map(|row| places.iter().map(|at| row[*at].to_owned()).collect()).collect()
}

fn cell<'a>(rows: &'a Rows, row: usize, column: &str) -> &'a str {
    let at = rows[0].iter().position(|name| name == column).unwrap_or_else(|| panic!("{column} in {:?}", rows[0]));
    &rows[row][at]
}

/// What is wrong with what was answered; nothing where it is right.
fn judge(case: &Value, answered: &Answered, expected: Option<&Answered>, http: bool) -> Option<String> {
    if let Some(refused) = case["refused"].as_object() {
        let told = |(column, words): (&String, &Value)| {
            answered.said.contains(column) && answered.said.contains(words.as_str().unwrap())
        };
        return (answered.ok || !refused.iter().all(told)).then(|| format!("not refused so: {}", answered.said));
    }
    let errors = case["errors"].as_object();
    let count = answered.rows.len().saturating_sub(1);
    let all_bad = errors.is_some_and(|errors| errors.len() == count);
    if !answered.ok && (http || !all_bad) {
        return Some(format!("refused: {}", answered.said));
    }
    for row in 1..=count {
        let error = cell(&answered.rows, row, "error");
        let words = errors.and_then(|errors| errors.get(&row.to_string())).and_then(Value::as_str);
        match words {
            Some(words) if !error.contains(words) => return Some(format!("row {row}: {error}")),
            None if !error.is_empty() => return Some(format!("row {row}: {error}")),
            _ => {}
        }
        let warning = case["warnings"][row.to_string()].as_str().unwrap_or_default();
        if !cell(&answered.rows, row, "warnings").contains(warning) {
            return Some(format!("row {row}: no warning {warning}"));
        }
        if case["in_domain"] == false && cell(&answered.rows, row, "in_domain") != "false" {
            return Some(format!("row {row} is in domain"));
        }
    }
    if let Some(note) = case["note"].as_str().filter(|note| !answered.said.contains(note)) {
        return Some(format!("no note {note}: {}", answered.said));
    }
    if http {
        let columns = case["columns"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap());
        let carried: Vec<&str> = answered.rows[0].iter().take(columns.clone().count()).collect();
        if !columns.eq(carried.iter().copied()) {
            return Some(format!("columns: {:?}", answered.rows[0]));
        }
    }
    let (own, other) = (answers(&answered.rows), expected.map(|expected| answers(&expected.rows)));
    other.filter(|other| *other != own).map(|other| format!("{own:?} is not {other:?}"))
}

#[tokio::test]
async fn each_case_has_its_right_answer() {
    let server = Server::start().await;
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for line in include_str!("../cases/tables.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (model, body) = (case["model"].as_str().unwrap(), bytes(&case));
        let expected = match case["same_as"].as_str() {
            Some(text) => Some(ask(&server, model, text.as_bytes().to_vec(), "").await),
            None => None,
        };
        let answered = ask(&server, model, body.clone(), case["query"].as_str().unwrap_or_default()).await;
        let http = judge(&case, &answered, expected.as_ref(), true);
        let cli = judge(&case, &predict(&case, &body), expected.as_ref(), false);
        cases += 2;
        wrong.extend(http.map(|what| format!("{} by HTTP: {what}", case["id"])));
        wrong.extend(cli.map(|what| format!("{} by predict: {what}", case["id"])));
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}
