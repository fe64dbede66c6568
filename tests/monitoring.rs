//! The dashboard and the alerts ask for what a running server exports: every metric and every label of theirs is in a
//! real scrape.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use mcvn::app;
use mcvn::config::Config;
use mcvn::keys::Scope;
use mcvn::model::DeviceChoice;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const DASHBOARD: &str = include_str!("../monitoring/grafana-dashboard.json");
const ALERTS: &str = include_str!("../monitoring/alerts.yaml");

/// Labels that Prometheus adds by itself.
const ADDED: [&str; 2] = ["instance", "job"];

/// Labels by the names of the series that carry them.
type Exposition = BTreeMap<String, BTreeSet<String>>;

/// What a server exports after answers and refusals of the usual kinds, with administration on, and with a model that
/// cannot be loaded.
async fn exposition() -> Exposition {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    mcvn::keys::create(&at("keys.toml"), "lab", &[Scope::Read]).unwrap();
    let mut config = Config { models_dirs: vec!["models".into(), at("models")], ..Config::default() };
    std::fs::create_dir_all(at("models/torn")).unwrap();
    std::fs::write(at("models/torn/active"), "v1\n").unwrap();
    config.device = DeviceChoice::Cpu;
    config.admin.keys_file = Some(at("keys.toml"));
    config.jobs.state_dir = at("state");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        app::run(&config, listener, None, stopped).await
    });
    let client = reqwest::Client::new();
    while client.get(format!("{url}/readyz")).send().await.unwrap().status() != 200 {
        assert!(!running.is_finished(), "the server has ended");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for (composition, status) in [("Cu60Zr40", 200), ("Xx", 422)] {
        let request = client.post(format!("{url}/classify/glass")).json(&json!({"composition": composition}));
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let scrape = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();

    let mut series = Exposition::new();
    for line in scrape.lines().filter(|line| !line.starts_with('#')) {
        let name: String = line.chars().take_while(|letter| is_word(*letter)).collect();
        let labels = line[name.len()..].split("=\"").filter_map(last_word);
        series.entry(name.clone()).or_default().extend(labels);
    }
    series
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn last_word(text: &str) -> Option<String> {
    let word = text.rsplit(|letter| !is_word(letter)).next().filter(|word| !word.is_empty());
    word.map(str::to_owned)
}

/// Holds an expression against the exposition: names, and the labels that select or group.
fn check(expression: &str, series: &Exposition) {
    let known: BTreeSet<&str> = series.values().flatten().map(String::as_str).chain(ADDED).collect();
    let mut metrics = 0;
    for (at, _) in expression.char_indices() {
        let word: String = expression[at..].chars().take_while(|letter| is_word(*letter)).collect();
        let rest = &expression[at + word.len()..];
        // A word inside of another one, or of a text in quotes, is none.
        if word.is_empty() || expression[..at].ends_with(is_word) || expression[..at].matches('"').count() % 2 == 1 {
            continue;
        }
        if word.starts_with("mcvn_") || word.starts_with("process_") {
            let labels = series.get(&word).unwrap_or_else(|| panic!("{word} is not exported: {expression}"));
            metrics += 1;
            for label in rest.strip_prefix('{').map(selected).unwrap_or_default() {
                let there = labels.contains(&label) || ADDED.contains(&label.as_str());
                assert!(there, "{word} has no label {label}: {expression}");
            }
        }
        if let ("by" | "on", Some(group)) = (word.as_str(), rest.trim_start().strip_prefix('(')) {
            let group = group.split(')').next().unwrap_or_default();
            group.split(',').for_each(|label| assert!(known.contains(label.trim()), "no label {label}: {expression}"));
        }
    }
    assert!(metrics > 0, "no metric of the service: {expression}");
}

/// The labels of a selector that begins here: the words before `=`, `!=`, `=~` and `!~`.
fn selected(selector: &str) -> Vec<String> {
    let outside = selector.split('"').step_by(2).take_while(|part| !part.starts_with('}'));
    outside.filter_map(|part| last_word(part.trim_end_matches(['=', '!', '~']))).collect()
}

/// Every text under a key, wherever it stands.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|field| texts(field, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

#[tokio::test]
async fn dashboard_and_alerts_ask_for_what_is_exported() {
    let series = exposition().await;
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let alerts: Value = yaml_serde::from_str(ALERTS).unwrap();
    for (what, least) in [(&dashboard, 20), (&alerts, 8)] {
        let mut expressions = Vec::new();
        texts(what, "expr", &mut expressions);
        assert!(expressions.len() >= least);
        expressions.iter().for_each(|expression| check(expression, &series));
    }
    // The other way round: what is exported is shown.
    for name in series.keys() {
        let family = name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
        assert!(DASHBOARD.contains(family), "{family} is on no panel");
    }
}

#[test]
fn panels_are_complete_and_apart() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id");
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + width <= 24);
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} covers another panel", panel["title"]);
        }
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().unwrap().ends_with('.'), "{}", panel["title"]);
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "importable anywhere");
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let alerts: Value = yaml_serde::from_str(ALERTS).unwrap();
    let groups = alerts["groups"].as_array().unwrap();
    let mut names = BTreeSet::new();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} stands twice");
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        for (key, least) in [("summary", 20), ("description", 60)] {
            let text = rule["annotations"][key].as_str().unwrap_or_else(|| panic!("{name} has no {key}"));
            assert!(text.len() > least && text.matches("{{").count() == text.matches("}}").count(), "{name}: {text}");
        }
    }
}

#[test]
#[should_panic(expected = "mcvn_queue_sample is not exported")]
fn a_wrong_name_would_be_found() {
    let series = Exposition::from([("mcvn_queue_samples".to_owned(), BTreeSet::new())]);
    check("max(mcvn_queue_sample) > 1", &series);
}

#[test]
#[should_panic(expected = "mcvn_jobs has no label status")]
fn a_wrong_label_would_be_found() {
    let labels = ["state".to_owned()].into();
    let series = Exposition::from([("mcvn_jobs".to_owned(), labels)]);
    check("sum by (state) (mcvn_jobs{state=\"failed\", status!~\"a|b\"})", &series);
}
