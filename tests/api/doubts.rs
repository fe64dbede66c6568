//! Rows that look wrong, from an upload to a promotion: what a job says of them, and what is not promoted because of
//! them. The rows are invented.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::admin_jobs::{start, until};
use crate::support::{Lab, Server, pointers, shipped_models};

const HEADER: &str =
    "heat,C,Si,Mn,P,S,Ni,Cr,Cu,Mo,NT,QT,TT,RR,dA,dB,dC,fatigue_strength,tensile_strength,fracture_strength,hardness";
const HEATS: usize = 100;

/// The shipped model's recipe with learners that are quick.
fn quick_recipe() -> String {
    let shipped = std::fs::read_to_string(shipped_models().join("steel-fatigue/recipe.toml")).unwrap();
    let columns = shipped.split("[features]").next().unwrap();
    let learners = r#"
[network]
attention = "none"
heads = 1
norm = "pre"
activation = "silu"
stem = 16
row = [8]
head = [8]

[training]
members = 1
steps = 60

[[committee]]
kind = "kernel"
keys = 64
steps = 40
learning_rate = 0.05

[calibration]
folds = 0
"#;
    format!("{columns}{learners}")
}

/// Low-alloy steels, quenched and tempered at three temperatures, with a tensile strength that follows from composition
/// and tempering, and the other properties from it.
fn rows(in_ksi: impl Fn(usize) -> bool) -> String {
    // Numbers between 0 and 1 that are the same in every run.
    let mut state = 7u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut text = format!("{HEADER}\n");
    for heat in 0..HEATS {
        let (c, mn, cr) = (0.32 + 0.2 * draw(), 0.6 + 0.8 * draw(), draw());
        let (ni, mo, si) = (0.05 + draw(), 0.2 * draw(), 0.18 + 0.15 * draw());
        for (nth, tempering) in [560.0, 610.0, 660.0].into_iter().enumerate() {
            let tensile = 620.0 + 600.0 * c + 90.0 * mn + 130.0 * cr + 40.0 * ni + 350.0 * mo
                - 2.2 * (tempering - 610.0)
                + 16.0 * (draw() - 0.5);
            let fatigue = 0.47 * tensile + 25.0 + 14.0 * (draw() - 0.5);
            let fracture = 1.55 * tensile + 150.0 + 30.0 * (draw() - 0.5);
            let hardness = tensile / 3.15 + 4.0 * (draw() - 0.5);
            let tensile = if in_ksi(3 * heat + nth) { tensile / 6.895 } else { tensile };
            text += &format!(
                "h{heat},{c:.2},{si:.2},{mn:.2},0.015,0.012,{ni:.2},{cr:.2},0.1,{mo:.2},870,855,{tempering},820,0.04,0,0.01,\
                 {fatigue:.0},{tensile:.0},{fracture:.0},{hardness:.0}\n"
            );
        }
    }
    text
}

fn lab() -> Lab {
    let lab = Lab::new();
    let folder = lab.folder.path().join("models/steel-fatigue");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("recipe.toml"), quick_recipe()).unwrap();
    lab
}

async fn get(server: &Server, lab: &Lab, path: &str) -> Value {
    let response = server.admin(Method::GET, path, &lab.key).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

async fn refused(server: &Server, lab: &Lab, options: &Value, rows: &str) -> Value {
    let part = Part::bytes(rows.as_bytes().to_vec()).file_name("rows.csv");
    let form = Form::new().text("options", options.to_string()).part("data", part);
    let request = server.admin(Method::POST, "/admin/jobs", &lab.key).multipart(form);
    Server::problem(request.send().await.unwrap()).await
}

async fn promote(server: &Server, lab: &Lab, version: &str, body: Value) -> (u16, Value) {
    let path = format!("/admin/models/steel-fatigue/versions/{version}/promote");
    let response = server.admin(Method::POST, &path, &lab.key).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn lines(report: &Value) -> Vec<u64> {
    report["doubted"].as_array().unwrap().iter().map(|line| line.as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn strengths_in_ksi_end_in_an_objection() {
    let lab = lab();
    let server = Server::start_with(lab.config.clone()).await;
    // A fifth of the rows, in line with heats and tempering temperatures.
    let planted = |row: usize| row % 5 == 2;
    let rows = rows(planted);
    let options = json!({"model": "steel-fatigue", "folds": 2});
    let job = start(&server, &lab.key, options.clone(), &rows).await;
    let (id, doubts) = (job["id"].clone(), job["doubts"].clone());
    let doubted = doubts["doubted_rows"].as_u64().unwrap();
    assert!(doubted >= 54 && doubts["unconfirmed_rows"] == doubted && doubts["rows"] == 300, "{doubts:#}");
    assert_eq!(job["data_report"], format!("jobs/{id}/data"));

    // All of it, as JSON and as a page.
    let path = format!("/admin/jobs/{id}/data");
    let report = get(&server, &lab, &path).await;
    let found: BTreeSet<u64> = lines(&report).into_iter().collect();
    let wrong: BTreeSet<u64> = (0..3 * HEATS).filter(|row| planted(*row)).map(|row| row as u64 + 2).collect();
    let hits = found.intersection(&wrong).count();
    assert!(hits >= 54 && hits * 10 >= found.len() * 8, "{hits} of {} found, {} named", wrong.len(), found.len());
    let page = server.admin(Method::GET, &path, &lab.key).header("accept", "text/html").send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(page.text().await.unwrap().contains("tensile_strength"));

    // Whoever wants no doubted rows is told which they are, and which can be confirmed.
    let strict = json!({"model": "steel-fatigue", "folds": 2, "strict": true});
    let problem = refused(&server, &lab, &strict, &rows).await;
    assert_eq!((&problem["status"], pointers(&problem)[0]), (&json!(422), "/data"), "{problem:#}");
    assert!(pointers(&problem)[1].starts_with("/data/"), "{problem:#}");
    let unknown = json!({"model": "steel-fatigue", "confirm": [1, 999]});
    let problem = refused(&server, &lab, &unknown, &rows).await;
    assert_eq!(pointers(&problem), ["/confirm"]);
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("lines 1, 999 are not"), "{problem:#}");

    // It is trained, and not promoted.
    let job = until(&server, &lab.key, &id, "succeeded").await;
    let version = job["version"].as_str().unwrap().to_owned();
    let warned = job["warnings"].to_string();
    assert!(warned.contains("rows that look wrong"), "{warned}");
    let note = job["metrics"]["comparison"]["note"].as_str().unwrap().to_owned();
    assert!(note.contains("doubted rows do not count"), "{note}");
    let (status, conflict) = promote(&server, &lab, &version, json!({})).await;
    assert_eq!(status, 409);
    assert!(conflict.to_string().contains("it learned from"), "{conflict:#}");
    let (status, unknown) = promote(&server, &lab, &version, json!({"confirm": [999]})).await;
    assert_eq!((status, pointers(&unknown)), (422, vec!["/confirm"]), "{unknown:#}");
    let all = lines(&report);
    let (_, some) = promote(&server, &lab, &version, json!({"confirm": all[1..]})).await;
    assert!(some.to_string().contains(&format!("1 row that looks wrong (line {})", all[0])), "{some:#}");
    // Once all of them are confirmed, only other objections are left.
    let (_, confirmed) = promote(&server, &lab, &version, json!({"confirm": all})).await;
    assert!(!confirmed.to_string().contains("look wrong"), "{confirmed:#}");
    let (status, forced) =
        promote(&server, &lab, &version, json!({"confirm": all, "force": true, "reason": "test"})).await;
    if status == 200 {
        assert!(!forced["overruled"].to_string().contains("look wrong"), "{forced:#}");
    }
    let audit = get(&server, &lab, "/admin/audit").await.to_string();
    assert!(audit.contains("confirmed lines: ") && audit.contains("not confirmed"), "{audit}");

    // The report outlives the server.
    let mut server = server;
    server.signal_stop();
    server.ended().await.unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    assert_eq!(get(&server, &lab, &path).await, report);
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_rows_and_confirmed_ones_carry_no_objection() {
    let lab = lab();
    let server = Server::start_with(lab.config.clone()).await;
    let clean = start(&server, &lab.key, json!({"model": "steel-fatigue", "folds": 2}), &rows(|_| false)).await;
    let doubted = clean["doubts"]["doubted_rows"].as_u64().unwrap();
    assert!(doubted <= 9, "{:#}", clean["doubts"]);
    let cancel = format!("/admin/jobs/{}/cancel", clean["id"]);
    assert_eq!(server.admin(Method::POST, &cancel, &lab.key).send().await.unwrap().status(), 200);
    // Confirmed with the job: by the lines that an earlier one named.
    let rows = rows(|row| row % 60 == 2);
    let first = start(&server, &lab.key, json!({"model": "steel-fatigue", "folds": 2}), &rows).await;
    let report = get(&server, &lab, &format!("/admin/jobs/{}/data", first["id"])).await;
    let cancel = format!("/admin/jobs/{}/cancel", first["id"]);
    assert_eq!(server.admin(Method::POST, &cancel, &lab.key).send().await.unwrap().status(), 200);
    let confirm = lines(&report);
    let options = json!({"model": "steel-fatigue", "folds": 2, "strict": true, "confirm": confirm});
    let job = start(&server, &lab.key, options, &rows).await;
    assert_eq!(job["doubts"]["unconfirmed_rows"], 0, "{:#}", job["doubts"]);
    let job = until(&server, &lab.key, &job["id"], "succeeded").await;
    assert!(!job["warnings"].to_string().contains("look wrong"), "{:#}", job["warnings"]);
    let version = job["version"].as_str().unwrap();
    let detail = get(&server, &lab, &format!("/admin/models/steel-fatigue/versions/{version}")).await;
    assert!(!detail["objections"].to_string().contains("look wrong"), "{:#}", detail["objections"]);
    assert_eq!(detail["report"]["doubts"], json!({"lines": [], "confirmed": confirm}));
}
