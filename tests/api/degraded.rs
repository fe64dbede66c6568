//! A model that cannot be loaded costs itself alone.

use std::path::Path;

use axum::http::Method;
use mcvn::config::Config;
use serde_json::{Value, json};

use crate::lifecycle::copy;
use crate::support::{Lab, Server, config, shipped_models, steel_4140};

/// Flips a bit in the middle of a bundle's weights.
pub(crate) fn damage(bundle: &Path) {
    let weights = bundle.join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
}

fn active(model: &str) -> String {
    std::fs::read_to_string(shipped_models().join(model).join("active")).unwrap().trim().to_owned()
}

/// A copy of a shipped version under other names, no default.
fn put(models: &Path, shipped: &str, model: &str, version: &str) {
    let (from, place) = (active(shipped), models.join(model).join(version));
    copy(&shipped_models().join(shipped).join(&from), &place);
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(place.join("manifest.json")).unwrap()).unwrap();
    (manifest["name"], manifest["version"], manifest["default"]) = (json!(model), json!(version), json!(false));
    std::fs::write(place.join("manifest.json"), manifest.to_string()).unwrap();
}

async fn json_of(server: &Server, path: &str) -> Value {
    let response = server.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

#[tokio::test]
async fn a_damaged_bundle_is_named_and_the_others_answer() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["glass", "steel-fatigue"] {
        copy(&shipped_models().join(model), &folder.path().join(model));
    }
    damage(&folder.path().join("glass").join(active("glass")));
    let server = Server::start_with(Config { models_dirs: vec![folder.path().to_owned()], ..config() }).await;
    assert_eq!(server.answer("/predict/steel", &steel_4140()).await["model"]["name"], "steel-fatigue");

    let ready = json_of(&server, "/readyz").await;
    let degraded = &ready["degraded"][0];
    assert_eq!(
        (&ready["status"], &degraded["name"], &degraded["answers"]),
        (&json!("ready"), &json!("glass"), &Value::Null)
    );
    assert_eq!(degraded["version"], active("glass"));
    let reason = degraded["reason"].as_str().unwrap();
    assert!(reason.contains("SHA-256") && !reason.contains('/'), "{reason}");
    let models = json_of(&server, "/models").await;
    assert_eq!((models["models"].as_array().unwrap().len(), &models["degraded"]), (1, &ready["degraded"]));

    let glass = json!({"composition": "Fe80B20"});
    let named = json!({"model": "glass", "composition": "Fe80B20"});
    for response in [
        server.post("/classify/glass", &glass).await,
        server.post("/classify/glass", &named).await,
        server.get("/models/glass").await,
    ] {
        let problem = Server::problem(response).await;
        assert_eq!((&problem["status"], &problem["code"]), (&json!(503), &json!("model_unavailable")), "{problem:#}");
        assert!(problem["detail"].as_str().unwrap().contains("SHA-256"), "{problem:#}");
    }
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let labels = format!("model=\"glass\",version=\"{}\",answers=\"none\"", active("glass"));
    assert!(metrics.contains(&format!("mcvn_model_degraded{{{labels}}} 1")), "{metrics}");
    assert!(metrics.contains("\nmcvn_ready 1\n"));
}

#[tokio::test]
async fn without_any_model_the_start_fails_with_all_reasons() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["glass", "steel-fatigue"] {
        copy(&shipped_models().join(model), &folder.path().join(model));
        damage(&folder.path().join(model).join(active(model)));
    }
    let config = Config { models_dirs: vec![folder.path().to_owned()], ..config() };
    let error = Server::start_loading(config).await.ended().await.unwrap_err().to_string();
    assert!(error.contains("glass") && error.contains("steel-fatigue") && error.contains("SHA-256"), "{error}");
}

#[tokio::test]
async fn the_version_before_stands_in_and_a_promotion_mends() {
    let lab = Lab::new();
    let models = lab.folder.path().join("models");
    for version in ["bad", "good"] {
        put(&models, "glass", "ours", version);
        put(&models, "glass", "lost", version);
        put(&models, "glass", "odd", version);
    }
    for model in ["ours", "lost"] {
        damage(&models.join(model).join("bad"));
    }
    std::fs::write(models.join("ours/active"), "bad\ngood\n").unwrap();
    std::fs::write(models.join("lost/active"), "bad\n").unwrap();
    std::fs::write(models.join("odd/active"), b"\xff\n").unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    let ask =
        async |model: &str| server.post("/classify/glass", &json!({"model": model, "composition": "Fe80B20"})).await;
    let answered = async |model: &str| ask(model).await.json::<Value>().await.unwrap()["model"]["version"].clone();
    assert_eq!(answered("ours").await, "good", "the version before");
    assert_eq!((ask("lost").await.status().as_u16(), ask("odd").await.status().as_u16()), (503, 503));
    let degraded = json_of(&server, "/readyz").await["degraded"].clone();
    let told: Vec<(&Value, &Value)> =
        degraded.as_array().unwrap().iter().map(|one| (&one["name"], &one["answers"])).collect();
    let none = Value::Null;
    assert_eq!(told, [(&json!("lost"), &none), (&json!("odd"), &none), (&json!("ours"), &json!("good"))]);

    let post = async |path: String| {
        let response = server.admin(Method::POST, &path, &lab.key).json(&json!({})).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    // Nothing is in use that could speak against it, and what stands in needs no leave.
    for model in ["lost", "odd", "ours"] {
        let (status, bad) = post(format!("/admin/models/{model}/versions/bad/promote")).await;
        assert!(model == "odd" || status == 409, "{bad:#}");
        let (status, now) = post(format!("/admin/models/{model}/versions/good/promote")).await;
        assert!(status == 200 || model == "odd", "{now:#}");
    }
    for model in ["lost", "ours"] {
        assert_eq!(answered(model).await, "good");
        assert!(std::fs::read_to_string(models.join(model).join("active")).unwrap().starts_with("good\n"));
    }
    assert_eq!(answered("odd").await, "bad");
    assert_eq!(json_of(&server, "/readyz").await, json!({"status": "ready"}));
}

#[tokio::test]
async fn of_two_defaults_the_first_by_name_answers() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "glass", "zinc-free", "v1");
    let manifest = folder.path().join("zinc-free/v1/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("\"default\":false", "\"default\":true");
    std::fs::write(&manifest, text).unwrap();
    std::fs::write(folder.path().join("zinc-free/active"), "v1\n").unwrap();
    let config = Config { models_dirs: vec![shipped_models(), folder.path().to_owned()], ..config() };
    let server = Server::start_with(config).await;
    let answer = server.answer("/classify/glass", &json!({"composition": "Fe80B20"})).await;
    assert_eq!(answer["model"]["name"], "glass");
    let named = json!({"model": "zinc-free", "composition": "Fe80B20"});
    assert_eq!(server.answer("/classify/glass", &named).await["model"]["name"], "zinc-free");
    let models = json_of(&server, "/models").await;
    assert_eq!(
        (&models["degraded"][0]["name"], &models["degraded"][0]["answers"]),
        (&json!("zinc-free"), &json!("v1"))
    );
    let defaults: Vec<&Value> =
        models["models"].as_array().unwrap().iter().filter(|m| m["default"] == true).map(|m| &m["name"]).collect();
    assert_eq!(defaults, ["glass", "steel-fatigue"]);
}
