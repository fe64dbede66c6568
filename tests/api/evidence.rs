//! A job with evidence of what alloys are not, from its upload to answers that say what they are about.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::admin_jobs::{create_model, until};
use crate::support::{Lab, Server, pointers};

const RECIPE: &str = r#"
name = "glasses"
title = "invented glasses"
about = "Castings and ribbons."
group = "chemical_system"
kinds = 8
limits = [
    "Nothing is known of powders.",
    { text = "Four elements: bulk or not is open.", when = { elements_at_least = 4, class = "BMG" } },
]
composition = { basis = "atomic_percent", formula = "alloy" }
class = { column = "class", levels = ["BMG", "RMG"] }
network = { attention = "none", heads = 1, norm = "pre", activation = "silu", row = [8], head = [] }
training = { members = 1, steps = 60, batch = 24, learning_rate = 1e-2, warmup = 5, weight_decay = 0.0, clip_norm = 5.0, ema = 0.9 }
calibration = { folds = 2 }
evidence = [{ file = "cast.csv", column = "alloy", excludes = ["BMG"] }]
"#;

fn rows() -> String {
    let row = |step: usize| {
        let (ribbon, bulk) = (format!("Cu{}Zr{},RMG", 40 + step, 60 - step), 50 + step);
        format!(
            "{ribbon}\nFe{bulk}B{},RMG\nZr{bulk}Cu{}Al10Ni10,BMG\nMg{bulk}Cu{}Y10Gd5,BMG\n",
            50 - step,
            30 - step,
            35 - step
        )
    };
    "alloy,class\n".to_owned() + &(0..6).map(row).collect::<String>()
}

fn cast() -> String {
    "alloy,structure\n".to_owned()
        + &(0..6).map(|step| format!("Co{}Cr{}Fe25Ni25,FCC\n", 20 + step, 30 - step)).collect::<String>()
}

fn form(evidence: &[String]) -> Form {
    let part = |text: &str, name: &str| Part::bytes(text.as_bytes().to_vec()).file_name(name.to_owned());
    let form = Form::new().text("options", json!({"model": "glasses", "folds": 2}).to_string());
    let form = form.part("data", part(&rows(), "glasses.csv"));
    evidence.iter().fold(form, |form, text| form.part("evidence", part(text, "cast.csv")))
}

#[tokio::test]
async fn evidence_comes_with_a_job_and_answers_say_what_they_are_about() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    create_model(&server, &lab.key, RECIPE.to_owned()).await;
    let post = || server.admin(Method::POST, "/admin/jobs", &lab.key);
    let bad = Server::problem(post().multipart(form(&[cast() + "CoXx2,FCC\n"])).send().await.unwrap()).await;
    assert_eq!((&bad["status"], pointers(&bad)[0]), (&json!(422), "/evidence/8/alloy"), "{bad:#}");
    let two = Server::problem(post().multipart(form(&[cast(), cast()])).send().await.unwrap()).await;
    assert_eq!(pointers(&two), ["/evidence"], "{two:#}");

    let job: Value = post().multipart(form(&[cast()])).send().await.unwrap().json().await.unwrap();
    assert_eq!(job["data"]["evidence"][0]["file"], "cast.csv", "{job:#}");
    let again: Value = post()
        .json(&json!({"model": "glasses", "folds": 2, "seed": 8, "data_of_job": job["id"]}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(again["data"]["evidence"][0]["sha256"], job["data"]["evidence"][0]["sha256"], "{again:#}");
    let lacking: Value = post().multipart(form(&[])).send().await.unwrap().json().await.unwrap();
    let lacks = |job: &Value| job["warnings"].to_string().contains("cast.csv, alloys that are not BMG) was not given");
    let done = until(&server, &lab.key, &job["id"], "succeeded").await;
    assert!(!lacks(&done), "{done:#}");
    let version = done["version"].as_str().unwrap();
    let promote = format!("/admin/models/glasses/versions/{version}/promote");
    let promoted = server
        .admin(Method::POST, &promote, &lab.key)
        .json(&json!({"force": true, "reason": "a test"}))
        .send()
        .await
        .unwrap();
    assert_eq!(promoted.status(), 200, "{}", promoted.text().await.unwrap());

    let answer = server.answer("/models/glasses/predict", &json!({"composition": "Zr53Cu27Al10Ni10"})).await;
    assert_eq!(answer["about"], "Castings and ribbons.", "{answer:#}");
    assert_eq!(
        (&answer["class"], &answer["warnings"]),
        (&json!("BMG"), &json!(["Four elements: bulk or not is open."]))
    );
    let model: Value = server.get("/models/glasses").await.json().await.unwrap();
    assert_eq!(model["about"], "Castings and ribbons.");
    assert_eq!(model["limits"][0], json!({"text": "Nothing is known of powders."}));
    assert_eq!(model["limits"][1]["when"], json!({"elements_at_least": 4, "class": "BMG"}));
    assert_eq!((&model["data"]["evidence"][0]["rows"], &model["data"]["rows"]), (&json!(6), &json!(24)));
    let done = until(&server, &lab.key, &lacking["id"], "succeeded").await;
    assert!(lacks(&done), "{done:#}");
    assert!(!lacks(&until(&server, &lab.key, &again["id"], "succeeded").await));
}
