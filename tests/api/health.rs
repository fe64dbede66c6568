//! What operators look at, and the documents.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use mcvn::batcher::Predict;
use mcvn::featurize::Features;
use mcvn::http::{AppState, HttpConfig, Surface, router};
use mcvn::model::Predicted;
use mcvn::serving::Live;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Server, bulk_pool, config};

/// A model whose passes fail.
struct Failing;

impl Predict for Failing {
    fn name(&self) -> &str {
        "failing"
    }

    fn predict(&self, _: &[&Features]) -> Result<Vec<Predicted>, String> {
        Err("not finite".to_owned())
    }
}

#[tokio::test]
async fn passes_that_keep_failing_deny_readiness_until_one_succeeds() {
    let config = config();
    let (live, _thread) = Live::load(config.serving(), Default::default()).await.unwrap();
    let batcher = live.current().batcher.clone();
    let state = AppState::new(config.http, bulk_pool(), Default::default(), None);
    state.set_ready(live);
    let service = router(state.clone(), Surface::Public);
    let get = async |path: &str| {
        let response = service.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    for failures in 0..5 {
        assert_eq!(get("/readyz").await.0, 200, "after {failures}");
        let sample = Features { row: vec![0.0], ..Features::default() };
        assert!(batcher.submit(Arc::new(Failing), vec![sample]).await.is_err());
    }
    let (status, problem) = get("/readyz").await;
    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("not_ready")));
    assert!(problem["detail"].as_str().unwrap().contains("keep failing"), "{problem}");
    assert_eq!(get("/livez").await.0, 200);
    assert!(get("/info").await.1.contains("\"status\":\"failing\""));
    assert!(get("/metrics").await.1.contains("\nmcvn_device_healthy 0\n"));
    // Nobody asks a server that is not ready: it tries by itself.
    let trying = tokio::spawn(state.probe_until_healthy());
    let ready = async {
        while get("/readyz").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready).await.unwrap();
    assert!(get("/metrics").await.1.contains("\nmcvn_device_healthy 1\n"));
    trying.abort();
}

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
    let service = router(AppState::new(HttpConfig::default(), bulk_pool(), Default::default(), None), Surface::Public);
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
