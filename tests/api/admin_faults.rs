//! What is wrong with one model or one version, and what it does to the others: nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::admin_jobs::{start, until};
use crate::support::{Lab, Server, another_glass, lab_recipe, lab_rows, shipped_models};

async fn ask(server: &Server, lab: &Lab, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let response = server.admin(method, path, &lab.key).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn an_active_file_that_names_a_missing_version_costs_its_model_alone() {
    let lab = Lab::new();
    let (shipped, models) = (shipped_models(), lab.folder.path().join("models"));
    let glass = std::fs::read_to_string(shipped.join("glass/active")).unwrap().trim().to_owned();
    another_glass(&lab, &glass, "copy");
    for model in ["lost", "steel-lab42"] {
        std::fs::create_dir_all(models.join(model)).unwrap();
        std::fs::write(models.join(model).join("active"), "gone\n").unwrap();
    }
    std::fs::write(models.join("steel-lab42/recipe.toml"), lab_recipe().replace("steps = 120", "steps = 30")).unwrap();
    let server = Server::start_with(lab.config.clone()).await;
    // Others are promoted and rolled back, and their versions are listed.
    let force = json!({"force": true, "reason": "test"});
    let promoted = ask(&server, &lab, Method::POST, "/admin/models/glass/versions/copy/promote", &force).await;
    assert_eq!((promoted.0, &promoted.1["version"]), (200, &json!("copy")), "{promoted:?}");
    assert_eq!(ask(&server, &lab, Method::POST, "/admin/models/glass/rollback", &json!({})).await.0, 200);
    assert_eq!(ask(&server, &lab, Method::GET, "/admin/models/glass/versions", &json!({})).await.0, 200);
    // A job of the one that has the fault runs, and its version mends it, with nothing to overrule.
    let job = start(&server, &lab.key, json!({"model": "steel-lab42", "folds": 2}), &lab_rows()).await;
    let job = until(&server, &lab.key, &job["id"], "succeeded").await;
    let path = format!("/admin/models/steel-lab42/versions/{}/promote", job["version"].as_str().unwrap());
    let mended = ask(&server, &lab, Method::POST, &path, &json!({})).await;
    assert_eq!(mended.0, 200, "{mended:?}");
    let ready: Value = server.get("/readyz").await.json().await.unwrap();
    let degraded: Vec<&Value> = ready["degraded"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!(degraded, ["lost"], "{ready:#}");
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_costs_its_version_alone() {
    let lab = Lab::new();
    let glass = std::fs::read_to_string(shipped_models().join("glass/active")).unwrap().trim().to_owned();
    for (version, manifest) in [("empty", ""), ("odd", "[1]"), ("torn", "{\"format\": 2,")] {
        another_glass(&lab, &glass, version);
        std::fs::write(lab.folder.path().join("models/glass").join(version).join("manifest.json"), manifest).unwrap();
    }
    another_glass(&lab, &glass, "good");
    let server = Server::start_with(lab.config.clone()).await;
    let (status, list) = ask(&server, &lab, Method::GET, "/admin/models/glass/versions", &json!({})).await;
    assert_eq!(status, 200, "{list:#}");
    let named = |field: &str| -> Vec<Value> {
        list[field].as_array().unwrap().iter().map(|version| version["version"].clone()).collect()
    };
    assert!(named("versions").contains(&json!("good")) && named("versions").contains(&json!(glass)), "{list:#}");
    assert_eq!(named("damaged"), ["empty", "odd", "torn"], "{list:#}");
    assert!(!list["damaged"].to_string().contains(lab.folder.path().to_str().unwrap()), "no folders");
    for version in ["empty", "odd", "torn"] {
        let place = format!("/admin/models/glass/versions/{version}");
        let shown = ask(&server, &lab, Method::GET, &place, &json!({})).await;
        assert_eq!((shown.0, &shown.1["code"]), (409, &json!("conflict")), "{shown:?}");
        let force = json!({"force": true, "reason": "test"});
        let promoted = ask(&server, &lab, Method::POST, &format!("{place}/promote"), &force).await;
        assert_eq!((promoted.0, &promoted.1["code"]), (409, &json!("conflict")), "{promoted:?}");
        assert_eq!(ask(&server, &lab, Method::DELETE, &place, &json!({})).await.0, 200);
    }
    let (_, list) = ask(&server, &lab, Method::GET, "/admin/models/glass/versions", &json!({})).await;
    assert_eq!(list.get("damaged"), None, "{list:#}");
}
