//! Candidates, promotions and rollbacks from outside, also while others ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::admin_jobs::{create_model, start, until};
use crate::support::{Lab, Server, lab_recipe, lab_rows};

fn lab_steel() -> Value {
    json!({
        "model": "steel-lab42",
        "composition": {"C": 0.3, "Si": 0.3, "Mn": 0.8, "Cr": 1.0, "Mo": 0.2, "Ni": 0.5},
        "processing": {"melting_method": "VIM", "heat_treatment_state": "quenched_tempered", "tempering_temperature": 600},
    })
}

async fn trained(server: &Server, lab: &Lab, options: Value, rows: &str) -> Value {
    let job = start(server, &lab.key, options, rows).await;
    until(server, &lab.key, &job["id"], "succeeded").await
}

async fn post(server: &Server, lab: &Lab, path: &str, body: Value) -> (u16, Value) {
    let response = server.admin(Method::POST, path, &lab.key).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(server: &Server, lab: &Lab, path: &str) -> Value {
    let response = server.admin(Method::GET, path, &lab.key).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_labs_rows_to_answers_and_back() {
    let lab = Lab::new();
    let server = Arc::new(Server::start_with(lab.config.clone()).await);
    create_model(&server, &lab.key, lab_recipe()).await;
    assert_eq!(server.post("/predict/steel", &lab_steel()).await.status(), 404, "no version answers yet");

    let options = json!({"model": "steel-lab42"});
    let job = trained(&server, &lab, options.clone(), &lab_rows()).await;
    let first = job["version"].as_str().unwrap().to_owned();
    assert_eq!(job["metrics"]["protocols"].as_array().unwrap().len(), 2, "{job:#}");
    assert_eq!(server.post("/predict/steel", &lab_steel()).await.status(), 404, "a candidate does not answer");
    let (status, now) =
        post(&server, &lab, &format!("/admin/models/steel-lab42/versions/{first}/promote"), json!({})).await;
    assert_eq!((status, &now["version"], &now["before"]), (200, &json!(first), &Value::Null), "{now:#}");
    let answer = server.answer("/predict/steel", &lab_steel()).await;
    assert_eq!(answer["model"], json!({"name": "steel-lab42", "version": first}));
    assert_eq!(answer["assumed"], json!({"hot_working_mode": "rolled"}));
    let shown: Value = server.get("/models/steel-lab42").await.json().await.unwrap();
    assert_eq!(shown["processing"][0]["levels"], json!(["EAF", "ESR", "VIM"]));
    let mut wrong = lab_steel();
    wrong["processing"]["melting_method"] = json!("BOF");
    let wrong = Server::problem(server.post("/predict/steel", &wrong).await).await;
    assert_eq!(wrong["errors"][0]["pointer"], "/processing/melting_method");

    // A worse one: a handful of rows that the first version has not seen (other tempering temperatures).
    let few: String = lab_rows()
        .lines()
        .take(13)
        .map(|line| {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            if let Ok(tempering) = cells[10].parse::<u32>() {
                cells[10] = (tempering + 5).to_string();
            }
            cells.join(",") + "\n"
        })
        .collect();
    let job = trained(&server, &lab, options.clone(), &few).await;
    let worse = job["version"].as_str().unwrap().to_owned();
    assert_eq!(job["metrics"]["comparison"]["worse"], true, "{:#}", job["metrics"]["comparison"]);
    assert!(!job["warnings"].as_array().unwrap().is_empty());
    let place = format!("/admin/models/steel-lab42/versions/{worse}");
    let detail = get(&server, &lab, &place).await;
    assert!(detail["objections"][0].as_str().unwrap().contains("worse"), "{:#}", detail["objections"]);
    // Relative to the version's address, as links of a page are.
    let plot = reqwest::Url::parse(&format!("http://proxy/prefix{place}")).unwrap();
    let plot = plot.join(detail["plots"][0].as_str().unwrap()).unwrap();
    let plot = plot.path().strip_prefix("/prefix").unwrap();
    let plot = server.admin(Method::GET, plot, &lab.key).send().await.unwrap();
    assert_eq!(plot.headers()["content-type"], "image/svg+xml");
    let (status, refused) = post(&server, &lab, &format!("{place}/promote"), json!({})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused:#}");
    let (status, refused) = post(&server, &lab, &format!("{place}/promote"), json!({"force": true})).await;
    assert_eq!((status, &refused["errors"][0]["pointer"]), (422, &json!("/reason")));

    // Promoted and rolled back under load: every answer comes from one whole version, none fails.
    let stop = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..8)
        .map(|_| {
            let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    answers.push(server.answer("/predict/steel", &lab_steel()).await);
                }
                answers
            })
        })
        .collect();
    for _ in 0..5 {
        let force = json!({"force": true, "reason": "to see it swap"});
        let (status, now) = post(&server, &lab, &format!("{place}/promote"), force).await;
        assert_eq!((status, &now["version"], &now["before"]), (200, &json!(worse), &json!(first)), "{now:#}");
        assert!(!now["overruled"].as_array().unwrap().is_empty());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (status, now) = post(&server, &lab, "/admin/models/steel-lab42/rollback", json!({"reason": "worse"})).await;
        assert_eq!((status, &now["version"]), (200, &json!(first)), "{now:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut by_version: std::collections::BTreeMap<String, Vec<Value>> = Default::default();
    for asker in askers {
        for answer in asker.await.unwrap() {
            by_version.entry(answer["model"]["version"].as_str().unwrap().to_owned()).or_default().push(answer);
        }
    }
    assert_eq!(by_version.keys().collect::<std::collections::BTreeSet<_>>(), [&first, &worse].into_iter().collect());
    for (version, answers) in &by_version {
        eprintln!("{} answers of {version}", answers.len());
        assert!(answers.iter().all(|answer| *answer == answers[0]), "one version, one answer");
    }
    let log = get(&server, &lab, "/admin/audit").await;
    let ended = log["records"].as_array().unwrap().iter().filter(|record| record["outcome"] != "begun");
    let actions: Vec<&str> = ended.map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions.iter().filter(|action| **action == "version.promote").count(), 1 + 1 + 5, "{actions:?}");
    assert_eq!(actions.iter().filter(|action| **action == "version.rollback").count(), 5);
}

#[tokio::test]
async fn what_cannot_be_served_is_not_promoted() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let glass: Value = server.get("/models/glass").await.json().await.unwrap();
    let version = glass["version"].as_str().unwrap();
    let promote = async |version: &str, body: Value| {
        post(&server, &lab, &format!("/admin/models/glass/versions/{version}/promote"), body).await
    };
    assert_eq!(promote(version, json!({})).await.0, 409, "in use already");
    assert_eq!(promote("no-such", json!({})).await.0, 404);
    assert_eq!(promote("..%2F..%2Fetc", json!({})).await.0, 404);
    assert_eq!(post(&server, &lab, "/admin/models/glass/rollback", json!({})).await.0, 404, "none before it");
    assert_eq!(post(&server, &lab, "/admin/models/..%2Fx/rollback", json!({})).await.0, 404);
    // A copy whose weights were damaged, and one that nothing speaks for.
    let shipped = crate::support::shipped_models().join("glass").join(version);
    for name in ["damaged", "copy"] {
        let place = lab.folder.path().join("models/glass").join(name);
        crate::lifecycle::copy(&shipped, &place);
        let manifest = std::fs::read_to_string(place.join("manifest.json")).unwrap();
        let renamed = manifest.replace(&format!("\"version\": \"{version}\""), &format!("\"version\": \"{name}\""));
        std::fs::write(place.join("manifest.json"), renamed).unwrap();
    }
    let weights = lab.folder.path().join("models/glass/damaged/weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let force = || json!({"force": true, "reason": "test"});
    let (status, damaged) = promote("damaged", force()).await;
    assert_eq!(status, 409);
    assert!(damaged["detail"].as_str().unwrap().contains("SHA-256"), "{damaged:#}");
    let (status, unknown) = promote("copy", json!({})).await;
    assert_eq!(status, 409);
    assert!(unknown["errors"][0]["detail"].as_str().unwrap().contains("no report"), "{unknown:#}");
    assert_eq!(promote("copy", force()).await.0, 200);
    let answer = server.answer("/classify/glass", &json!({"composition": "Fe80B20"})).await;
    assert_eq!(answer["model"]["version"], "copy");
    // After a restart it is still the one.
    let mut server = server;
    server.signal_stop();
    server.ended().await.unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    let answer = server.answer("/classify/glass", &json!({"composition": "Fe80B20"})).await;
    assert_eq!(answer["model"]["version"], "copy");
    assert_eq!(post(&server, &lab, "/admin/models/glass/rollback", json!({})).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_file_is_another_version_and_the_same_file_the_same() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, lab_recipe()).await;
    let options = json!({"model": "steel-lab42", "folds": 2});
    // Strengths in GPa where MPa are meant: their standardised numbers, and so the weights, are nearly the same.
    let in_gpa: String = lab_rows()
        .lines()
        .map(|line| {
            let cell = |(at, cell): (usize, &str)| match cell.parse::<f64>() {
                Ok(number) if at == 11 || at == 12 => (number / 1024.0).to_string(),
                _ => cell.to_owned(),
            };
            line.split(',').enumerate().map(cell).collect::<Vec<_>>().join(",") + "\n"
        })
        .collect();
    let strength = async || {
        let answer = server.answer("/predict/steel", &lab_steel()).await;
        answer["properties"]["yield_strength"]["value"].as_f64().unwrap()
    };
    let promote = async |version: &Value| {
        let path = format!("/admin/models/steel-lab42/versions/{}/promote", version.as_str().unwrap());
        post(&server, &lab, &path, json!({})).await
    };
    let wrong = trained(&server, &lab, options.clone(), &in_gpa).await["version"].clone();
    assert_eq!(promote(&wrong).await.0, 200);
    assert!(strength().await < 10.0);
    let right = trained(&server, &lab, options.clone(), &lab_rows()).await["version"].clone();
    assert_ne!(right, wrong);
    let (status, now) = promote(&right).await;
    assert_eq!(status, 200, "{now:#}");
    assert!(strength().await > 300.0);

    let again = trained(&server, &lab, options, &lab_rows()).await;
    assert_eq!(again["version"], right);
    let warnings = again["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|text| text.as_str().unwrap().starts_with("the same version as before")),
        "{warnings:?}"
    );
}
