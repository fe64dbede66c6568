//! Any model at its own address, and any version of it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::admin_jobs::{create_model, start, until};
use crate::support::{Lab, Server, another_glass, lab_recipe, lab_rows, pointers, steel_4140, tensile_steel};

fn vitreloy() -> Value {
    json!({"composition": "Zr41.2Ti13.8Cu12.5Ni10Be22.5"})
}

/// The shipped version of the glass model.
async fn shipped_glass(server: &Server) -> String {
    server.get("/models/glass").await.json::<Value>().await.unwrap()["version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_model_answers_at_its_own_address_as_on_its_route() {
    let server = Server::start().await;
    for (name, route, body) in [
        ("steel-fatigue", "/predict/steel", steel_4140()),
        ("steel-tensile", "/predict/steel", tensile_steel(25.0)),
        ("glass", "/classify/glass", vitreloy()),
    ] {
        let address = format!("/models/{name}/predict");
        let expected = server.answer(route, &body).await;
        assert_eq!(server.answer(&address, &body).await, expected);
        let mut unnamed = body.clone();
        unnamed.as_object_mut().unwrap().remove("model");
        assert_eq!(server.answer(&address, &unnamed).await, expected);
        let sample = json!({"composition": unnamed["composition"], "processing": unnamed["processing"]});
        let listed = server.answer(&address, &json!({"samples": [sample]})).await;
        assert_eq!(listed["predictions"][0]["in_domain"], expected["in_domain"]);
        let mut other = unnamed.clone();
        other["model"] = json!("another");
        let refused = Server::problem(server.post(&address, &other).await).await;
        assert_eq!((refused["status"].as_u64(), pointers(&refused)), (Some(422), vec!["/model"]));
    }
    let missing = Server::problem(server.post("/models/bronze/predict", &vitreloy()).await).await;
    assert_eq!(missing["code"], "not_found");
    assert!(missing["detail"].as_str().unwrap().contains("glass, steel-fatigue, steel-tensile"), "{missing:#}");

    let table = "formula\nZr41.2Ti13.8Cu12.5Ni10Be22.5\nFe40Ni40P14B6\n";
    let own = server.post_raw("/models/glass/predict", "text/csv", table).await.text().await.unwrap();
    assert_eq!(own, server.post_raw("/classify/glass", "text/csv", table).await.text().await.unwrap());
}

#[tokio::test]
async fn a_version_answers_for_whoever_names_it() {
    let mut lab = Lab::new();
    // One at a time: the one before must be loaded again.
    lab.config.kept_versions = 1;
    let server = Server::start_with(lab.config.clone()).await;
    let shipped = shipped_glass(&server).await;
    another_glass(&lab, &shipped, "earlier");
    another_glass(&lab, &shipped, "later");
    let usual = server.answer("/classify/glass", &vitreloy()).await;
    let asked = |version: &str| json!({"composition": vitreloy()["composition"], "version": version});
    for version in ["earlier", "later", "earlier", shipped.as_str()] {
        for route in ["/classify/glass", "/models/glass/predict"] {
            let mut expected = usual.clone();
            expected["model"]["version"] = json!(version);
            assert_eq!(server.answer(route, &asked(version)).await, expected, "in the body, to {route}");
            let query = format!("{route}?version={version}");
            assert_eq!(server.answer(&query, &vitreloy()).await, expected, "in the query, to {route}");
            let line = server.post_raw(&query, "application/x-ndjson", vitreloy().to_string()).await;
            let line: Value = serde_json::from_str(line.text().await.unwrap().trim()).unwrap();
            assert_eq!(line["model"]["version"], version);
            let table = server.post_raw(&query, "text/csv", "formula\nZr41.2Ti13.8Cu12.5Ni10Be22.5\n").await;
            assert_eq!(table.status(), 200);
        }
    }
    for version in ["unknown", "../glass/earlier", ""] {
        let missing = Server::problem(server.post("/classify/glass", &asked(version)).await).await;
        assert_eq!(missing["code"], "not_found", "{missing:#}");
        for there in ["earlier", "later", shipped.as_str()] {
            assert!(missing["detail"].as_str().unwrap().contains(there), "{missing:#}");
        }
    }
    let wrong =
        Server::problem(server.post("/classify/glass", &json!({"version": 7, "composition": "Fe"})).await).await;
    assert_eq!(pointers(&wrong), ["/version"]);
}

#[tokio::test]
async fn an_answer_stays_what_it_was_after_a_promotion_and_ends_with_its_version() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let shipped = shipped_glass(&server).await;
    another_glass(&lab, &shipped, "earlier");
    another_glass(&lab, &shipped, "later");
    let promote = async |version: &str| {
        let address = format!("/admin/models/glass/versions/{version}/promote");
        let body = json!({"force": true, "reason": "a test"});
        server.admin(Method::POST, &address, &lab.key).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(promote("earlier").await, 200);
    let before = server.answer("/classify/glass", &vitreloy()).await;
    assert_eq!(before["model"]["version"], "earlier");
    assert_eq!(promote("later").await, 200);
    assert_eq!(server.answer("/classify/glass", &vitreloy()).await["model"]["version"], "later");
    assert_eq!(server.answer("/classify/glass?version=earlier", &vitreloy()).await, before);

    let address = "/admin/models/glass/versions/earlier";
    let removed = server.admin(Method::DELETE, address, &lab.key).send().await.unwrap();
    assert_eq!(removed.status(), 200);
    assert_eq!(server.post("/classify/glass?version=earlier", &vitreloy()).await.status(), 404);
}

#[tokio::test]
async fn a_damaged_version_costs_those_who_name_it() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let shipped = shipped_glass(&server).await;
    another_glass(&lab, &shipped, "torn");
    std::fs::write(lab.folder.path().join("models/glass/torn/weights.safetensors"), "torn").unwrap();
    for _ in 0..2 {
        let refused = Server::problem(server.post("/classify/glass?version=torn", &vitreloy()).await).await;
        assert_eq!((refused["status"].as_u64(), &refused["code"]), (Some(503), &json!("model_unavailable")));
        assert!(!refused["detail"].as_str().unwrap().contains(lab.folder.path().to_str().unwrap()), "{refused:#}");
    }
    assert_eq!(server.post("/classify/glass", &vitreloy()).await.status(), 200);
}

/// The paths of a server's document, and its text.
async fn document(server: &Server) -> (Vec<String>, Value) {
    let text = server.get("/openapi.yaml").await.text().await.unwrap();
    let document: Value = yaml_serde::from_str(&text).unwrap();
    (document["paths"].as_object().unwrap().keys().cloned().collect(), document)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_route_answers_at_its_own_address_alone() {
    let lab = Lab::new();
    let server = Server::start_with(lab.config.clone()).await;
    let routeless: String =
        lab_recipe().lines().filter(|line| !line.starts_with("route")).fold(String::new(), |mut text, line| {
            text += line;
            text.push('\n');
            text
        });
    let (paths, _) = document(&server).await;
    assert!(
        paths.contains(&"/models/glass/predict".to_owned())
            && !paths.contains(&"/models/steel-lab42/predict".to_owned())
    );
    create_model(&server, &lab.key, routeless).await;
    let job = start(&server, &lab.key, json!({"model": "steel-lab42"}), &lab_rows()).await;
    let job = until(&server, &lab.key, &job["id"], "succeeded").await;
    let version = job["version"].as_str().unwrap();
    let address = format!("/admin/models/steel-lab42/versions/{version}/promote");
    let promoted = server.admin(Method::POST, &address, &lab.key).json(&json!({})).send().await.unwrap();
    assert_eq!(promoted.status(), 200);

    let steel = json!({
        "composition": {"C": 0.3, "Si": 0.3, "Mn": 0.8, "Cr": 1.0, "Mo": 0.2, "Ni": 0.5},
        "processing": {"melting_method": "VIM", "heat_treatment_state": "quenched_tempered", "tempering_temperature": 600},
    });
    let answer = server.answer("/models/steel-lab42/predict", &steel).await;
    assert_eq!(answer["model"]["version"], version);
    let mut named = steel.clone();
    named["model"] = json!("steel-lab42");
    assert_eq!(server.post("/predict/steel", &named).await.status(), 404);
    let shown: Value = server.get("/models/steel-lab42").await.json().await.unwrap();
    assert_eq!((&shown["route"], &shown["default"]), (&json!("/models/steel-lab42/predict"), &json!(false)));

    // The document of the server has it, with what it takes.
    let (paths, document) = document(&server).await;
    assert!(paths.contains(&"/models/steel-lab42/predict".to_owned()), "{paths:?}");
    let body = &document["paths"]["/models/steel-lab42/predict"]["post"]["requestBody"]["content"]["application/json"];
    let single = &body["schema"]["oneOf"][0];
    assert_eq!(
        single["properties"]["processing"]["properties"]["melting_method"]["enum"],
        json!(["EAF", "ESR", "VIM"])
    );
}
