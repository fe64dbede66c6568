//! What operators look at, and the documents.

use mcvn::http::{HttpConfig, State, Surface, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Server, bulk_pool};

#[tokio::test]
async fn alive_ready_and_documented() {
    let server = Server::start().await;
    assert_eq!(server.get("/livez").await.json::<Value>().await.unwrap(), json!({"status": "alive"}));
    assert_eq!(server.get("/readyz").await.json::<Value>().await.unwrap(), json!({"status": "ready"}));
    let document = server.get("/openapi.yaml").await;
    assert_eq!(document.headers()["content-type"], "application/yaml");
    assert_eq!(document.text().await.unwrap(), include_str!("../../openapi.yaml"));
}

#[tokio::test]
async fn models_say_what_they_take() {
    let server = Server::start().await;
    let list: Value = server.get("/models").await.json().await.unwrap();
    let names: Vec<&str> = list["models"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["glass", "steel-fatigue", "steel-tensile"]);
    let page: Value = server.get("/models/steel-fatigue").await.json().await.unwrap();
    assert_eq!(page["composition"]["balance"], "Fe");
    let tempering = page["processing"].as_array().unwrap().iter().find(|p| p["name"] == "tempering_temperature");
    let tempering = tempering.unwrap();
    assert_eq!((&tempering["unit"], &tempering["required"]), (&json!("°C"), &json!(true)));
    assert!(tempering["min"].as_f64().unwrap() < tempering["max"].as_f64().unwrap());
    assert_eq!(page["targets"][3], json!({"name": "hardness", "unit": "HV"}));
    for model in names {
        let page: Value = server.get(&format!("/models/{model}")).await.json().await.unwrap();
        let protocols: Vec<&Value> = page["evaluation"].as_array().unwrap().iter().map(|e| &e["protocol"]).collect();
        assert_eq!(protocols, [&json!("random"), &json!("grouped")], "{model} was measured both ways");
        assert!(!page["data"]["citation"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn before_anything_is_loaded_only_liveness_is_granted() {
    let service = router(State::new(HttpConfig::default(), bulk_pool(), Default::default(), None), Surface::Public);
    let status = |method: &'static str, path: &'static str| {
        let request = axum::http::Request::builder().method(method).uri(path).body(axum::body::Body::empty()).unwrap();
        let service = service.clone();
        async move { service.oneshot(request).await.unwrap() }
    };
    assert_eq!(status("GET", "/livez").await.status(), 200);
    for (method, path) in [("GET", "/readyz"), ("GET", "/models"), ("POST", "/predict/steel")] {
        let response = status(method, path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
